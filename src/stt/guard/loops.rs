//! Finds runs of segments that say the same over and over: the engine is stuck, nobody talks like that.

use super::folded;

/// Longest cycle that is looked for, in segments: A B C D A B C D.
const LONGEST_PERIOD: usize = 4;
/// From so many letters on a cycle is a sentence; below it is a yes or a no, which people do repeat.
const SENTENCE_CHARS: usize = 12;
/// So many times as often may a yes or a no be said.
const SHORT_TIMES: usize = 3;

/// Segments further apart than this (3 s) are no run: the engine is stuck inside a window, people come back to what they
/// said.
const APART_MS: i64 = 3_000;

/// One segment as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    pub text: &'a str,
    pub start_ms: i64,
    pub end_ms: i64,
}

/// Marks every segment (of one channel, in order) that repeats the cycle before it once more than `max_repeats` times
/// allow. Of a loop the first cycle is never marked, so that what may have been said stays.
///
/// A cycle is one to four segments long. Cycles shorter than a sentence may be said three times as often.
#[must_use]
pub fn marked(said: &[Said<'_>], max_repeats: usize) -> Vec<bool> {
    let mut marks = Vec::with_capacity(said.len());
    for run in said.chunk_by(|one, next| next.start_ms - one.end_ms <= APART_MS) {
        let folded: Vec<String> = run.iter().map(|segment| folded(segment.text)).collect();
        marks.extend(marked_in(&folded, max_repeats));
    }
    marks
}

fn marked_in(folded: &[String], max_repeats: usize) -> Vec<bool> {
    let mut marked = vec![false; folded.len()];
    for period in 1..=LONGEST_PERIOD {
        let mut start = 0;
        while start + period < folded.len() {
            let cycle = &folded[start..start + period];
            if period > 1 && cycle.iter().all(|text| *text == cycle[0]) {
                // A cycle of one.
                start += 1;
                continue;
            }
            let same = |at: usize| !folded[at].is_empty() && folded[at] == folded[at - period];
            let end = (start + period..folded.len()).find(|at| !same(*at)).unwrap_or(folded.len());
            let times = (end - start) / period;
            let length: usize = cycle.iter().map(|text| length(text)).sum();
            let allowed = if length < SENTENCE_CHARS { max_repeats * SHORT_TIMES } else { max_repeats };
            if times > allowed {
                marked[start + period..end].fill(true);
            }
            // A longer run cannot begin before the place where this one broke.
            start = if end > start + period { end - period + 1 } else { start + 1 };
        }
    }
    marked
}

/// In characters; one that is a syllable or more counts twice.
fn length(text: &str) -> usize {
    text.chars().map(|character| if character >= '\u{2e80}' { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept<'a>(texts: &[&'a str]) -> Vec<&'a str> {
        let said: Vec<Said<'_>> = (0_i64..)
            .zip(texts)
            .map(|(at, text)| Said { text, start_ms: 1_000 * at, end_ms: 1_000 * at + 900 })
            .collect();
        let marked = marked(&said, 2);
        texts.iter().zip(marked).filter(|(_, marked)| !marked).map(|(text, _)| *text).collect()
    }

    #[test]
    fn a_sentence_said_three_times_is_a_loop_of_which_the_first_stays() {
        let stuck =
            ["Good morning.", "I am going to go.", "I'm going to go!", "I am going to go.", "I am going to go."];
        assert_eq!(
            kept(&["Hello.", "We will see you then.", "we will see you then", "We will see you then!", "Bye."]),
            ["Hello.", "We will see you then.", "Bye."]
        );
        assert_eq!(kept(&stuck).len(), 5, "only equal neighbours repeat");
    }

    #[test]
    fn said_twice_is_no_loop() {
        let twice = ["Can you hear me now?", "Can you hear me now?", "Yes."];
        assert_eq!(kept(&twice), twice);
    }

    #[test]
    fn cycles_of_up_to_four_segments_are_found() {
        for period in 1..=4 {
            let cycle: Vec<String> = (0..period).map(|n| format!("this is line number {n}")).collect();
            let texts: Vec<&str> = cycle.iter().map(String::as_str).cycle().take(period * 3).collect();
            assert_eq!(kept(&texts).len(), period, "{period}");
            let unfinished: Vec<&str> =
                cycle.iter().map(String::as_str).cycle().take(period * 3 + period / 2).collect();
            assert_eq!(kept(&unfinished).len(), period, "{period}, cut");
        }
    }

    #[test]
    fn people_say_yes_more_often_than_that() {
        let yes = ["はい。"; 6];
        assert_eq!(kept(&yes).len(), 6);
        assert_eq!(kept(&["はい。"; 40]).len(), 1);
        let digits = ["four", "four", "four", "nine", "nine", "nine"];
        assert_eq!(kept(&digits).len(), 6);
    }

    #[test]
    fn what_is_said_again_after_a_while_is_no_loop() {
        let asked = |at: i64| Said { text: "Could you repeat that?", start_ms: at, end_ms: at + 1_500 };
        assert_eq!(marked(&[asked(0), asked(20_000), asked(40_000), asked(60_000)], 2), [false; 4]);
        assert_eq!(marked(&[asked(0), asked(2_000), asked(4_000), asked(6_000)], 2), [false, true, true, true]);
    }

    #[test]
    fn segments_without_words_repeat_nothing() {
        assert_eq!(kept(&["…"; 9]).len(), 9);
        assert_eq!(kept(&[]).len(), 0);
    }
}
