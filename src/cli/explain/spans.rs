//! A transcript as a row of spans: windows that were decoded, with what came of them, and spans in which nobody speaks.

use std::collections::BTreeSet;

use crate::domain::{Channel, Suppression};
use crate::lake::{HeldSegment, HeldTranscript, HeldWindow};

/// A stretch of one channel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Span<'a> {
    pub(super) channel: Channel,
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    /// Absent where nothing was decoded, and where the lake does not say.
    pub(super) window: Option<HeldWindow>,
    /// At least one.
    pub(super) segments: Vec<&'a HeldSegment>,
}

/// What became of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate<'a> {
    Kept,
    /// With the code of the reason.
    Suppressed(&'a str),
    /// With the code of the reason.
    NotDecoded(&'a str),
}

impl<'a> Fate<'a> {
    pub(super) fn of(segment: &'a HeldSegment) -> Self {
        match segment.suppressed.as_deref() {
            None => Self::Kept,
            Some(code) if code == Suppression::NonSpeech.as_str() => Self::NotDecoded(code),
            // A leak that was muted before anything listened to it.
            Some(code) if code == Suppression::CrossTalk.as_str() && segment.text.is_empty() => Self::NotDecoded(code),
            Some(code) => Self::Suppressed(code),
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Suppressed(_) => "suppressed",
            Self::NotDecoded(_) => "not_decoded",
        }
    }
}

impl Span<'_> {
    pub(super) fn was_decoded(&self) -> bool {
        self.segments.iter().any(|segment| !matches!(Fate::of(segment), Fate::NotDecoded(_)))
    }

    /// What earlier passes over the window were refused for, each once.
    pub(super) fn retry_reasons(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        let codes = self.segments.iter().flat_map(|segment| &segment.retry_reasons).map(String::as_str);
        codes.filter(|code| seen.insert(*code)).collect()
    }
}

/// The spans, ordered by start, then channel.
pub(super) fn spans(transcript: &HeldTranscript) -> Vec<Span<'_>> {
    let mut segments: Vec<&HeldSegment> = transcript.segments.iter().collect();
    segments.sort_by_key(|segment| (segment.channel, segment.start_ms, segment.index));
    let is_same_window = |one: &&HeldSegment, next: &&HeldSegment| {
        one.channel == next.channel && one.window.is_some() && one.window == next.window
    };
    let mut spans: Vec<Span<'_>> = segments
        .chunk_by(is_same_window)
        .filter_map(|group| {
            let (first, last) = (group.first()?, group.last()?);
            let window = first.window;
            Some(Span {
                channel: first.channel,
                start_ms: window.map_or(first.start_ms, |window| window.start_ms),
                end_ms: window.map_or(last.end_ms, |window| window.end_ms),
                window,
                segments: group.to_vec(),
            })
        })
        .collect();
    spans.sort_by_key(|span| (span.start_ms, span.channel));
    spans
}

/// Of each channel the span that contains the moment, or the one that is nearest to it, and its two neighbours.
pub(super) fn around<'a>(spans: Vec<Span<'a>>, at_ms: i64) -> Vec<Span<'a>> {
    let mut wanted = BTreeSet::new();
    for channel in [Channel::Mono, Channel::Left, Channel::Right] {
        let own: Vec<usize> = (0..spans.len()).filter(|index| spans[*index].channel == channel).collect();
        let distance = |index: usize| {
            let span = &spans[index];
            // A span ends before the moment of its end.
            let after = at_ms.saturating_sub(span.end_ms.saturating_sub(1)).max(0);
            span.start_ms.saturating_sub(at_ms).max(after)
        };
        let nearest = (0..own.len()).min_by_key(|place| distance(own[*place]));
        if let Some(place) = nearest {
            let last = own.len() - 1;
            wanted.extend(own[place.saturating_sub(1)..=last.min(place + 1)].iter().copied());
        }
    }
    spans.into_iter().enumerate().filter(|(index, _)| wanted.contains(index)).map(|(_, span)| span).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::export::sample::{on, segment, transcript};

    fn in_window(start_ms: i64, end_ms: i64, said: HeldSegment) -> HeldSegment {
        HeldSegment { window: Some(HeldWindow { start_ms, end_ms, passes: 1 }), ..said }
    }

    fn times(spans: &[Span<'_>]) -> Vec<(i64, i64, usize)> {
        spans.iter().map(|span| (span.start_ms, span.end_ms, span.segments.len())).collect()
    }

    #[test]
    fn segments_of_one_window_are_one_span() {
        let mut silence = segment(5_000, 7_000, "");
        silence.suppressed = Some("non_speech".into());
        let said = transcript(vec![
            in_window(0, 5_000, segment(100, 1_000, "a")),
            in_window(0, 5_000, segment(1_000, 2_000, "b")),
            silence,
            in_window(7_000, 9_000, segment(7_000, 8_000, "c")),
        ]);
        let spans = spans(&said);
        assert_eq!(times(&spans), [(0, 5_000, 2), (5_000, 7_000, 1), (7_000, 9_000, 1)]);
        assert_eq!(spans.iter().map(Span::was_decoded).collect::<Vec<_>>(), [true, false, true]);
    }

    #[test]
    fn rows_that_do_not_know_their_window_are_spans_of_their_own() {
        let said = transcript(vec![segment(0, 1_000, "a"), segment(1_000, 2_000, "b")]);
        assert_eq!(times(&spans(&said)), [(0, 1_000, 1), (1_000, 2_000, 1)]);
    }

    #[test]
    fn a_moment_is_shown_with_its_neighbours_on_each_channel() {
        let mut said: Vec<HeldSegment> =
            (0_i64..9).map(|at| on(Channel::Left, segment(at * 1_000, at * 1_000 + 1_000, "l"))).collect();
        said.push(on(Channel::Right, segment(0, 1_000, "r")));
        let said = transcript(said);
        let found = |at_ms| times(&around(spans(&said), at_ms)).iter().map(|span| span.0).collect::<Vec<_>>();
        assert_eq!(found(4_000), [0, 3_000, 4_000, 5_000]);
        assert_eq!(found(0), [0, 0, 1_000]);
        assert_eq!(found(60_000), [0, 7_000, 8_000]);
    }
}
