//! The work on a recording: its stages, who holds it, and how it can fail.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::recording::RecordingId;

/// One run of the program, as it stands in every row it wrote: `YYYYMMDDThhmmssZ-` and eight random hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub String);

impl RunId {
    /// The process that ran it, as others know it; empty where the run has no such name.
    #[must_use]
    pub fn instance(&self) -> &str {
        self.0.rsplit_once('-').map_or("", |(_time, instance)| instance)
    }

    /// `word` tells runs apart that started in the same second.
    #[must_use]
    pub fn new(started_at: Timestamp, word: &str) -> Self {
        Self(format!("{}-{word}", started_at.strftime("%Y%m%dT%H%M%SZ")))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The steps of a recording's way into the lake, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Fetch,
    Decode,
    Stt,
    Stage,
    Publish,
}

impl Stage {
    const ALL: [Self; 5] = [Self::Fetch, Self::Decode, Self::Stt, Self::Stage, Self::Publish];

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == word)
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Decode => "decode",
            Self::Stt => "stt",
            Self::Stage => "stage",
            Self::Publish => "publish",
        }
    }
}

/// How the pipeline must treat a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// Trying again gives the same answer: the recording is dead.
    Permanent,
    /// It was told of before it was there: try again later; the attempt is given back.
    TooEarly,
    /// Somebody else's trouble, likely to pass: try again later, up to `queue.max_attempts`.
    Transient,
    /// This machine's trouble (disk full, spool not writable), or the day's rate limit is used up: stop claiming; the
    /// recording is innocent and its attempt is given back.
    Local,
    /// The whole run is pointless (credentials refused): stop; the attempt is given back.
    Fatal,
    /// The engine's process died while it worked on this recording, perhaps among others: who is to blame is found out
    /// by working on it alone.
    Crashed,
}

/// A stable code for what went wrong, as it stands in the ledger, in `quarantine.reason` and in `--format json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Zoom says that the file does not exist.
    NotFound,
    /// Zoom refuses this recording to this app (403).
    Forbidden,
    /// The bearer token was refused twice.
    CredentialsRefused,
    /// Host unreachable, connection cut, 5xx, rate limit: after all retries.
    SourceUnavailable,
    /// The rate limit of the day is used up.
    DailyLimit,
    /// The address, or one it redirects to, is not one we may fetch from.
    ForbiddenAddress,
    /// The body was larger than `fetch` allows.
    TooLarge,
    /// The body ended before its announced length.
    Truncated,
    /// The body has no bytes.
    Empty,
    /// The body is a web page, a JSON error or something else that is no audio.
    NotAudio,
    /// Audio of a kind that is not supported.
    UnsupportedFormat,
    /// It claims to be audio but not one sample could be decoded.
    Undecodable,
    /// A file of the folder source that cannot be read.
    Unreadable,
    /// The metadata beside a folder file cannot be read.
    BadMetadata,
    /// The speech-to-text engine reported an error.
    EngineFailed,
    /// The engine does not survive anything on this machine.
    EngineBroken,
    /// The process died with this recording in flight; for a dead one, it did so each time that nothing else was.
    EngineCrash,
    /// A stage took much longer than the recording is long, or showed no sign of life.
    TimedOut,
    /// A disk of this machine is full or not writable.
    Disk,
    /// A worker of a fleet finished it, and its transcript cannot be found or read where it put it.
    TranscriptLost,
}

impl Reason {
    /// Reads a stored code back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        use serde::de::IntoDeserializer;
        use serde::de::value::{Error, StrDeserializer};
        let word: StrDeserializer<'_, Error> = word.into_deserializer();
        Self::deserialize(word).ok()
    }

    /// Whether it tells of the recording's own file, not of a host or of this machine.
    #[must_use]
    pub const fn is_about_the_file(self) -> bool {
        matches!(self, Self::NotFound | Self::NotAudio | Self::Empty | Self::Truncated)
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::CredentialsRefused => "credentials_refused",
            Self::SourceUnavailable => "source_unavailable",
            Self::DailyLimit => "daily_limit",
            Self::ForbiddenAddress => "forbidden_address",
            Self::TooLarge => "too_large",
            Self::Truncated => "truncated",
            Self::Empty => "empty",
            Self::NotAudio => "not_audio",
            Self::UnsupportedFormat => "unsupported_format",
            Self::Undecodable => "undecodable",
            Self::Unreadable => "unreadable",
            Self::BadMetadata => "bad_metadata",
            Self::EngineFailed => "engine_failed",
            Self::EngineBroken => "engine_broken",
            Self::EngineCrash => "engine_crash",
            Self::TimedOut => "timed_out",
            Self::Disk => "disk",
            Self::TranscriptLost => "transcript_lost",
        }
    }
}

impl Reason {
    /// One sentence for a person: what is wrong and, where there is something, what to do.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::NotFound => "Zoom says that the file does not exist; it was deleted or is not ready yet",
            Self::Forbidden => "Zoom does not let this app download it; check the recording's access list",
            Self::CredentialsRefused => "Zoom refused the credentials; check the app's id, secret and scopes",
            Self::SourceUnavailable => "the host did not answer, or answered with an error of its own",
            Self::DailyLimit => "Zoom's limit of requests is used up for a while; it is tried again in a later run",
            Self::ForbiddenAddress => {
                "its address is not one that may be fetched from; add the host to zoom.download_hosts if it is right"
            }
            Self::TooLarge => "it is larger than zoom.max_download allows",
            Self::Truncated => "the download always ended before its announced length",
            Self::Empty => "the file has no bytes",
            Self::NotAudio => "what came is a web page or an error message, not audio",
            Self::UnsupportedFormat => "it is audio of a kind that is not supported; mp3, wav, m4a and flac are",
            Self::Undecodable => "it claims to be audio but nothing in it can be decoded",
            Self::Unreadable => "the file cannot be read; check its permissions",
            Self::BadMetadata => "the JSON file beside it cannot be read; mend or remove it",
            Self::EngineFailed => "the speech-to-text engine reported an error",
            Self::EngineBroken => {
                "the speech-to-text engine dies of anything on this machine; check its memory, stt.model and the log"
            }
            Self::EngineCrash => "the process died each time it worked on it alone",
            Self::TimedOut => "it took much longer than it is long, or got stuck; `transcribe retry` tries it again",
            Self::Disk => "a disk of this machine is full or not writable",
            Self::TranscriptLost => {
                "a worker's transcript is not in the lake's _staging folder or cannot be read; run one version everywhere"
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What went wrong with one recording, in a form that can be stored and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub stage: Stage,
    pub reason: Reason,
    /// A code and numbers (`status=502 bytes=0`), never text from outside.
    pub detail: String,
    pub treatment: Treatment,
    /// When the other side said to come back, in whole seconds from now.
    pub retry_after_s: Option<u64>,
}

impl Failure {
    #[must_use]
    pub fn new(stage: Stage, reason: Reason, treatment: Treatment, detail: impl Into<String>) -> Self {
        Self { stage, reason, detail: detail.into(), treatment, retry_after_s: None }
    }

    /// How long the other side asked to wait; nothing where it did not.
    #[must_use]
    pub const fn retry_after(&self) -> Duration {
        match self.retry_after_s {
            Some(seconds) => Duration::from_secs(seconds),
            None => Duration::ZERO,
        }
    }
}

/// A claim on one recording. Dropping it unsettled lets the claim expire, so that a crash and a forgotten branch look
/// the same to the next run.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "an unsettled lease is retried later"]
pub struct Lease {
    pub id: RecordingId,
    /// Counted at claim, from 1; given back by a claim that ends without a verdict on the recording.
    pub attempt: i32,
    /// The fencing token: greater for every later claim of this recording, so that a late twin can settle nothing.
    pub fence: i64,
}

impl Lease {
    /// The same claim in a second hand, such as one that keeps it alive: whoever settles first ends it for both.
    pub fn twin(&self) -> Self {
        Self { id: self.id.clone(), attempt: self.attempt, fence: self.fence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_written_and_read_as_the_same_word() {
        for reason in [Reason::NotFound, Reason::EngineCrash, Reason::Disk, Reason::NotAudio, Reason::DailyLimit] {
            assert_eq!(Reason::parse(reason.as_str()), Some(reason));
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
        assert_eq!(Reason::parse("bad luck"), None);
    }
}
