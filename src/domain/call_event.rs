//! Calls while they happen: who rings whom, and how it went on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How an event came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    Webhook,
    Websocket,
}

impl Via {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Websocket => "websocket",
        }
    }

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Webhook, Self::Websocket].into_iter().find(|via| via.as_str() == word)
    }
}

/// One end of a call, or who passed it on, as an event describes it. What is not told is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Station {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension_id: Option<String>,
    /// `user`, `callQueue`, `autoReceptionist` …: kept verbatim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// `voip`, `pstn_off_net` …: kept verbatim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
}

impl Station {
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

/// A call rang, was answered, ended or was missed. Only the event's name and where it came from are always known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallEvent {
    /// `phone.callee_ringing` …: kept verbatim.
    pub event: String,
    /// When Zoom says that it happened.
    pub event_at: Option<Timestamp>,
    pub call_id: Option<String>,
    pub caller: Station,
    pub callee: Station,
    /// The queue, receptionist or person that passed the call on.
    #[serde(default, skip_serializing_if = "Station::is_unknown")]
    pub forwarded_by: Station,
    #[serde(default, skip_serializing_if = "Station::is_unknown")]
    pub redirect_forwarded_by: Station,
    pub ringing_at: Option<Timestamp>,
    pub answered_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// How it ended, as told.
    pub result: Option<String>,
    pub via: Via,
    pub received_at: Timestamp,
}

impl CallEvent {
    /// When it happened, as far as is known.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.event_at.unwrap_or(self.received_at)
    }
}
