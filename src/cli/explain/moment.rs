//! Moments of a recording, as they are typed and as they are shown.

/// Reads `ss`, `mm:ss` or `h:mm:ss`, the seconds with decimals or without, as milliseconds.
pub(super) fn parse(text: &str) -> Result<i64, String> {
    milliseconds(text).ok_or_else(|| "it must be ss, mm:ss or h:mm:ss, such as 1:05 or 1:05.5".to_owned())
}

fn milliseconds(text: &str) -> Option<i64> {
    let mut parts = text.split(':').rev();
    let (seconds, minutes, hours) = (parts.next()?, parts.next(), parts.next());
    if parts.next().is_some() {
        return None;
    }
    let (seconds, decimals) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let thousandths = whole(&format!("{decimals:0<3}").chars().take(3).collect::<String>())?;
    whole(decimals)?;
    let below_60 = |number: &i64| *number < 60;
    let seconds = whole(seconds).filter(|number| minutes.is_none() || below_60(number))?;
    let minutes = minutes.map_or(Some(0), whole).filter(|number| hours.is_none() || below_60(number))?;
    let hours = hours.map_or(Some(0), whole)?;
    Some(((hours * 60 + minutes) * 60 + seconds) * 1_000 + thousandths)
}

/// A number of at most nine digits, without a sign.
fn whole(digits: &str) -> Option<i64> {
    let is_number = (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// `m:ss.s`, from an hour on `h:mm:ss.s`.
pub(in crate::cli) fn shown(at_ms: i64) -> String {
    let tenths = at_ms.max(0) / 100;
    let (hours, minutes, seconds) = (tenths / 36_000, tenths / 600 % 60, tenths / 10 % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}.{}", tenths % 10),
        hours => format!("{hours}:{minutes:02}:{seconds:02}.{}", tenths % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_in_all_its_forms() {
        let cases = [
            ("0", 0),
            ("75", 75_000),
            ("1:05", 65_000),
            ("01:05.5", 65_500),
            ("12.3456", 12_345),
            ("90:00", 5_400_000),
            ("1:02:03.007", 3_723_007),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in
            ["", ":", "1:60", "1:60:00", "-1", "+1", "1:-1", "1.", ".5", "1:2:3:4", "ten", "１", "9999999999", "1.5:00"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_moment_is_shown_to_a_tenth_of_a_second() {
        assert_eq!([shown(0), shown(65_549), shown(3_723_007), shown(-1)], ["0:00.0", "1:05.5", "1:02:03.0", "0:00.0"]);
    }
}
