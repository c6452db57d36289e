//! Masks what identifies people in transcripts: telephone numbers, card numbers, e-mail addresses and what the operator
//! names by patterns. Written and said aloud, in English and Japanese.
//!
//! Nothing here reads a file or a clock, and nothing keeps or logs what was found. Time grows with the length of the
//! text, whatever it is.
//!
//! * A telephone number is one of the region (or follows a plus) and stands apart from other digits, however its own
//!   are grouped; among other digits it must have its usual groups. Seven digits are one where the region has such
//!   numbers and they are grouped as three and four.
//! * A card number has the first digits and the length of an issuer, and a right check digit.
//! * Amounts, dates, addresses of machines and digits glued to letters are none of these.
//!
//! Markers such as `[PHONE]` hold nothing that is found again, so masking twice changes nothing. (A pattern of the
//! operator's may look at what is around it; then that is theirs to ensure.)

mod address;
mod email;
mod hash;
mod lex;
mod luhn;
mod mention;
mod numbers;
mod patterns;
pub mod phone;
mod plans;
mod runs;
mod spoken;
mod transcript;
mod words;
mod written;

#[cfg(test)]
mod english_tests;
#[cfg(test)]
mod japanese_tests;
#[cfg(test)]
mod mask_tests;

use std::borrow::Cow;
use std::ops::Range;

use regex::Regex;

pub use hash::{NumberHasher, SHORTEST_KEY};
pub use mention::WantedNumber;
pub use patterns::{BadPattern, Pattern};
pub use phone::Region;

/// What to look for.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The kinds that are known here.
    pub kinds: Kinds,
    /// What else is private.
    pub patterns: Vec<Pattern>,
    /// Whose national telephone numbers are found.
    pub region: Region,
}

/// The kinds that are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds {
    /// Telephone numbers.
    pub phone: bool,
    /// Card numbers.
    pub card: bool,
    /// E-mail addresses.
    pub email: bool,
}

impl Kinds {
    /// Every kind.
    pub const ALL: Self = Self { phone: true, card: true, email: true };
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// By the operator's pattern of this index.
    Pattern(usize),
    /// An e-mail address.
    Email,
    /// A card number.
    Card,
    /// A telephone number, with its extension.
    Phone,
}

/// A part of a text that is to be masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// In bytes, on character boundaries, never empty.
    pub range: Range<usize>,
    /// What it is.
    pub kind: Kind,
}

/// A text and its words after masking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masked {
    /// The text with markers.
    pub text: String,
    /// One for each word that was given: none for a word that stays, an empty one for a word that went into the marker
    /// before it.
    pub words: Vec<Option<String>>,
    /// What was found in the text as it was given.
    pub findings: Vec<Finding>,
}

/// Finds and masks what is private.
#[derive(Debug, Clone)]
pub struct Redactor {
    kinds: Kinds,
    region: Region,
    patterns: Vec<Regex>,
    /// The markers of the kinds, then of the patterns.
    markers: Vec<String>,
}

/// Raised when other things are found with the same settings.
const VERSION: u32 = 1;

const MARKERS: [&str; 3] = ["[PHONE]", "[CARD]", "[EMAIL]"];

/// Findings may stand apart only after others are masked; more rounds than this hardly any text needs.
const MOST_ROUNDS: usize = 16;

impl Redactor {
    /// A redactor for `settings`.
    ///
    /// # Errors
    /// [`BadPattern`] names the pattern that cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, BadPattern> {
        let (patterns, names) = patterns::compiled(&settings.patterns, &MARKERS)?;
        let markers = MARKERS.iter().map(ToString::to_string).chain(names).collect();
        Ok(Self { kinds: settings.kinds, region: settings.region, patterns, markers })
    }

    /// What replaces a finding of this kind.
    #[must_use]
    pub fn marker(&self, kind: Kind) -> &str {
        let at = match kind {
            Kind::Phone => 0,
            Kind::Card => 1,
            Kind::Email => 2,
            Kind::Pattern(index) => MARKERS.len() + index,
        };
        self.markers.get(at).map_or("[MASKED]", String::as_str)
    }

    /// Everything that decides what is masked, as a text to compare.
    #[must_use]
    pub fn description(&self) -> String {
        let Self { kinds, region, patterns, markers } = self;
        let patterns: Vec<&str> = patterns.iter().map(Regex::as_str).collect();
        format!("version={VERSION} kinds={kinds:?} region={} patterns={patterns:?} markers={markers:?}", region.code())
    }

    /// What is private in `text`, in order and disjoint.
    ///
    /// Where kinds overlap, the finding covers all of it and is of the least [`Kind`].
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<Finding> {
        let mut found = patterns::matches(text, &self.patterns, &self.markers);
        if self.kinds.email {
            found.extend(email::emails(text).into_iter().map(|range| Finding { range, kind: Kind::Email }));
        }
        found.extend(numbers::numbers(text, &[], self.region, self.kinds));
        let mut found = merged(found);
        for _ in 1..MOST_ROUNDS {
            if found.is_empty() {
                break;
            }
            let opaque: Vec<Range<usize>> = found.iter().map(|finding| finding.range.clone()).collect();
            let more = numbers::numbers(text, &opaque, self.region, self.kinds);
            if more.is_empty() {
                break;
            }
            found.extend(more);
            found = merged(found);
        }
        found
    }

    /// What is private in texts that follow each other, such as the segments of one channel: for each of them, what
    /// [`Redactor::find`] finds in it, and its part of what goes over the border to its neighbours.
    #[must_use]
    pub fn find_across(&self, texts: &[&str]) -> Vec<Vec<Finding>> {
        let joined = self.find(&texts.join("\n"));
        let mut rest = joined.as_slice();
        let mut start = 0;
        let mut found = Vec::with_capacity(texts.len());
        for text in texts {
            let end = start + text.len();
            rest = &rest[rest.partition_point(|finding| finding.range.end <= start)..];
            let mut here = self.find(text);
            for finding in rest.iter().take_while(|finding| finding.range.start < end) {
                let range = finding.range.start.max(start) - start..finding.range.end.min(end) - start;
                let (part, kind) = (&text[range.clone()], finding.kind);
                let from = range.start + part.len() - part.trim_start().len();
                let range = from..from + part.trim().len();
                if !range.is_empty() {
                    here.push(Finding { range, kind });
                }
            }
            found.push(merged(here));
            start = end + 1;
        }
        found
    }

    /// `text` with `findings`, which are ordered and disjoint, replaced by their markers.
    #[must_use]
    pub fn apply<'a>(&self, text: &'a str, findings: &[Finding]) -> Cow<'a, str> {
        if findings.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut masked = String::with_capacity(text.len());
        let mut at = 0;
        for Finding { range, kind } in findings {
            masked.push_str(&text[at..range.start]);
            masked.push_str(self.marker(*kind));
            at = range.end;
        }
        masked.push_str(&text[at..]);
        Cow::Owned(masked)
    }

    /// `text` with what is private in it replaced by markers.
    #[must_use]
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.apply(text, &self.find(text))
    }

    /// Words that stand next to each other, masked as the text they make, with spaces between them or without.
    ///
    /// See [`Masked::words`].
    #[must_use]
    pub fn mask_words(&self, words: &[&str], spaced: bool) -> Vec<Option<String>> {
        let text = words.join(if spaced { " " } else { "" });
        let mut at = 0;
        let place = |word: &&str| {
            let start = at;
            at += word.len() + usize::from(spaced);
            start..start + word.len()
        };
        let places: Vec<Range<usize>> = words.iter().map(place).collect();
        self.words_at(&text, &places, &self.find(&text))
    }

    /// The segments of one channel in order, each its text and its words, masked alike.
    ///
    /// What goes over the border of two segments is found as well.
    ///
    /// Words that are not those of the text are masked by themselves.
    #[must_use]
    pub fn mask_segments(&self, segments: &[(&str, Vec<&str>)], spaced: bool) -> Vec<Masked> {
        let texts: Vec<&str> = segments.iter().map(|(text, _)| *text).collect();
        let found = self.find_across(&texts);
        let mask = |((text, words), findings): (&(&str, Vec<&str>), Vec<Finding>)| Masked {
            text: self.apply(text, &findings).into_owned(),
            words: match words::places(text, words) {
                Some(places) => self.words_at(text, &places, &findings),
                None => self.mask_words(words, spaced),
            },
            findings,
        };
        segments.iter().zip(found).map(mask).collect()
    }

    fn words_at(&self, text: &str, places: &[Range<usize>], findings: &[Finding]) -> Vec<Option<String>> {
        words::masked(text, places, findings, |text, findings| self.apply(text, findings).into_owned())
    }
}

/// Findings in order; overlapping ones become one.
fn merged(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| (finding.range.start, finding.range.end, finding.kind));
    let mut merged: Vec<Finding> = Vec::with_capacity(findings.len());
    for finding in findings {
        match merged.last_mut() {
            Some(last) if last.range.end > finding.range.start => {
                last.range.end = last.range.end.max(finding.range.end);
                last.kind = last.kind.min(finding.kind);
            }
            _ => merged.push(finding),
        }
    }
    merged
}
