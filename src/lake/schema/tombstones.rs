//! `tombstones`: what was purged and must not come back. Nothing in here tells of a person.

use super::{Column, Table, TableRow};
use crate::domain::Tombstone;

impl TableRow for Tombstone {
    const TABLE: Table = Table::Tombstones;

    fn columns() -> Vec<Column<Self>> {
        type C = Column<Tombstone>;
        vec![
            C::text("recording_id", "The recording; null where it is a call's", |row| {
                row.recording().map(crate::domain::RecordingId::as_str)
            })
            .looked_up(),
            C::text("call_id", "Any of Zoom's ids of the call or leg; null where it is a recording's", |row| {
                row.call()
            })
            .looked_up(),
            C::timestamp("purged_at", "When it was purged", |row| Some(row.purged_at)),
            C::text("reason", "Why: recording, call, phone, before, retention or deleted_in_zoom", |row| {
                Some(row.reason.as_str())
            }),
        ]
    }
}
