//! Which telephone numbers a country has, as far as a text tells: how many digits, which first, and where people pause.
//!
//! Lengths and first digits are those of the national numbering plans; ranges that nobody has yet are let in.

/// Numbers of one kind.
#[derive(Debug)]
pub(super) struct Shape {
    /// First digits as dialled inside the country: a digit, `N` for 2 to 9, `P` for 1 to 9, `X` for any.
    lead: &'static str,
    shortest: usize,
    longest: usize,
    /// Where the groups end in each usual way of writing it. None: no way is usual.
    pub(super) cuts: &'static [&'static [usize]],
    /// Whether digits that are not grouped so are no number.
    pub(super) is_grouped: bool,
}

/// The numbering plan of a country.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) regions: &'static [&'static str],
    /// After the plus sign.
    pub(super) code: &'static str,
    /// Before a national number inside of the country; not part of an international one.
    pub(super) trunk: &'static str,
    /// Before the code of another country.
    pub(super) abroad: &'static str,
    pub(super) shapes: &'static [Shape],
    /// Whether seven digits, three and four, are a number inside of one area.
    pub(super) has_seven: bool,
}

const fn shape(lead: &'static str, lengths: (usize, usize), cuts: &'static [&'static [usize]]) -> Shape {
    Shape { lead, shortest: lengths.0, longest: lengths.1, cuts, is_grouped: false }
}

const fn plan(
    regions: &'static [&'static str],
    code: &'static str,
    trunk: &'static str,
    shapes: &'static [Shape],
) -> Plan {
    Plan { regions, code, trunk, abroad: "00", shapes, has_seven: false }
}

const PAIRS: &[usize] = &[2, 4, 6, 8];

pub(super) const PLANS: &[Plan] = &[
    Plan {
        abroad: "010",
        ..plan(
            &["JP"],
            "81",
            "0",
            &[
                shape("0800", (11, 11), &[&[4, 7]]),
                shape("0N0", (11, 11), &[&[3, 7]]),
                shape("0120", (10, 10), &[&[4, 7], &[4, 6]]),
                shape("0570", (10, 10), &[&[4, 7], &[4, 6]]),
                shape("0P", (10, 10), &[&[2, 6], &[3, 6], &[4, 6], &[5, 6]]),
            ],
        )
    },
    Plan {
        abroad: "011",
        has_seven: true,
        ..plan(
            &[
                "US", "CA", "AG", "AI", "AS", "BB", "BM", "BS", "DM", "DO", "GD", "GU", "JM", "KN", "KY", "LC", "MP",
                "MS", "PR", "SX", "TC", "TT", "VC", "VG", "VI",
            ],
            "1",
            "",
            // Nobody has 415 155 0132, but it is what one may mishear, or make up.
            &[shape("NXXN", (10, 10), &[&[3, 6]]), Shape { is_grouped: true, ..shape("N", (10, 10), &[&[3, 6]]) }],
        )
    },
    plan(
        &["GB", "GG", "IM", "JE"],
        "44",
        "0",
        &[
            shape("02", (11, 11), &[&[3, 7]]),
            shape("07", (11, 11), &[&[5], &[5, 8]]),
            shape("0P", (10, 11), &[&[4, 7], &[5], &[5, 8]]),
        ],
    ),
    plan(&["DE"], "49", "0", &[shape("01", (11, 13), &[&[4], &[5]]), shape("0N", (9, 12), &[])]),
    plan(&["FR"], "33", "0", &[shape("0P", (10, 10), &[PAIRS])]),
    plan(&["AT"], "43", "0", &[shape("0P", (9, 14), &[])]),
    plan(&["CH", "LI"], "41", "0", &[shape("0P", (10, 10), &[&[3, 6, 8]])]),
    plan(&["BE"], "32", "0", &[shape("04", (10, 10), &[&[4, 6, 8]]), shape("0P", (9, 9), &[&[2, 5, 7], &[3, 5, 7]])]),
    plan(&["NL"], "31", "0", &[shape("0P", (10, 10), &[&[2], &[3, 6], &[4]])]),
    plan(&["IE"], "353", "0", &[shape("08", (10, 10), &[&[3, 6]]), shape("0P", (9, 10), &[&[2, 5], &[3, 6]])]),
    plan(&["IT", "SM", "VA"], "39", "", &[shape("0P", (9, 11), &[]), shape("3", (9, 10), &[&[3], &[3, 6]])]),
    plan(&["ES"], "34", "", &[shape("6", (9, 9), &[&[3, 6], &[3, 5, 7]]), shape("N", (9, 9), &[&[3, 6], &[3, 5, 7]])]),
    plan(&["PT"], "351", "", &[shape("2", (9, 9), &[&[3, 6], &[2, 5]]), shape("9", (9, 9), &[&[3, 6], &[2, 5]])]),
    plan(&["PL"], "48", "", &[shape("P", (9, 9), &[&[3, 6], &[2, 5, 7]])]),
    plan(&["DK"], "45", "", &[shape("N", (8, 8), &[&[2, 4, 6], &[4]])]),
    plan(&["NO"], "47", "", &[shape("N", (8, 8), &[&[2, 4, 6], &[3, 5]])]),
    plan(&["SE"], "46", "0", &[shape("0P", (8, 10), &[])]),
    plan(&["FI"], "358", "0", &[shape("0P", (8, 12), &[])]),
    plan(&["CZ"], "420", "", &[shape("N", (9, 9), &[&[3, 6]])]),
    plan(&["TR"], "90", "0", &[shape("0N", (11, 11), &[&[4, 7], &[4, 7, 9]])]),
    plan(&["IL"], "972", "0", &[shape("0P", (9, 10), &[&[2, 5], &[3, 6]])]),
    plan(&["AE"], "971", "0", &[shape("0P", (9, 10), &[&[2, 5], &[3, 6]])]),
    plan(&["ZA"], "27", "0", &[shape("0P", (10, 10), &[&[3, 6]])]),
    plan(&["AU"], "61", "0", &[shape("04", (10, 10), &[&[4, 7]]), shape("0N", (10, 10), &[&[2, 6]])]),
    plan(&["NZ"], "64", "0", &[shape("02", (9, 11), &[&[3, 6]]), shape("0P", (9, 9), &[&[2, 5]])]),
    plan(
        &["KR"],
        "82",
        "0",
        &[shape("01", (10, 11), &[&[3, 6], &[3, 7]]), shape("0P", (9, 11), &[&[2, 5], &[2, 6], &[3, 6], &[3, 7]])],
    ),
    plan(&["CN"], "86", "0", &[shape("1N", (11, 11), &[&[3, 7]]), shape("0P", (10, 12), &[&[3], &[4]])]),
    plan(&["TW"], "886", "0", &[shape("0P", (9, 10), &[&[2, 6], &[4, 7]])]),
    plan(&["HK"], "852", "", &[shape("N", (8, 8), &[&[4]])]),
    plan(
        &["SG"],
        "65",
        "",
        &[
            shape("3", (8, 8), &[&[4]]),
            shape("6", (8, 8), &[&[4]]),
            shape("8", (8, 8), &[&[4]]),
            shape("9", (8, 8), &[&[4]]),
        ],
    ),
    plan(&["IN"], "91", "0", &[shape("N", (10, 10), &[&[5]]), shape("0P", (11, 11), &[&[3], &[1, 6], &[6]])]),
    plan(&["ID"], "62", "0", &[shape("0P", (9, 13), &[])]),
    plan(&["MY"], "60", "0", &[shape("0P", (9, 11), &[])]),
    plan(&["TH"], "66", "0", &[shape("0N", (9, 10), &[&[2, 5], &[3, 6]])]),
    plan(&["VN"], "84", "0", &[shape("0P", (10, 11), &[&[4, 7]])]),
    plan(&["PH"], "63", "0", &[shape("0P", (9, 11), &[&[4, 7]])]),
    plan(&["MX"], "52", "", &[shape("N", (10, 10), &[&[2, 6], &[3, 6]])]),
    plan(&["BR"], "55", "", &[shape("PP", (10, 11), &[&[2, 6], &[2, 7]])]),
];

impl Shape {
    /// Whether ASCII `digits`, as dialled inside the country, are of this shape.
    pub(super) fn holds(&self, digits: &[u8]) -> bool {
        let fits = |(digit, class): (&u8, u8)| match class {
            b'N' => *digit >= b'2',
            b'P' => *digit >= b'1',
            b'X' => true,
            exact => *digit == exact,
        };
        (self.shortest..=self.longest).contains(&digits.len()) && digits.iter().zip(self.lead.bytes()).all(fits)
    }
}

impl Plan {
    /// The shapes of the country's numbers that `digits`, as dialled inside it, have.
    pub(super) fn shapes_of(&self, digits: &[u8]) -> impl Iterator<Item = &'static Shape> {
        self.shapes.iter().filter(move |shape| shape.holds(digits))
    }

    /// The number inside the country of what follows its code: with the trunk prefix, which some write after the code
    /// as well. None where the country has no such number.
    pub(super) fn national(&self, after_code: &[u8]) -> Option<Vec<u8>> {
        let trunk = self.trunk.as_bytes();
        let has_trunk = after_code.starts_with(trunk);
        let known = |digits: &[u8]| self.shapes_of(digits).next().is_some();
        if known(after_code) && (trunk.is_empty() || !has_trunk) {
            return Some(after_code.to_vec());
        }
        if trunk.is_empty() {
            return None;
        }
        let with_trunk = [trunk, after_code].concat();
        if known(&with_trunk) {
            return Some(with_trunk);
        }
        (has_trunk && known(after_code)).then(|| after_code.to_vec())
    }
}

/// The plan of the country whose code starts international `digits`.
pub(super) fn plan_of(digits: &[u8]) -> Option<&'static Plan> {
    PLANS.iter().find(|plan| digits.starts_with(plan.code.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_of_a_country_starts_another_one_and_no_region_stands_twice() {
        let mut regions: Vec<&str> = PLANS.iter().flat_map(|plan| plan.regions).copied().collect();
        let count = regions.len();
        regions.sort_unstable();
        regions.dedup();
        assert_eq!(regions.len(), count);
        for plan in PLANS {
            assert_eq!(plan_of(plan.code.as_bytes()).unwrap().regions, plan.regions);
        }
    }

    #[test]
    fn national_numbers_have_the_trunk_prefix_once() {
        let japan = plan_of(b"81").unwrap();
        assert_eq!(japan.national(b"9012345678").unwrap(), b"09012345678");
        assert_eq!(japan.national(b"09012345678").unwrap(), b"09012345678");
        assert_eq!(japan.national(b"12345"), None);
    }
}
