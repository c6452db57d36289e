//! What a phone system knows beside its recordings: the history of calls, and transcripts of its own.

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::{SourceError, TimeWindow};
use crate::domain::{CallLeg, CallRecord, SpokenLine};

#[async_trait]
pub trait CallHistorySource: Send + Sync {
    /// Lists the calls of `window`, as far back as the other side remembers. Pages are sent as they come; a call may
    /// come again in the list of another user.
    ///
    /// # Errors
    /// [`SourceError`]: what was sent so far stays valid.
    async fn calls(&self, window: TimeWindow, found: mpsc::Sender<Vec<CallRecord>>) -> Result<(), SourceError>;

    /// The legs of a listed call.
    ///
    /// # Errors
    /// [`SourceError`] when it is not this call's fault.
    async fn legs(&self, call: &CallRecord) -> Result<LegsAnswer, SourceError>;

    /// One leg that an event has just told of; waited for when it is not there yet.
    ///
    /// # Errors
    /// [`SourceError`] when it is not this leg's fault, or the other side failed at it.
    async fn leg(&self, call_element_id: &str) -> Result<Option<CallLeg>, SourceError>;
}

/// What the other side answers when it is asked for the legs of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegsAnswer {
    /// In their order, at least one.
    Legs(Vec<CallLeg>),
    /// Nothing is known of them, or not yet.
    Unknown,
    /// The other side denies them.
    Forbidden,
    /// The other side failed when it was asked for this call's; it may do so for others.
    Failed,
}

/// Why there is no transcript to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// There is no file: not yet, or never.
    NoFile,
    /// It cannot be transcribed, says Zoom; sometimes it changes its mind.
    CannotBeMade,
    /// The account does not allow transcripts.
    Disabled,
    /// It is being made.
    InProgress,
    /// The other side could not deliver it, or what came is no transcript.
    NotDelivered,
    /// The other side failed when it was asked for this one; it may do so for others.
    Failed,
    /// The other side denies it.
    Forbidden,
    /// It lies where nothing may be fetched from.
    ForbiddenAddress,
    /// It is larger than a transcript can be.
    TooLarge,
}

/// What the other side answers when it is asked for a transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TranscriptAnswer {
    /// In the order of their starts.
    Lines(Vec<SpokenLine>),
    Absent(Absence),
}

#[async_trait]
pub trait TranscriptSource: Send + Sync {
    /// Asks for the transcript of the recording with this id, as the source wrote it.
    ///
    /// # Errors
    /// [`SourceError`] when it is not this recording's fault.
    async fn transcript(&self, raw_id: &str) -> Result<TranscriptAnswer, SourceError>;
}
