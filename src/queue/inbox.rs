//! What events told and nobody has acted upon yet. An event is answered for once it is in here; acting on it comes later.

use async_trait::async_trait;
use jiff::Timestamp;

use super::QueueError;
pub use crate::domain::Via;

/// What a notice is about, and so what its body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A recording that is complete: one item of `recordings`.
    Recording,
    /// Zoom's own transcript of a recording is there: one item of `recordings`.
    Transcript,
    /// A recording was deleted in Zoom: one item of `recordings`.
    Deleted,
    /// A call rings, is answered, ends or is missed: the whole event.
    Call,
    /// The record of a call is complete: the body is empty, since the history is listed.
    History,
}

impl Subject {
    const ALL: [Self; 5] = [Self::Recording, Self::Transcript, Self::Deleted, Self::Call, Self::History];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Transcript => "transcript",
            Self::Deleted => "deleted",
            Self::Call => "call",
            Self::History => "history",
        }
    }

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|subject| subject.as_str() == word)
    }
}

/// One thing that an event told. An event of several recordings is several notices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Equal for all that say the same: deliveries that are repeated, and copies for other members.
    pub key: String,
    pub subject: Subject,
    pub via: Via,
    /// When Zoom says that it happened.
    pub event_at: Option<Timestamp>,
    pub received_at: Timestamp,
    /// JSON, as [`Subject`] says.
    pub body: String,
}

#[async_trait]
pub trait Inbox: Send + Sync {
    /// Keeps notices, all in one durable step; one whose key is in here already changes nothing. Returns how many are
    /// new.
    async fn receive(&self, notices: Vec<Notice>) -> Result<u64, QueueError>;

    /// The oldest that nobody has acted upon, with their numbers, at most `limit`.
    async fn received(&self, limit: u32) -> Result<Vec<(i64, Notice)>, QueueError>;

    /// How many nobody has acted upon.
    async fn waiting(&self) -> Result<u64, QueueError>;

    /// Forgets notices that were acted upon.
    async fn acted_upon(&self, numbers: Vec<i64>) -> Result<(), QueueError>;
}
