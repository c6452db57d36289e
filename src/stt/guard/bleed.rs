//! Finds words that one channel picks up from the other: the line echoes, the loudspeaker is in the room. The same words
//! at the same time, and softer, are said once.

use super::folded;

/// The louder channel is louder by at least this, in dB: the echo of one's own voice is softer than the voice.
const LOUDER_DB: f64 = 6.0;
/// An echo comes at most so late, or seems to come so early, as word times are not exact.
const APART_MS: i64 = 700;
/// At least this share of the softer side's words stand, in order, in the louder side's.
const SAME_SHARE: f64 = 0.6;

/// One segment as far as it matters here.
#[derive(Debug, Clone)]
pub struct Heard<'a> {
    pub text: &'a str,
    pub spaced: bool,
    pub start_ms: i64,
    pub end_ms: i64,
    /// Mean level of its sound, in dB of full scale.
    pub level_db: f64,
}

/// Marks each segment of `side` that is an echo of what `other` says at the same time. Both are ordered by start.
#[must_use]
pub fn marked(side: &[Heard<'_>], other: &[Heard<'_>]) -> Vec<bool> {
    side.iter().map(|heard| is_echo(heard, other)).collect()
}

fn is_echo(heard: &Heard<'_>, other: &[Heard<'_>]) -> bool {
    let beside: Vec<&Heard<'_>> = other
        .iter()
        .filter(|louder| {
            louder.start_ms - APART_MS < heard.end_ms
                && heard.start_ms < louder.end_ms + APART_MS
                && louder.level_db >= heard.level_db + LOUDER_DB
        })
        .collect();
    if beside.is_empty() {
        return false;
    }
    let louder = beside.iter().map(|louder| louder.text).collect::<Vec<_>>().join(" ");
    let (softer, louder) = (units(heard.text, heard.spaced), units(&louder, heard.spaced));
    let common = common_subsequence(&softer, &louder);
    !softer.is_empty() && common as f64 >= SAME_SHARE * softer.len() as f64
}

/// Words, or characters where there are no spaces.
fn units(text: &str, spaced: bool) -> Vec<String> {
    let folded = folded(text);
    if spaced {
        folded.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    } else {
        folded.chars().filter(|c| *c != ' ').map(String::from).collect()
    }
}

/// Length of the longest common subsequence.
fn common_subsequence(one: &[String], other: &[String]) -> usize {
    let mut row = vec![0_usize; other.len() + 1];
    for unit in one {
        let mut diagonal = 0;
        for (at, candidate) in other.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if unit == candidate { diagonal + 1 } else { above.max(row[at]) };
            diagonal = above;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, start_ms: i64, level_db: f64) -> Heard<'_> {
        Heard { text, spaced: true, start_ms, end_ms: start_ms + 3_000, level_db }
    }

    #[test]
    fn the_softer_copy_of_the_same_words_is_marked_and_the_louder_is_not() {
        let left = [said("Where did you put the invoice for the Miller account?", 10_000, -20.0)];
        let right = [said("where did you put the invoice for the miller", 10_200, -40.0)];
        assert_eq!(marked(&right, &left), [true]);
        assert_eq!(marked(&left, &right), [false]);
    }

    #[test]
    fn the_same_words_at_another_time_or_as_loud_are_an_answer() {
        let left = [said("See you on Monday.", 10_000, -20.0)];
        assert_eq!(marked(&[said("See you on Monday.", 14_500, -40.0)], &left), [false]);
        assert_eq!(marked(&[said("See you on Monday.", 10_100, -22.0)], &left), [false]);
        assert_eq!(marked(&[said("All right, thanks.", 10_100, -40.0)], &left), [false]);
    }

    #[test]
    fn an_echo_may_be_cut_into_segments_differently() {
        let left = [said("We close at six", 0, -20.0), said("on every weekday.", 3_000, -20.0)];
        assert_eq!(marked(&[said("We close at six on every weekday", 1_000, -38.0)], &left), [true]);
    }

    #[test]
    fn japanese_is_compared_by_characters() {
        let louder = Heard { spaced: false, ..said("来週の火曜日にお伺いします。", 0, -18.0) };
        let softer = Heard { spaced: false, ..said("来週の火曜にお伺いします", 100, -40.0) };
        assert_eq!(marked(&[softer], &[louder]), [true]);
    }
}
