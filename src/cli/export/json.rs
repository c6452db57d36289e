//! One JSON object, with the names of the lake's columns. Names and numbers of the callers are not part of it, as in
//! the other formats; they are in the table `recordings`.

use serde_json::{Value, json};

use super::spoken;
use crate::cli::lines::json_line;
use crate::domain::text_confidence;
use crate::lake::{HeldSegment, HeldTranscript};

/// The object on one line. The text is as the lake has it.
pub(super) fn json(transcript: &HeldTranscript) -> String {
    let segments: Vec<Value> = spoken(transcript).map(segment).collect();
    let mut object = recording(transcript);
    object["segments"] = Value::Array(segments);
    json_line(&object) + "\n"
}

/// What is known of the recording as a whole.
pub(in crate::cli) fn recording(transcript: &HeldTranscript) -> Value {
    json!({
        "recording_id": transcript.recording_id.as_str(),
        "call_id": transcript.call_id,
        "source": transcript.source,
        "direction": transcript.direction,
        "started_at": transcript.started_at.map(|at| at.to_string()),
        "ended_at": transcript.ended_at.map(|at| at.to_string()),
        "audio_ms": transcript.audio_ms,
        "channel_mode": transcript.channel_mode,
        "language": transcript.language,
        "language_prob": transcript.language_prob,
        "language_margin": transcript.language_margin,
        "status": transcript.status,
        "needs_review": !transcript.review_reasons.is_empty(),
        "review_reasons": transcript.review_reasons,
        "engine": transcript.engine,
        "engine_version": transcript.engine_version,
        "model": transcript.model,
        "fingerprint": transcript.fingerprint,
        "transcribed_at": transcript.transcribed_at.to_string(),
    })
}

fn segment(segment: &HeldSegment) -> Value {
    let words: Vec<Value> = segment
        .words
        .iter()
        .map(|word| {
            json!({"start_ms": word.start_ms, "end_ms": word.end_ms, "word": word.text,
                   "probability": word.probability, "time_source": word.time_source})
        })
        .collect();
    json!({
        "segment_index": segment.index,
        "channel": segment.channel,
        "speaker": segment.speaker,
        "start_ms": segment.start_ms,
        "end_ms": segment.end_ms,
        "text": segment.text,
        "language": segment.language,
        "confidence": segment.avg_logprob.map(text_confidence),
        "avg_logprob": segment.avg_logprob,
        "no_speech_prob": segment.no_speech_prob,
        "words": words,
    })
}
