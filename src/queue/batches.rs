//! What the publisher needs of the ledger: what is staged, which batches are being written, who died.

use async_trait::async_trait;
use jiff::Timestamp;

use super::QueueError;
use crate::domain::{Failure, Fingerprint, RecordingId, RunId};

/// A finished transcript in the staging folder that is not in the lake yet; id and fingerprint name its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedJob {
    pub id: RecordingId,
    pub dt: String,
    pub fingerprint: Fingerprint,
    pub bytes: u64,
    pub staged_at: Timestamp,
    pub audio_ms: i64,
}

/// A set of transcripts that is being written as one file per table. Recorded before the first object is put, so that
/// a crash anywhere writes the same bytes under the same keys again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenBatch {
    pub batch_id: String,
    pub dt: String,
    /// The lake's plan for the batch, as JSON that only the lake reads.
    pub plan: String,
    pub members: Vec<StagedJob>,
}

/// A dead recording whose quarantine row is not in the lake yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadJob {
    pub id: RecordingId,
    pub call_id: Option<String>,
    pub started_at: Timestamp,
    pub failure: Failure,
    pub attempts: i32,
    pub first_seen_at: Timestamp,
    pub last_tried_at: Timestamp,
    pub run_id: RunId,
}

/// The publisher's part of the ledger. Every method is one atomic step.
#[async_trait]
pub trait BatchLog: Send + Sync {
    /// Staged jobs that are in no batch, oldest first.
    async fn staged(&self) -> Result<Vec<StagedJob>, QueueError>;

    async fn open_batch(&self, batch: &OpenBatch, now: Timestamp) -> Result<(), QueueError>;

    async fn open_batches(&self) -> Result<Vec<OpenBatch>, QueueError>;

    /// Forgets a batch that was not written; its members are staged as before.
    async fn abandon_batch(&self, batch_id: &str) -> Result<(), QueueError>;

    /// Starts a recording over whose staged transcript is lost or damaged.
    async fn start_over(&self, id: &RecordingId, now: Timestamp) -> Result<(), QueueError>;

    /// Marks the batch's members as published and forgets their addresses and metadata.
    async fn close_batch(&self, batch_id: &str, now: Timestamp) -> Result<(), QueueError>;

    /// Marks staged jobs as published whose very result the lake holds already.
    async fn mark_published(&self, ids: &[RecordingId], now: Timestamp) -> Result<(), QueueError>;

    /// Dead jobs whose quarantine row was not confirmed yet.
    async fn unreported_dead(&self) -> Result<Vec<DeadJob>, QueueError>;

    async fn mark_reported(&self, ids: &[RecordingId]) -> Result<(), QueueError>;
}
