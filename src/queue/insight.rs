//! What a person asks the ledger: how the work stands, and what happened to one recording.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{JobState, QueueError};
use crate::domain::RecordingId;

/// The jobs of one state; for those that wait or are dead, of one state and reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateLine {
    pub state: JobState,
    pub reason: Option<String>,
    pub jobs: u64,
    /// Seconds of audio as listed, as far as they are known.
    pub audio_s: u64,
    /// Since when the one that is longest in this state is in it, and the one that came last.
    pub oldest_change: Timestamp,
    pub newest_change: Timestamp,
    /// When the first one that waits is due.
    pub next_due: Option<Timestamp>,
}

/// One step in the life of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEvent {
    pub at: Timestamp,
    /// What happened, e.g. `claimed`, `crashed`, `published`.
    pub step: String,
    pub attempt: i32,
    pub run_id: Option<String>,
    /// Of a failure: where, why, and a code and numbers.
    pub stage: Option<String>,
    pub reason: Option<String>,
    pub detail: Option<String>,
}

#[async_trait]
pub trait Insight: Send + Sync {
    /// How many jobs there are, ordered by state, then reason.
    async fn overview(&self) -> Result<Vec<StateLine>, QueueError>;

    /// Everything that happened to a recording, oldest first.
    async fn life(&self, id: &RecordingId) -> Result<Vec<JobEvent>, QueueError>;
}
