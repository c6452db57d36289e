//! What ends a run before its summary.

use std::path::PathBuf;

use super::ExitCode;
use crate::domain::Treatment;
use crate::fleet::FleetError;
use crate::lake::{LakeError, LakeErrorKind, StagingError};
use crate::queue::QueueError;
use crate::source::SourceError;
use crate::stt::SttError;

pub(super) const MAKE_ROOM: &str = "free space on that disk and run again: nothing is lost";

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    #[error("the state folder {} cannot be used", path.display())]
    State {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error("a finished transcript in the staging folder cannot be read")]
    Staging(#[from] StagingError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Speech(#[from] SttError),
    #[error(transparent)]
    Fleet(#[from] FleetError),
    #[error("a stage of the pipeline ended unexpectedly")]
    Stage(#[source] tokio::task::JoinError),
}

impl RunError {
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::State { source, .. } if is_full(source) => ExitCode::WorkRemains,
            Self::State { .. } => ExitCode::Configuration,
            Self::Queue(QueueError::Open { .. } | QueueError::TooNew { .. }) => ExitCode::Configuration,
            Self::Queue(QueueError::DiskFull { .. } | QueueError::Disk { .. } | QueueError::Busy { .. }) => {
                ExitCode::WorkRemains
            }
            Self::Queue(QueueError::Fleet(_))
            | Self::Fleet(FleetError::Unreachable { .. } | FleetError::Refused { .. } | FleetError::Led { .. }) => {
                ExitCode::WorkRemains
            }
            Self::Fleet(_) => ExitCode::Configuration,
            Self::Queue(_) | Self::Stage(_) => ExitCode::Bug,
            Self::Lake(error) => match error.kind() {
                LakeErrorKind::Configuration => ExitCode::Configuration,
                LakeErrorKind::Local => ExitCode::WorkRemains,
                LakeErrorKind::Bug => ExitCode::Bug,
            },
            Self::Staging(_) => ExitCode::WorkRemains,
            Self::Source(error) => source_exit_code(error),
            Self::Speech(error) if error.treatment() == Treatment::Local => ExitCode::WorkRemains,
            Self::Speech(_) => ExitCode::Configuration,
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::State { source, .. } if is_full(source) => Some(MAKE_ROOM.into()),
            Self::State { .. } => Some("set paths.state_dir to a folder that this user can write to".into()),
            Self::Queue(QueueError::TooNew { .. }) => Some("run the newer version of transcribe".into()),
            Self::Queue(QueueError::DiskFull { .. }) | Self::Lake(LakeError::DiskFull { .. }) => Some(MAKE_ROOM.into()),
            Self::Queue(QueueError::Open { .. }) => Some(
                "if it is damaged or not a ledger, move it away: a new one finds in the lake what was published".into(),
            ),
            Self::Speech(SttError::EnglishOnly { .. } | SttError::UnknownLanguage { .. }) => {
                Some("let stt.languages name languages of that model, or choose another stt.model".into())
            }
            Self::Queue(QueueError::Disk { .. }) => {
                Some("look into the system's log for what is wrong with that disk, then run again".into())
            }
            Self::Queue(QueueError::Busy { .. }) => {
                Some("find the process that holds the ledger open, then run again: nothing is lost".into())
            }
            Self::Speech(error) if error.treatment() == Treatment::Local => Some(
                "this machine lacks memory or processes for it: free some, or set stt.workers or a smaller stt.model"
                    .into(),
            ),
            Self::Fleet(error) => Some(error.hint().into()),
            Self::Source(SourceError::Unavailable { .. }) => Some("run again later: nothing is lost".into()),
            Self::Source(SourceError::LimitReached { resumes_at }) => {
                Some(format!("run again after {}: nothing is lost", resumes_at.strftime("%Y-%m-%d %H:%M UTC")))
            }
            _ => None,
        }
    }
}

fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

pub(super) const fn source_exit_code(error: &SourceError) -> ExitCode {
    match error {
        SourceError::Refused { .. } => ExitCode::CredentialsRefused,
        SourceError::Unavailable { .. } | SourceError::LimitReached { .. } => ExitCode::WorkRemains,
        SourceError::Misconfigured { .. } | SourceError::UnknownOwner { .. } => ExitCode::Configuration,
        SourceError::Stopped => ExitCode::Interrupted,
    }
}
