//! One transcript read back from the lake alone: what was heard, and what the guard made of it.

use jiff::Timestamp;

use super::read::ReadError;
use super::row::{Row, known};
use crate::domain::{Channel, RecordingId};

/// The current row of `recordings`, as far as it tells of the transcript, and its rows of the two other tables.
/// Personal columns are not read, but for the speaker of a segment.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldTranscript {
    pub recording_id: RecordingId,
    pub call_id: Option<String>,
    /// `zoom` or `folder`.
    pub source: Option<String>,
    pub direction: Option<String>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub audio_ms: i64,
    /// `mono`, `stereo` or `folded`.
    pub channel_mode: String,
    pub language: Option<String>,
    pub language_prob: Option<f64>,
    pub language_margin: Option<f64>,
    /// `transcribed` or `no_speech`.
    pub status: String,
    /// Codes of why a person should look at it; empty when nobody need look.
    pub review_reasons: Vec<String>,
    pub engine: String,
    pub engine_version: String,
    pub model: String,
    pub fingerprint: String,
    pub transcribed_at: Timestamp,
    /// Ordered by `index`, suppressed ones included.
    pub segments: Vec<HeldSegment>,
}

/// A row of `segments`. Columns that its file does not have yet are absent, like those that hold nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldSegment {
    pub index: i32,
    pub channel: Channel,
    pub speaker: Option<String>,
    pub start_ms: i64,
    pub end_ms: i64,
    pub text: String,
    pub language: Option<String>,
    pub avg_logprob: Option<f64>,
    pub no_speech_prob: Option<f64>,
    pub compression_ratio: Option<f64>,
    pub temperature: Option<f64>,
    /// The code of why the text does not count; absent when it does.
    pub suppressed: Option<String>,
    pub first_text: Option<String>,
    pub first_model: Option<String>,
    pub window: Option<HeldWindow>,
    /// Codes of what earlier passes were refused for.
    pub retry_reasons: Vec<String>,
    /// Codes of every layer of the guard that objects.
    pub objections: Vec<String>,
    /// Ordered; empty for a suppressed segment.
    pub words: Vec<HeldWord>,
}

/// The window in which a segment was decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldWindow {
    pub start_ms: i64,
    pub end_ms: i64,
    /// How often it was decoded.
    pub passes: i32,
}

/// A row of `words`.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldWord {
    pub start_ms: i64,
    pub end_ms: i64,
    pub text: String,
    pub probability: Option<f64>,
    /// `token` or `interp`.
    pub time_source: Option<String>,
}

pub(super) const RECORDING_COLUMNS: [&str; 18] = [
    "recording_id",
    "call_id",
    "source",
    "direction",
    "started_at",
    "ended_at",
    "audio_ms",
    "channel_mode",
    "language",
    "language_prob",
    "language_margin",
    "status",
    "review_reasons",
    "engine",
    "engine_version",
    "model",
    "fingerprint",
    "transcribed_at",
];

pub(super) fn recording(row: &Row<'_>) -> Result<HeldTranscript, ReadError> {
    Ok(HeldTranscript {
        recording_id: row.id()?,
        call_id: row.text("call_id")?,
        source: row.text("source")?,
        direction: row.text("direction")?,
        started_at: row.time("started_at")?,
        ended_at: row.time("ended_at")?,
        audio_ms: known("audio_ms", row.long("audio_ms")?)?,
        channel_mode: known("channel_mode", row.text("channel_mode")?)?,
        language: row.text("language")?,
        language_prob: row.double("language_prob")?,
        language_margin: row.double("language_margin")?,
        status: known("status", row.text("status")?)?,
        review_reasons: row.codes("review_reasons")?,
        engine: known("engine", row.text("engine")?)?,
        engine_version: known("engine_version", row.text("engine_version")?)?,
        model: known("model", row.text("model")?)?,
        fingerprint: known("fingerprint", row.text("fingerprint")?)?,
        transcribed_at: known("transcribed_at", row.time("transcribed_at")?)?,
        segments: Vec::new(),
    })
}

pub(super) const SEGMENT_COLUMNS: [&str; 20] = [
    "segment_index",
    "channel",
    "speaker",
    "start_ms",
    "end_ms",
    "text",
    "language",
    "avg_logprob",
    "no_speech_prob",
    "compression_ratio",
    "temperature",
    "suppressed_reason",
    "first_text",
    "first_model",
    "suppressed",
    "window_start_ms",
    "window_end_ms",
    "decode_count",
    "retry_reasons",
    "objections",
];

pub(super) fn segment(row: &Row<'_>) -> Result<HeldSegment, ReadError> {
    let channel = known("channel", row.text("channel")?)?;
    let window = (row.long("window_start_ms")?, row.long("window_end_ms")?, row.int("decode_count")?);
    // The flag decides; a reason that is missing all the same is unknown.
    let suppressed = row.flag("suppressed")?.unwrap_or(false);
    Ok(HeldSegment {
        index: known("segment_index", row.int("segment_index")?)?,
        channel: channel_named(&channel).ok_or("a channel is not known")?,
        speaker: row.text("speaker")?,
        start_ms: known("start_ms", row.long("start_ms")?)?,
        end_ms: known("end_ms", row.long("end_ms")?)?,
        text: row.text("text")?.unwrap_or_default(),
        language: row.text("language")?,
        avg_logprob: row.double("avg_logprob")?,
        no_speech_prob: row.double("no_speech_prob")?,
        compression_ratio: row.double("compression_ratio")?,
        temperature: row.double("temperature")?,
        suppressed: if suppressed { Some(row.text("suppressed_reason")?.unwrap_or_default()) } else { None },
        first_text: row.text("first_text")?,
        first_model: row.text("first_model")?,
        window: match window {
            (Some(start_ms), Some(end_ms), Some(passes)) => Some(HeldWindow { start_ms, end_ms, passes }),
            _ => None,
        },
        retry_reasons: row.codes("retry_reasons")?,
        objections: row.codes("objections")?,
        words: Vec::new(),
    })
}

pub(super) const WORD_COLUMNS: [&str; 7] =
    ["segment_index", "word_index", "start_ms", "end_ms", "word", "probability", "time_source"];

pub(super) fn word(row: &Row<'_>) -> Result<HeldWord, ReadError> {
    Ok(HeldWord {
        start_ms: known("start_ms", row.long("start_ms")?)?,
        end_ms: known("end_ms", row.long("end_ms")?)?,
        text: known("word", row.text("word")?)?,
        probability: row.double("probability")?,
        time_source: row.text("time_source")?,
    })
}

fn channel_named(name: &str) -> Option<Channel> {
    [Channel::Mono, Channel::Left, Channel::Right].into_iter().find(|channel| channel.as_str() == name)
}
