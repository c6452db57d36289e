//! The one transcript that a command is about, from the lake alone.

use clap::Args;
use jiff::civil::Date;

use super::exit::BadArgument;
use super::lines::plain;
use super::{ExitCode, Session};
use crate::domain::{Reason, RecordingId};
use crate::lake::{Held, HeldTranscript, Lake};
use crate::pipeline::RunError;

/// Which transcript.
#[derive(Debug, Args)]
pub(super) struct TranscriptArgs {
    /// The recording: its id as Zoom or the lake writes it, or the beginning of it.
    #[arg(value_name = "ID")]
    id: String,
    /// The day of its call, as `dt` in the lake: no other day is looked through, which is quicker in a bucket.
    #[arg(long, value_name = "YYYY-MM-DD")]
    day: Option<Date>,
}

/// Why there is no transcript to show.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoTranscript {
    #[error("not found: {id} is not in the lake at {lake}")]
    Unknown { id: RecordingId, lake: String },
    #[error("not transcribed: {id} is in quarantine: {reason}{words}")]
    Quarantined { id: RecordingId, reason: String, words: String },
    #[error("{id} is how {count} recordings begin, {examples} among them: give more of the id")]
    Several { id: RecordingId, count: usize, examples: String },
}

impl NoTranscript {
    pub(super) const fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unknown { .. } | Self::Quarantined { .. } => ExitCode::RecordingsFailed,
            Self::Several { .. } => ExitCode::Usage,
        }
    }

    /// What the user can do about it.
    pub(super) fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { id, .. } => {
                Some(format!("`transcribe status --recording {id}` says whether a run has seen it"))
            }
            Self::Quarantined { id, .. } => Some(format!("`transcribe retry {id}` gives it another chance")),
            Self::Several { .. } => None,
        }
    }
}

/// The current transcript of the recording with this id, or with the only id that begins so.
pub(super) fn find(session: &Session, args: &TranscriptArgs) -> anyhow::Result<HeldTranscript> {
    let expected = "it must be the id of a recording, or the beginning of one";
    let bad = |_invalid| BadArgument { argument: "ID", value: plain(&args.id), expected };
    let id = RecordingId::parse(&args.id).map_err(bad)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let held = runtime.block_on(async {
        match Lake::open_to_read(&session.config.lake).await? {
            Some(lake) => {
                let day = args.day.map(|day| lake.partition_of(day).to_string());
                lake.find(&id, day.as_deref()).await
            }
            None => Ok(Held::Nothing),
        }
    });
    match held.map_err(RunError::from)? {
        Held::Transcript(transcript) => Ok(*transcript),
        Held::Quarantined(failure) => {
            let words = Reason::parse(&failure.reason).map(|reason| format!(": {}", reason.in_words()));
            let (id, reason) = (failure.recording_id, plain(&failure.reason));
            Err(NoTranscript::Quarantined { id, reason, words: words.unwrap_or_default() }.into())
        }
        Held::Several(ids) => {
            const EXAMPLES: usize = 3;
            let examples: Vec<&str> = ids.iter().take(EXAMPLES).map(RecordingId::as_str).collect();
            Err(NoTranscript::Several { id, count: ids.len(), examples: examples.join(", ") }.into())
        }
        Held::Nothing => Err(unknown(session, id).into()),
    }
}

fn unknown(session: &Session, id: RecordingId) -> NoTranscript {
    NoTranscript::Unknown { id, lake: session.config.lake.place.to_string() }
}
