//! Zoom's own transcript of a recording.

use serde::{Deserialize, Serialize};

use super::audio::Channel;

/// One piece of Zoom's own transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpokenLine {
    /// By Zoom's mark, where there is one.
    pub channel: Option<Channel>,
    pub speaker: Option<String>,
    /// From the start of the recording.
    pub start_ms: i64,
    pub end_ms: i64,
    pub text: String,
}

/// What became of the search for Zoom's transcript of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TranscriptOutcome {
    Fetched,
    /// Zoom never had one.
    None,
    /// Zoom could not make or deliver a usable one.
    Failed,
    /// The account does not allow it at present.
    Disabled,
}

impl TranscriptOutcome {
    pub const ALL: [Self; 4] = [Self::Fetched, Self::None, Self::Failed, Self::Disabled];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fetched => "fetched",
            Self::None => "none",
            Self::Failed => "failed",
            Self::Disabled => "disabled",
        }
    }

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }
}
