//! What is left of recordings and calls that were purged: their ids, which Zoom made up and which name nobody.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::recording::RecordingId;

/// Why something was purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PurgeReason {
    /// Somebody named the recording.
    Recording,
    /// Somebody named its call.
    Call,
    /// Somebody named a telephone number that took part.
    Phone,
    /// Somebody named a day before which it lay.
    Before,
    /// It was older than `privacy.transcript_retention`.
    Retention,
    /// It was deleted in Zoom.
    DeletedInZoom,
}

impl PurgeReason {
    pub const ALL: [Self; 6] =
        [Self::Recording, Self::Call, Self::Phone, Self::Before, Self::Retention, Self::DeletedInZoom];

    /// The word in the ledger and in the table `tombstones`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Call => "call",
            Self::Phone => "phone",
            Self::Before => "before",
            Self::Retention => "retention",
            Self::DeletedInZoom => "deleted_in_zoom",
        }
    }

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

/// Whose grave it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Departed {
    Recording(RecordingId),
    /// Any of Zoom's ids of a call or of a leg.
    Call(String),
}

/// What keeps a purged recording or call from coming back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tombstone {
    pub of: Departed,
    /// Whole milliseconds.
    pub purged_at: Timestamp,
    pub reason: PurgeReason,
}

impl Tombstone {
    /// The recording, if it is one's.
    #[must_use]
    pub const fn recording(&self) -> Option<&RecordingId> {
        match &self.of {
            Departed::Recording(id) => Some(id),
            Departed::Call(_) => None,
        }
    }

    /// The id of a call or leg, if it is one's.
    #[must_use]
    pub fn call(&self) -> Option<&str> {
        match &self.of {
            Departed::Recording(_) => None,
            Departed::Call(id) => Some(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_written_as_the_same_word_everywhere() {
        for reason in PurgeReason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
            assert_eq!(PurgeReason::parse(reason.as_str()), Some(reason));
        }
    }
}
