//! Text that somebody else wrote, as lines that may be shown: nothing in it moves a cursor, and no line is wider than
//! asked for.

use serde_json::Value;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Marks that stand at no start of a line, and brackets that stand at no end: the shorter lists of JIS X 4051 (see also
/// W3C's Requirements for Japanese Text Layout).
const NEVER_FIRST: &str = "、。，．・：；？！,.:;?!…‥ーｰ〜～々ゝゞヽヾ）)」』】〕］]｝}〉》”’〟｡､｣･ﾞﾟ%％\
                           ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶｧｨｩｪｫｬｭｮｯ";
const NEVER_LAST: &str = "（(「『【〔［[｛{〈《“‘〝｢￥＄";

const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// The text on one line: control characters and line ends are spaces, runs of white space are one, and marks that turn
/// the direction of what follows are gone.
pub(super) fn plain(text: &str) -> String {
    let shown = |c: &char| !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let spaced = |c: char| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c };
    let text: String = text.chars().filter(shown).map(spaced).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// JSON in which what [`plain`] takes away is written as escapes.
pub(super) fn json_line(value: &Value) -> String {
    let mut line = String::new();
    for c in value.to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}' => line.push_str(&format!("\\u{:04x}", u32::from(c))),
            other => line.push(other),
        }
    }
    line
}

/// Columns of a terminal that the text takes; a full-width character takes two.
pub(super) fn columns(text: &str) -> usize {
    text.width()
}

/// Whether it is a character that takes two columns.
pub(super) fn is_wide(c: char) -> bool {
    c.width() == Some(2)
}

/// A piece of a text that stays on one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Atom<'a> {
    pub(super) text: &'a str,
    /// Where it begins in the text, in bytes.
    pub(super) at: usize,
    /// Whether a space stands before it.
    pub(super) spaced: bool,
}

/// The atoms of a plain text: words, and single characters where the script has no spaces. None is wider than `widest`,
/// which is at least 2.
pub(super) fn atoms(text: &str, widest: usize) -> Vec<Atom<'_>> {
    let mut atoms = Vec::new();
    let mut word_at = 0;
    for word in text.split(' ') {
        let mut start = 0;
        let mut before: Option<char> = None;
        for (at, c) in word.char_indices() {
            let Some(previous) = before.replace(c) else { continue };
            let is_joined = c.width().unwrap_or(0) == 0;
            let is_full = || columns(&word[start..at + c.len_utf8()]) > widest;
            if !is_joined && (may_break(previous, c) || is_full()) {
                atoms.push(Atom { text: &word[start..at], at: word_at + start, spaced: start == 0 && word_at > 0 });
                start = at;
            }
        }
        if start < word.len() {
            atoms.push(Atom { text: &word[start..], at: word_at + start, spaced: start == 0 && word_at > 0 });
        }
        word_at += word.len() + 1;
    }
    atoms
}

fn may_break(before: char, after: char) -> bool {
    let is_bound = before == ZERO_WIDTH_JOINER || NEVER_LAST.contains(before) || NEVER_FIRST.contains(after);
    (is_wide(before) || is_wide(after)) && !is_bound
}

/// The text in lines of at most `width` columns (or 2, if that is more).
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for atom in atoms(text, width.max(2)) {
        match lines.last_mut() {
            Some(line) if columns(line) + usize::from(atom.spaced) + columns(atom.text) <= width => {
                line.extend(atom.spaced.then_some(' '));
                line.push_str(atom.text);
            }
            _ => lines.push(atom.text.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_moves_a_cursor_is_gone() {
        assert_eq!(plain(" a\u{1b}[31mb\r\n\nc\u{9b}2J\u{7}\td\u{202e}e\u{feff} "), "a [31mb c 2J de");
        assert_eq!(plain("こんにちは　世界"), "こんにちは 世界");
        let line = json_line(&json!({"text": "a\u{1b}[0m\u{9b}2J\u{7f}\u{202e}\nは"}));
        assert_eq!(line, r#"{"text":"a\u001b[0m\u009b2J\u007f\u202e\nは"}"#);
    }

    #[test]
    fn japanese_breaks_between_characters_but_not_before_a_mark_or_after_a_bracket() {
        assert_eq!(wrap("これは「本」です。はい", 8), ["これは", "「本」で", "す。はい"]);
        assert_eq!(wrap("ちょっと待って", 4), ["ちょ", "っと", "待っ", "て"]);
    }

    #[test]
    fn words_stay_whole_unless_they_are_wider_than_a_line() {
        assert_eq!(wrap("the quick brown fox", 10), ["the quick", "brown fox"]);
        assert_eq!(wrap("a honorificabilitudinitatibus", 10), ["a", "honorifica", "bilitudini", "tatibus"]);
        assert_eq!(wrap("", 10), Vec::<String>::new());
    }

    #[test]
    fn a_mark_that_joins_a_letter_stays_with_it() {
        let joined = "e\u{301}".repeat(7);
        assert_eq!(wrap(&joined, 3), ["e\u{301}".repeat(3), "e\u{301}".repeat(3), "e\u{301}".into()]);
    }

    proptest! {
        #[test]
        fn no_line_is_too_wide_and_nothing_is_lost(text in "[a-zA-Z .,あいッー。「」漢字👍🏽한\u{301}\u{200d}]{0,120}", width in 2_usize..40) {
            let text = plain(&text);
            let lines = wrap(&text, width);
            let squeezed = |text: &str| text.replace(' ', "");
            prop_assert_eq!(squeezed(&lines.concat()), squeezed(&text));
            for line in &lines {
                prop_assert!(columns(line) <= width, "{:?}", line);
                prop_assert!(!line.is_empty());
            }
        }
    }
}
