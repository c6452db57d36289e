//! What is looked for, and where it is in a text.

use std::ops::Range;

use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};

use super::fold::{fold, fold_with_origin, is_unspaced};

/// Words and phrases that are all looked for.
///
/// Case, width and punctuation do not matter. In scripts with spaces a word is found where one begins with it:
/// `invoice` finds "Invoices", not "reinvoice". In scripts without spaces it is found anywhere.
#[derive(Debug, Clone)]
pub struct Query {
    terms: Vec<Term>,
    quick: Quick,
}

/// What tells of a text in ASCII, without folding it, that it has nothing of a query.
#[derive(Debug, Clone)]
enum Quick {
    /// That it is ASCII: no term has a letter or digit of it.
    IsAscii,
    /// That one of these is not in it: all terms are words that begin and end in one segment.
    Lacks(Vec<Regex>),
    /// Nothing does.
    Unknown,
}

/// One word or phrase, folded.
#[derive(Debug, Clone)]
struct Term {
    folded: String,
    finder: Finder<'static>,
    starts_a_word: bool,
    /// Whether it may begin in one segment and end in the next: a phrase, or a word in a script without spaces.
    may_run_on: bool,
}

/// Which terms of a query were found: a bit for each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Terms(u64);

impl Query {
    /// Each of `words` is a word or, with spaces in it, a phrase. An ideographic space stands between two words, as
    /// no shell takes it for a space. `None` when there is no letter and no digit, or more than 64 words.
    #[must_use]
    pub fn parse<S: AsRef<str>>(words: &[S]) -> Option<Self> {
        let words = words.iter().flat_map(|word| word.as_ref().split('\u{3000}'));
        let terms: Vec<Term> = words.filter_map(Term::parse).collect();
        let quick = Quick::of(&terms);
        (1..=64).contains(&terms.len()).then_some(Self { terms, quick })
    }

    /// Where `text` has a term, in bytes, in order and apart.
    #[must_use]
    pub fn spans(&self, text: &str) -> Vec<Range<usize>> {
        let (folded, origins) = fold_with_origin(text);
        let found = self.terms.iter().flat_map(|term| term.all(&folded));
        let mut spans: Vec<Range<usize>> = found.map(|at| origins[at.start].start..origins[at.end - 1].end).collect();
        spans.sort_by_key(|span| (span.start, span.end));
        spans.dedup_by(|next, span| {
            let overlaps = next.start < span.end;
            if overlaps {
                span.end = span.end.max(next.end);
            }
            overlaps
        });
        spans
    }

    /// Whether a text has no term and no part of one. True for many texts that have none, and much faster than to look.
    pub(super) fn rules_out(&self, text: &str) -> bool {
        match &self.quick {
            Quick::IsAscii => text.is_ascii(),
            Quick::Lacks(words) => text.is_ascii() && words.iter().any(|word| !word.is_match(text.as_bytes())),
            Quick::Unknown => false,
        }
    }

    pub(super) const fn has_all(&self, found: Terms) -> bool {
        found.0.count_ones() as usize == self.terms.len()
    }

    /// The terms that a folded text has.
    pub(super) fn within(&self, folded: &str) -> Terms {
        let found = |(index, term): (usize, &Term)| u64::from(term.first(folded).is_some()) << index;
        Terms(self.terms.iter().enumerate().map(found).fold(0, |all, one| all | one))
    }

    /// Whether every term that is not among `found` begins in one folded text and ends in the next.
    pub(super) fn runs_on(&self, found: Terms, before: &str, after: &str) -> bool {
        let mut missing = self.terms.iter().enumerate().filter(|(index, _)| found.0 >> index & 1 == 0);
        missing.all(|(_, term)| term.may_run_on && term.runs_on(before, after))
    }
}

impl Quick {
    fn of(terms: &[Term]) -> Self {
        if terms.iter().all(|term| term.folded.chars().all(|c| !c.is_ascii())) {
            return Self::IsAscii;
        }
        let is_word = |term: &Term| term.folded.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !terms.iter().all(is_word) {
            return Self::Unknown;
        }
        let word = |term: &Term| RegexBuilder::new(&term.folded).case_insensitive(true).unicode(false).build();
        terms.iter().map(word).collect::<Result<_, _>>().map_or(Self::Unknown, Self::Lacks)
    }
}

impl Term {
    fn parse(word: &str) -> Option<Self> {
        let mut folded = String::new();
        fold(word, &mut folded);
        let first = folded.chars().next()?;
        let may_run_on = folded.contains(' ') || (folded.chars().any(is_unspaced) && folded.chars().nth(1).is_some());
        let finder = Finder::new(&folded).into_owned();
        Some(Self { finder, starts_a_word: !is_unspaced(first), may_run_on, folded })
    }

    fn first(&self, folded: &str) -> Option<Range<usize>> {
        self.all(folded).next()
    }

    /// Every place of the term, those that overlap included.
    fn all<'a>(&'a self, folded: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        let mut from = 0;
        let places = std::iter::from_fn(move || {
            let at = from + self.finder.find(&folded.as_bytes()[from..])?;
            from = at + 1;
            Some(at)
        });
        places.filter(|at| self.may_follow(&folded[..*at])).map(|at| at..at + self.folded.len())
    }

    /// Whether it begins at the end of one folded text and ends at the start of the next.
    fn runs_on(&self, before: &str, after: &str) -> bool {
        let mut last = None;
        self.folded.char_indices().any(|(at, c)| {
            let Some(last) = last.replace(c) else { return false };
            // Two texts are joined like two words: with a space where their scripts have spaces.
            let tail = match c {
                ' ' => at + 1,
                _ if is_unspaced(last) || is_unspaced(c) => at,
                _ => return false,
            };
            after.starts_with(&self.folded[tail..])
                && before.strip_suffix(&self.folded[..at]).is_some_and(|rest| self.may_follow(rest))
        })
    }

    /// Whether it may stand after this: a word in a script with spaces only where a word begins.
    fn may_follow(&self, before: &str) -> bool {
        !self.starts_a_word || before.chars().next_back().is_none_or(|c| c == ' ' || is_unspaced(c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(words: &[&str]) -> Query {
        Query::parse(words).unwrap()
    }

    fn finds(words: &[&str], text: &str) -> bool {
        let mut folded = String::new();
        fold(text, &mut folded);
        let query = query(words);
        query.has_all(query.within(&folded))
    }

    fn runs_on(word: &str, before: &str, after: &str) -> bool {
        let fold_one = |text: &str| {
            let mut folded = String::new();
            fold(text, &mut folded);
            folded
        };
        query(&[word]).runs_on(Terms::default(), &fold_one(before), &fold_one(after))
    }

    #[test]
    fn a_word_is_found_where_one_begins_with_it() {
        assert!(finds(&["invoice"], "Two INVOICES, please."));
        assert!(finds(&["ai"], "このAIは"));
        assert!(!finds(&["voice"], "the invoice"));
        assert!(!finds(&["123"], "0123"));
        assert!(finds(&["voice"], "the invoice has no voice"));
    }

    #[test]
    fn japanese_is_found_anywhere_in_any_width() {
        assert!(finds(&["請求書"], "本日の請求書の件です"));
        assert!(finds(&["ガイド"], "ｶﾞｲﾄﾞブック"));
        assert!(finds(&["ﾌﾟﾗﾝ"], "新しいプランは"));
        assert!(finds(&["Ａ社"], "a社です"));
        assert!(!finds(&["請求書"], "請求 は書 く"));
        assert!(finds(&["請求　山田"], "山田商事の請求書"), "an ideographic space parts two words");
        assert!(!finds(&["請求　山田"], "佐藤商事の請求書"));
    }

    #[test]
    fn all_words_are_needed_and_a_phrase_is_in_order() {
        assert!(finds(&["call", "back"], "back to your call"));
        assert!(!finds(&["call back"], "back to your call"));
        assert!(finds(&["hello this is"], "Hello! This is Acme."));
        assert!(!finds(&["call", "never"], "back to your call"));
    }

    #[test]
    fn without_a_letter_or_digit_there_is_nothing_to_look_for() {
        assert!(Query::parse(&["", "!?", "。"]).is_none());
        assert!(Query::parse::<&str>(&[]).is_none());
        assert!(Query::parse(&["a"; 65]).is_none());
        assert!(Query::parse(&["!", "a"]).is_some());
    }

    #[test]
    fn what_begins_in_one_segment_may_end_in_the_next() {
        assert!(runs_on("請求書", "来月の請", "求書です"));
        assert!(!runs_on("請求書", "来月の請求書", "です"), "that is the first alone");
        assert!(runs_on("send the invoice", "please send", "the invoices today"));
        assert!(!runs_on("end the", "please send", "the"));
        assert!(!runs_on("invoice", "the in", "voice"), "words are not split");
        assert!(!runs_on("請", "請", "請"));
        assert!(!runs_on("請求", "", "求"));
    }

    #[test]
    fn a_text_that_is_ruled_out_has_nothing_of_the_query() {
        let texts = ["An INVOICE.", "no such word", "in", "voice", "請求書", "the AI", "ＡＩ", "", "請"];
        for words in [&["invoice"][..], &["invoice", "an"], &["請求書"], &["AI請求"], &["no such"], &["ai"]] {
            let query = query(words);
            for text in texts.iter().filter(|text| query.rules_out(text)) {
                assert!(!finds(words, text), "{words:?}: {text}");
                let seams = texts
                    .iter()
                    .any(|other| words.iter().any(|word| runs_on(word, text, other) || runs_on(word, other, text)));
                assert!(!seams, "{words:?}: {text}");
            }
        }
        assert!(query(&["invoice"]).rules_out("no such word") && !query(&["invoice"]).rules_out("An INVOICE."));
        assert!(query(&["請求書"]).rules_out("no such word") && !query(&["請求書"]).rules_out("請"));
    }

    #[test]
    fn spans_cover_what_was_found_in_the_text_as_it_is_written() {
        let text = "ﾌﾟﾗﾝ: Plans, plan B";
        let spans = query(&["プラン", "plan"]).spans(text);
        let found: Vec<&str> = spans.iter().map(|span| &text[span.clone()]).collect();
        assert_eq!(found, ["ﾌﾟﾗﾝ", "Plan", "plan"]);
        assert_eq!(query(&["aa", "a"]).spans("aab"), std::slice::from_ref(&(0..2)));
        assert!(query(&["x"]).spans("Aab").is_empty());
    }
}
