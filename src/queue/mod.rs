//! The ledger of the work: which recordings are known, who holds each, what became of it.
//!
//! A recording's life is the state machine in [`state`]. The queue only saves work: that a recording has exactly one
//! current row is decided by create-only keys in the lake, so a queue that forgets costs time, never rows.

pub mod batches;
#[cfg(test)]
mod conformance;
pub mod inbox;
pub mod insight;
pub mod instance;
pub mod marks;
pub mod outbox;
pub mod redo;
pub mod sqlite;
pub mod state;
pub mod tombstones;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use async_trait::async_trait;
use jiff::Timestamp;

use self::instance::Fate;
use crate::domain::{Fingerprint, Lease, PurgeReason, Reason, Recording, RecordingId, RunId, SourceKind};

pub use batches::{BatchLog, DeadJob, OpenBatch, StagedJob};
pub use inbox::{Inbox, Notice, Subject, Via};
pub use insight::{Insight, JobEvent, StateLine};
pub use marks::ListingMarks;
pub use outbox::{CallNotice, DueTranscript, NewLegs, Outbox, Parcel, TranscriptNote};
pub use redo::Redo;
pub use state::{JobState, Settlement};
pub use tombstones::{Graves, Trace};

/// A recording that a listing found, with what is fixed at first sight.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Published or dead, and now to be done anew.
    pub redone: BTreeSet<RecordingId>,
    /// Purged: never taken up again.
    pub purged: BTreeSet<RecordingId>,
    /// Not taken up, because there was no room for more.
    pub left_out: u64,
}

/// Who claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    pub instance: String,
    pub run: RunId,
}

/// What else its process has in flight when it claims a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Company {
    /// Nothing: a job that may only be claimed alone comes in question.
    Nobody,
    /// Something: when such a job is next, nothing is claimed until nothing is in flight any more.
    Others,
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
    /// Nothing else may be in flight in this process until it is settled.
    pub alone: bool,
    /// How often it was asked to be done anew.
    pub redo: u32,
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
    /// The last result, published or staged, and the audio that it came from.
    pub fingerprint: Option<Fingerprint>,
    pub audio_sha256: Option<String>,
    pub redo: u32,
}

/// Whether a heartbeat still found its claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fenced {
    /// The claim is ours and was extended.
    Held,
    /// Somebody else holds or has settled the job: the work of this claim must be dropped.
    Lost,
}

/// What a settlement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The claim was ours; this is the job's state now.
    As(JobState),
    /// As [`Fenced::Lost`]; nothing was changed.
    Lost,
}

/// What became of the claims of processes that are gone and of leases that ran out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reclaimed {
    pub back: u64,
    pub died: u64,
}

/// A result that the lake holds although the ledger does not know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedBefore {
    pub fingerprint: Fingerprint,
    pub audio_sha256: String,
    /// No smaller than any that went into a fingerprint of this recording.
    pub redo: u32,
}

/// A durable transcript that the ledger does not know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundStaged {
    /// Taken up when the recording is not known either.
    pub job: NewJob,
    pub fingerprint: Fingerprint,
    pub audio_sha256: String,
    pub bytes: u64,
    pub audio_ms: i64,
    pub transcribed_at: Timestamp,
}

/// Which dead or waiting jobs are to be tried again. All that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// `None` = all dead ones; named ones also when they only wait.
    pub ids: Option<BTreeSet<RecordingId>>,
    /// `None` = any.
    pub reasons: Option<BTreeSet<Reason>>,
    /// Last changed before.
    pub before: Option<Timestamp>,
    /// Last changed at or after.
    pub since: Option<Timestamp>,
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
    #[error("the disk that holds the ledger {} is full", path.display())]
    DiskFull {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the disk that holds the ledger {} failed", path.display())]
    Disk {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error("another process has kept the ledger {} locked for too long", path.display())]
    Busy {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error("the ledger refused a statement")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the ledger holds a value that this version cannot read: {what}")]
    Corrupt { what: String },
    /// A bug: something was tried that the life of a job does not allow.
    #[error(transparent)]
    Refused(#[from] state::Refused),
    #[error("the ledger's worker thread ended")]
    Stopped,
    /// A worker of a fleet, whose ledger is elsewhere.
    #[error("the coordinator could not be told")]
    Fleet(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What whoever works on a claimed job needs of the queue, on the ledger's machine or on another.
#[async_trait]
pub trait Desk: Send + Sync {
    /// Extends the lease.
    async fn heartbeat(&self, lease: &Lease, now: Timestamp) -> Result<Fenced, QueueError>;

    /// Ends a claim. Refused when the claim is not the current one.
    async fn settle(&self, lease: Lease, settlement: Settlement, now: Timestamp) -> Result<Settled, QueueError>;

    /// Which of these recordings were purged, and why.
    async fn purged(&self, ids: &[RecordingId]) -> Result<BTreeMap<RecordingId, PurgeReason>, QueueError>;
}

/// The job engine. Every method is one atomic step: a crash between two leaves a state from which the next run goes on.
#[async_trait]
pub trait JobQueue: Desk {
    /// Adds recordings that are not known yet and takes up those that `redo` wants anew, at most `room` of both;
    /// refreshes the address and metadata of unfinished and dead ones.
    async fn enqueue(&self, found: Vec<NewJob>, room: u64, redo: &Redo, now: Timestamp)
    -> Result<Enqueued, QueueError>;

    /// Which of these recordings are known.
    async fn known(&self, ids: &[RecordingId]) -> Result<BTreeSet<RecordingId>, QueueError>;

    /// Records as published what the lake already holds (a lost ledger). A recording that is known stays as it is; one
    /// that was purged stays unknown, here and below.
    async fn adopt_published(&self, job: NewJob, result: PublishedBefore, now: Timestamp) -> Result<(), QueueError>;

    /// Records as dead what the lake's quarantine names (a lost ledger), so that it is not tried and told again. A
    /// recording that is known stays as it is.
    async fn adopt_dead(&self, job: NewJob, reason: Option<Reason>, now: Timestamp) -> Result<(), QueueError>;

    /// Records as staged a transcript that is durable although nobody settled it; `false`, and nothing, when the
    /// recording is claimed, staged or published.
    async fn adopt_staged(&self, found: FoundStaged, now: Timestamp) -> Result<bool, QueueError>;

    /// Starts a published recording over whose row is gone from the lake; its start and `dt` stay. A recording in any
    /// other state stays as it is.
    async fn reopen(&self, job: NewJob, now: Timestamp) -> Result<(), QueueError>;

    /// Takes the next job that is due, counts the attempt, and starts a lease. Calls of the last 24 h come before
    /// older ones; among both, jobs that may only be claimed alone come last; then the oldest start. `None` also when
    /// the next one may only be claimed alone and its claimant has company: a backlog does not keep it from its turn.
    async fn claim(
        &self,
        claimant: &Claimant,
        scope: &Scope,
        company: Company,
        now: Timestamp,
    ) -> Result<Option<Claimed>, QueueError>;

    /// When the next job that waits is due, if one does.
    async fn next_due(&self, scope: &Scope) -> Result<Option<Timestamp>, QueueError>;

    /// The claims that this instance holds, and the runs that claimed them.
    async fn held_by(&self, instance: &str) -> Result<Vec<(Claimed, RunId)>, QueueError>;

    /// Takes back the claims of instances that are gone and of leases that ran out. One that ended in order is not held
    /// against its jobs: it could not settle them, as on a full disk.
    async fn reclaim(
        &self,
        fate: &(dyn for<'id> Fn(&'id str) -> Fate + Sync),
        run: &RunId,
        now: Timestamp,
    ) -> Result<Reclaimed, QueueError>;

    /// Gives dead jobs their attempts back, and ends the waiting of those that are named. Returns how many.
    async fn revive(&self, which: &Selection, now: Timestamp) -> Result<u64, QueueError>;

    async fn counts(&self, scope: &Scope) -> Result<Counts, QueueError>;

    /// Since when the job waits to be claimed that waits the longest.
    async fn oldest_seen(&self, scope: &Scope) -> Result<Option<Timestamp>, QueueError>;

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
