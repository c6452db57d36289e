//! Transcripts for the unit tests of what prints them.

use crate::domain::{Channel, RecordingId};
use crate::lake::{HeldSegment, HeldTranscript, HeldWord};

pub(in crate::cli) fn word(start_ms: i64, end_ms: i64, text: &str) -> HeldWord {
    let time_source = Some("token".into());
    HeldWord { start_ms, end_ms, text: text.into(), probability: Some(0.9), time_source }
}

/// A segment of the only channel, without words.
pub(in crate::cli) fn segment(start_ms: i64, end_ms: i64, text: &str) -> HeldSegment {
    HeldSegment {
        index: 0,
        channel: Channel::Mono,
        speaker: None,
        start_ms,
        end_ms,
        text: text.into(),
        language: Some("en".into()),
        avg_logprob: Some(-0.25),
        no_speech_prob: Some(0.02),
        compression_ratio: Some(1.2),
        temperature: Some(0.0),
        suppressed: None,
        first_text: None,
        first_model: None,
        window: None,
        retry_reasons: Vec::new(),
        objections: Vec::new(),
        words: Vec::new(),
    }
}

pub(in crate::cli) fn on(channel: Channel, segment: HeldSegment) -> HeldSegment {
    HeldSegment { channel, ..segment }
}

/// Ten seconds of these segments.
pub(in crate::cli) fn transcript(segments: Vec<HeldSegment>) -> HeldTranscript {
    HeldTranscript {
        recording_id: RecordingId::parse("aa").unwrap(),
        call_id: None,
        source: Some("zoom".into()),
        direction: None,
        started_at: Some("2026-11-02T01:15:04Z".parse().unwrap()),
        ended_at: None,
        audio_ms: 10_000,
        channel_mode: "mono".into(),
        language: Some("en".into()),
        language_prob: Some(0.9),
        language_margin: Some(0.8),
        status: "transcribed".into(),
        review_reasons: Vec::new(),
        engine: "whisper.cpp".into(),
        engine_version: "1.8.3".into(),
        model: "base".into(),
        fingerprint: "ab".repeat(32),
        transcribed_at: "2026-11-07T01:02:03.456Z".parse().unwrap(),
        segments: (0_i32..).zip(segments).map(|(index, segment)| HeldSegment { index, ..segment }).collect(),
    }
}
