//! The text of a segment in pieces that stay on one line, each with its time.

use std::ops::Range;

use crate::cli::lines::{Atom, atoms, plain};
use crate::lake::{HeldSegment, HeldWord};

/// A piece of a segment's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) text: String,
    /// Whether a space stands before it.
    pub(super) spaced: bool,
    /// Whether the engine began a word here.
    pub(super) starts_word: bool,
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
}

/// The pieces of a segment, none wider than `widest` columns. Times are those of its words; where there are none, the
/// segment's time is spread over its text. They never go back, and stay inside the segment.
pub(super) fn pieces(segment: &HeldSegment, widest: usize) -> Vec<Piece> {
    let text = plain(&segment.text);
    let mut spans = spans_of(&text, &segment.words);
    if spans.is_empty() {
        spans.push(Span { bytes: 0..text.len(), start_ms: segment.start_ms, end_ms: segment.end_ms });
    }
    let mut reached_ms = segment.start_ms;
    let mut inside = |at_ms: i64| {
        reached_ms = at_ms.min(segment.end_ms).max(reached_ms);
        reached_ms
    };
    let timed = |atom: Atom<'_>| {
        let bytes = atom.at..atom.at + atom.text.len();
        Piece {
            text: atom.text.to_owned(),
            spaced: atom.spaced,
            starts_word: spans.iter().any(|span| span.bytes.start == bytes.start),
            start_ms: inside(start_of(&spans, bytes.start)),
            end_ms: inside(end_of(&spans, bytes.end)),
        }
    };
    atoms(&text, widest).into_iter().map(timed).collect()
}

/// A stretch of the text that was said in a stretch of time.
struct Span {
    bytes: Range<usize>,
    start_ms: i64,
    end_ms: i64,
}

impl Span {
    /// When the byte at `at`, which is inside, was said.
    fn time_of(&self, at: usize) -> i64 {
        let (done, all) = (at.saturating_sub(self.bytes.start), self.bytes.len().max(1));
        let (start_ms, end_ms) = (i128::from(self.start_ms), i128::from(self.end_ms.max(self.start_ms)));
        let at_ms = start_ms + (end_ms - start_ms) * done.min(all) as i128 / all as i128;
        i64::try_from(at_ms).unwrap_or(self.end_ms)
    }
}

/// Where the words stand in the text. A word that is not there next says nothing about the text's times.
fn spans_of(text: &str, words: &[HeldWord]) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut from = 0;
    for word in words {
        let spelled = plain(&word.text);
        let rest = &text[from..];
        let found = rest.find(&spelled).filter(|at| !rest[..*at].chars().any(char::is_alphanumeric));
        if let Some(at) = found.filter(|_| !spelled.is_empty()) {
            let bytes = from + at..from + at + spelled.len();
            from = bytes.end;
            spans.push(Span { bytes, start_ms: word.start_ms, end_ms: word.end_ms });
        }
    }
    spans
}

fn start_of(spans: &[Span], at: usize) -> i64 {
    let here = spans.iter().find(|span| span.bytes.end > at).or(spans.last());
    here.map_or(0, |span| span.time_of(at))
}

fn end_of(spans: &[Span], at: usize) -> i64 {
    let here = spans.iter().rfind(|span| span.bytes.start < at).or(spans.first());
    here.map_or(0, |span| span.time_of(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::export::sample::{segment, word};

    fn timed(pieces: &[Piece]) -> Vec<(&str, i64, i64)> {
        pieces.iter().map(|piece| (piece.text.as_str(), piece.start_ms, piece.end_ms)).collect()
    }

    #[test]
    fn pieces_have_the_times_of_the_words_they_are_made_of() {
        let mut said = segment(1_000, 4_000, "Well, twenty-five.");
        said.words = vec![word(1_100, 1_400, "Well,"), word(2_000, 2_300, "twenty"), word(2_300, 2_900, "-five.")];
        assert_eq!(timed(&pieces(&said, 42)), [("Well,", 1_100, 1_400), ("twenty-five.", 2_000, 2_900)]);
    }

    #[test]
    fn without_words_the_time_is_spread_over_the_text() {
        let said = segment(0, 1_000, "はい。そう");
        let expected = [("は", 0, 200), ("い。", 200, 600), ("そ", 600, 800), ("う", 800, 1_000)];
        assert_eq!(timed(&pieces(&said, 32)), expected);
    }

    #[test]
    fn a_word_that_the_text_does_not_have_is_left_out_of_account() {
        let mut said = segment(0, 1_000, "one two");
        said.words = vec![word(0, 100, "one"), word(100, 200, "zwei"), word(600, 900, "two")];
        assert_eq!(timed(&pieces(&said, 42)), [("one", 0, 100), ("two", 600, 900)]);
    }

    #[test]
    fn times_never_leave_the_segment_or_go_back() {
        let mut said = segment(1_000, 2_000, "one two three");
        said.words = vec![word(i64::MIN, 5_000, "one"), word(0, 10, "two"), word(0, i64::MAX, "three")];
        assert_eq!(timed(&pieces(&said, 42)), [("one", 1_000, 2_000), ("two", 2_000, 2_000), ("three", 2_000, 2_000)]);
    }
}
