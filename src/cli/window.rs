//! `--since` and `--until`: what they may say, and the window that they make.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::exit::BadArgument;
use crate::config::units::parse_moment;
use crate::source::TimeWindow;

/// The time from `--since` to `--until`; without them from so long before the end to now.
pub(super) fn span(
    since: Option<&str>,
    until: Option<&str>,
    default_since: SignedDuration,
    zone: &TimeZone,
) -> Result<TimeWindow, BadArgument> {
    let now = Timestamp::now();
    let until = until.map(|text| moment("--until", text, now, zone)).transpose()?.unwrap_or(now);
    let Some(text) = since else {
        return Ok(TimeWindow { since: until.checked_sub(default_since).unwrap_or(Timestamp::MIN), until });
    };
    let since = moment("--since", text, now, zone)?;
    if since >= until {
        let expected = "it must lie before --until, which is now unless it is given";
        return Err(BadArgument { argument: "--since", value: text.to_owned(), expected });
    }
    Ok(TimeWindow { since, until })
}

fn moment(argument: &'static str, text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, BadArgument> {
    let expected = "it must be a duration before now (26h, 7d), a date (2026-11-01) or RFC 3339";
    parse_moment(text, now, zone).ok_or_else(|| BadArgument { argument, value: text.to_owned(), expected })
}
