//! Where recordings come from: Zoom Phone or a folder.
//!
//! A source lists what there is and fetches one recording's audio. It knows nothing of the queue or the lake.

mod beside;
pub mod folder;
pub mod zoom;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::domain::{Failure, Recording};

pub use beside::{Absence, CallHistorySource, LegsAnswer, TranscriptAnswer, TranscriptSource};

/// The half-open span of time `[since, until)` that a listing covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeWindow {
    pub since: Timestamp,
    pub until: Timestamp,
}

/// A part of a listing that can be listed by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// Whose recordings: tells slices of the same time apart.
    pub owner: String,
    /// `None` = everything there is.
    pub window: Option<TimeWindow>,
}

/// What a listing met besides recordings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Listed {
    /// Distinct recordings sent.
    pub recordings: u64,
    /// Items that were no recordings (no id, no audio), each logged once without its content.
    pub unusable: u64,
    /// Items that repeat one already sent (same id; for a folder, same content).
    pub repeated: u64,
}

/// Why a listing ended early. What was sent before stays valid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The other side refuses this app: wrong id or secret, missing scope, Zoom Phone not enabled. Exit code 6.
    #[error("{explanation}")]
    Refused { explanation: String },
    /// Unreachable, 5xx or rate limit after all retries. Exit code 5.
    #[error("{explanation}")]
    Unavailable {
        explanation: String,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The limit of the day is used up. Exit code 5.
    #[error("Zoom's rate limit of the day is used up")]
    LimitReached {
        /// When requests are taken again.
        resumes_at: Timestamp,
    },
    /// The request itself is wrong (folder missing, address malformed). Exit code 3.
    #[error("{explanation}")]
    Misconfigured { explanation: String },
    /// There is no such owner of recordings; the others can be listed all the same. Exit code 3.
    #[error("{explanation}")]
    UnknownOwner { explanation: String },
    /// The receiver of the listing went away: the run is stopping.
    #[error("the listing was stopped")]
    Stopped,
}

/// Audio of one recording on this machine's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedAudio {
    pub path: PathBuf,
    pub bytes: u64,
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
    /// Whether the program made the file and must remove it. A folder's own file is never removed.
    pub owned: bool,
}

#[async_trait]
pub trait RecordingSource: Send + Sync {
    /// The parts in which `window` is listed (`None` = everything there is), oldest first for each owner.
    fn slices(&self, window: Option<TimeWindow>) -> Vec<Slice> {
        vec![Slice { owner: String::new(), window }]
    }

    /// Before this time nothing can be listed, whatever the window.
    fn reaches_back_to(&self) -> Option<Timestamp> {
        None
    }

    /// Lists all recordings whose end (or start, where no end is known) lies in the slice. Pages are sent as they come,
    /// each recording once.
    ///
    /// # Errors
    /// [`SourceError`]: what was sent so far stays valid.
    async fn list(&self, slice: &Slice, found: mpsc::Sender<Vec<Recording>>) -> Result<Listed, SourceError>;

    /// Brings the audio of `recording` to this machine. A source that downloads writes to `destination`, a path that
    /// does not exist yet in an existing folder, and leaves nothing there when it fails; a source whose audio already
    /// is a local file returns that file.
    ///
    /// # Errors
    /// A [`Failure`] of stage `fetch`.
    async fn fetch(&self, recording: &Recording, destination: &Path) -> Result<FetchedAudio, Failure>;

    /// The history of calls, where the source has one and it is wanted.
    fn call_history(&self) -> Option<&dyn CallHistorySource> {
        None
    }

    /// Transcripts that the source made itself, where it does and they are wanted.
    fn transcripts(&self) -> Option<&dyn TranscriptSource> {
        None
    }
}
