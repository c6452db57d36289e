//! Finds words that one channel picks up from the other: the line echoes, the loudspeaker is in the room. The same words
//! at the same time, and softer, are said once.

use super::folded;

/// The louder channel is louder by at least this, in dB: the echo of one's own voice is softer than the voice.
const LOUDER_DB: f64 = 6.0;
/// A word of an echo begins so long after the word that it echoes, or seems to begin so long before it, as the times of
/// words are not exact.
const LATEST_MS: i64 = 700;
const EARLIEST_MS: i64 = 300;
/// At least this share of the softer side's words are echoes of words.
const SAME_SHARE: f64 = 0.6;
/// Fewer words (or twice as many characters, where there are no spaces) may be an answer that takes up a word.
const FEWEST_WORDS: usize = 3;

/// One segment as far as it matters here.
#[derive(Debug, Clone)]
pub struct Heard<'a> {
    /// Each with its start, in milliseconds.
    pub words: Vec<(&'a str, i64)>,
    pub spaced: bool,
    /// Mean level of its sound, in dB of full scale.
    pub level_db: f64,
}

/// Marks each segment of `side` that is an echo of what `other` says at the same time.
#[must_use]
pub fn marked(side: &[Heard<'_>], other: &[Heard<'_>]) -> Vec<bool> {
    side.iter().map(|heard| is_echo(heard, other)).collect()
}

fn is_echo(heard: &Heard<'_>, other: &[Heard<'_>]) -> bool {
    let softer = units(heard);
    let fewest = if heard.spaced { FEWEST_WORDS } else { 2 * FEWEST_WORDS };
    let (Some(first), Some(last)) = (softer.first(), softer.last()) else { return false };
    if softer.len() < fewest {
        return false;
    }
    let (from_ms, until_ms) = (first.1 - LATEST_MS, last.1 + EARLIEST_MS);
    let mut louder: Vec<(String, i64)> = other
        .iter()
        .filter(|louder| louder.level_db >= heard.level_db + LOUDER_DB)
        .flat_map(units)
        .filter(|(_, start_ms)| (from_ms..=until_ms).contains(start_ms))
        .collect();
    let mut echoes = 0;
    for (unit, start_ms) in &softer {
        // Each word is echoed once.
        let source = louder
            .iter()
            .position(|(said, at)| said == unit && (start_ms - LATEST_MS..=start_ms + EARLIEST_MS).contains(at));
        if let Some(source) = source {
            louder.remove(source);
            echoes += 1;
        }
    }
    f64::from(echoes) >= SAME_SHARE * softer.len() as f64
}

/// Words, or characters where there are no spaces, with the start of their word.
fn units(heard: &Heard<'_>) -> Vec<(String, i64)> {
    let mut units = Vec::new();
    for (word, start_ms) in &heard.words {
        let folded = folded(word).replace(' ', "");
        if heard.spaced {
            units.extend((!folded.is_empty()).then_some((folded, *start_ms)));
        } else {
            units.extend(folded.chars().map(|character| (character.to_string(), *start_ms)));
        }
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three words a second.
    fn said(text: &str, start_ms: i64, level_db: f64) -> Heard<'_> {
        let words = (0_i64..).zip(text.split(' ')).map(|(at, word)| (word, start_ms + 333 * at)).collect();
        Heard { words, spaced: true, level_db }
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
        assert_eq!(marked(&[said("See you on Monday.", 11_800, -40.0)], &left), [false], "right after it");
        assert_eq!(marked(&[said("See you on Monday.", 10_100, -22.0)], &left), [false]);
        assert_eq!(marked(&[said("All right, thanks then.", 10_100, -40.0)], &left), [false]);
    }

    #[test]
    fn a_yes_beside_a_long_speech_is_a_yes() {
        let left = [said("and then yes they said that it would be here on Monday yes yes", 0, -20.0)];
        assert_eq!(marked(&[said("Yes.", 700, -30.0)], &left), [false]);
        let louder = Heard {
            spaced: false, ..said("では 本日 はい たつ の 時間 を 確認 いたします", 0, -18.0)
        };
        let softer = Heard { spaced: false, ..said("はい", 700, -30.0) };
        assert_eq!(marked(&[softer], &[louder]), [false]);
    }

    #[test]
    fn an_echo_may_be_cut_into_segments_differently() {
        let left = [said("We close at six", 0, -20.0), said("on every weekday.", 1_332, -20.0)];
        assert_eq!(marked(&[said("We close at six on every weekday", 200, -38.0)], &left), [true]);
    }

    #[test]
    fn japanese_is_compared_by_characters() {
        let louder = Heard { spaced: false, ..said("来週の 火曜日に お伺い します。", 0, -18.0) };
        let softer = Heard { spaced: false, ..said("来週の 火曜に お伺い します", 100, -40.0) };
        assert_eq!(marked(&[softer], &[louder]), [true]);
    }
}
