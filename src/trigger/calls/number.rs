//! When two ways of writing a number are the same number.

/// A number in the one form in which numbers are compared; `None` when it holds no digit.
///
/// Marks between digits do not count. A Japanese number is the same with its country code (`+81 3-5550-0123`,
/// `81355500123`) and without (`03-5550-0123`). An extension is only ever itself.
pub(super) fn comparable(number: &str) -> Option<String> {
    let is_international = number.trim_start().starts_with('+');
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    if digits.is_empty() {
        return None;
    }
    let without_code = digits.strip_prefix("81").map(|rest| rest.trim_start_matches('0'));
    match without_code {
        // Nine digits after the leading zero, ten for a mobile.
        Some(rest) if (9..=10).contains(&rest.len()) => Some(format!("0{rest}")),
        _ if is_international => Some(format!("+{digits}")),
        // Elsewhere a number with its country code has eleven digits or more, and no zero at its start.
        _ if digits.len() >= 11 && !digits.starts_with('0') => Some(format!("+{digits}")),
        _ => Some(digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_same(one: &str, other: &str) -> bool {
        comparable(one).is_some() && comparable(one) == comparable(other)
    }

    #[test]
    fn a_japanese_number_is_the_same_with_and_without_its_country_code() {
        let office = ["+81355500123", "0355500123", "03-5550-0123", "81355500123", "+81 (0)3 5550 0123"];
        let mobile = ["+819012345678", "09012345678", "090-1234-5678", "819012345678"];
        for same in [&office[..], &mobile[..]] {
            for other in same {
                assert!(is_same(same[0], other), "{} {other}", same[0]);
            }
        }
    }

    #[test]
    fn numbers_of_different_people_are_not_the_same() {
        let different = [
            // Equal in their last nine digits.
            ("090-1234-5678", "080-1234-5678"),
            ("+819012345678", "+818012345678"),
            ("0355500123", "0455500123"),
            ("+15550001111", "+445550001111"),
            ("1026", "026"),
            ("1026", "+81355501026"),
            ("8102", "02"),
        ];
        for (one, other) in different {
            assert!(!is_same(one, other), "{one} {other}");
        }
        assert!(is_same("+15550001111", "1-555-000-1111") && is_same("1026", "1026"));
        for none in ["", "anonymous", "非通知"] {
            assert_eq!(comparable(none), None);
        }
    }
}
