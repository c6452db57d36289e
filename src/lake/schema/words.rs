//! `words`: one row per word of unsuppressed segments.

use super::{Column, Table, TableRow, count};
use crate::domain::{Channel, FinishedTranscript, Word, word_confidence};

/// A row of `words`.
pub struct WordRow<'a> {
    finished: &'a FinishedTranscript,
    segment_index: i32,
    word_index: i32,
    channel: Channel,
    word: &'a Word,
}

impl<'a> WordRow<'a> {
    /// All rows of a recording, in the transcript's order.
    pub fn all_of(finished: &'a FinishedTranscript) -> impl Iterator<Item = Self> {
        let segments = finished.transcript.segments.iter().enumerate();
        let spoken = segments.filter(|(_, segment)| segment.suppressed.is_none());
        spoken.flat_map(move |(segment_index, segment)| {
            segment.words.iter().enumerate().map(move |(word_index, word)| Self {
                finished,
                segment_index: count(segment_index),
                word_index: count(word_index),
                channel: segment.channel,
                word,
            })
        })
    }
}

impl TableRow for WordRow<'_> {
    const TABLE: Table = Table::Words;

    fn columns() -> Vec<Column<Self>> {
        type C<'a> = Column<WordRow<'a>>;
        vec![
            C::text("recording_id", "The recording, as in recordings", |row| Some(row.finished.recording.id.as_str()))
                .looked_up(),
            C::int32("segment_index", "The segment, as in segments", |row| Some(row.segment_index)),
            C::int32("word_index", "Position in the segment, from 0", |row| Some(row.word_index)),
            C::text("channel", "mono, left or right", |row| Some(row.channel.as_str())),
            C::int64("start_ms", "Start, in milliseconds from the start of the recording", |row| {
                Some(row.word.start_ms)
            })
            .varied(),
            C::int64("end_ms", "End, in milliseconds from the start of the recording", |row| Some(row.word.end_ms))
                .varied(),
            C::text("word", "The word; in Japanese and Chinese the characters of whole tokens", |row| {
                Some(&row.word.text)
            })
            .free_text(),
            C::double(
                "probability",
                "Share of words that are right among those of which the engine is as sure",
                |row| Some(word_confidence(row.word.probability)),
            )
            .varied(),
            C::text("time_source", "token (from the engine) or interp (spread over the segment)", |row| {
                Some(row.word.time_source.as_str())
            }),
            C::text("fingerprint", "The result that the row belongs to, as in recordings", |row| {
                Some(row.finished.fingerprint.as_str())
            }),
        ]
    }
}
