//! Card numbers: the check digit of ISO/IEC 7812, and which issuers use which lengths.

/// An issuer's range of first digits, the lengths of its numbers, and those that nearly all of them have.
struct Issuer {
    /// First and last prefix, of the same number of digits.
    from: u32,
    to: u32,
    prefix_digits: usize,
    shortest: usize,
    longest: usize,
    common: &'static [usize],
}

const fn issuer(from: u32, to: u32, prefix_digits: usize, lengths: (usize, usize), common: &'static [usize]) -> Issuer {
    Issuer { from, to, prefix_digits, shortest: lengths.0, longest: lengths.1, common }
}

const ISSUERS: &[Issuer] = &[
    // Visa
    issuer(4, 4, 1, (13, 19), &[16]),
    // Mastercard
    issuer(51, 55, 2, (16, 16), &[16]),
    issuer(2221, 2720, 4, (16, 16), &[16]),
    // American Express
    issuer(34, 34, 2, (15, 15), &[15]),
    issuer(37, 37, 2, (15, 15), &[15]),
    // Diners Club
    issuer(300, 305, 3, (14, 19), &[14]),
    issuer(3095, 3095, 4, (14, 19), &[14]),
    issuer(36, 36, 2, (14, 19), &[14]),
    issuer(38, 39, 2, (14, 19), &[14]),
    // JCB
    issuer(3528, 3589, 4, (16, 19), &[16]),
    // Discover and UnionPay
    issuer(6011, 6011, 4, (16, 19), &[16]),
    issuer(644, 649, 3, (16, 19), &[16]),
    issuer(65, 65, 2, (16, 19), &[16]),
    issuer(62, 62, 2, (16, 19), &[16]),
    issuer(81, 81, 2, (16, 19), &[16]),
    // Maestro
    issuer(50, 50, 2, (13, 19), &[]),
    issuer(56, 58, 2, (13, 19), &[]),
    issuer(6304, 6304, 4, (13, 19), &[]),
    issuer(6759, 6763, 4, (13, 19), &[]),
    // Mir
    issuer(2200, 2204, 4, (16, 19), &[16]),
];

/// The fewest digits of a card number.
pub(super) const SHORTEST: usize = 13;
/// The most digits of a card number.
pub(super) const LONGEST: usize = 19;

/// How sure it is that digits are a card number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Card {
    /// Of a length that the issuer has but hardly ever uses.
    Rare,
    /// Of the issuer's usual length.
    Usual,
}

/// Whether ASCII `digits` are a card number: known first digits, a length of that issuer, and a right check digit.
pub(super) fn card(digits: &[u8]) -> Option<Card> {
    let length = digits.len();
    if !(SHORTEST..=LONGEST).contains(&length) {
        return None;
    }
    let matches = |issuer: &&Issuer| {
        let prefix = digits.iter().take(issuer.prefix_digits).fold(0, |all, digit| 10 * all + u32::from(digit - b'0'));
        (issuer.from..=issuer.to).contains(&prefix) && (issuer.shortest..=issuer.longest).contains(&length)
    };
    let issuer = ISSUERS.iter().find(matches)?;
    passes(digits).then_some(if issuer.common.contains(&length) { Card::Usual } else { Card::Rare })
}

/// Luhn's check: every second digit from the right doubled, the sum of all digits a multiple of ten.
fn passes(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(digit - b'0') * if place % 2 == 1 { 2 } else { 1 };
            if digit > 9 { digit - 9 } else { digit }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_numbers_of_the_issuers_are_card_numbers() {
        for number in [
            "4111111111111111",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "30569309025904",
            "3530111333300000",
            "6011111111111117",
            "6200000000000005",
        ] {
            assert_eq!(card(number.as_bytes()), Some(Card::Usual), "{number}");
        }
        assert_eq!(card(b"4222222222222"), Some(Card::Rare));
    }

    #[test]
    fn a_wrong_digit_a_wrong_length_or_an_unknown_issuer_is_none() {
        for number in ["4111111111111112", "411111111111", "1111111111111117", "0000000000000000", "51051051051051"] {
            assert_eq!(card(number.as_bytes()), None, "{number}");
        }
    }
}
