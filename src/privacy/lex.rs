//! Cuts a text into digits, what may stand between the digits of one number, and everything else.
//!
//! One pass, and every character is looked at a bounded number of times.

use std::ops::Range;

use super::spoken::{self, Said};
use super::written;

/// What stands between two groups of digits, from what binds most to what binds least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gap {
    /// Nothing, a dash, a dot, a bracket, `の`.
    Tight,
    /// White space, or the border of two segments.
    Space,
    /// A comma or a word of hesitation.
    Pause,
    /// The end of a sentence.
    Stop,
}

/// How digits are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `090`
    Figures,
    /// `zero`
    Word,
    /// `零`
    Kanji,
    /// `ゼロ`
    Kana,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// Digits of a group: ASCII, as many as are written together.
    Digits(String, Form),
    Tens(&'static str),
    Times(usize),
    Gap(Gap),
    Plus,
    Extension,
    /// Ends every number.
    Break,
}

/// A piece of the text, in bytes, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lexeme {
    pub(super) range: Range<usize>,
    pub(super) what: What,
}

/// More digits than this in one piece are no number of a telephone or card.
const MOST_DIGITS: usize = 19;

/// The pieces of `text` in order, without gaps. `opaque` ranges, ordered and disjoint, end every number.
pub(super) fn lexemes(text: &str, opaque: &[Range<usize>]) -> Vec<Lexeme> {
    let mut lexemes = Vec::new();
    let mut start = 0;
    let whole = text.len()..text.len();
    for range in opaque.iter().chain([&whole]) {
        // What is opaque is not looked at by what is beside it either.
        let mut lexer = Lexer { text: &text[start..range.start], at: 0, lexemes: Vec::new() };
        lexer.finish();
        let moved = |Lexeme { range, what }| Lexeme { range: range.start + start..range.end + start, what };
        lexemes.extend(lexer.lexemes.into_iter().map(moved));
        if !range.is_empty() {
            lexemes.push(Lexeme { range: range.clone(), what: What::Break });
        }
        start = range.end;
    }
    lexemes
}

/// The ASCII form of a full-width character.
pub(super) fn narrow(character: char) -> char {
    match u32::from(character) {
        wide @ 0xff01..=0xff5e => char::from_u32(wide - 0xfee0).unwrap_or(character),
        0x3000 => ' ',
        _ => character,
    }
}

/// Hiragana, katakana and Chinese characters: written without spaces, so that they do not glue to digits.
pub(super) fn is_unspaced(character: char) -> bool {
    matches!(
        character,
        '々' | '〇'
            | '\u{3041}'..='\u{309f}'
            | '\u{30a1}'..='\u{30ff}'
            | '\u{3400}'..='\u{9fff}'
            | '\u{ff66}'..='\u{ff9f}'
    )
}

/// A letter of a script with spaces.
pub(super) fn is_letter(character: char) -> bool {
    character.is_alphabetic() && !is_unspaced(character)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    lexemes: Vec<Lexeme>,
}

impl Lexer<'_> {
    fn finish(&mut self) {
        while let Some(character) = self.text[self.at..].chars().next() {
            let plain = narrow(character);
            if plain.is_ascii_digit() {
                self.figures();
            } else if is_letter(character) {
                self.word();
            } else if !(is_unspaced(character) && self.japanese()) {
                self.sign(character);
            }
        }
    }

    fn push(&mut self, end: usize, what: What) {
        self.lexemes.push(Lexeme { range: self.at..end, what });
        self.at = end;
    }

    /// Where the run of characters from here on ends that `belongs` accepts.
    fn run_end(&self, belongs: impl Fn(char) -> bool) -> usize {
        let rest = &self.text[self.at..];
        self.at + rest.find(|c| !belongs(c)).unwrap_or(rest.len())
    }

    fn previous(&self) -> Option<&What> {
        self.lexemes.last().map(|lexeme| &lexeme.what)
    }

    fn figures(&mut self) {
        let end = self.run_end(|c| narrow(c).is_ascii_digit());
        let before = self.text[..self.at].chars().next_back();
        let is_glued = before.is_some_and(written::is_code) && self.previous() != Some(&What::Extension);
        if let Some(end) = written::left_alone(self.text, self.at, end) {
            self.push(end, What::Break);
            return;
        }
        let digits = &self.text[self.at..end];
        let is_long = digits.len() > 3 * MOST_DIGITS || digits.chars().count() > MOST_DIGITS;
        let what = if is_glued || is_long {
            What::Break
        } else {
            What::Digits(digits.chars().map(narrow).collect(), Form::Figures)
        };
        self.push(end, what);
    }

    fn word(&mut self) {
        let end = self.run_end(|c| is_letter(c) || matches!(c, '\'' | '’'));
        let said = spoken::english(&self.text[self.at..end]);
        self.said(end, said, Form::Word);
    }

    /// Whether a Japanese word that counts stands here; then it is taken.
    fn japanese(&mut self) -> bool {
        let Some((length, said)) = spoken::japanese(&self.text[self.at..]) else { return false };
        let is_kana = self.text[self.at..].starts_with(|c| matches!(c, '\u{3041}'..='\u{30ff}'));
        self.said(self.at + length, Some(said), if is_kana { Form::Kana } else { Form::Kanji });
        true
    }

    fn said(&mut self, end: usize, said: Option<Said>, form: Form) {
        let what = match said {
            Some(Said::Digits(digits)) => What::Digits(digits.to_owned(), form),
            Some(Said::Tens(digit)) => What::Tens(digit),
            Some(Said::Times(times)) => What::Times(times),
            Some(Said::Between(gap)) => What::Gap(gap),
            Some(Said::Plus) => What::Plus,
            Some(Said::Extension) => What::Extension,
            Some(Said::Scale) => {
                self.forget_factor(form);
                What::Break
            }
            None => What::Break,
        };
        self.push(end, what);
    }

    /// The digit before a "hundred" is no digit that is read out.
    fn forget_factor(&mut self, form: Form) {
        let factor = self.lexemes.iter_mut().rev().take(2).find(|lexeme| lexeme.what != What::Gap(Gap::Space));
        if let Some(Lexeme { what, .. }) = factor
            && matches!(what, What::Digits(digits, written) if *written == form && digits.len() <= 2)
        {
            *what = What::Break;
        }
    }

    fn sign(&mut self, character: char) {
        let end = self.at + character.len_utf8();
        let next_is_digit = self.text[end..].chars().next().is_some_and(|c| narrow(c).is_ascii_digit());
        let what = match narrow(character) {
            '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '(' | ')' | '・' => What::Gap(Gap::Tight),
            '.' | ',' if next_is_digit => What::Gap(Gap::Tight),
            'ー' if next_is_digit || matches!(self.previous(), Some(What::Digits(_, Form::Kana))) => {
                What::Gap(Gap::Tight)
            }
            ',' | ';' | '、' | '､' | '…' => What::Gap(Gap::Pause),
            '.' | '。' | '｡' | '?' | '!' => What::Gap(Gap::Stop),
            '+' => What::Plus,
            _ if character.is_whitespace() => What::Gap(Gap::Space),
            _ => What::Break,
        };
        self.push(end, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whats(text: &str) -> Vec<What> {
        lexemes(text, &[]).into_iter().map(|lexeme| lexeme.what).collect()
    }

    fn digits(digits: &str, form: Form) -> What {
        What::Digits(digits.to_owned(), form)
    }

    #[test]
    fn digits_are_found_in_every_script() {
        assert_eq!(whats("4１"), [digits("41", Form::Figures)]);
        assert_eq!(whats("oh five"), [digits("0", Form::Word), What::Gap(Gap::Space), digits("5", Form::Word)]);
        assert_eq!(
            whats("ゼロ九のキュー"),
            [digits("0", Form::Kana), digits("9", Form::Kanji), What::Gap(Gap::Tight), digits("9", Form::Kana)]
        );
    }

    #[test]
    fn digits_of_codes_and_of_round_numbers_are_broken_off() {
        assert_eq!(whats("A1 1B"), [What::Break, What::Break, What::Gap(Gap::Space), What::Break, What::Break]);
        assert_eq!(whats("five hundred"), [What::Break, What::Gap(Gap::Space), What::Break]);
        assert_eq!(whats("三千"), [What::Break, What::Break]);
        assert_eq!(whats(&"1".repeat(20)), [What::Break]);
    }

    #[test]
    fn the_pieces_cover_the_text_without_gaps() {
        let text = "Call +81 (0)90-1234、えっと、$5 五百 x 内線12 ｘ é 😀";
        let mut at = 0;
        for lexeme in lexemes(text, &[5..6, 6..8]) {
            assert_eq!(lexeme.range.start, at);
            at = lexeme.range.end;
        }
        assert_eq!(at, text.len());
    }
}
