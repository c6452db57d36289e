//! Speech to text: 16 kHz samples in, a [`Transcript`](crate::domain::Transcript) out.
//!
//! ```text
//! samples ─► leaks muted ─► windows (voice) ─► language vote ─► pool of workers ─► times ─► guard ─► transcript
//!                                                                 └ ladder
//! ```
//!
//! * [`windows`] cuts speech into spans of at most 28 s of the original timeline; the rest is never decoded.
//! * A [`Transcriber`] turns one window into text; [`native`] is our own engine, [`whisper_cpp`] the reference, [`engines`]
//!   chooses between them, tests bring a scripted one. [`attempts`] is what both do with a window, [`tokens`] makes
//!   segments and words of what they say.
//! * [`process`] runs the engine in a child process, so that its crashes and hangs cost a window and not the run.
//! * [`ladder`] decodes a window again until it can be trusted, [`timing`] moves words to where there is sound, [`guard`]
//!   says what to distrust.
//! * [`pool`] owns the workers; [`session`] is one recording's way through them, with memory bounded by the number of
//!   workers, not by the recording.
//!
//! A window's text is the same whatever was decoded before it and however many workers and threads run.

mod assemble;
mod attempts;
mod crosstalk;
pub mod engines;
pub mod guard;
pub mod ladder;
pub mod language;
mod leaks;
pub mod models;
pub mod native;
pub mod pool;
pub mod process;
pub mod prompt;
mod review;
pub mod session;
pub mod speech;
#[cfg(test)]
mod spoken;
mod talk;
pub mod timing;
mod tokens;
pub mod voice;
mod watch;
pub mod whisper_cpp;
pub mod windows;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::domain::{Channel, EngineIdentity, Failure, Language, Reason, Span, Stage, Suppression, Treatment, Word};
use guard::Confidence;
use process::Ending;

pub use pool::Effort;
pub use session::Session;
pub use speech::SpeechToText;
pub use watch::Watch;

/// A stretch of speech of one channel, ready to be decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct SpeechWindow {
    pub channel: Channel,
    /// Where it lies on the recording's timeline.
    pub span: Span,
    /// The samples of the span: 16 kHz, in [-1, 1].
    pub samples: Vec<f32>,
    /// The stretches of it in which voice activity hears a voice, on the recording's timeline; ordered and disjoint.
    pub voiced: Vec<Span>,
}

impl SpeechWindow {
    /// A window that is voiced from end to end.
    #[must_use]
    pub fn voiced(channel: Channel, span: Span, samples: Vec<f32>) -> Self {
        Self { channel, span, samples, voiced: vec![span] }
    }
}

/// A stretch of text as the engine gave it. Times are milliseconds on the recording's timeline, inside the window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecodedSegment {
    pub start_ms: i64,
    pub end_ms: i64,
    /// Not empty, no space at either end.
    pub text: String,
    /// Ordered, inside the segment; empty when words were not asked for.
    pub words: Vec<Word>,
    /// Tokens of text in the segment.
    pub tokens: u32,
    pub temperature: f64,
    pub confidence: Confidence,
}

/// What a window is decoded with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hints {
    /// The language of the recording, as far as is known.
    pub language: Language,
    /// Languages that the window may be in instead; empty = there is no doubt.
    pub alternatives: Vec<Language>,
    /// Names and words that may occur, as a text that might have come before.
    pub prompt: Option<String>,
}

impl Hints {
    /// Nothing but the language, which is certain.
    #[must_use]
    pub fn of(language: Language) -> Self {
        Self { language, alternatives: Vec::new(), prompt: None }
    }
}

/// What one window says, and how that was found out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowTranscript {
    /// Ordered, without overlaps.
    pub segments: Vec<DecodedSegment>,
    /// The language that it was decoded in.
    pub language: Language,
    /// The probability of each alternative and of the language of the [`Hints`], as the sound has it; empty when there
    /// was no doubt. They need not add up to one.
    pub heard: Vec<(Language, f64)>,
    /// How often the window was decoded.
    pub passes: u32,
    /// What the passes before the one that counts were refused for.
    pub refused_for: Vec<Suppression>,
}

impl WindowTranscript {
    /// A window that was decoded once, without doubts.
    #[must_use]
    pub fn plain(segments: Vec<DecodedSegment>, language: Language) -> Self {
        Self { segments, language, heard: Vec::new(), passes: 1, refused_for: Vec::new() }
    }
}

/// The confidence of a window as a whole: the mean log probability of all its tokens, the smallest no-speech
/// probability and the highest compression ratio of its segments. `None` where there is no text.
#[must_use]
pub fn confidence_of(segments: &[DecodedSegment]) -> Option<Confidence> {
    let tokens: f64 = segments.iter().map(|segment| f64::from(segment.tokens)).sum();
    if tokens == 0.0 {
        return None;
    }
    let logprobs: f64 = segments.iter().map(|segment| segment.confidence.avg_logprob * f64::from(segment.tokens)).sum();
    let each = || segments.iter().map(|segment| segment.confidence);
    Some(Confidence {
        avg_logprob: logprobs / tokens,
        no_speech_prob: each().map(|confidence| confidence.no_speech_prob).fold(1.0, f64::min),
        compression_ratio: each().map(|confidence| confidence.compression_ratio).fold(0.0, f64::max),
    })
}

/// An engine with a state of its own, owned by one worker thread.
///
/// The result for a window depends on the window, the hints and the engine's settings only: not on its neighbours in the
/// batch nor on what was decoded before.
pub trait Transcriber: Send {
    /// Decodes each window with the same hints. The answer has one entry per window, in the same order. The engine asks
    /// `watch` as it gets on.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`] soon after `watch` says so; else the engine's own trouble, which ends the whole batch.
    fn transcribe(
        &mut self,
        windows: &[SpeechWindow],
        hints: &Hints,
        watch: &Watch,
    ) -> Result<Vec<WindowTranscript>, EngineError>;

    /// The probability of each language of `allowed` (of every language the model knows, when that is empty). They need
    /// not add up to one.
    ///
    /// # Errors
    /// As [`transcribe`](Self::transcribe).
    fn detect_language(
        &mut self,
        samples: &[f32],
        allowed: &[Language],
        watch: &Watch,
    ) -> Result<Vec<(Language, f64)>, EngineError>;
}

/// Trouble inside an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    #[error("decoding was cancelled")]
    Cancelled,
    #[error("the engine failed with code {code}")]
    Native { code: i32 },
    #[error("the model file cannot be used: {why}")]
    BadModel { why: String },
    #[error("the engine could not allocate its state")]
    NoState,
    #[error("the engine panicked")]
    Panicked,
    #[error("the engine does not know the language {language}")]
    UnknownLanguage { language: String },
    #[error("the engine could not tell the language")]
    NoLanguage,
    #[error("the engine gave numbers that are none")]
    NotFinite,
    #[error("the window is longer than the engine's process takes")]
    WindowTooLong,
    /// This window or another that was in flight ended it.
    #[error("the engine's process died ({ending})")]
    Died { ending: Ending },
    /// The engine was stuck on this very window.
    #[error("the engine showed no sign of life for {no_sign_of_life_s} s")]
    TimedOut { no_sign_of_life_s: u64 },
    #[error("the engine's process cannot be started ({why})")]
    NotStarted { why: String },
}

/// Why speech could not be turned into text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SttError {
    #[error("the model {} cannot be loaded", path.display())]
    Model {
        path: PathBuf,
        #[source]
        source: EngineError,
    },
    #[error("the model {model} knows English only, but stt.languages does not allow it")]
    EnglishOnly { model: String },
    #[error("the model {model} does not know the language {language}")]
    UnknownLanguage { model: String, language: String },
    #[error("the vocabulary {} cannot be read", path.display())]
    Vocabulary {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the file of the program itself cannot be found")]
    Program(#[source] std::io::Error),
    #[error("a worker thread cannot be started")]
    Thread(#[source] std::io::Error),
    #[error("decoding failed")]
    Engine(#[from] EngineError),
    #[error("{got} channels of samples were given, {expected} were announced, or their lengths differ")]
    Channels { got: usize, expected: usize },
}

impl SttError {
    /// Whether this is an answer to the caller's own wish rather than trouble.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Engine(EngineError::Cancelled))
    }

    /// How the pipeline must treat it.
    #[must_use]
    pub fn treatment(&self) -> Treatment {
        match self {
            Self::Model { .. } | Self::EnglishOnly { .. } | Self::UnknownLanguage { .. } | Self::Vocabulary { .. } => {
                Treatment::Fatal
            }
            Self::Program(_)
            | Self::Thread(_)
            | Self::Engine(EngineError::NoState | EngineError::NotStarted { .. } | EngineError::Cancelled) => {
                Treatment::Local
            }
            Self::Engine(EngineError::Died { .. }) => Treatment::Crashed,
            Self::Engine(_) => Treatment::Transient,
            Self::Channels { .. } => Treatment::Permanent,
        }
    }

    /// The failure of the recording that met this error.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let detail = match self {
            Self::Engine(EngineError::Native { code }) => format!("engine_code={code}"),
            Self::Engine(EngineError::Panicked) => "engine_panicked".into(),
            Self::Engine(EngineError::NoState) => "no_engine_state".into(),
            Self::Engine(EngineError::NotFinite) => "not_finite".into(),
            Self::Engine(EngineError::WindowTooLong) => "window_too_long".into(),
            Self::Engine(EngineError::Died { ending }) => ending.to_string(),
            Self::Engine(EngineError::TimedOut { no_sign_of_life_s }) => {
                format!("no_sign_of_life_s={no_sign_of_life_s}")
            }
            Self::Engine(EngineError::NotStarted { .. }) => "engine_not_started".into(),
            Self::Channels { got, expected } => format!("channels={got} expected={expected}"),
            _ => String::new(),
        };
        let reason = match self {
            Self::Engine(EngineError::Died { .. }) => Reason::EngineCrash,
            Self::Engine(EngineError::TimedOut { .. }) => Reason::TimedOut,
            _ => Reason::EngineFailed,
        };
        Failure::new(Stage::Stt, reason, self.treatment(), detail)
    }
}

/// A verified model file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPath {
    pub path: PathBuf,
    /// As configured, e.g. `base`.
    pub name: String,
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
}

/// The models that a recording is heard with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFiles {
    /// Hears everything.
    pub first: ModelPath,
    /// Hears again what the first was not sure of.
    pub second: Option<ModelPath>,
}

impl ModelPath {
    fn identity(&self, engine: &str, engine_version: &str) -> EngineIdentity {
        EngineIdentity {
            engine: engine.into(),
            engine_version: engine_version.into(),
            model: self.name.clone(),
            model_sha256: self.sha256.clone(),
        }
    }
}
