//! Texts made alike, so that what a person would call the same words is the same bytes.
//!
//! Width and compatibility forms are folded (NFKC: `ｶﾞ` is `ガ`, `Ａ` is `a`, `㍻` is `平成`), letters are lower-case, and
//! whatever is no letter, digit or mark only keeps words apart: one space, and none beside a script that has no spaces.

use std::ops::Range;

use icu_normalizer::ComposingNormalizerBorrowed;
use unicode_width::UnicodeWidthChar;

const NFKC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfkc();

/// Puts the folded text in the place of `folded`.
pub(super) fn fold(text: &str, folded: &mut String) {
    folded.clear();
    if !fold_usual(text, folded) {
        folded.clear();
        each(text, |c, _from| folded.push(c));
    }
}

/// The folded text, and for each of its bytes those of `text` that it was made of.
pub(super) fn fold_with_origin(text: &str) -> (String, Vec<Range<usize>>) {
    let (mut folded, mut origins) = (String::new(), Vec::new());
    each(text, |c, from| {
        folded.push(c);
        origins.resize(folded.len(), from);
    });
    (folded, origins)
}

/// Whether words of its script are written without spaces between them.
pub(super) const fn is_unspaced(c: char) -> bool {
    // Thai and Lao, Myanmar, Khmer; then Chinese, Japanese and, for its particles, Korean.
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}') || c >= '\u{2e80}'
}

/// A character of usual text.
enum Usual {
    /// Part of a word, as it is but for its case.
    Kept,
    /// It only keeps words apart.
    Apart,
    /// A full-width letter or digit: this one.
    Wide(char),
}

/// As [`fold`], in whole runs, where a text is made of ASCII, kana and ideographs alone, as nearly all are; false where
/// there is something else in it.
fn fold_usual(text: &str, folded: &mut String) -> bool {
    let bytes = text.as_bytes();
    let (mut at, mut run) = (0, 0);
    // Of the last character that was kept, whether its script has spaces.
    let mut was_spaced = false;
    let mut apart = false;
    while let Some(&byte) = bytes.get(at) {
        let (usual, length) = match byte {
            b' ' if was_spaced && !apart && bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric) => {
                // The one space between two words is copied with them.
                at += 1;
                continue;
            }
            0..=0x7f if byte.is_ascii_alphanumeric() => (Usual::Kept, 1),
            0..=0x7f => (Usual::Apart, 1),
            _ => match usual(bytes, at) {
                Some(usual) => (usual, 3),
                None => return false,
            },
        };
        let is_spaced = length == 1 || matches!(usual, Usual::Wide(_));
        if !matches!(usual, Usual::Kept) {
            folded.push_str(&text[run..at]);
            run = at + length;
        }
        match usual {
            Usual::Apart => apart = true,
            Usual::Kept | Usual::Wide(_) => {
                if std::mem::take(&mut apart) && was_spaced && is_spaced {
                    folded.push(' ');
                }
                was_spaced = is_spaced;
            }
        }
        if let Usual::Wide(c) = usual {
            folded.push(c);
        }
        at += length;
    }
    folded.push_str(&text[run..]);
    folded.make_ascii_lowercase();
    true
}

/// The character of three bytes at `at`; `None` for one that is not usual, or of another length.
fn usual(bytes: &[u8], at: usize) -> Option<Usual> {
    let (first, second, third) = (bytes[at], *bytes.get(at + 1)?, *bytes.get(at + 2)?);
    if !(0xe3..=0xef).contains(&first) {
        return None;
    }
    let bits = |byte: u8| u32::from(byte & 0x3f);
    let c = char::from_u32(u32::from(first & 0x0f) << 12 | bits(second) << 6 | bits(third))?;
    match c {
        '\u{3000}'..='\u{3002}' | '・' => Some(Usual::Apart),
        '！'..='～' => {
            let ascii = char::from_u32(u32::from(c) - 0xfee0)?;
            Some(if ascii.is_ascii_alphanumeric() { Usual::Wide(ascii) } else { Usual::Apart })
        }
        _ => stays(c).then_some(Usual::Kept),
    }
}

/// Whether it is part of a word in kana or ideographs and has no other form.
const fn stays(c: char) -> bool {
    matches!(c, '々' | 'ぁ'..='ゖ' | 'ァ'..='ヺ' | 'ー'..='ヾ' | '\u{3400}'..='\u{4dbf}' | '一'..='\u{9fff}')
}

/// Hands each folded character to `put`, with the bytes of `text` that it was made of.
#[inline]
fn each(text: &str, put: impl FnMut(char, Range<usize>)) {
    let mut words = Words { last: None, apart: false, put };
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let mut end = at + c.len_utf8();
        while let Some((_, mark)) = chars.next_if(|(_, next)| joins(*next)) {
            end += mark.len_utf8();
        }
        for c in NFKC.normalize(&text[at..end]).chars().flat_map(char::to_lowercase) {
            words.add(c, at..end);
        }
    }
}

/// Whether it makes one character with the one before it.
fn joins(c: char) -> bool {
    match c {
        '\0'..='\u{2ff}' => false,
        '\u{3099}' | '\u{309a}' | '\u{ff9e}' | '\u{ff9f}' => true,
        '\u{3000}'..='\u{9fff}' => false,
        other => other.width() == Some(0),
    }
}

/// Whether it is part of a word.
fn counts(c: char) -> bool {
    match c {
        '\0'..='\x7f' => c.is_ascii_alphanumeric(),
        // Variation selectors and joiners change how a character looks only.
        '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => false,
        other => other.is_alphanumeric() || (!other.is_control() && other.width() == Some(0)),
    }
}

struct Words<P> {
    last: Option<char>,
    /// Whether something that is no word came after `last`.
    apart: bool,
    put: P,
}

impl<P: FnMut(char, Range<usize>)> Words<P> {
    #[inline]
    fn add(&mut self, c: char, from: Range<usize>) {
        if !counts(c) {
            self.apart = true;
            return;
        }
        if std::mem::take(&mut self.apart)
            && let Some(last) = self.last
            && !is_unspaced(last)
            && !is_unspaced(c)
        {
            (self.put)(' ', from.start..from.start);
        }
        self.last = Some(c);
        (self.put)(c, from);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folded(text: &str) -> String {
        let mut folded = "what was there before".to_owned();
        fold(text, &mut folded);
        folded
    }

    #[test]
    fn width_case_and_compatibility_forms_are_alike() {
        let alike = [
            ("ＩＮＶＯＩＣＥ １２３", "invoice 123"),
            ("ｶﾞｲﾄﾞ", "ガイド"),
            ("か\u{3099}", "が"),
            ("e\u{301}te\u{301}", "été"),
            ("㍻三十年", "平成三十年"),
            ("㈱山田", "株山田"),
            ("葛\u{e0100}飾", "葛飾"),
            ("STRASSE", "strasse"),
            ("한국", "한국"),
            ("\u{1112}\u{1161}\u{11ab}", "한"),
        ];
        for (text, expected) in alike {
            assert_eq!(folded(text), expected, "{text}");
        }
    }

    #[test]
    fn marks_between_words_are_one_space_and_none_in_japanese() {
        assert_eq!(folded("  Hello,\tthis -- is (Acme)! "), "hello this is acme");
        assert_eq!(folded("はい、請求書　の件 です。AI の話"), "はい請求書の件ですaiの話");
        assert_eq!(folded("don't"), "don t");
        assert_eq!(folded("…!?"), "");
    }

    #[test]
    fn every_folded_byte_knows_where_it_came_from() {
        let (folded, origins) = fold_with_origin("A ﾌﾟﾘﾝ!");
        assert_eq!(folded, "aプリン");
        assert_eq!((origins.len(), origins[0].clone()), (folded.len(), 0..1));
        assert_eq!([origins[1].clone(), origins[3].clone()], [2..8, 2..8]);
        assert_eq!(origins[9], 11..14);
    }

    proptest! {
        #[test]
        fn what_is_folded_stays_so(text in "([a-zA-Z0-9 .,ａＺあがいッー。、「」漢字éßΣ한㍻①]|ｶﾞ|ﾊﾟ|か\u{3099}|e\u{301}){0,40}") {
            let once = folded(&text);
            prop_assert_eq!(folded(&once), once.clone());
            prop_assert_eq!(fold_with_origin(&text).0, once, "both ways are one");
        }
    }
}
