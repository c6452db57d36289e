//! Written numbers that are no telephone or card number whatever their digits: amounts, dates, addresses of machines,
//! and parts of codes such as `A1234`.

use super::lex::{is_letter, narrow};

/// A number of this many parts is none of those that are known here.
const MOST_PARTS: usize = 9;

/// Currencies and percent after a number, in lower case.
const UNITS: &[&str] =
    &["円", "ドル", "ユーロ", "パーセント", "%", "dollar", "euro", "pounds", "yen", "percent", "bucks", "cents"];

/// Where the number that starts at `start` ends, if it is to be left alone.
///
/// `start` is where a group of digits starts, `end` where that group ends.
pub(super) fn left_alone(text: &str, start: usize, end: usize) -> Option<usize> {
    let before = text[..start].chars().next_back().map(narrow);
    let after = text[end..].chars().next().map(narrow);
    if after.is_some_and(is_code) && !starts_extension(&text[end..]) {
        return Some(end);
    }
    if follows_currency(&text[..start]) {
        let with_cents = parts(text, start, '.').last().map_or(end, |(_, end)| *end);
        return Some(thousands(text, start).unwrap_or(with_cents));
    }
    if before.is_some_and(|before| matches!(before, '-' | '.' | ',' | '/' | '+')) {
        return None;
    }
    thousands(text, start)
        .or_else(|| decimal(text, start))
        .or_else(|| date(text, start))
        .or_else(|| machine(text, start))
        .or_else(|| {
            let rest = text[end..].trim_start_matches(' ');
            let rest: String = rest.chars().take(8).map(|c| narrow(c).to_ascii_lowercase()).collect();
            UNITS.iter().any(|unit| rest.starts_with(unit)).then_some(end)
        })
}

/// Letters and underscores make a digit part of a name or code.
pub(super) fn is_code(character: char) -> bool {
    is_letter(character) || character == '_'
}

fn starts_extension(rest: &str) -> bool {
    let word: String = rest.chars().take_while(|c| is_letter(*c)).take(10).collect();
    ["x", "ext", "extension"].iter().any(|known| word.eq_ignore_ascii_case(known))
}

fn follows_currency(before: &str) -> bool {
    let before = before.strip_suffix(' ').unwrap_or(before);
    before.chars().next_back().is_some_and(|c| matches!(c, '$' | '€' | '£' | '¥' | '￥' | '＄'))
}

/// Groups of digits with `separator` between them: the digits and where they end.
fn parts(text: &str, start: usize, separator: char) -> Vec<(String, usize)> {
    let mut parts = vec![(String::new(), start)];
    let mut at_separator = false;
    for (at, character) in text[start..].char_indices() {
        let plain = narrow(character);
        if plain.is_ascii_digit() {
            if at_separator {
                parts.push((String::new(), start));
                at_separator = false;
            }
            if let Some((digits, end)) = parts.last_mut() {
                digits.push(plain);
                *end = start + at + character.len_utf8();
                if digits.len() > 20 {
                    break;
                }
            }
        } else if plain == separator && !at_separator && parts.len() < MOST_PARTS {
            at_separator = true;
        } else {
            break;
        }
    }
    parts
}

/// `1,234,567` and `12,345.67`.
fn thousands(text: &str, start: usize) -> Option<usize> {
    let parts = parts(text, start, ',');
    let ((first, _), rest) = parts.split_first()?;
    let is_amount = first.len() <= 3 && !first.starts_with('0') && rest.iter().all(|(part, _)| part.len() == 3);
    let end = rest.last().filter(|_| is_amount)?.1;
    let dots = text[end..].strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    Some(if dots == 0 { end } else { end + 1 + dots })
}

/// `3.14`
fn decimal(text: &str, start: usize) -> Option<usize> {
    let parts = parts(text, start, '.');
    let [(whole, _), (decimals, end)] = parts.as_slice() else { return None };
    (whole.len() <= 3 && decimals.len() <= 2).then_some(*end)
}

/// `2026-11-22`, `22.11.2026`, `22-11-2026`.
fn date(text: &str, start: usize) -> Option<usize> {
    ['-', '.', '/'].into_iter().find_map(|separator| {
        let parts = parts(text, start, separator);
        let [(first, _), (second, _), (third, end)] = parts.as_slice() else { return None };
        let is_year = |part: &str| part.len() == 4 && (part.starts_with("19") || part.starts_with("20"));
        let at_most =
            |part: &str, most: u32| part.len() <= 2 && part.parse().is_ok_and(|n: u32| (1..=most).contains(&n));
        let year_first = is_year(first) && at_most(second, 12) && at_most(third, 31);
        let year_last = at_most(first, 31) && at_most(second, 31) && is_year(third);
        (year_first || year_last).then_some(*end)
    })
}

/// `192.0.2.17`.
fn machine(text: &str, start: usize) -> Option<usize> {
    let parts = parts(text, start, '.');
    let fits = |(part, _): &(String, usize)| part.len() <= 3 && part.parse().is_ok_and(|n: u32| n <= 255);
    (parts.len() == 4 && parts.iter().all(fits)).then(|| parts.last().map_or(start, |(_, end)| *end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What of the text is left alone from its first digit on.
    fn alone(text: &str) -> &str {
        let start = text.find(|c: char| narrow(c).is_ascii_digit()).unwrap();
        let rest = &text[start..];
        let end = start + rest.find(|c: char| !narrow(c).is_ascii_digit()).unwrap_or(rest.len());
        left_alone(text, start, end).map_or("", |end| &text[start..end])
    }

    #[test]
    fn amounts_dates_and_addresses_of_machines_are_left_alone() {
        assert_eq!(alone("$1,234,567.80 in all"), "1,234,567.80");
        assert_eq!(alone("12,345,678 people"), "12,345,678");
        assert_eq!(alone("1500000円です"), "1500000");
        assert_eq!(alone("９８００円"), "９８００");
        assert_eq!(alone("6.7, 4.9"), "6.7");
        assert_eq!(alone("on 2026-11-22."), "2026-11-22");
        assert_eq!(alone("am 22.11.2026 um"), "22.11.2026");
        assert_eq!(alone("host 212.227.15.41 is"), "212.227.15.41");
        assert_eq!(alone("the 5G net"), "5");
    }

    #[test]
    fn groups_of_a_telephone_or_card_number_are_not() {
        assert_eq!(alone("415-555-0132"), "");
        assert_eq!(alone("4111,1111,1111,1111"), "");
        assert_eq!(alone("415.555.0132"), "");
        assert_eq!(alone("5550132x45"), "");
    }
}
