//! Transcripts for the unit tests of this module.

use crate::domain::{
    AudioFacts, AudioLocation, Channel, ChannelMode, EngineIdentity, Fingerprint, FinishedTranscript, Language,
    LanguageVerdict, Recipe, Recording, RecordingId, RunId, Segment, SourceKind, TimeSource, Transcript, Word,
};

pub(super) fn language(code: &str) -> LanguageVerdict {
    LanguageVerdict { language: Language(code.into()), probability: 0.9, margin: 0.8 }
}

/// A segment of the only channel; each piece between spaces is a word.
pub(super) fn segment(start_ms: i64, end_ms: i64, text: &str) -> Segment {
    let word = |text: &str| Word {
        start_ms,
        end_ms,
        text: text.into(),
        probability: 0.1 + 0.2,
        time_source: TimeSource::Token,
    };
    Segment {
        channel: Channel::Mono,
        start_ms,
        end_ms,
        text: text.into(),
        language: Some(Language("en".into())),
        avg_logprob: Some(-0.300_000_000_000_000_04),
        no_speech_prob: Some(0.01),
        compression_ratio: Some(1.1),
        temperature: Some(0.0),
        suppressed: None,
        words: text.split_whitespace().map(word).collect(),
        speaker: None,
        decoding: None,
    }
}

/// A recording of 2 November 2026 that says `hello there`.
pub(super) fn finished(id: &str) -> FinishedTranscript {
    let id = RecordingId::parse(id).unwrap();
    let engine = EngineIdentity {
        engine: "whisper.cpp".into(),
        engine_version: "1.8.3".into(),
        model: "base".into(),
        model_sha256: "ab".repeat(32),
    };
    let recipe =
        Recipe { engine: engine.clone(), settings_sha256: "settings".into(), schema_version: super::SCHEMA_VERSION };
    let audio = AudioFacts {
        audio_ms: 10_000,
        channels: 1,
        sample_rate_hz: 8_000,
        bytes: 40_000,
        sha256: "cd".repeat(32),
        channel_mode: ChannelMode::Mono,
        damaged_packets: 0,
        missing_ms: 0,
    };
    let fingerprint = Fingerprint::compute(&id, &audio.sha256, &recipe, 0);
    let place = AudioLocation::Download("https://zoom.us/rec/download/secret".into());
    FinishedTranscript {
        recording: Recording::bare(id, "raw".into(), SourceKind::Zoom, place),
        started_at: "2026-11-02T01:15:04Z".parse().unwrap(),
        dt: "2026-11-02".into(),
        audio,
        transcript: Transcript {
            language: Some(language("en")),
            segments: vec![segment(500, 1_500, "hello there")],
            speech_ms: 1_000,
            talk: None,
            doubts: Vec::new(),
        },
        engine,
        settings_sha256: "settings".into(),
        prompt_sha256: None,
        fingerprint,
        attempt: 1,
        run_id: RunId("20261107T010000Z-0a0b0c0d".into()),
        transcribed_at: "2026-11-07T01:02:03.456Z".parse().unwrap(),
        number_hashes: Default::default(),
    }
}

/// A stereo recording with segments of one word.
pub(super) fn stereo(id: &str, spans: &[(Channel, i64, i64)]) -> FinishedTranscript {
    let mut call = finished(id);
    call.audio.channels = 2;
    call.audio.channel_mode = ChannelMode::Stereo;
    let on = |&(channel, start_ms, end_ms)| Segment { channel, ..segment(start_ms, end_ms, "word") };
    call.transcript.segments = spans.iter().map(on).collect();
    call
}
