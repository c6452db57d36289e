//! Words of a text, and how far two texts differ in them.
//!
//! Letter case, punctuation and full-width forms do not count. Characters of scripts that are written without reliable
//! spaces (Chinese, Japanese, Korean) are words of their own.

use std::collections::HashMap;

/// The words of `text`, folded.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for character in text.chars().map(narrow).flat_map(char::to_lowercase) {
        if is_a_word_of_its_own(character) {
            words.extend([character.to_string(), String::new()]);
        } else if character.is_alphanumeric() {
            if let Some(word) = words.last_mut() {
                word.push(character);
            }
        } else if !matches!(character, '\'' | '’') {
            words.push(String::new());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// How far two texts agree, from 0 to 1: one less the word edit distance over the words of the longer text. Two texts
/// without words agree.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "numbers of words stay far below 2^52")]
pub fn agreement(one: &str, other: &str) -> f64 {
    let (one, other) = (words(one), words(other));
    let longer = one.len().max(other.len());
    if longer == 0 { 1.0 } else { 1.0 - edit_distance(&one, &other) as f64 / longer as f64 }
}

/// The least number of words to replace, insert or remove to turn one text into the other.
///
/// Myers' bit-parallel method in blocks of 64 words: texts of ten hours take about a second, and memory grows with the
/// sum of their lengths only.
#[must_use]
pub fn edit_distance(one: &[String], other: &[String]) -> u64 {
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    for word in one.iter().chain(other) {
        let next = numbers.len();
        numbers.entry(word).or_insert(next);
    }
    let columns: Vec<usize> = other.iter().map(|word| numbers[word.as_str()]).collect();
    // How the distance changes from column to column in the row above the block: in the first row by one each.
    let mut steps = vec![1_i8; columns.len()];
    // Which rows of the block hold a word.
    let mut rows_of = vec![0_u64; numbers.len()];
    for block in one.chunks(64) {
        for (row, word) in block.iter().enumerate() {
            rows_of[numbers[word.as_str()]] |= 1 << row;
        }
        let last_row = 1_u64 << (block.len() - 1);
        let (mut up, mut down) = (u64::MAX, 0_u64);
        for (column, step) in columns.iter().zip(&mut steps) {
            let mut equal = rows_of[*column];
            let vertical = equal | down;
            equal |= u64::from(*step < 0);
            let horizontal = ((equal & up).wrapping_add(up) ^ up) | equal;
            let mut rises = down | !(horizontal | up);
            let mut falls = up & horizontal;
            let incoming = *step;
            *step = i8::from(rises & last_row != 0) - i8::from(falls & last_row != 0);
            rises = rises << 1 | u64::from(incoming > 0);
            falls = falls << 1 | u64::from(incoming < 0);
            up = falls | !(vertical | rises);
            down = rises & vertical;
        }
        for word in block {
            rows_of[numbers[word.as_str()]] = 0;
        }
    }
    let (more, less) = (steps.iter().filter(|step| **step > 0), steps.iter().filter(|step| **step < 0));
    one.len() as u64 + more.count() as u64 - less.count() as u64
}

/// The ASCII form of a full-width character.
fn narrow(character: char) -> char {
    match u32::from(character) {
        wide @ 0xff01..=0xff5e => char::from_u32(wide - 0xfee0).unwrap_or(character),
        _ => character,
    }
}

/// Kana, Chinese characters and Korean syllables.
fn is_a_word_of_its_own(character: char) -> bool {
    matches!(
        character,
        '\u{3041}'..='\u{309f}'
            | '\u{30a1}'..='\u{30fa}'
            | '\u{30fc}'..='\u{30ff}'
            | '\u{31f0}'..='\u{31ff}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{ac00}'..='\u{d7a3}'
            | '\u{f900}'..='\u{faff}'
            | '\u{ff66}'..='\u{ff9d}'
            | '\u{20000}'..='\u{323af}'
    )
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn case_punctuation_and_width_do_not_count() {
        assert_eq!(words("Don't — stop, Ｍｒ． Smith！"), ["dont", "stop", "mr", "smith"]);
        assert_eq!(words("今日は、ＯＫ です"), ["今", "日", "は", "ok", "で", "す"]);
        assert_eq!(words("안녕 하세요"), words("안녕하세요"));
        assert_eq!(words("ジョン・スミス"), words("ジョン スミス"));
        assert!(words(" … 。・゠").is_empty());
    }

    #[test]
    fn equal_texts_agree_and_different_ones_less() {
        let agrees = |one, other, expected: f64| {
            let found = agreement(one, other);
            assert!((found - expected).abs() < 1e-12, "{one} {other}: {found}");
        };
        agrees("", "…", 1.0);
        agrees("Hello, world.", "hello world", 1.0);
        agrees("hello big world", "hello world", 2.0 / 3.0);
        agrees("hello", "", 0.0);
        agrees("one two", "three four", 0.0);
        agrees("one", "one two three four", 0.25);
    }

    /// The textbook's way, one cell at a time.
    fn plain_distance(one: &[String], other: &[String]) -> u64 {
        let mut row: Vec<u64> = (0..=other.len() as u64).collect();
        for left in one {
            let mut diagonal = row[0];
            row[0] += 1;
            for (index, right) in other.iter().enumerate() {
                let substituted = diagonal + u64::from(left != right);
                diagonal = row[index + 1];
                row[index + 1] = substituted.min(diagonal + 1).min(row[index] + 1);
            }
        }
        *row.last().unwrap()
    }

    #[test]
    fn the_distance_is_the_textbooks_at_every_length() {
        let mut random = StdRng::seed_from_u64(5);
        for round in 0..300 {
            let mut text = || -> Vec<String> {
                let (count, kinds) = (random.random_range(0..200_usize), random.random_range(1..6_usize));
                (0..count).map(|_| ["a", "b", "c", "d", "e"][random.random_range(0..kinds)].to_owned()).collect()
            };
            let (one, other) = (text(), text());
            assert_eq!(edit_distance(&one, &other), plain_distance(&one, &other), "round {round}");
        }
    }
}
