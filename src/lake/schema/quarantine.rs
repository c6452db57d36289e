//! `quarantine`: one row per recording that a run gave up on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Column, Table, TableRow};
use crate::domain::{Reason, RecordingId, RunId, Stage};

/// A row of `quarantine`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineRow {
    pub recording_id: RecordingId,
    pub call_id: Option<String>,
    /// Start of the recording, where it is known.
    pub started_at: Option<Timestamp>,
    pub stage: Stage,
    pub reason: Reason,
    /// A code and numbers (`status=404`), never text from outside.
    pub detail: String,
    pub attempts: i32,
    pub first_seen_at: Timestamp,
    pub last_tried_at: Timestamp,
    pub run_id: RunId,
}

impl TableRow for QuarantineRow {
    const TABLE: Table = Table::Quarantine;

    fn columns() -> Vec<Column<Self>> {
        type C = Column<QuarantineRow>;
        vec![
            C::text("recording_id", "The recording that is not in recordings", |row| Some(row.recording_id.as_str()))
                .looked_up(),
            C::text("call_id", "Zoom's id of the call", |row| row.call_id.as_deref()).looked_up(),
            C::timestamp("started_at", "Start of the recording, where it is known", |row| row.started_at),
            C::text("stage", "The step that failed: fetch, decode, stt, stage or publish", |row| {
                Some(row.stage.as_str())
            }),
            C::text("reason", "Why, as a code such as not_found, not_audio or engine_crash", |row| {
                Some(row.reason.as_str())
            }),
            C::text("detail", "More of it, as codes and numbers such as status=404; never text from outside", |row| {
                Some(&row.detail)
            }),
            C::int32("attempts", "Attempts made", |row| Some(row.attempts)),
            C::timestamp("first_seen_at", "When the recording was first listed", |row| Some(row.first_seen_at)),
            C::timestamp("last_tried_at", "When it was last tried", |row| Some(row.last_tried_at)),
            C::text("run_id", "The run that gave up", |row| Some(&row.run_id.0)),
        ]
    }
}
