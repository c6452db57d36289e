//! `coverage`: what a source lists against what the lake holds, a row per day and reason of a difference.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::runs::count;
use super::{Column, Table, TableRow};
use crate::domain::{Difference, RunId};

/// A row of `coverage`. The rows of one day and run have the same four sums; a day without a difference has one row,
/// without a reason. Of several runs the last counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageRow {
    /// The day of the recordings' start, `YYYY-MM-DD`, which is also the row's partition.
    pub day: String,
    pub zoom_recordings: u64,
    pub zoom_seconds: u64,
    pub lake_recordings: u64,
    pub lake_seconds: u64,
    pub reason: Option<Difference>,
    /// Recordings that differ for this reason, and their length in seconds.
    pub recordings: u64,
    pub seconds: u64,
    pub run_id: RunId,
    pub checked_at: Timestamp,
}

impl TableRow for CoverageRow {
    const TABLE: Table = Table::Coverage;

    fn columns() -> Vec<Column<Self>> {
        type C = Column<CoverageRow>;
        vec![
            C::text("day", "Day of the recordings' start, YYYY-MM-DD, as in their dt", |row| Some(&row.day)),
            C::int32("zoom_recordings", "Recordings of the day that Zoom lists", |row| {
                Some(count(row.zoom_recordings))
            }),
            C::int64("zoom_seconds", "Their length as listed, in seconds", |row| Some(sum(row.zoom_seconds))),
            C::int32("lake_recordings", "Recordings of the day in the lake", |row| Some(count(row.lake_recordings))),
            C::int64("lake_seconds", "Their decoded length, in seconds", |row| Some(sum(row.lake_seconds))),
            C::text(
                "reason",
                "Why recordings differ: not_yet, too_short, quarantined, deleted_in_zoom, purged, or (trouble) lost, \
                 double, orphaned; null when none differs",
                |row| row.reason.map(Difference::as_str),
            ),
            C::int32("recordings", "Recordings that differ for this reason", |row| Some(count(row.recordings))),
            C::int64("seconds", "Their length, in seconds", |row| Some(sum(row.seconds))),
            C::text("run_id", "The run that compared", |row| Some(&row.run_id.0)),
            C::timestamp("checked_at", "When it had compared", |row| Some(row.checked_at)),
        ]
    }
}

fn sum(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
