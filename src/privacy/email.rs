//! E-mail addresses in a text, written (`a.b@example.com`) and said (`a dot b at example dot com`, `a アット example
//! ドット com`).
//!
//! Every address has an at sign or the word for it, so only the neighbours of those are looked at, and of them a
//! bounded number.

use std::ops::Range;

use super::address::{ARTICLES, CUES, LAST_LABELS, NO_NAMES, Token, What, tokens};
use super::lex::is_letter;
use super::spoken::{self, Said};

/// An address has at most this many parts on a side, and so many words are searched for its start.
const MOST_PARTS: usize = 40;
/// A name of several words before "at": so many more are taken after a word such as "is".
const MOST_NAME_WORDS: usize = 3;
/// Words of the domain before its first dot.
const MOST_DOMAIN_WORDS: usize = 3;

/// The addresses of `text`, in order and disjoint.
pub(super) fn emails(text: &str) -> Vec<Range<usize>> {
    let tokens = tokens(text);
    let finder = Finder { text, tokens: &tokens };
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if !matches!(token.what, What::At { .. }) {
            continue;
        }
        if let Some(address) = finder.address(at) {
            match found.last_mut() {
                Some(last) if last.end > address.start => last.end = address.end,
                _ => found.push(address),
            }
        }
    }
    found
}

struct Finder<'a> {
    text: &'a str,
    tokens: &'a [Token],
}

impl Finder<'_> {
    fn address(&self, at: usize) -> Option<Range<usize>> {
        let What::At { is_said, is_kana } = self.tokens[at].what else { return None };
        let is_apart = |at: usize| matches!(self.what(at), Some(What::Space | What::Pause));
        let is_loose = !is_said && (is_apart(at + 1) || at.checked_sub(1).is_none_or(is_apart));
        let end = self.domain(at, is_said, is_kana, is_loose)?;
        let start = self.local(at, is_said, is_kana)?;
        Some(self.tokens[start].range.start..self.tokens[end].range.end)
    }

    fn what(&self, at: usize) -> Option<What> {
        self.tokens.get(at).map(|token| token.what)
    }

    fn word(&self, at: usize) -> &str {
        &self.text[self.tokens[at].range.clone()]
    }

    fn is_word(&self, at: usize) -> bool {
        matches!(self.what(at), Some(What::Word))
    }

    fn is_among(&self, at: usize, words: &[&str]) -> bool {
        self.is_word(at) && words.iter().any(|word| self.word(at).eq_ignore_ascii_case(word))
    }

    /// The first token from `at` on that is no space or comma.
    fn after_space(&self, at: usize) -> usize {
        at + (at..at + 2).take_while(|at| matches!(self.what(*at), Some(What::Space | What::Pause))).count()
    }

    /// The last token up to `at` that is no space or comma.
    fn before_space(&self, at: usize) -> Option<usize> {
        (0..3)
            .map_while(|back| at.checked_sub(back))
            .find(|at| !matches!(self.what(*at), Some(What::Space | What::Pause)))
    }

    /// The last token of the domain after the at sign.
    ///
    /// A written sign that is loose or among Japanese words is one of an address only before a dot.
    fn domain(&self, at: usize, is_said: bool, is_kana: bool, is_loose: bool) -> Option<usize> {
        let mut label = self.after_space(at + 1);
        if !self.is_word(label) {
            return None;
        }
        // "a@b" without a dot: hardly an address, but "john@example" is one that was heard so far.
        let is_long = self.word(label).chars().count() > 1;
        let mut end = (!is_said && !is_loose && is_long && self.word(label).starts_with(is_letter)).then_some(label);
        let mut words = 1;
        let mut has_dot = false;
        for _ in 0..MOST_PARTS {
            let sign = if matches!(self.what(label + 1), Some(What::Dot { is_said: false })) {
                label + 1
            } else {
                self.after_space(label + 1)
            };
            let next = match self.what(sign) {
                Some(What::Dot { is_said } | What::Join { is_said }) => {
                    has_dot |= matches!(self.what(sign), Some(What::Dot { .. }));
                    if is_said { self.after_space(sign + 1) } else { sign + 1 }
                }
                // "g mail dot com"
                Some(What::Word) if is_said && !has_dot && sign > label + 1 => {
                    words += 1;
                    if words > MOST_DOMAIN_WORDS && self.word(label).chars().count() > 1 {
                        break;
                    }
                    sign
                }
                _ => break,
            };
            if !self.is_word(next) {
                break;
            }
            label = next;
            let is_last = has_dot && (is_kana || self.is_among(label, LAST_LABELS) || self.is_kana_word(label));
            if is_last || (!is_said && has_dot) {
                end = Some(label);
            }
        }
        end
    }

    fn is_kana_word(&self, at: usize) -> bool {
        self.word(at).starts_with(|c| matches!(c, '\u{30a1}'..='\u{30fa}'))
    }

    /// The first token of the name before the at sign.
    fn local(&self, at: usize, is_said: bool, is_kana: bool) -> Option<usize> {
        let mut start = self.before_space(at.checked_sub(1)?)?;
        if !self.is_word(start) {
            return None;
        }
        let mut is_plain = true;
        for _ in 0..MOST_PARTS {
            let Some(previous) = self.part_before(start, is_said) else { break };
            start = previous;
            is_plain = false;
        }
        // The word "at" means other things as well.
        let is_english = is_said && !is_kana;
        if is_english && is_plain && !self.word(start).contains(|c: char| c.is_ascii_digit()) {
            let before = start.checked_sub(1).and_then(|before| self.before_space(before));
            if self.is_among(start, NO_NAMES) || before.is_some_and(|before| self.is_among(before, ARTICLES)) {
                return None;
            }
        }
        Some(if is_english { self.whole_name(start) } else { start })
    }

    /// The part of the name before the one at `start`, if it belongs to it.
    fn part_before(&self, start: usize, at_is_said: bool) -> Option<usize> {
        let sign = start.checked_sub(1)?;
        let is_apart = matches!(self.what(sign), Some(What::Space | What::Pause));
        let sign = self.before_space(sign)?;
        match self.what(sign)? {
            What::Dot { is_said } | What::Join { is_said } if is_said || !is_apart => {
                let word = sign.checked_sub(1)?;
                let word = if is_said { self.before_space(word)? } else { word };
                self.is_word(word).then_some(word)
            }
            // "jones 1985"
            What::Word if at_is_said && is_apart && self.is_figure(start) && !self.is_among(sign, CUES) => Some(sign),
            // "j o h n" and "two two"
            What::Word if at_is_said && is_apart && self.is_spelled(sign) && self.is_spelled_or_last(start) => {
                Some(sign)
            }
            _ => None,
        }
    }

    fn is_figure(&self, at: usize) -> bool {
        let word = self.word(at);
        word.len() <= 4 && word.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// A letter or digit on its own, in whatever way it is said.
    fn is_spelled(&self, at: usize) -> bool {
        let word = self.word(at);
        let is_digit = matches!(spoken::english(word), Some(Said::Digits(_) | Said::Times(_)));
        let is_vowel = ["a", "i"].iter().any(|vowel| word.eq_ignore_ascii_case(vowel));
        let is_single = word.chars().count() == 1 && word.starts_with(is_letter) && !is_vowel;
        is_digit || is_single || self.is_figure(at) || self.is_kana_word(at) || self.is_vowel_among_letters(at)
    }

    /// "a" and "i" are words as well: they are letters between letters.
    fn is_vowel_among_letters(&self, at: usize) -> bool {
        let is_single = |at: usize| self.is_word(at) && self.word(at).chars().count() == 1;
        is_single(at) && is_single(self.after_space(at + 1))
    }

    fn is_spelled_or_last(&self, at: usize) -> bool {
        self.is_spelled(at)
            || self.word(at).chars().count() == 1
            || matches!(self.what(self.after_space(at + 1)), Some(What::At { .. }))
    }

    /// Where a name of several words starts: after a word such as "is", if that is near.
    fn whole_name(&self, start: usize) -> usize {
        let mut first = start;
        for _ in 0..=MOST_NAME_WORDS {
            let Some(space) = first.checked_sub(1) else { break };
            let Some(before) = space.checked_sub(1) else { break };
            if !matches!(self.what(space), Some(What::Space)) || !self.is_word(before) {
                break;
            }
            if self.is_among(before, CUES) {
                return first;
            }
            first = before;
        }
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        emails(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn written_addresses_are_found_without_the_text_around_them() {
        assert_eq!(found("Write to john.smith+x@mail.example.com. Thanks"), ["john.smith+x@mail.example.com"]);
        assert_eq!(found("a@b.io,c@d.io"), ["a@b.io", "c@d.io"]);
        assert_eq!(found("メールはtanaka＠example．co．jpです"), ["tanaka＠example．co．jp"]);
        assert_eq!(found("müller@example.de"), ["müller@example.de"]);
    }

    #[test]
    fn said_addresses_are_found_with_the_whole_name() {
        assert_eq!(found("it's john dot smith at example dot com okay"), ["john dot smith at example dot com"]);
        assert_eq!(found("my email is john smith at gmail.com"), ["john smith at gmail.com"]);
        assert_eq!(found("that's j o h n two at g mail dot com"), ["j o h n two at g mail dot com"]);
        assert_eq!(found("ジョンアットマークエグザンプルドットコムです"), ["ジョンアットマークエグザンプルドットコム"]);
    }

    #[test]
    fn an_at_alone_is_no_address() {
        for text in ["look at example dot com", "at noon", "@", "a @", "five at ten dot", "アットホームな会社"]
        {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }
}
