//! The `Retry-After` header: seconds, an HTTP date, or the ISO 8601 date-time that Zoom sends with its daily limit; a bare
//! date and a time without a zone are UTC.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::tz::TimeZone;

/// The longest wait that is believed; more is read as this.
const LONGEST: Duration = Duration::from_secs(48 * 60 * 60);

/// How long from `now` the other side asks to wait, at most 48 hours. A moment in the past is no wait at all; text
/// that is none of these forms is `None`.
#[must_use]
pub fn parse(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(LONGEST));
    }
    let moment = value
        .parse::<Timestamp>()
        .ok()
        .or_else(|| DateTimeParser::new().parse_timestamp(value).ok())
        .or_else(|| in_utc(value.parse::<DateTime>().ok()?))
        .or_else(|| in_utc(value.parse::<Date>().ok()?.at(0, 0, 0, 0)))?;
    let wait = Duration::try_from(moment.duration_since(now)).unwrap_or(Duration::ZERO);
    Some(wait.min(LONGEST))
}

/// A date without a zone is taken as UTC.
fn in_utc(civil: DateTime) -> Option<Timestamp> {
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(value: &str) -> Option<u64> {
        parse(value, "2026-11-07T23:00:00Z".parse().unwrap()).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_http_dates_and_iso_dates_are_understood() {
        assert_eq!(wait("7"), Some(7));
        assert_eq!(wait(" 0 "), Some(0));
        assert_eq!(wait("Sun, 08 Nov 2026 00:00:00 GMT"), Some(3_600));
        assert_eq!(wait("2026-11-08T00:00:00Z"), Some(3_600));
        assert_eq!(wait("2026-11-08T09:00:00+09:00"), Some(3_600));
        assert_eq!(wait("2026-11-08T00:00:00"), Some(3_600));
        assert_eq!(wait("2026-11-08"), Some(3_600));
    }

    #[test]
    fn the_past_is_no_wait_and_the_far_future_is_capped() {
        assert_eq!(wait("2020-01-01T00:00:00Z"), Some(0));
        assert_eq!(wait("2999-01-01T00:00:00Z"), Some(48 * 3_600));
        assert_eq!(wait("99999999999999999999999"), Some(48 * 3_600));
    }

    #[test]
    fn other_text_is_not_a_wait() {
        for value in ["", "soon", "-5", "1.5", "2026-13-40", "\u{0}"] {
            assert_eq!(wait(value), None, "{value:?}");
        }
    }
}
