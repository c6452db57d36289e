//! What the ledger remembers beside the recordings: which form of each leg of a call was written last, where the
//! search for Zoom's transcripts stands, which events of calls were kept, and the rows of all these that are on their way
//! into the lake.
//!
//! Whatever is remembered and the rows that say so are one step. Rows are then taken out in parcels that never change
//! once they were handed out, so that a parcel that a crash interrupted is the same when it is written again.

use async_trait::async_trait;
use jiff::Timestamp;

use super::QueueError;
use crate::domain::{CallEvent, CallLeg, CallRecord, RecordingId, RunId, TranscriptOutcome};

/// Rows of one table and one day that become one object. `rows` are JSON that only the lake reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    pub table: String,
    /// The partition, `YYYY-MM-DD`.
    pub dt: String,
    pub rows: Vec<String>,
}

/// The legs of one call as they are known now.
#[derive(Debug, Clone)]
pub struct NewLegs {
    pub call: CallRecord,
    /// Each with its partition.
    pub legs: Vec<(CallLeg, String)>,
    /// Whether this is all there is to know, so that the call is not asked for again until it changes.
    pub is_complete: bool,
}

/// A notice of a call as the inbox holds it, and the row that it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallNotice {
    /// Its number in the inbox.
    pub number: i64,
    /// Equal for all notices that say the same.
    pub key: String,
    /// The partition, `YYYY-MM-DD`.
    pub dt: String,
    /// `None` when its body cannot be read: it leaves the inbox without a row.
    pub event: Option<CallEvent>,
}

/// A published recording whose own transcript is to be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueTranscript {
    pub id: RecordingId,
    /// The id as Zoom wrote it.
    pub raw_id: String,
    pub dt: String,
    /// Earlier tries, and when the first of them was.
    pub tries: u32,
    pub first_try_at: Option<Timestamp>,
    /// What the lake was told last.
    pub told: Option<TranscriptOutcome>,
}

/// Where the search for a transcript stands after one more try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranscriptNote {
    pub id: RecordingId,
    /// The tries before this one, as they were when it was due.
    pub tries: u32,
    pub first_try_at: Timestamp,
    /// `None` = never again.
    pub next_try_at: Option<Timestamp>,
    /// What the lake is told now; `None` = nothing new.
    pub outcome: Option<TranscriptOutcome>,
    /// The rows that tell it.
    pub rows: Vec<Parcel>,
}

#[async_trait]
pub trait Outbox: Send + Sync {
    /// The calls of which something changed since their legs were last posted, recordings that joined them included.
    async fn changed_calls(&self, calls: Vec<CallRecord>) -> Result<Vec<CallRecord>, QueueError>;

    /// Takes over which form of a leg the lake holds (a lost ledger): leg ids and hashes, of several of one leg the
    /// last. What is known here stays.
    async fn adopt_legs(&self, legs: Vec<(String, String)>) -> Result<(), QueueError>;

    /// Joins legs to the recordings that are known, and puts a row for the table `call_history` into the outbox for
    /// each leg whose form changed. Returns how many did.
    async fn post_legs(&self, calls: Vec<NewLegs>, now: Timestamp, run: &RunId) -> Result<u64, QueueError>;

    /// Published Zoom recordings that started after `since`, have no final outcome and whose next try is due at
    /// `now`, at most `limit`: first those tried least, of these the oldest; at last those told to be disabled.
    async fn due_transcripts(
        &self,
        since: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueTranscript>, QueueError>;

    /// The transcripts of these recordings are said to be there: those that have no final outcome are due at `now`.
    async fn expect_transcripts(&self, recordings: Vec<RecordingId>, now: Timestamp) -> Result<(), QueueError>;

    /// Counts a try and puts its rows into the outbox; `false`, and nothing of it, when somebody else noted one
    /// meanwhile.
    async fn note_transcript(&self, note: TranscriptNote) -> Result<bool, QueueError>;

    /// Puts a row for the table `call_events` into the outbox for each notice whose key did not become a row within the
    /// last seven days, and takes all of these notices out of the inbox. Returns how many rows there are to write.
    async fn post_call_events(&self, notices: Vec<CallNotice>, now: Timestamp) -> Result<u64, QueueError>;

    /// The next rows to write, at most `limit`: those that were handed out before and not confirmed, else new ones.
    /// Returns the number of the batch and its parcels; `None` when the outbox is empty.
    async fn next_parcels(&self, limit: u32) -> Result<Option<(i64, Vec<Parcel>)>, QueueError>;

    /// Forgets the rows of a batch that is in the lake.
    async fn delivered(&self, batch: i64) -> Result<(), QueueError>;
}
