//! What the ledger forgets, and what it remembers of that: tombstones, which hold ids and no personal data.
//!
//! A purge writes its tombstones first, and marks them as ended last: what was interrupted in between is known by them.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;

use super::QueueError;
use crate::domain::Tombstone;

/// What the ledger knows of a recording, a call or an event that may have to be forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// Recordings that it belongs to.
    pub recordings: Vec<String>,
    /// Ids of calls and legs that it belongs to.
    pub calls: Vec<String>,
    pub at: Option<Timestamp>,
    /// Every text that stands in what is kept of it: numbers and names among them.
    pub texts: Vec<String>,
}

/// Whether a text is to be forgotten.
pub type Mentions = Box<dyn for<'text> Fn(&'text str) -> bool + Send>;

#[async_trait]
pub trait Graves: Send + Sync {
    /// All that it knows: of jobs, of rows on their way into the lake, and of notices.
    async fn traces(&self) -> Result<Vec<Trace>, QueueError>;

    /// Whether a recording began before this.
    async fn has_older(&self, before: Timestamp) -> Result<bool, QueueError>;

    /// Sets tombstones, as of a purge that has begun, and forgets jobs and legs of theirs with their history. Whoever
    /// holds such a job has lost it.
    async fn entomb(&self, stones: Vec<Tombstone>) -> Result<(), QueueError>;

    /// The tombstones of purges that did not end.
    async fn unended(&self) -> Result<Vec<Tombstone>, QueueError>;

    /// Forgets rows and notices that belong to one of these recordings or calls, happened before `before`, or hold a
    /// text that `mentions`. Returns how many.
    async fn forget_messages(
        &self,
        recordings: BTreeSet<String>,
        calls: BTreeSet<String>,
        before: Option<Timestamp>,
        mentions: Mentions,
    ) -> Result<u64, QueueError>;

    /// Overwrites what was forgotten: the file is written anew and its log emptied.
    async fn scrub(&self) -> Result<(), QueueError>;

    /// The purges of these tombstones have ended.
    async fn end_purge(&self, stones: Vec<Tombstone>) -> Result<(), QueueError>;

    /// The files of the lake whose tombstones were taken over.
    async fn tombstone_files(&self) -> Result<BTreeSet<String>, QueueError>;

    /// Takes over the tombstones of a file of the lake. Those that are news are of a purge that did not end here: what
    /// this ledger knows of theirs was not forgotten, and maybe not what is in the lake.
    async fn adopt_tombstones(&self, file: &str, stones: Vec<Tombstone>) -> Result<(), QueueError>;
}
