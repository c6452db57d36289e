//! Tells silence from the other side's voice in what was not decoded: rows for what [`crosstalk`](super::crosstalk) muted.

use crate::domain::{SAMPLE_RATE_HZ, Span, Suppression};

/// A pause of the other side that is shorter than this does not end the leak of its voice, and a stretch that is shorter
/// has no row: 1 s.
const MIN_SAMPLES: u64 = SAMPLE_RATE_HZ as u64;

/// The stretches in which a side carries the other's voice: what was muted of it while the other speaks. All lists are
/// ordered and disjoint.
pub(super) fn stretches(muted: &[Span], others_voice: &[Span]) -> Vec<Span> {
    let mut stretches: Vec<Span> = Vec::new();
    let (mut muted, mut voice) = (muted.iter().peekable(), others_voice.iter().peekable());
    while let (Some(one), Some(other)) = (muted.peek(), voice.peek()) {
        let shared = Span { start: one.start.max(other.start), end: one.end.min(other.end) };
        if one.end <= other.end {
            muted.next();
        } else {
            voice.next();
        }
        match stretches.last_mut() {
            _ if shared.is_empty() => {}
            Some(last) if shared.start - last.end < MIN_SAMPLES => last.end = shared.end,
            _ => stretches.push(shared),
        }
    }
    stretches
}

/// A span that was not decoded in parts of a second or more: leaks, and silence between them.
pub(super) fn parted(span: Span, leaks: &[Span]) -> Vec<(Span, Suppression)> {
    let inside = leaks.iter().map(|leak| Span { start: leak.start.max(span.start), end: leak.end.min(span.end) });
    let mut parts = Vec::new();
    let mut from = span.start;
    for leak in inside.filter(|leak| leak.len() >= MIN_SAMPLES) {
        parts.push((Span { start: from, end: leak.start }, Suppression::NonSpeech));
        parts.push((leak, Suppression::CrossTalk));
        from = leak.end;
    }
    parts.push((Span { start: from, end: span.end }, Suppression::NonSpeech));
    parts.retain(|(part, _)| part.len() >= MIN_SAMPLES);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start_s: u64, end_s: u64) -> Span {
        Span { start: start_s * MIN_SAMPLES, end: end_s * MIN_SAMPLES }
    }

    #[test]
    fn a_leak_is_what_was_muted_while_the_other_side_speaks() {
        let muted = [span(1, 4), span(6, 9), span(20, 30)];
        assert_eq!(stretches(&muted, &[span(0, 3), span(7, 8), span(40, 50)]), [span(1, 3), span(7, 8)]);
        assert_eq!(stretches(&muted, &[]), []);
        assert_eq!(stretches(&[], &muted), []);
    }

    #[test]
    fn short_pauses_do_not_part_a_leak() {
        let half = MIN_SAMPLES / 2;
        let voice = [Span { start: 0, end: half }, Span { start: half + 100, end: 3 * half }, span(4, 6)];
        assert_eq!(stretches(&[span(0, 10)], &voice), [Span { start: 0, end: 3 * half }, span(4, 6)]);
    }

    #[test]
    fn what_was_not_decoded_is_leak_or_silence() {
        use Suppression::{CrossTalk, NonSpeech};
        let leaks = [span(0, 4), span(6, 8), span(12, 20)];
        let parts =
            [(span(3, 4), CrossTalk), (span(4, 6), NonSpeech), (span(6, 8), CrossTalk), (span(8, 10), NonSpeech)];
        assert_eq!(parted(span(3, 10), &leaks), parts);
        assert_eq!(parted(span(30, 31), &leaks), [(span(30, 31), NonSpeech)]);
        let brief = Span { start: 100, end: MIN_SAMPLES };
        assert_eq!(parted(span(0, 2), &[brief]), [(span(0, 2), NonSpeech)], "too short to tell");
    }
}
