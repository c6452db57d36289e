//! One telephone number, wherever it is mentioned: written in any of its forms, with any signs between its digits, or
//! said aloud. Used to forget a number, so it errs on the side of finding too much.

use std::borrow::Cow;
use std::ops::Range;

use super::lex::{lexemes, narrow};
use super::phone::{Region, forms, same_number};
use super::runs::runs;
use super::words;

/// What stands in its place: as [`super::Redactor`] masks numbers.
const MARKER: &str = "[PHONE]";

/// So many signs may stand between two digits of one number.
const MOST_SIGNS: usize = 3;

/// What is dialled before a country's code, and the trunk prefix that some write after it.
const PREFIXES: [&[u8]; 5] = [b"0", b"00", b"010", b"011", b"0011"];

/// A number that is looked for. Its `Debug` does not show it.
#[derive(Clone)]
pub struct WantedNumber {
    e164: String,
    region: Region,
    /// The region's country code.
    code: Vec<u8>,
    /// Its digits in every form, the longest first.
    digits: Vec<Vec<u8>>,
}

impl std::fmt::Debug for WantedNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WantedNumber(…)")
    }
}

impl WantedNumber {
    /// A number in E.164, national or digits-only form; `None` for what is no full number of `region` or of the world.
    #[must_use]
    pub fn parse(number: &str, region: Region) -> Option<Self> {
        // Digits alone are dialled in the region or begin with a known country's code: half a number is none.
        let e164 = forms(number, region).e164?;
        let international = e164.trim_start_matches('+').as_bytes().to_vec();
        let code = region.plan.code.as_bytes().to_vec();
        let mut digits = vec![international];
        digits.extend(forms(&e164, region).national.map(String::into_bytes));
        digits.sort_by_key(|form| std::cmp::Reverse(form.len()));
        Some(Self { e164, region, code, digits })
    }

    /// Whether a value is this number and nothing else.
    #[must_use]
    pub fn is(&self, value: &str) -> bool {
        // Most values are names and ids, which are no numbers at all.
        value.chars().any(|c| narrow(c).is_ascii_digit())
            && value.chars().all(|c| narrow(c).is_ascii_digit() || !c.is_alphanumeric() || c.is_ascii_lowercase())
            && (same_number(value, &self.e164, self.region)
                || same_number(&format!("+{}", value.trim()), &self.e164, self.region))
    }

    /// Whether a text mentions it.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        !self.find(text).is_empty()
    }

    /// The text with a marker in the place of the number; `None` when it does not mention it.
    #[must_use]
    pub fn mask(&self, text: &str) -> Option<String> {
        let found = self.find(text);
        (!found.is_empty()).then(|| masked(text, &found).into_owned())
    }

    /// Words that follow each other, masked as the text that they make: none for a word that stays, an empty one for a
    /// word that went into the marker before it.
    #[must_use]
    pub fn mask_words(&self, words: &[&str]) -> Vec<Option<String>> {
        let text = words.join(" ");
        let mut at = 0;
        let place = |word: &&str| {
            let start = at;
            at += word.len() + 1;
            start..start + word.len()
        };
        let places: Vec<Range<usize>> = words.iter().map(place).collect();
        let found = self.find(&text);
        let findings: Vec<super::Finding> =
            found.into_iter().map(|range| super::Finding { range, kind: super::Kind::Phone }).collect();
        words::masked(&text, &places, &findings, |text, findings| {
            let ranges: Vec<Range<usize>> = findings.iter().map(|finding| finding.range.clone()).collect();
            masked(text, &ranges).into_owned()
        })
    }

    /// Where it is mentioned, in order and disjoint.
    fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = self.written(text);
        found.extend(self.said(text));
        found.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
        let mut apart: Vec<Range<usize>> = Vec::new();
        for range in found {
            match apart.last_mut().filter(|last| last.end >= range.start) {
                Some(last) => last.end = last.end.max(range.end),
                None => apart.push(range),
            }
        }
        apart
    }

    /// Digits with at most a few signs between them.
    fn written(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let (mut digits, mut places) = (Vec::new(), Vec::new());
        let mut signs = 0;
        for (at, character) in text.char_indices() {
            let narrowed = narrow(character);
            if narrowed.is_ascii_digit() {
                // A narrowed digit is one byte.
                digits.push(u8::try_from(narrowed).unwrap_or(b'?'));
                places.push(at..at + character.len_utf8());
                signs = 0;
            } else {
                signs += 1;
                if character.is_alphabetic() || signs > MOST_SIGNS {
                    self.among(&digits, &places, &mut found);
                    digits.clear();
                    places.clear();
                }
            }
        }
        self.among(&digits, &places, &mut found);
        for range in &mut found {
            let before = text[..range.start].chars().next_back().filter(|c| matches!(c, '+' | '＋'));
            range.start -= before.map_or(0, char::len_utf8);
        }
        found
    }

    fn among(&self, digits: &[u8], places: &[Range<usize>], found: &mut Vec<Range<usize>>) {
        for form in &self.digits {
            for (at, _) in digits.windows(form.len()).enumerate().filter(|(_, window)| *window == form.as_slice()) {
                let end = at + form.len();
                // What runs on without a sign is another, longer number.
                let runs_on = places.get(end).is_some_and(|next| next.start == places[end - 1].end);
                let beside = (1..=at).rev().take_while(|index| places[index - 1].end == places[*index].start).count();
                let before = &digits[at - beside..at];
                if !runs_on && (before.is_empty() || PREFIXES.contains(&before) || before == self.code.as_slice()) {
                    found.push(places[at - beside].start..places[end - 1].end);
                }
            }
        }
    }

    /// Groups of digits, those that are said included, that together are one of the forms.
    fn said(&self, text: &str) -> Vec<Range<usize>> {
        let runs = runs(&lexemes(text, &[]));
        let mut found = Vec::new();
        for run in &runs.all {
            for start in run.groups.clone() {
                let first = runs.groups[start].first;
                for end in start..run.groups.end {
                    let last = &runs.groups[end];
                    let digits = &runs.digits[first..last.first + last.count];
                    if digits.len() > self.digits[0].len() {
                        break;
                    }
                    if self.digits.iter().any(|form| form == digits) {
                        found.push(runs.groups[start].range.start..last.range.end);
                    }
                }
            }
        }
        found
    }
}

fn masked<'a>(text: &'a str, found: &[Range<usize>]) -> Cow<'a, str> {
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    for range in found {
        masked.push_str(&text[at..range.start]);
        masked.push_str(MARKER);
        at = range.end;
    }
    masked.push_str(&text[at..]);
    Cow::Owned(masked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> WantedNumber {
        WantedNumber::parse("03-5550-0123", Region::from_code("JP").unwrap()).unwrap()
    }

    #[test]
    fn the_number_is_known_in_every_form_and_its_neighbour_is_not() {
        for value in [
            "+81355500123",
            "0355500123",
            "03-5550-0123",
            "81355500123",
            "+81 (0)3 5550 0123",
            "０３−５５５０−０１２３",
        ] {
            assert!(wanted().is(value), "{value}");
            assert!(wanted().is_in(&format!("call {value} back")), "{value}");
        }
        for value in ["+81355500124", "0355500124", "803", "", "佐藤", "DnEopNmXQEGU2uvvzjgojw"] {
            assert!(!wanted().is(value), "{value}");
            assert!(!wanted().is_in(value), "{value}");
        }
        let forms = ["+81355500123", "0355500123", "81355500123"];
        for form in forms {
            let region = Region::from_code("JP").unwrap();
            assert_eq!(WantedNumber::parse(form, region).unwrap().e164, "+81355500123", "{form}");
        }
        assert!(WantedNumber::parse("803", Region::from_code("JP").unwrap()).is_none());
    }

    #[test]
    fn it_is_masked_where_it_is_written_and_where_it_is_said() {
        let mask = |text: &str| wanted().mask(text);
        assert_eq!(mask("Ring 03-5550-0123, please").as_deref(), Some("Ring [PHONE], please"));
        assert_eq!(mask("+81 3 5550 0123です").as_deref(), Some("[PHONE]です"));
        assert_eq!(mask("zero three five five five zero zero one two three").as_deref(), Some("[PHONE]"));
        assert_eq!(mask("Ring 03-5550-0124, please"), None);
        assert_eq!(mask("tel0355500123x").as_deref(), Some("tel[PHONE]x"));
        assert_eq!(mask("0081355500123, 010-81-3-5550-0123").as_deref(), Some("[PHONE], 010-[PHONE]"));
    }

    #[test]
    fn half_a_number_is_none_and_a_longer_one_that_holds_it_is_another() {
        let japan = Region::from_code("JP").unwrap();
        for half in ["55500123", "5550-0123", "415555013", "803"] {
            assert!(WantedNumber::parse(half, japan).is_none(), "{half}");
        }
        let american = WantedNumber::parse("+12079460958", Region::from_code("US").unwrap()).unwrap();
        for longer in ["+442079460958", "order 92079460958", "20794609581"] {
            assert_eq!(american.mask(longer), None, "{longer}");
        }
        assert_eq!(american.mask("call 207-946-0958 5").as_deref(), Some("call [PHONE] 5"));
    }

    #[test]
    fn words_that_make_it_up_are_one_marker() {
        let masked = wanted().mask_words(&["ring", "03", "5550", "0123", "now"]);
        let marker = Some("[PHONE]".to_owned());
        assert_eq!(masked, [None, marker, Some(String::new()), Some(String::new()), None]);
    }

    #[test]
    fn it_does_not_show_in_a_log() {
        assert_eq!(format!("{:?}", wanted()), "WantedNumber(…)");
    }
}
