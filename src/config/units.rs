//! Durations, sizes and points in time as people write them.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

/// Reads `90s`, `26h`, `7d`, `1h 30m`, `2w`; a day is 24 hours. `None` for anything else, for a bare number and for
/// negative durations.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let span: Span = text.trim().parse().ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(duration).ok()
}

/// Reads `512MiB`, `2GiB`, `10MB`, `4096`; bytes.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.replace('_', "").parse().ok()?;
    let factor = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// Writes a number of bytes as people read it: `141.1 MiB`.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

/// Reads a point in time: a duration before `now` (`26h`, `7d`), a date (its first moment in `zone`) or RFC 3339.
#[must_use]
pub fn parse_moment(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let text = text.trim();
    if let Some(ago) = parse_duration(text) {
        return now.checked_sub(SignedDuration::try_from(ago).ok()?).ok();
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    if text.len() != "YYYY-MM-DD".len() {
        return None;
    }
    let date: Date = text.parse().ok()?;
    Some(date.to_zoned(zone.clone()).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(parse_duration("26h"), Some(Duration::from_secs(26 * 3600)));
        assert_eq!(parse_duration("7d"), Some(Duration::from_secs(7 * 86_400)));
        assert_eq!(parse_duration("1h 30m"), Some(Duration::from_secs(5_400)));
        assert_eq!(parse_duration("0s"), Some(Duration::ZERO));
        for wrong in ["26", "", "h", "soon", "-1h", "-3d"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_are_read_in_binary_and_decimal_units() {
        assert_eq!(parse_size("2GiB"), Some(2 << 30));
        assert_eq!(parse_size("10 MB"), Some(10_000_000));
        assert_eq!(parse_size("4096"), Some(4096));
        for wrong in ["", "GiB", "-1", "1.5GiB", "99999999999TiB", "3 parsecs"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_moment_is_a_duration_ago_a_local_date_or_an_exact_time() {
        let now: Timestamp = "2026-11-10T12:00:00Z".parse().unwrap();
        let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
        let expect = |text: &str| text.parse::<Timestamp>().ok();
        assert_eq!(parse_moment("2d", now, &tokyo), expect("2026-11-08T12:00:00Z"));
        assert_eq!(parse_moment("2026-11-01", now, &tokyo), expect("2026-10-31T15:00:00Z"));
        assert_eq!(parse_moment("2026-11-01T08:00:00+09:00", now, &tokyo), expect("2026-10-31T23:00:00Z"));
        assert_eq!(parse_moment("yesterday", now, &tokyo), None);
    }
}
