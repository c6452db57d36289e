//! `runs`: one row per run that did something.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Column, Table, TableRow};
use crate::domain::RunId;

/// A row of `runs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRow {
    pub run_id: RunId,
    /// The subcommand, without its arguments: they may name a person.
    pub command: String,
    /// What started the run, e.g. `sweep`.
    pub trigger: String,
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
    pub exit_code: i32,
    pub listed: u64,
    pub done: u64,
    pub skipped: u64,
    pub failed: u64,
    pub waiting: u64,
    /// Audio transcribed, in milliseconds.
    pub audio_ms: i64,
    pub program_version: String,
}

impl TableRow for RunRow {
    const TABLE: Table = Table::Runs;

    fn columns() -> Vec<Column<Self>> {
        type C = Column<RunRow>;
        vec![
            C::text("run_id", "Identity of the run", |row| Some(&row.run_id.0)),
            C::text("command", "The subcommand, without its arguments", |row| Some(&row.command)),
            C::text("trigger", "What started the run", |row| Some(&row.trigger)),
            C::timestamp("started_at", "Start of the run", |row| Some(row.started_at)),
            C::timestamp("ended_at", "End of the run", |row| Some(row.ended_at)),
            C::int32("exit_code", "Exit code of the program", |row| Some(row.exit_code)),
            C::int32("listed", "Recordings listed", |row| Some(count(row.listed))),
            C::int32("done", "Recordings published", |row| Some(count(row.done))),
            C::int32("skipped", "Recordings that needed no work", |row| Some(count(row.skipped))),
            C::int32("failed", "Recordings that became dead", |row| Some(count(row.failed))),
            C::int32("waiting", "Recordings left for a later run", |row| Some(count(row.waiting))),
            C::int64("audio_ms", "Audio transcribed, in milliseconds", |row| Some(row.audio_ms)),
            C::text("program_version", "Version of the program", |row| Some(&row.program_version)),
        ]
    }
}

/// A count as the lake stores it; more than an `INT32` holds stays at its largest.
pub(super) fn count(number: u64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
