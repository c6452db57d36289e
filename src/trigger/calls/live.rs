//! What is told of a call while it happens: the event, and what was said before with that number.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::{CallEvent, Station};

/// A call that rang longer ago than this is no news.
const NEWS: SignedDuration = SignedDuration::from_mins(1);

/// An event of a call with what the lake remembers. As JSON it is one object: the event's fields and `earlier_calls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveCall {
    #[serde(flatten)]
    pub event: CallEvent,
    /// The last calls with the caller's number, the newest first.
    pub earlier_calls: Vec<EarlierCall>,
}

/// A call of the past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierCall {
    pub started_at: Timestamp,
    /// The beginning of what was said; empty when nothing was.
    pub first_words: String,
}

/// An event as it goes to whoever listens: put into JSON once.
#[derive(Debug)]
pub(super) struct Told {
    /// The event's name.
    pub(super) event: String,
    at: Timestamp,
    /// A [`LiveCall`] in one line.
    pub(super) json: String,
}

impl Told {
    pub(super) fn new(call: &LiveCall) -> Result<Self, serde_json::Error> {
        Ok(Self { event: call.event.event.clone(), at: call.event.at(), json: serde_json::to_string(call)? })
    }

    /// What happened this moment.
    #[cfg(test)]
    pub(super) fn example(json: &str) -> Self {
        Self { event: "phone.callee_ringing".into(), at: Timestamp::now(), json: json.into() }
    }

    /// Whether it is still worth telling.
    pub(super) fn is_news(&self) -> bool {
        is_news(self.at)
    }
}

/// Whether what happened then is still worth telling.
pub(super) fn is_news(at: Timestamp) -> bool {
    Timestamp::now().duration_since(at) <= NEWS
}

/// The number or extension by which the lake knows a caller.
pub(super) fn number_of(caller: &Station) -> Option<&str> {
    caller.number.as_deref().or(caller.extension.as_deref())
}
