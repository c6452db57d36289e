//! Joins digits that may belong to one number into runs of groups.

use std::ops::Range;

use super::lex::{Form, Gap, Lexeme, What};

/// Digits that are written or said as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// Bytes of the text.
    pub(super) range: Range<usize>,
    /// Place of its first digit in [`Runs::digits`], and how many it has.
    pub(super) first: usize,
    pub(super) count: usize,
    /// What stands before it; meaningless for the first group of a run.
    pub(super) gap: Gap,
    /// Whether it may as well not belong to the group before it: one of them looks like an ordinary word, as `に` does
    /// in `5678に` and in `に090`.
    pub(super) after_doubt: bool,
    /// Whether it is written, not said.
    pub(super) is_figures: bool,
}

/// Groups with nothing between them that ends a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) groups: Range<usize>,
    /// Where a plus sign stands directly before it.
    pub(super) plus: Option<usize>,
    /// Whether it follows the last run with nothing between them but the word for an extension.
    pub(super) is_extension: bool,
}

/// All numbers of a text.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// ASCII digits of all groups, one after the other.
    pub(super) digits: Vec<u8>,
    pub(super) groups: Vec<Group>,
    pub(super) all: Vec<Run>,
}

/// What stands before the next digits.
#[derive(Default)]
struct Pending {
    gap: Option<Gap>,
    plus: Option<usize>,
    is_extension: bool,
    /// From where on, and how often, the next digit counts.
    times: Option<(usize, usize)>,
    is_open: bool,
}

/// The runs of digits among `lexemes`.
pub(super) fn runs(lexemes: &[Lexeme]) -> Runs {
    let mut runs = Runs::default();
    let mut pending = Pending::default();
    let mut previous = None;
    let mut at = 0;
    while let Some(lexeme) = lexemes.get(at) {
        at += 1;
        match &lexeme.what {
            What::Gap(gap) => pending.gap = pending.gap.max(Some(*gap)),
            What::Break => pending = Pending::default(),
            What::Plus => pending = Pending { plus: Some(lexeme.range.start), ..Pending::default() },
            What::Extension => {
                let follows = pending.is_open;
                pending = Pending { is_extension: follows, ..Pending::default() };
            }
            What::Times(times) => pending.times = Some((lexeme.range.start, *times)),
            What::Tens(tens) => {
                let (unit, taken) = unit(&lexemes[at..]);
                let range =
                    lexeme.range.start..if taken > 0 { lexemes[at + taken - 1].range.end } else { lexeme.range.end };
                at += taken;
                runs.add(range, &format!("{tens}{unit}"), Form::Word, false, &mut pending);
                previous = None;
            }
            What::Digits(digits, form) => {
                let mut range = lexeme.range.clone();
                let mut repeated = None;
                if let Some((start, times)) = pending.times.take()
                    && digits.len() == 1
                {
                    range.start = start;
                    repeated = Some(digits.repeat(times));
                }
                let this = (*form == Form::Kana, digits.as_str());
                let changes = previous.is_some_and(|(is_kana, _)| is_kana != this.0);
                let is_particle = this == (true, "2") || previous == Some((true, "2"));
                let after_doubt = pending.gap.is_none() && (changes || is_particle);
                runs.add(range, repeated.as_deref().unwrap_or(digits), *form, after_doubt, &mut pending);
                previous = Some(this);
            }
        }
    }
    runs
}

/// The digit after "twenty" that takes the place of its zero, and how many lexemes that takes.
fn unit(rest: &[Lexeme]) -> (&str, usize) {
    match rest {
        [
            Lexeme { what: What::Gap(Gap::Tight | Gap::Space), .. },
            Lexeme { what: What::Digits(digit, Form::Word), .. },
            ..,
        ] if digit.len() == 1 && digit != "0" => (digit, 2),
        _ => ("0", 0),
    }
}

impl Runs {
    fn add(&mut self, range: Range<usize>, digits: &str, form: Form, after_doubt: bool, pending: &mut Pending) {
        let group = Group {
            range,
            first: self.digits.len(),
            count: digits.len(),
            gap: pending.gap.unwrap_or(Gap::Tight),
            after_doubt: after_doubt && pending.is_open,
            is_figures: form == Form::Figures,
        };
        self.digits.extend(digits.bytes());
        let at = self.groups.len();
        self.groups.push(group);
        match self.all.last_mut() {
            Some(run) if pending.is_open => run.groups.end = at + 1,
            _ => self.all.push(Run { groups: at..at + 1, plus: pending.plus, is_extension: pending.is_extension }),
        }
        *pending = Pending { is_open: true, ..Pending::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::super::lex::lexemes;
    use super::*;

    /// The digits of each run, its groups apart.
    fn read(text: &str) -> Vec<String> {
        let runs = runs(&lexemes(text, &[]));
        let group = |group: &Group| String::from_utf8(runs.digits[group.first..][..group.count].to_vec()).unwrap();
        let run = |run: &Run| runs.groups[run.groups.clone()].iter().map(group).collect::<Vec<_>>().join(" ");
        runs.all.iter().map(run).collect()
    }

    #[test]
    fn digits_join_over_signs_and_end_at_words() {
        assert_eq!(read("(415) 555-0132, or 555. 0 1"), ["415 555 0132", "555 0 1"]);
        assert_eq!(read("ゼロ三の1234"), ["0 3 1234"]);
    }

    #[test]
    fn double_triple_and_tens_become_digits() {
        assert_eq!(read("double five, triple two oh"), ["55 222 0"]);
        assert_eq!(read("double 5 twenty-one forty"), ["55 21 40"]);
        assert_eq!(read("double room 5"), ["5"]);
    }

    #[test]
    fn a_plus_starts_a_run() {
        assert_eq!(read("5 +81 90"), ["5", "81 90"]);
        assert_eq!(read("555 0132 ext. 12"), ["555 0132", "12"]);
    }
}
