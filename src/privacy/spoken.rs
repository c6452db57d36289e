//! What spoken words mean inside a number, in English and Japanese.
//!
//! Only tables and look-ups: whether such words form a number at all is decided by who reads them.

use super::lex::Gap;

/// The part a word plays when a number is read aloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// One digit, or the two of "ten" to "nineteen".
    Digits(&'static str),
    /// "twenty" to "ninety": the tens digit. A digit that follows takes the place of the zero.
    Tens(&'static str),
    /// "double" and "triple": the next digit, so often.
    Times(usize),
    /// "hundred" and the like: the digit before was no digit that is read out.
    Scale,
    /// A word between digits.
    Between(Gap),
    Plus,
    Extension,
}

/// Longer words are no digits.
const LONGEST_ENGLISH: usize = 12;

/// What an English word means in a number.
pub(super) fn english(word: &str) -> Option<Said> {
    if word.len() > 3 * LONGEST_ENGLISH {
        return None;
    }
    let word: String = word.chars().map(|c| super::lex::narrow(c).to_ascii_lowercase()).collect();
    Some(match word.as_str() {
        "zero" | "oh" | "o" | "nought" | "naught" => Said::Digits("0"),
        "one" => Said::Digits("1"),
        "two" => Said::Digits("2"),
        "three" => Said::Digits("3"),
        "four" => Said::Digits("4"),
        "five" => Said::Digits("5"),
        "six" => Said::Digits("6"),
        "seven" => Said::Digits("7"),
        "eight" => Said::Digits("8"),
        "nine" | "niner" => Said::Digits("9"),
        "ten" => Said::Digits("10"),
        "eleven" => Said::Digits("11"),
        "twelve" => Said::Digits("12"),
        "thirteen" => Said::Digits("13"),
        "fourteen" => Said::Digits("14"),
        "fifteen" => Said::Digits("15"),
        "sixteen" => Said::Digits("16"),
        "seventeen" => Said::Digits("17"),
        "eighteen" => Said::Digits("18"),
        "nineteen" => Said::Digits("19"),
        "twenty" => Said::Tens("2"),
        "thirty" => Said::Tens("3"),
        "forty" => Said::Tens("4"),
        "fifty" => Said::Tens("5"),
        "sixty" => Said::Tens("6"),
        "seventy" => Said::Tens("7"),
        "eighty" => Said::Tens("8"),
        "ninety" => Said::Tens("9"),
        "double" => Said::Times(2),
        "triple" | "treble" => Said::Times(3),
        "hundred" | "thousand" | "million" | "billion" => Said::Scale,
        "dash" | "hyphen" | "dot" => Said::Between(Gap::Tight),
        "uh" | "um" | "er" | "erm" | "hmm" | "then" | "okay" | "ok" | "yes" | "yeah" | "right" => {
            Said::Between(Gap::Pause)
        }
        "and" => Said::Between(Gap::Stop),
        "plus" => Said::Plus,
        "ext" | "extension" | "x" => Said::Extension,
        _ => return None,
    })
}

/// Japanese words in a number. A longer word stands before every word it starts with.
const JAPANESE: &[(&str, Said)] = &[
    ("〇", Said::Digits("0")),
    ("零", Said::Digits("0")),
    ("一", Said::Digits("1")),
    ("二", Said::Digits("2")),
    ("三", Said::Digits("3")),
    ("四", Said::Digits("4")),
    ("五", Said::Digits("5")),
    ("六", Said::Digits("6")),
    ("七", Said::Digits("7")),
    ("八", Said::Digits("8")),
    ("九", Said::Digits("9")),
    ("十", Said::Scale),
    ("百", Said::Scale),
    ("千", Said::Scale),
    ("万", Said::Scale),
    ("億", Said::Scale),
    ("ゼロ", Said::Digits("0")),
    ("ぜろ", Said::Digits("0")),
    ("レイ", Said::Digits("0")),
    ("れい", Said::Digits("0")),
    ("マル", Said::Digits("0")),
    ("まる", Said::Digits("0")),
    ("イチ", Said::Digits("1")),
    ("いち", Said::Digits("1")),
    ("ニイ", Said::Digits("2")),
    ("にい", Said::Digits("2")),
    ("ニ", Said::Digits("2")),
    ("に", Said::Digits("2")),
    ("サン", Said::Digits("3")),
    ("さん", Said::Digits("3")),
    ("ヨン", Said::Digits("4")),
    ("よん", Said::Digits("4")),
    ("シチ", Said::Digits("7")),
    ("しち", Said::Digits("7")),
    ("シ", Said::Digits("4")),
    ("し", Said::Digits("4")),
    ("ゴ", Said::Digits("5")),
    ("ご", Said::Digits("5")),
    ("ロク", Said::Digits("6")),
    ("ろく", Said::Digits("6")),
    ("ナナ", Said::Digits("7")),
    ("なな", Said::Digits("7")),
    ("ハチ", Said::Digits("8")),
    ("はち", Said::Digits("8")),
    ("キュウ", Said::Digits("9")),
    ("キュー", Said::Digits("9")),
    ("きゅう", Said::Digits("9")),
    ("きゅー", Said::Digits("9")),
    ("ク", Said::Digits("9")),
    ("く", Said::Digits("9")),
    ("の", Said::Between(Gap::Tight)),
    ("ノ", Said::Between(Gap::Tight)),
    ("ハイフン", Said::Between(Gap::Tight)),
    ("ドット", Said::Between(Gap::Tight)),
    ("えーっと", Said::Between(Gap::Pause)),
    ("えーと", Said::Between(Gap::Pause)),
    ("えっと", Said::Between(Gap::Pause)),
    ("ええと", Said::Between(Gap::Pause)),
    ("えー", Said::Between(Gap::Pause)),
    ("あのー", Said::Between(Gap::Pause)),
    ("あの", Said::Between(Gap::Pause)),
    ("あー", Said::Between(Gap::Pause)),
    ("あっ", Said::Between(Gap::Pause)),
    ("あ", Said::Between(Gap::Pause)),
    ("はい", Said::Between(Gap::Pause)),
    ("ですね", Said::Between(Gap::Pause)),
    ("ね", Said::Between(Gap::Pause)),
    ("プラス", Said::Plus),
    ("内線番号", Said::Extension),
    ("内線", Said::Extension),
];

/// What the text starts with when read as Japanese, and how many bytes of it that is.
pub(super) fn japanese(text: &str) -> Option<(usize, Said)> {
    // に and いち, not にい and a rest.
    let is_two_one = ["にいち", "ニイチ"].iter().any(|word| text.starts_with(word));
    let is_meant = |word: &str| text.starts_with(word) && !(is_two_one && matches!(word, "にい" | "ニイ"));
    let (word, said) = JAPANESE.iter().find(|(word, _)| is_meant(word))?;
    Some((word.len(), *said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_words_are_known_in_any_case_and_width() {
        assert_eq!(english("Seven"), Some(Said::Digits("7")));
        assert_eq!(english("ＯＨ"), Some(Said::Digits("0")));
        assert_eq!(english("often"), None);
    }

    #[test]
    fn no_japanese_word_hides_a_longer_one() {
        for (at, (word, said)) in JAPANESE.iter().enumerate() {
            assert_eq!(japanese(word), Some((word.len(), *said)), "{word} is hidden");
            assert!(JAPANESE[..at].iter().all(|(earlier, _)| earlier != word), "{word} stands twice");
        }
    }
}
