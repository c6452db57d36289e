//! The explanation as one JSON object.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Explained;
use super::spans::{Fate, Span};
use super::wording::{because, review, wording};
use crate::cli::export::recording;
use crate::cli::lines::json_line;
use crate::domain::text_confidence;
use crate::lake::HeldSegment;

/// The object on one line.
pub(super) fn text(explained: &Explained<'_>) -> String {
    let transcript = explained.transcript;
    let mut object = recording(transcript);
    let reviews = transcript.review_reasons.iter().map(|code| (code.clone(), Value::from(review(code))));
    object["review_in_words"] = Value::Object(reviews.collect());
    object["at_ms"] = json!(explained.at_ms);
    object["spans"] = explained.spans.iter().map(span).collect();
    object["reasons"] = reasons(explained);
    json_line(&object) + "\n"
}

/// Every code that stands in a span.
pub(super) fn codes<'a>(span: &Span<'a>) -> impl Iterator<Item = &'a str> {
    let of = |segment: &'a HeldSegment| {
        segment.suppressed.iter().chain(&segment.retry_reasons).chain(&segment.objections).map(String::as_str)
    };
    span.segments.iter().copied().flat_map(of)
}

fn span(span: &Span<'_>) -> Value {
    json!({
        "channel": span.channel,
        "start_ms": span.start_ms,
        "end_ms": span.end_ms,
        "decoded": span.was_decoded(),
        "decode_count": span.window.map(|window| window.passes),
        "retry_reasons": span.retry_reasons(),
        "segments": span.segments.iter().map(|segment| segment_of(segment)).collect::<Vec<_>>(),
    })
}

fn segment_of(segment: &HeldSegment) -> Value {
    json!({
        "segment_index": segment.index,
        "start_ms": segment.start_ms,
        "end_ms": segment.end_ms,
        "speaker": segment.speaker,
        "verdict": Fate::of(segment).as_str(),
        "suppressed_reason": segment.suppressed,
        "text": segment.text,
        "language": segment.language,
        "confidence": segment.avg_logprob.map(text_confidence),
        "avg_logprob": segment.avg_logprob,
        "no_speech_prob": segment.no_speech_prob,
        "compression_ratio": segment.compression_ratio,
        "temperature": segment.temperature,
        "objections": segment.objections,
        "first_text": segment.first_text,
        "first_model": segment.first_model,
    })
}

/// The codes that stand in the spans, in words, with the keys that decide and their values now.
fn reasons(explained: &Explained<'_>) -> Value {
    let codes: BTreeSet<&str> = explained.spans.iter().flat_map(codes).collect();
    let reasons = codes.into_iter().map(|code| {
        let known = wording(code);
        let keys = known.map_or(&[][..], |wording| wording.keys);
        let settings: Map<String, Value> =
            keys.iter().map(|key| ((*key).to_owned(), json!(explained.settings.get(key)))).collect();
        let meaning = known.map(|wording| wording.meaning);
        (code.to_owned(), json!({"in_words": because(code), "meaning": meaning, "settings": settings}))
    });
    Value::Object(reasons.collect())
}
