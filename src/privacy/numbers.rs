//! Telephone and card numbers in a text.
//!
//! Digits that stand apart from others are a number when they are one of the region (or follow a plus), however they
//! are grouped. Digits among others are one only in the usual groups, or when they are a card's: their check digit says
//! so. Of several readings from one digit on, the longest counts; cards come first.

use std::ops::Range;

use super::lex::{Gap, lexemes};
use super::luhn::{self, Card};
use super::phone::{self, Fit, Region};
use super::runs::{Group, Run, Runs, runs};
use super::{Finding, Kind, Kinds};

/// The fewest digits of a telephone number.
const SHORTEST_PHONE: usize = 7;
/// The most digits of a telephone number, a prefix for calls abroad included.
const LONGEST_PHONE: usize = 18;
/// The most digits of an extension.
const LONGEST_EXTENSION: usize = 6;

/// The numbers of `text` outside of `opaque` ranges, in order.
pub(super) fn numbers(text: &str, opaque: &[Range<usize>], region: Region, kinds: Kinds) -> Vec<Finding> {
    let runs = runs(&lexemes(text, opaque));
    let reader = Reader { text, runs: &runs, region };
    let mut found = Vec::new();
    // Digits at the start of the next run that are an extension of this one's number.
    let mut taken = 0;
    for (at, run) in runs.all.iter().enumerate() {
        let groups = run.groups.start + taken..run.groups.end;
        taken = 0;
        let cards = if kinds.card { reader.spans(groups.clone(), Kind::Card, run) } else { Vec::new() };
        let mut start = groups.start;
        let mut spans = Vec::new();
        for card in cards {
            if kinds.phone {
                spans.extend(reader.spans(start..card.0.start, Kind::Phone, run));
            }
            start = card.0.end;
            spans.push(card);
        }
        if kinds.phone {
            spans.extend(reader.spans(start..groups.end, Kind::Phone, run));
        }
        for (span, kind) in spans {
            let mut range = reader.range(&span, run);
            let next = runs.all.get(at + 1).filter(|next| next.is_extension);
            if let Some(next) = next.filter(|_| kind == Kind::Phone && span.end == run.groups.end) {
                taken = reader.extension(next);
                if taken > 0 {
                    range.end = runs.groups[next.groups.start + taken - 1].range.end;
                }
            }
            found.push(Finding { range, kind });
        }
    }
    found
}

struct Reader<'a> {
    text: &'a str,
    runs: &'a Runs,
    region: Region,
}

impl Reader<'_> {
    /// The numbers of one kind in `groups` of a run, in order, as ranges of groups.
    fn spans(&self, groups: Range<usize>, kind: Kind, run: &Run) -> Vec<(Range<usize>, Kind)> {
        let mut found = Vec::new();
        let mut limits = groups;
        let mut at = limits.start;
        while at < limits.end {
            if let Some(end) = self.longest(at, &limits, kind, run) {
                found.push((at..end, kind));
                limits.start = end;
                at = end;
            } else {
                at += 1;
            }
        }
        found
    }

    /// Where the longest number that starts with group `start` ends.
    fn longest(&self, start: usize, limits: &Range<usize>, kind: Kind, run: &Run) -> Option<usize> {
        let (fewest, most) = match kind {
            Kind::Card => (luhn::SHORTEST, luhn::LONGEST),
            _ => (SHORTEST_PHONE, LONGEST_PHONE),
        };
        let (mut count, mut ends, mut inner) = (0, 0_u32, None);
        let (mut longest, mut longest_known) = (None, None);
        for end in start..limits.end {
            let group = &self.runs.groups[end];
            if end > start {
                ends |= 1 << count;
                inner = inner.max(Some(group.gap));
            }
            count += group.count;
            if count > most {
                break;
            }
            if count < fewest {
                continue;
            }
            let span = Span { groups: start..end + 1, ends, inner };
            let digits = &self.runs.digits[self.runs.groups[start].first..][..count];
            let is_one = match kind {
                Kind::Card => !Self::has_plus(start, run) && self.is_card(digits, &span, limits),
                _ => self.is_phone(digits, &span, limits, run),
            };
            if is_one {
                longest = Some(end + 1);
            }
            // After a plus, what follows a number of a known country is no part of it.
            if is_one && Self::has_plus(start, run) && phone::is_known_abroad(digits) {
                longest_known = longest;
            }
        }
        longest_known.or(longest)
    }

    fn has_plus(group: usize, run: &Run) -> bool {
        run.plus.is_some() && group == run.groups.start
    }

    fn is_card(&self, digits: &[u8], span: &Span, limits: &Range<usize>) -> bool {
        match luhn::card(digits) {
            Some(Card::Usual) => true,
            Some(Card::Rare) => self.stands_apart(span, limits),
            None => false,
        }
    }

    fn is_phone(&self, digits: &[u8], span: &Span, limits: &Range<usize>, run: &Run) -> bool {
        if Self::has_plus(span.groups.start, run) {
            let could_be = (8..=15).contains(&digits.len()) && digits[0] > b'0' && self.ends_apart(span, limits);
            return could_be || phone::is_known_abroad(digits);
        }
        let Some(fit) = phone::fit(digits, span.ends, self.region) else { return false };
        if self.is_counting(&span.groups) || (digits.len() == SHORTEST_PHONE && self.is_two_numbers(digits, span, fit))
        {
            return false;
        }
        // Digits that only commas and full stops hold together are one number when the pauses are the usual ones.
        if span.inner >= Some(Gap::Pause) && fit < Fit::Parts {
            return false;
        }
        let starts_apart = self.starts_apart(span, limits);
        let ends_apart = self.ends_apart(span, limits);
        let is_among_words =
            |group: usize| limits.start == group || limits.end == group || self.runs.groups[group].gap >= Gap::Space;
        let stands_out = fit == Fit::Groups && is_among_words(span.groups.start) && is_among_words(span.groups.end);
        (starts_apart && ends_apart) || (stands_out && digits.len() > SHORTEST_PHONE)
    }

    /// Whether somebody counts, up or down: "2, 3, 4, 5, 6, 7, 8, 9, 10".
    fn is_counting(&self, groups: &Range<usize>) -> bool {
        let value = |group: &Group| {
            let digits = &self.runs.digits[group.first..][..group.count];
            digits.iter().fold(0_u64, |value, digit| 10 * value + u64::from(digit - b'0'))
        };
        let groups = &self.runs.groups[groups.clone()];
        let steps = |from: usize, to: usize| groups.windows(2).all(|pair| value(&pair[to]) == value(&pair[from]) + 1);
        groups.len() > 4 && (steps(0, 1) || steps(1, 0))
    }

    /// Whether seven digits are rather two numbers: "305, 2026", "800 1500".
    fn is_two_numbers(&self, digits: &[u8], span: &Span, fit: Fit) -> bool {
        let is_written = self.runs.groups[span.groups.clone()].iter().all(|group| group.is_figures);
        let most = if is_written && fit == Fit::Groups { Gap::Space } else { Gap::Pause };
        span.inner > Some(most) || (is_written && span.inner == Some(Gap::Space) && digits[1..].starts_with(b"00"))
    }

    fn stands_apart(&self, span: &Span, limits: &Range<usize>) -> bool {
        self.starts_apart(span, limits) && self.ends_apart(span, limits)
    }

    /// Whether what is before the span keeps it farther apart than anything inside of it.
    fn starts_apart(&self, span: &Span, limits: &Range<usize>) -> bool {
        let first = &self.runs.groups[span.groups.start];
        span.groups.start == limits.start || Some(first.gap) > span.inner || first.after_doubt
    }

    fn ends_apart(&self, span: &Span, limits: &Range<usize>) -> bool {
        let next = self.runs.groups[..limits.end].get(span.groups.end);
        next.is_none_or(|next| Some(next.gap) > span.inner || next.after_doubt)
    }

    /// How many groups of a run are an extension of the number before it.
    fn extension(&self, run: &Run) -> usize {
        let groups = &self.runs.groups[run.groups.clone()];
        let mut digits = 0;
        let fits = |(at, group): &(usize, &super::runs::Group)| {
            digits += group.count;
            digits <= LONGEST_EXTENSION && (*at == 0 || group.gap <= Gap::Space)
        };
        groups.iter().enumerate().take_while(fits).count()
    }

    /// The bytes of a number, with its plus and the bracket it starts with.
    fn range(&self, groups: &Range<usize>, run: &Run) -> Range<usize> {
        let end = self.runs.groups[groups.end - 1].range.end;
        let mut start = self.runs.groups[groups.start].range.start;
        if let Some(plus) = run.plus.filter(|_| Self::has_plus(groups.start, run)) {
            return plus..end;
        }
        let before = self.text[..start].chars().next_back().filter(|c| matches!(c, '(' | '（'));
        if let Some(bracket) = before.filter(|_| self.text[start..end].contains([')', '）'])) {
            start -= bracket.len_utf8();
        }
        start..end
    }
}

/// Neighbouring groups.
struct Span {
    groups: Range<usize>,
    /// A bit for each number of digits after which one of them ends, the last one aside.
    ends: u32,
    /// The widest gap between them.
    inner: Option<Gap>,
}
