//! What a run tells when it is over: on the screen, as JSON, and as a row of the table `runs`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::item::whole_millis;
use super::{ExitCode, RunError};
use crate::domain::{RecordingId, RunId};
use crate::lake::RunRow;
use crate::queue::{JobQueue, JobRecord};

/// What a run did.
pub struct Summary {
    pub run_id: RunId,
    pub listed: u64,
    pub done: u64,
    pub skipped: u64,
    pub failed: u64,
    pub waiting: u64,
    /// Audio of the recordings that were published, in milliseconds.
    pub audio_ms: i64,
    pub elapsed: Duration,
    /// Recordings of the window that had died in an earlier run.
    pub dead_before: u64,
    /// New recordings that were not taken up because of the limit.
    pub left_out: u64,
    /// Listed items that are no recordings: without an id or an address.
    pub unusable: u64,
    /// Recordings that were asked for by id and are neither listed nor known.
    pub not_found: BTreeSet<RecordingId>,
    /// What kept the run from doing all of its work, in words.
    pub troubles: Vec<String>,
    /// What the user should know although nothing went wrong.
    pub notes: Vec<String>,
    /// When there is something to do again: a used-up limit of the day ends, the next retry is due.
    pub resume_at: Option<Timestamp>,
    pub exit_code: ExitCode,
    pub(super) queue: Arc<dyn JobQueue>,
}

impl Summary {
    /// The recordings that this run claimed, in order of id, in pages: they are read from the ledger, never held.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn recordings(&self, after: Option<&RecordingId>, limit: u32) -> Result<Vec<JobRecord>, RunError> {
        Ok(self.queue.touched_by(&self.run_id, after, limit).await?)
    }

    /// The run's row of the table `runs`.
    pub(super) fn row(&self, trigger: &str, started_at: Timestamp) -> RunRow {
        RunRow {
            run_id: self.run_id.clone(),
            command: "transcribe".into(),
            trigger: trigger.into(),
            started_at,
            ended_at: whole_millis(Timestamp::now()),
            exit_code: i32::from(self.exit_code.number()),
            listed: self.listed,
            done: self.done,
            skipped: self.skipped,
            failed: self.failed,
            waiting: self.waiting,
            audio_ms: self.audio_ms,
            program_version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}
