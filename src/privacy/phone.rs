//! Telephone numbers: which digits are one, and which ways of writing mean the same one.

use super::lex::narrow;
use super::plans::{PLANS, Plan, Shape, plan_of};

/// A country whose national numbers are known.
#[derive(Debug, Clone, Copy)]
pub struct Region {
    code: &'static str,
    pub(super) plan: &'static Plan,
}

impl PartialEq for Region {
    fn eq(&self, other: &Self) -> bool {
        self.code == other.code
    }
}

impl Eq for Region {}

impl Region {
    /// The region of an ISO 3166 code of two letters, such as `JP` or `us`; none where its numbers are not known.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        let known = |plan: &'static Plan| {
            let code = plan.regions.iter().find(|region| region.eq_ignore_ascii_case(code))?;
            Some(Self { code, plan })
        };
        PLANS.iter().find_map(known)
    }

    /// The code in upper case.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Every code that [`Region::from_code`] knows, sorted.
    #[must_use]
    pub fn codes() -> Vec<&'static str> {
        let mut codes: Vec<&str> = PLANS.iter().flat_map(|plan| plan.regions).copied().collect();
        codes.sort_unstable();
        codes
    }
}

/// How well digits and their groups look like a telephone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// Only the digits do.
    Digits,
    /// The usual groups, and some of them in parts.
    Parts,
    /// The usual groups exactly.
    Groups,
}

/// How `digits` fit as a number dialled in `region`; `ends` has a bit for each place where a group ends.
pub(super) fn fit(digits: &[u8], ends: u32, region: Region) -> Option<Fit> {
    let plan = region.plan;
    best(plan, digits, ends, Some)
        .or_else(|| after_code(plan, digits, ends))
        .or_else(|| {
            let rest = digits.strip_prefix(plan.abroad.as_bytes())?;
            is_international(rest).then_some(Fit::Digits)
        })
        .or_else(|| {
            let is_local = plan.has_seven && digits.len() == 7 && digits[0] >= b'2' && !digits[1..].starts_with(b"11");
            let is_grouped = is_local && ends & 1 << 3 != 0;
            is_grouped.then_some(if ends == 1 << 3 { Fit::Groups } else { Fit::Parts })
        })
}

/// How `digits` fit that start with the country's own code, without a plus.
fn after_code(plan: &Plan, digits: &[u8], ends: u32) -> Option<Fit> {
    let code = plan.code.len();
    let rest = digits.strip_prefix(plan.code.as_bytes()).filter(|rest| rest.len() >= 9)?;
    let national = plan.national(rest)?;
    let shift = |cut: usize| (cut + code).checked_sub(plan.trunk.len()).filter(|end| *end > code);
    best(plan, &national, ends & !(1 << code), shift)
}

/// The best fit of a national number, the cuts of its shapes moved by `shift`.
fn best(plan: &Plan, national: &[u8], ends: u32, shift: impl Fn(usize) -> Option<usize> + Copy) -> Option<Fit> {
    let fit = |shape: &'static Shape| {
        let fit = fits(shape.cuts, ends, shift).max()?;
        (fit >= Fit::Parts || !shape.is_grouped).then_some(fit)
    };
    plan.shapes_of(national).filter_map(fit).max()
}

/// How group ends fit each usual way of writing, its cuts moved by `shift`.
fn fits(
    ways: &'static [&'static [usize]],
    ends: u32,
    shift: impl Fn(usize) -> Option<usize> + Copy,
) -> impl Iterator<Item = Fit> {
    let fit = move |way: &&[usize]| {
        let cuts = way.iter().filter_map(|cut| shift(*cut)).fold(0_u32, |cuts, cut| cuts | 1 << cut);
        match ends {
            _ if ends == cuts => Fit::Groups,
            _ if ends & cuts == cuts => Fit::Parts,
            _ => Fit::Digits,
        }
    };
    // Where no way is usual, every one is as good.
    ways.iter().map(fit).chain(ways.is_empty().then_some(Fit::Parts))
}

/// Whether digits after a plus are a number: of a country whose numbers are known, or of another one by length.
pub(super) fn is_international(digits: &[u8]) -> bool {
    is_known_abroad(digits) || ((8..=15).contains(&digits.len()) && digits[0] != b'0' && plan_of(digits).is_none())
}

/// Whether digits after a plus are a number of a country whose numbers are known.
pub(super) fn is_known_abroad(digits: &[u8]) -> bool {
    plan_of(digits).is_some_and(|plan| plan.national(&digits[plan.code.len()..]).is_some())
}

/// The ways to write one telephone number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forms {
    /// With a plus and the country's code; none for an extension and what is no full number.
    pub e164: Option<String>,
    /// As dialled inside the region, without signs; none where it is not a number of the region.
    pub national: Option<String>,
    /// The digits of `e164`, else those that were given.
    pub digits: String,
}

/// The forms of `number`, which is written in any way and, without a country's code, belongs to `region`.
///
/// An extension after a full number is left out. Digits that are no full number, such as an extension alone, have
/// digits only; what has no digits has empty ones.
#[must_use]
pub fn forms(number: &str, region: Region) -> Forms {
    let (has_plus, digits) = read(number);
    let plan = region.plan;
    let international = international(has_plus, digits.as_bytes(), plan);
    let Some(international) = international else { return Forms { e164: None, national: None, digits } };
    let national = international.strip_prefix(plan.code).and_then(|rest| plan.national(rest.as_bytes()));
    Forms {
        e164: Some(format!("+{international}")),
        national: national.map(|digits| digits.into_iter().map(char::from).collect()),
        digits: international,
    }
}

/// Whether two ways of writing mean the same telephone number.
///
/// Full numbers are compared with their country's code; everything else, extensions for instance, digit by digit. What
/// has no digits is no number and equals none.
#[must_use]
pub fn same_number(one: &str, other: &str, region: Region) -> bool {
    let (one, other) = (forms(one, region), forms(other, region));
    !one.digits.is_empty() && one.e164.is_some() == other.e164.is_some() && one.digits == other.digits
}

/// Whether there is a plus, and the digits up to an extension.
fn read(number: &str) -> (bool, String) {
    let number = number.trim();
    let mut digits = String::new();
    let mut has_plus = false;
    for character in number.chars().map(narrow) {
        if character.is_ascii_digit() {
            digits.push(character);
        } else if character == '+' && digits.is_empty() {
            has_plus = true;
        } else if digits.len() >= 7 && (character.is_alphabetic() || matches!(character, ';' | ',' | '#')) {
            break;
        }
    }
    (has_plus, digits)
}

/// The digits with the country's code.
fn international(has_plus: bool, digits: &[u8], plan: &Plan) -> Option<String> {
    let text = |digits: &[u8]| digits.iter().copied().map(char::from).collect::<String>();
    let with_code = |plan: &Plan, national: &[u8]| {
        let significant = national.strip_prefix(plan.trunk.as_bytes()).unwrap_or(national);
        format!("{}{}", plan.code, text(significant))
    };
    // The trunk prefix after the code, as in +81 (0)90, is dropped.
    let tidy = |digits: &[u8]| {
        let tidied = plan_of(digits).and_then(|plan| {
            let national = plan.national(&digits[plan.code.len()..])?;
            Some(with_code(plan, &national))
        });
        tidied.unwrap_or_else(|| text(digits))
    };
    if has_plus {
        return (digits.len() >= 8).then(|| tidy(digits));
    }
    if plan.shapes_of(digits).next().is_some() {
        return Some(with_code(plan, digits));
    }
    let abroad = digits.strip_prefix(plan.abroad.as_bytes());
    if let Some(rest) = abroad.filter(|rest| is_international(rest)) {
        return Some(tidy(rest));
    }
    (digits.len() >= 10 && is_known_abroad(digits)).then(|| tidy(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(code: &str) -> Region {
        Region::from_code(code).unwrap()
    }

    #[test]
    fn regions_are_known_by_their_code_in_any_case() {
        assert_eq!(region("jp").code(), "JP");
        assert_eq!(Region::from_code("XX"), None);
        assert!(Region::codes().contains(&"GB"));
    }

    #[test]
    fn every_way_to_write_a_number_is_the_same_number() {
        let japanese = [
            "+819012345678",
            "090-1234-5678",
            "09012345678",
            "819012345678",
            "+81 (0)90 1234 5678",
            "０９０１２３４５６７８",
        ];
        let american = [
            "+14155550132",
            "(415) 555-0132",
            "4155550132",
            "1-415-555-0132",
            "tel:+14155550132",
            "415-555-0132 ext. 12",
        ];
        let british = ["+442079460958", "020 7946 0958", "02079460958", "442079460958"];
        for (code, ways) in [("JP", &japanese[..]), ("US", &american), ("GB", &british)] {
            for one in ways {
                for other in ways {
                    assert!(same_number(one, other, region(code)), "{one} {other}");
                }
                assert_eq!(forms(one, region(code)).e164.as_deref(), Some(ways[0]), "{one}");
            }
        }
        assert_eq!(forms("+819012345678", region("JP")).national.as_deref(), Some("09012345678"));
        assert_eq!(forms("+819012345678", region("JP")).digits, "819012345678");
    }

    #[test]
    fn numbers_of_other_countries_match_with_their_code_only() {
        assert!(same_number("+81 90 1234 5678", "819012345678", region("US")));
        assert!(same_number("011 44 20 7946 0958", "+442079460958", region("US")));
        assert!(same_number("010 1 415 555 0132", "+14155550132", region("JP")));
        assert!(!same_number("090-1234-5678", "+819012345678", region("US")));
        assert_eq!(forms("+819012345678", region("US")).national, None);
    }

    #[test]
    fn different_numbers_and_extensions_are_not_the_same() {
        assert!(same_number("101", "101", region("JP")));
        assert!(!same_number("101", "1011", region("JP")));
        assert!(!same_number("5678", "090-1234-5678", region("JP")));
        assert!(!same_number("5550132", "+14155550132", region("US")));
        assert!(!same_number("+819012345678", "+819012345679", region("JP")));
        assert!(!same_number("anonymous", "anonymous", region("JP")));
        assert!(!same_number("", "", region("JP")));
    }
}
