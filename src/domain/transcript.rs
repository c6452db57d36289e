//! What was said, when, on which channel, and how sure the engine was.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::audio::{AudioFacts, Channel};
use super::recording::{Recording, RecordingId};
use super::work::RunId;

/// An ISO 639-1 code in lower case as Whisper names languages (`en`, `ja`, and the three-letter `haw`, `yue`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Language(pub String);

/// Languages that are written without spaces between words.
const UNSPACED: [&str; 8] = ["bo", "ja", "km", "lo", "my", "th", "yue", "zh"];

impl Language {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a character stands for a syllable or more, so that few of them say much.
    #[must_use]
    pub fn is_dense(&self) -> bool {
        !self.is_spaced() || self.as_str() == "ko"
    }

    /// Whether words are written apart.
    #[must_use]
    pub fn is_spaced(&self) -> bool {
        !UNSPACED.contains(&self.as_str())
    }
}

/// The language of a recording and how clear it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LanguageVerdict {
    pub language: Language,
    /// Mean probability of the winner over the windows that voted, in [0, 1].
    pub probability: f64,
    /// The winner's mean probability less the runner-up's, in [0, 1].
    pub margin: f64,
}

/// Why a span has no text that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suppression {
    /// Voice activity found nobody speaking, so the span was not decoded.
    NonSpeech,
    /// The engine itself says that nobody speaks and is not sure of its words.
    NoSpeechProbability,
    /// The engine was not sure of its words at any temperature.
    LowLogProbability,
    /// The text repeats itself more than speech does.
    CompressionRatio,
    /// There is no letter and no digit in it: notes and marks that stand for music or noise.
    NoWords,
    /// There are far fewer words than such a long voice says: the engine stopped too early. A reason to decode again;
    /// what there is of it counts.
    TooFewWords,
    /// The engine was less sure than of clear speech. A reason to decode again with more care; what it heard counts.
    Unsure,
    /// It says again what the segments before it said, over and over.
    Loop,
    /// A phrase that Whisper is known to invent, where little sounds like speech.
    InventedPhrase,
    /// The words of the prompt, which nobody says.
    PromptEcho,
    /// The other channel says the same at the same time, and louder.
    CrossTalk,
}

impl Suppression {
    /// The value of `suppressed_reason` in the `segments` table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NonSpeech => "non_speech",
            Self::NoSpeechProbability => "no_speech_prob",
            Self::LowLogProbability => "avg_logprob",
            Self::CompressionRatio => "compression_ratio",
            Self::NoWords => "no_words",
            Self::TooFewWords => "too_few_words",
            Self::Unsure => "unsure",
            Self::Loop => "loop",
            Self::InventedPhrase => "invented_phrase",
            Self::PromptEcho => "prompt_echo",
            Self::CrossTalk => "cross_talk",
        }
    }
}

/// How the times of a word were obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeSource {
    /// From the engine's timestamp probabilities of each token.
    Token,
    /// Spread over the segment by length of text, where the engine gave none.
    Interpolated,
}

impl TimeSource {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Interpolated => "interp",
        }
    }
}

/// A word (in Japanese and Chinese: the characters of one or more whole tokens), on the original timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Word {
    pub start_ms: i64,
    pub end_ms: i64,
    /// Without the space that separates it from its neighbour.
    pub text: String,
    /// Mean probability of its tokens, in [0, 1].
    pub probability: f64,
    pub time_source: TimeSource,
}

/// A span of one channel. Spans of one channel are ordered and do not overlap; times are on the original timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    pub channel: Channel,
    pub start_ms: i64,
    pub end_ms: i64,
    /// Empty where nothing was decoded ([`Suppression::NonSpeech`]) or heard ([`Suppression::NoWords`]).
    pub text: String,
    pub language: Option<Language>,
    /// Mean natural log probability of the tokens; absent where nothing was decoded. Likewise the next three.
    pub avg_logprob: Option<f64>,
    pub no_speech_prob: Option<f64>,
    /// Bytes of the text of the whole window over bytes after zlib.
    pub compression_ratio: Option<f64>,
    pub temperature: Option<f64>,
    pub suppressed: Option<Suppression>,
    pub words: Vec<Word>,
    /// Who speaks, as far as the channel tells.
    #[serde(default)]
    pub speaker: Option<String>,
    /// Absent where nothing was decoded.
    #[serde(default)]
    pub decoding: Option<Decoding>,
}

/// How the text of a segment came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decoding {
    /// The window that was decoded, on the original timeline.
    pub window_start_ms: i64,
    pub window_end_ms: i64,
    /// How often the window was decoded, at least once.
    pub passes: u32,
    /// What the passes before the one that counts were refused for, in order and without repetition.
    pub refused_for: Vec<Suppression>,
    /// Every layer of the guard that objects to the segment, in the order of the layers. The first is why it is
    /// suppressed.
    pub objections: Vec<Suppression>,
    /// What the first model heard, where a second one was asked. The same text where the second did no better.
    pub first: Option<FirstHearing>,
}

/// What the first model made of a span that a second one decoded again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstHearing {
    pub text: String,
    pub model: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TranscriptStatus {
    Transcribed,
    NoSpeech,
}

impl TranscriptStatus {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transcribed => "transcribed",
            Self::NoSpeech => "no_speech",
        }
    }
}

/// Everything that was heard in one recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// Absent when nobody spoke.
    pub language: Option<LanguageVerdict>,
    /// Ordered by start, then channel.
    pub segments: Vec<Segment>,
    /// How long somebody speaks, as voice activity hears it, where any of the text counts; summed over channels, in
    /// milliseconds.
    pub speech_ms: i64,
    /// How two sides share the time; absent unless stereo, and where nobody spoke.
    #[serde(default)]
    pub talk: Option<Talk>,
    /// Why a person should look at it, as far as the text goes.
    #[serde(default)]
    pub doubts: Vec<Doubt>,
}

/// How the two sides of a stereo recording share the time, as voice activity hears it. Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Talk {
    pub left_ms: i64,
    pub right_ms: i64,
    /// Both speak.
    pub overlap_ms: i64,
    /// The longest stretch of one side that the other does not interrupt.
    pub longest_monologue_ms: i64,
}

/// Why a transcript should be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// Another language is nearly as likely.
    Language,
    /// Parts of it are in another language.
    MixedLanguages,
    /// The engine was not sure of much of what it heard.
    LowConfidence,
    /// Much of what was decoded is suppressed.
    MuchSuppressed,
}

impl Doubt {
    /// The code in `review_reasons` of the `recordings` table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Language => "language_uncertain",
            Self::MixedLanguages => "languages_mixed",
            Self::LowConfidence => "low_confidence",
            Self::MuchSuppressed => "much_suppressed",
        }
    }
}

impl Transcript {
    /// Segments that count: not suppressed.
    pub fn spoken(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|segment| segment.suppressed.is_none())
    }

    #[must_use]
    pub fn status(&self) -> TranscriptStatus {
        if self.spoken().next().is_some() { TranscriptStatus::Transcribed } else { TranscriptStatus::NoSpeech }
    }
}

/// What produced a transcript: the engine and its model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineIdentity {
    /// `whisper.cpp`.
    pub engine: String,
    pub engine_version: String,
    /// The model's name as configured, e.g. `base` or `tiny.en-q8_0`.
    pub model: String,
    pub model_sha256: String,
}

/// Everything but the audio that decides the content of a transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    pub engine: EngineIdentity,
    /// SHA-256, lower-case hex, over every setting that can change text.
    pub settings_sha256: String,
    pub schema_version: i32,
}

/// SHA-256, lower-case hex, over everything that decides the content of a transcript.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

/// Raised whenever the code that turns windows into rows changes its output for the same input.
pub const TRANSCRIPT_CODE_VERSION: u32 = 2;

impl Fingerprint {
    /// The fingerprint of what `recipe` makes of a recording's audio. `redo` counts the orders to do it anew.
    ///
    /// Each part is hashed with its length before it, so that no two lists of parts can collide by concatenation.
    #[must_use]
    pub fn compute(recording_id: &RecordingId, audio_sha256: &str, recipe: &Recipe, redo: u32) -> Self {
        let Recipe { engine, settings_sha256, schema_version } = recipe;
        let mut hasher = Sha256::new();
        let numbers = format!("{TRANSCRIPT_CODE_VERSION}/{schema_version}/{redo}");
        let parts = [
            recording_id.as_str(),
            audio_sha256,
            &engine.model_sha256,
            &engine.engine,
            &engine.engine_version,
            settings_sha256,
            &numbers,
        ];
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        Self(hex::encode(hasher.finalize()))
    }

    /// Takes back a fingerprint that was written down; anything but 64 lower-case hex digits is `None`.
    #[must_use]
    pub fn from_hex(text: String) -> Option<Self> {
        let is_digest = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_digest.then_some(Self(text))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A transcript ready to be staged: with it alone every row of the lake can be written again, byte for byte.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinishedTranscript {
    pub recording: Recording,
    /// Fixed in the ledger at first sight.
    pub started_at: Timestamp,
    /// The partition, `YYYY-MM-DD`, fixed in the ledger at first sight.
    pub dt: String,
    pub audio: AudioFacts,
    pub transcript: Transcript,
    pub engine: EngineIdentity,
    pub settings_sha256: String,
    pub prompt_sha256: Option<String>,
    pub fingerprint: Fingerprint,
    pub attempt: i32,
    pub run_id: RunId,
    /// Whole milliseconds.
    pub transcribed_at: Timestamp,
    #[serde(default)]
    pub number_hashes: NumberHashes,
}

/// Keyed hashes of the two numbers of a call, hex; none without a key or where there is no full number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberHashes {
    pub caller: Option<String>,
    pub callee: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(model_sha256: &str, settings_sha256: &str, schema_version: i32) -> Recipe {
        let engine = EngineIdentity {
            engine: "whisper.cpp".into(),
            engine_version: "1.8.3".into(),
            model: "base".into(),
            model_sha256: model_sha256.into(),
        };
        Recipe { engine, settings_sha256: settings_sha256.into(), schema_version }
    }

    #[test]
    fn every_part_of_the_fingerprint_counts() {
        let id = RecordingId::parse("aa").unwrap();
        let base = Fingerprint::compute(&id, "a1", &recipe("m1", "s1", 1), 0);
        assert_eq!(base.as_str().len(), 64);
        assert_ne!(base, Fingerprint::compute(&id, "a2", &recipe("m1", "s1", 1), 0));
        assert_ne!(base, Fingerprint::compute(&id, "a1", &recipe("m2", "s1", 1), 0));
        assert_ne!(base, Fingerprint::compute(&id, "a1", &recipe("m1", "s2", 1), 0));
        assert_ne!(base, Fingerprint::compute(&id, "a1", &recipe("m1", "s1", 2), 0));
        assert_ne!(base, Fingerprint::compute(&id, "a1", &recipe("m1", "s1", 1), 1));
    }

    #[test]
    fn parts_cannot_slide_into_each_other() {
        let id = RecordingId::parse("aa").unwrap();
        let one = Fingerprint::compute(&id, "ab", &recipe("c", "s", 1), 0);
        let other = Fingerprint::compute(&id, "a", &recipe("bc", "s", 1), 0);
        assert_ne!(one, other);
    }
}
