//! Finished transcripts, for the tests and benches of the lake.

use transcribe::domain::{
    AudioFacts, AudioLocation, Channel, ChannelMode, EngineIdentity, Fingerprint, FinishedTranscript, Language,
    LanguageVerdict, Recipe, Recording, RecordingId, RunId, Segment, SourceKind, TimeSource, Transcript, Word,
};
use transcribe::lake::SCHEMA_VERSION;

/// A segment of the only channel, with a word for each piece between spaces.
pub(crate) fn segment(start_ms: i64, text: &str) -> Segment {
    let word = |(index, text): (usize, &str)| {
        let start_ms = start_ms + 100 * i64::try_from(index).expect("a small index");
        let (end_ms, text) = (start_ms + 100, text.to_owned());
        Word { start_ms, end_ms, text, probability: 0.87, time_source: TimeSource::Token }
    };
    Segment {
        channel: Channel::Mono,
        start_ms,
        end_ms: start_ms + 1_000,
        text: text.to_owned(),
        language: Some(Language("en".into())),
        avg_logprob: Some(-0.25),
        no_speech_prob: Some(0.02),
        compression_ratio: Some(1.25),
        temperature: Some(0.0),
        suppressed: None,
        words: text.split_whitespace().enumerate().map(word).collect(),
        speaker: None,
        decoding: None,
    }
}

/// A recording of 2 November 2026, ten seconds long, in which somebody says these segments.
pub(crate) fn finished(id: &str, segments: Vec<Segment>) -> FinishedTranscript {
    let id = RecordingId::parse(id).expect("a good id");
    let engine = EngineIdentity {
        engine: "whisper.cpp".into(),
        engine_version: "1.8.3".into(),
        model: "base".into(),
        model_sha256: "ab".repeat(32),
    };
    let recipe = Recipe { engine: engine.clone(), settings_sha256: "settings".into(), schema_version: SCHEMA_VERSION };
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
    let place = AudioLocation::Download("https://zoom.us/rec/download/x".into());
    FinishedTranscript {
        started_at: "2026-11-02T01:15:04Z".parse().expect("a good time"),
        dt: "2026-11-02".into(),
        fingerprint: Fingerprint::compute(&id, &audio.sha256, &recipe, 0),
        recording: Recording::bare(id, "raw".into(), SourceKind::Zoom, place),
        audio,
        transcript: Transcript {
            language: Some(LanguageVerdict { language: Language("en".into()), probability: 0.9, margin: 0.8 }),
            segments,
            speech_ms: 4_000,
            talk: None,
            doubts: Vec::new(),
        },
        engine,
        settings_sha256: "settings".into(),
        prompt_sha256: None,
        attempt: 1,
        run_id: RunId("20261107T010000Z-0a0b0c0d".into()),
        transcribed_at: "2026-11-07T01:02:03.456Z".parse().expect("a good time"),
        number_hashes: Default::default(),
    }
}
