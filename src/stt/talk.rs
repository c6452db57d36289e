//! Who talks how long: computed from voice activity alone, without any model's words.

use crate::domain::{Span, Talk, samples_to_ms};

/// A shorter sound (500 ms) of the other side is a sign of attention and interrupts nobody.
const INTERRUPTION: u64 = 8_000;

/// How the two sides of a stereo recording share the time. `left` and `right` hold the stretches in which each speaks,
/// ordered and disjoint. `None` when neither says anything.
pub(super) fn talk(left: &[Span], right: &[Span]) -> Option<Talk> {
    let total = |spans: &[Span]| spans.iter().map(|span| span.len()).sum::<u64>();
    if total(left) + total(right) == 0 {
        return None;
    }
    Some(Talk {
        left_ms: samples_to_ms(total(left)),
        right_ms: samples_to_ms(total(right)),
        overlap_ms: samples_to_ms(overlap(left, right)),
        longest_monologue_ms: samples_to_ms(longest_monologue(left, right)),
    })
}

/// The time that both lists share.
fn overlap(left: &[Span], right: &[Span]) -> u64 {
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    let mut shared = 0;
    while let (Some(one), Some(other)) = (left.peek(), right.peek()) {
        shared += Span { start: one.start.max(other.start), end: one.end.min(other.end) }.len();
        if one.end <= other.end {
            left.next();
        } else {
            right.next();
        }
    }
    shared
}

/// From the start of the first to the end of the last of the stretches of one side that the other does not interrupt, at
/// its longest.
fn longest_monologue(left: &[Span], right: &[Span]) -> u64 {
    let of = |side: bool, spans: &[Span]| -> Vec<(bool, Span)> {
        spans.iter().filter(|span| span.len() >= INTERRUPTION).map(|span| (side, *span)).collect()
    };
    let mut turns = [of(false, left), of(true, right)].concat();
    turns.sort_by_key(|(side, span)| (span.start, *side));
    let monologues = turns.chunk_by(|(one, _), (next, _)| one == next);
    monologues.filter_map(|turns| Some(turns.last()?.1.end - turns.first()?.1.start)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In milliseconds.
    fn spans(spans: &[(u64, u64)]) -> Vec<Span> {
        spans.iter().map(|(start, end)| Span { start: 16 * start, end: 16 * end }).collect()
    }

    #[test]
    fn two_sides_share_the_talk_and_the_time_they_overlap() {
        let left = spans(&[(0, 4_000), (5_000, 7_000)]);
        let right = spans(&[(3_000, 5_000), (6_500, 6_600)]);
        let talk = talk(&left, &right).unwrap();
        assert_eq!((talk.left_ms, talk.right_ms, talk.overlap_ms), (6_000, 2_100, 1_100));
        assert_eq!(talk.longest_monologue_ms, 4_000);
    }

    #[test]
    fn a_short_yes_does_not_end_a_monologue() {
        let left = spans(&[(0, 4_000), (5_000, 9_000)]);
        assert_eq!(talk(&left, &spans(&[(4_200, 4_500)])).unwrap().longest_monologue_ms, 9_000);
        assert_eq!(talk(&left, &spans(&[(4_200, 4_900)])).unwrap().longest_monologue_ms, 4_000);
    }

    #[test]
    fn where_nobody_speaks_there_is_nothing_to_share() {
        assert_eq!(talk(&[], &[]), None);
    }
}
