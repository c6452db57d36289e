//! The ledger of the work: which recordings are known, who holds each, what became of it.
//!
//! A recording's life is the state machine in [`state`]. The queue only saves work: that a recording has exactly one
//! current row is decided by create-only keys in the lake, so a queue that forgets costs time, never rows.

pub mod batches;
pub mod instance;
pub mod marks;
pub mod outbox;
pub mod sqlite;
pub mod state;

use std::collections::BTreeSet;
use std::path::PathBuf;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::{Fingerprint, Lease, Recording, RecordingId, RunId, SourceKind};

pub use batches::{BatchLog, DeadJob, OpenBatch, StagedJob};
pub use marks::ListingMarks;
pub use outbox::{DueTranscript, NewLegs, Outbox, Parcel, TranscriptNote};
pub use state::{JobState, Settlement};

/// A recording that a listing found, with what is fixed at first sight.
#[derive(Debug, Clone)]
pub struct NewJob {
    pub recording: Recording,
    pub started_at: Timestamp,
    /// The partition of its rows, `YYYY-MM-DD`.
    pub dt: String,
}

/// What became of the jobs that were handed to [`JobQueue::enqueue`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enqueued {
    /// Seen for the first time.
    pub new: BTreeSet<RecordingId>,
    /// Known and not finished: this run takes them up anyway.
    pub open: BTreeSet<RecordingId>,
    /// Published before.
    pub done: BTreeSet<RecordingId>,
    /// Dead before this run.
    pub dead: BTreeSet<RecordingId>,
    /// Not known and not added, because there was no room for more.
    pub left_out: u64,
}

/// Which jobs a run may claim: those of its own source, since no other can fetch them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub source: SourceKind,
    /// `None` = all of them.
    pub only: Option<BTreeSet<RecordingId>>,
}

/// A job in the hands of one worker.
#[derive(Debug)]
pub struct Claimed {
    pub lease: Lease,
    pub recording: Recording,
    pub started_at: Timestamp,
    pub dt: String,
}

/// How many jobs are in each state, and when the next waiting one is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub seen: u64,
    pub claimed: u64,
    pub waiting: u64,
    pub staged: u64,
    pub published: u64,
    pub dead: u64,
    pub next_due: Option<Timestamp>,
    /// Listed seconds of audio of the jobs that are seen, claimed or waiting, as far as durations are known.
    pub open_audio_s: u64,
}

impl Counts {
    /// Everything that is neither in the lake nor dead.
    #[must_use]
    pub const fn unfinished(&self) -> u64 {
        self.seen + self.claimed + self.waiting + self.staged
    }
}

/// One recording as the ledger knows it, for results and questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    pub id: RecordingId,
    pub state: JobState,
    pub attempt: i32,
    pub started_at: Timestamp,
    /// The partition of its rows, fixed at first sight.
    pub dt: String,
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub audio_ms: Option<i64>,
}

/// Whether a heartbeat or a settlement still found its claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fenced {
    /// The claim is ours and was changed.
    Held,
    /// Somebody else holds or has settled the job: the work of this claim must be dropped.
    Lost,
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    #[error("the ledger {} cannot be opened", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the ledger {} was written by a newer version of this program (schema {found}, this one knows {known})", path.display())]
    TooNew { path: PathBuf, found: i64, known: i64 },
    #[error("the disk that holds the ledger is full")]
    DiskFull(#[source] rusqlite::Error),
    #[error("another process has kept the ledger locked for too long")]
    Busy(#[source] rusqlite::Error),
    #[error("the ledger refused a statement")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the ledger holds a value that this version cannot read: {what}")]
    Corrupt { what: String },
    #[error("the ledger's worker thread ended")]
    Stopped,
}

/// The job engine. Every method is one atomic step: a crash between two leaves a state from which the next run goes on.
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Adds recordings that are not known yet, at most `room` of them; refreshes the address and metadata of
    /// unfinished and dead ones.
    async fn enqueue(&self, found: Vec<NewJob>, room: u64, now: Timestamp) -> Result<Enqueued, QueueError>;

    /// Which of these recordings are known.
    async fn known(&self, ids: &[RecordingId]) -> Result<BTreeSet<RecordingId>, QueueError>;

    /// Records as published what the lake already holds (a lost ledger). A recording that is known stays as it is.
    async fn adopt(&self, job: NewJob, fingerprint: Fingerprint, now: Timestamp) -> Result<(), QueueError>;

    /// Starts a published recording over whose row is gone from the lake. Its start and `dt` stay, its attempts count on.
    /// A recording in any other state stays as it is.
    async fn reopen(&self, job: NewJob, now: Timestamp) -> Result<(), QueueError>;

    /// Takes the next job that is due, counts the attempt, and starts a lease for `instance`. Calls of the last 24 h
    /// come before older ones, then the oldest start.
    async fn claim(
        &self,
        instance: &str,
        run: &RunId,
        scope: &Scope,
        now: Timestamp,
    ) -> Result<Option<Claimed>, QueueError>;

    /// Extends the lease.
    async fn heartbeat(&self, id: &RecordingId, attempt: i32, now: Timestamp) -> Result<Fenced, QueueError>;

    /// Ends a claim. Refused when the lease's attempt is no longer the current one.
    async fn settle(&self, lease: Lease, settlement: Settlement, now: Timestamp) -> Result<Fenced, QueueError>;

    /// Takes back the claims of instances that are gone and of leases that ran out; their attempts stay counted, and a
    /// job out of attempts is dead as `engine_crash`. Returns how many came back and how many died.
    async fn reclaim(
        &self,
        is_alive: &(dyn for<'id> Fn(&'id str) -> bool + Sync),
        run: &RunId,
        now: Timestamp,
    ) -> Result<(u64, u64), QueueError>;

    async fn counts(&self, scope: &Scope) -> Result<Counts, QueueError>;

    async fn record(&self, id: &RecordingId) -> Result<Option<JobRecord>, QueueError>;

    /// Those of these recordings that are known, in order of id.
    async fn records(&self, ids: &[RecordingId]) -> Result<Vec<JobRecord>, QueueError>;

    /// The jobs that `run` claimed, in order of id, at most `limit` after `after`: results are streamed, not held.
    async fn touched_by(
        &self,
        run: &RunId,
        after: Option<&RecordingId>,
        limit: u32,
    ) -> Result<Vec<JobRecord>, QueueError>;
}
