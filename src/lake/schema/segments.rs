//! `segments`: one row per span of a recording, suppressed ones included and flagged.

use super::{Column, Table, TableRow, count};
use crate::domain::{Decoding, FinishedTranscript, Language, Segment, Suppression, text_confidence};

/// A row of `segments`.
pub struct SegmentRow<'a> {
    finished: &'a FinishedTranscript,
    index: i32,
    segment: &'a Segment,
    refused_for: Option<String>,
    objections: Option<String>,
}

impl<'a> SegmentRow<'a> {
    /// All rows of a recording, in the transcript's order.
    pub fn all_of(finished: &'a FinishedTranscript) -> impl Iterator<Item = Self> {
        let segments = finished.transcript.segments.iter().enumerate();
        segments.map(move |(index, segment)| {
            let decoding = segment.decoding.as_ref();
            Self {
                finished,
                index: count(index),
                segment,
                refused_for: decoding.and_then(|decoding| codes(&decoding.refused_for)),
                objections: decoding.and_then(|decoding| codes(&decoding.objections)),
            }
        })
    }

    fn decoding(&self) -> Option<&'a Decoding> {
        self.segment.decoding.as_ref()
    }
}

/// The codes separated by commas; null when there is none.
fn codes(reasons: &[Suppression]) -> Option<String> {
    let codes: Vec<&str> = reasons.iter().copied().map(Suppression::as_str).collect();
    (!codes.is_empty()).then(|| codes.join(","))
}

impl TableRow for SegmentRow<'_> {
    const TABLE: Table = Table::Segments;

    fn columns() -> Vec<Column<Self>> {
        type C<'a> = Column<SegmentRow<'a>>;
        vec![
            C::text("recording_id", "The recording, as in recordings", |row| Some(row.finished.recording.id.as_str())).looked_up(),
            C::text("call_id", "Zoom's id of the call, as in recordings", |row| row.finished.recording.call_id.as_deref()).looked_up(),
            C::timestamp("started_at", "Start of the recording", |row| Some(row.finished.started_at)),
            C::int32("segment_index", "Position in the recording, from 0; suppressed segments count", |row| {
                Some(row.index)
            }),
            C::text("channel", "mono, left or right", |row| Some(row.segment.channel.as_str())),
            C::text("speaker", "Who speaks, as far as the channel tells; null for mono", |row| {
                row.segment.speaker.as_deref()
            })
            .personal(),
            C::int64("start_ms", "Start, in milliseconds from the start of the recording", |row| Some(row.segment.start_ms)).varied(),
            C::int64("end_ms", "End, in milliseconds from the start of the recording", |row| Some(row.segment.end_ms)).varied(),
            C::text("text", "What was said; empty for non_speech", |row| Some(&row.segment.text))
                .free_text()
                .varied(),
            C::text("language", "Language of the segment, such as en or ja", |row| row.segment.language.as_ref().map(Language::as_str)),
            C::double("avg_logprob", "Mean natural log probability of its tokens", |row| row.segment.avg_logprob).varied(),
            C::double("no_speech_prob", "Probability that nobody speaks", |row| row.segment.no_speech_prob).varied(),
            C::double("compression_ratio", "Bytes of the text over bytes after zlib", |row| {
                row.segment.compression_ratio
            })
            .varied(),
            C::double("temperature", "Temperature that gave the text", |row| row.segment.temperature),
            C::boolean("suppressed", "Whether the text does not count", |row| Some(row.segment.suppressed.is_some())),
            C::text("suppressed_reason", "Why it does not count: non_speech, no_speech_prob, avg_logprob, compression_ratio, no_words, loop, \
                 invented_phrase, prompt_echo or cross_talk; null when it does", |row| {
                row.segment.suppressed.map(Suppression::as_str)
            }),
            C::text("first_text", "What the first model heard, where a second one was asked; the same as text where the second did no better", |row| {
                row.decoding()?.first.as_ref().map(|first| first.text.as_str())
            })
            .free_text()
            .varied(),
            C::text("first_model", "The first model, where a second one was asked", |row| {
                row.decoding()?.first.as_ref().map(|first| first.model.as_str())
            }),
            C::text("fingerprint", "The result that the row belongs to, as in recordings", |row| {
                Some(row.finished.fingerprint.as_str())
            }),
            C::int64("window_start_ms", "Start of the window that was decoded; null for non_speech", |row| {
                Some(row.decoding()?.window_start_ms)
            })
            .varied(),
            C::int64("window_end_ms", "End of the window that was decoded; null for non_speech", |row| {
                Some(row.decoding()?.window_end_ms)
            })
            .varied(),
            C::int32("decode_count", "How often the window was decoded; null for non_speech", |row| {
                row.decoding().map(|decoding| i32::try_from(decoding.passes).unwrap_or(i32::MAX))
            }),
            C::text("retry_reasons", "What earlier passes were refused for, separated by commas", |row| {
                row.refused_for.as_deref()
            }),
            C::text("objections", "Every layer of the guard that objects, separated by commas", |row| {
                row.objections.as_deref()
            }),
            C::double("confidence", "Share of words that are right in text with this avg_logprob", |row| {
                row.segment.avg_logprob.map(text_confidence)
            })
            .varied(),
        ]
    }
}
