//! In which parts a window is listed.
//!
//! Zoom takes at most a month per request and does not say how long its month is. A long window is cut at fixed points
//! in time, so that a listing that is taken up on another day has the same slices.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use crate::config::{ZoomConfig, ZoomMode};
use crate::domain::Owner;
use crate::source::{Slice, SourceError, TimeWindow};

/// The length of a slice, and the distance of the fixed points from each other.
const SLICE: SignedDuration = SignedDuration::from_hours(28 * 24);

/// A user's list is asked for by start, so that calls which ended in the window are found only if their start is looked
/// for before it.
const USER_WIDENING: SignedDuration = SignedDuration::from_hours(24);

/// When Zoom Phone was introduced, in Unix seconds (2019-01-01): "everything there is" begins here.
const FIRST_RECORDINGS_S: i64 = 1_546_300_800;

/// Whose recordings are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owners {
    /// The account's, in one list.
    Account,
    /// Of each of these users: ids, e-mail addresses, or `me`.
    Users(Vec<String>),
}

/// How [`Slice::owner`] says that it is the account's list.
pub const ACCOUNT: &str = "account";

impl Owners {
    /// What the configuration asks for.
    #[must_use]
    pub fn of(config: &ZoomConfig) -> Self {
        match config.mode {
            ZoomMode::User => Self::Users(vec!["me".to_owned()]),
            ZoomMode::Account if config.users.is_empty() => Self::Account,
            ZoomMode::Account => Self::Users(config.users.clone()),
        }
    }

    /// Whose lists there are, as [`Slice::owner`] names them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let (account, users) = match self {
            Self::Account => (Some(ACCOUNT), &[][..]),
            Self::Users(users) => (None, users.as_slice()),
        };
        account.into_iter().chain(users.iter().map(String::as_str))
    }

    /// Whether one of the lists may hold a recording of `owner`. Only ids of users can be compared: where there is an
    /// e-mail address, or another kind of owner, nobody knows.
    #[must_use]
    pub fn may_hold(&self, owner: &Owner) -> bool {
        match (self, owner.kind.as_deref(), owner.id.as_deref()) {
            (Self::Users(users), Some("user"), Some(id)) => {
                users.iter().any(|user| user == id || user == "me" || user.contains('@'))
            }
            _ => true,
        }
    }

    /// `error` of the list of `owner`, with a name that tells nobody who that is.
    #[must_use]
    pub fn named(&self, owner: &str, error: SourceError) -> SourceError {
        let (Self::Users(users), SourceError::UnknownOwner { explanation }) = (self, &error) else { return error };
        let place = users.iter().position(|user| user == owner).map_or(0, |index| index + 1);
        let which = match (owner, users.len()) {
            ("me", _) => "the one who signed in".to_owned(),
            (_, 1) => "as zoom.users (or --user) names".to_owned(),
            _ => format!("as number {place} of zoom.users"),
        };
        SourceError::UnknownOwner { explanation: format!("{explanation}: {which}") }
    }

    /// How far back Zoom lists: users' recordings of six months, the account's without a limit.
    #[must_use]
    pub fn reach_back_to(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Account => None,
            Self::Users(_) => Some(six_months_before(now)),
        }
    }

    /// The slices of `window`, in whole seconds.
    #[must_use]
    pub fn slices(&self, window: Option<TimeWindow>, now: Timestamp) -> Vec<Slice> {
        let mut window = window.unwrap_or_else(|| everything(now));
        if let Some(earliest) = self.reach_back_to(now) {
            let widened = window.since.checked_sub(USER_WIDENING).unwrap_or(window.since);
            window.since = widened.max(earliest);
        }
        let slice = |owner: &str, window| Slice { owner: owner.to_owned(), window: Some(window) };
        self.names().flat_map(|owner| cut(window).map(move |window| slice(owner, window))).collect()
    }
}

/// How far back Zoom tells of single users' recordings and of calls: six months, less a day, since a listing takes its
/// time and how Zoom counts is not known.
pub(super) fn six_months_before(now: Timestamp) -> Timestamp {
    let six_months = now.to_zoned(TimeZone::UTC).checked_sub(Span::new().months(6));
    six_months.map_or(now, |zoned| zoned.timestamp()) + SignedDuration::from_hours(24)
}

/// All the time that Zoom Phone has existed.
fn everything(now: Timestamp) -> TimeWindow {
    let first = Timestamp::from_second(FIRST_RECORDINGS_S).unwrap_or(Timestamp::UNIX_EPOCH);
    TimeWindow { since: first, until: now }
}

/// Cuts a window into slices of at most 28 days whose bounds are whole seconds, oldest first.
pub(super) fn cut(window: TimeWindow) -> impl Iterator<Item = TimeWindow> {
    let whole = |time: Timestamp, up: i64| Timestamp::from_second(time.as_second() + up).unwrap_or(time);
    let mut since = whole(window.since, 0);
    let until = whole(window.until, i64::from(window.until.subsec_nanosecond() > 0));
    let is_short = until.duration_since(since) <= SLICE;
    std::iter::from_fn(move || {
        if since >= until {
            return None;
        }
        let end = if is_short { until } else { next_fixed_point(since).min(until) };
        let slice = TimeWindow { since, until: end };
        since = end;
        Some(slice)
    })
}

fn next_fixed_point(time: Timestamp) -> Timestamp {
    let length = SLICE.as_secs();
    Timestamp::from_second((time.as_second().div_euclid(length) + 1) * length).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(since: &str, until: &str) -> TimeWindow {
        TimeWindow { since: at(since), until: at(until) }
    }

    fn cut_up(since: &str, until: &str) -> Vec<TimeWindow> {
        cut(window(since, until)).collect()
    }

    #[test]
    fn a_short_window_is_one_slice_of_whole_seconds() {
        let expected = window("2026-11-01T00:00:00Z", "2026-11-02T00:00:01Z");
        assert_eq!(cut_up("2026-11-01T00:00:00.7Z", "2026-11-02T00:00:00.1Z"), [expected]);
    }

    #[test]
    fn a_long_window_is_covered_without_gaps_by_slices_of_at_most_28_days() {
        let slices = cut_up("2025-08-01T00:00:00Z", "2026-11-01T00:00:00Z");
        assert_eq!(
            (slices[0].since, slices[slices.len() - 1].until),
            (at("2025-08-01T00:00:00Z"), at("2026-11-01T00:00:00Z"))
        );
        assert!(slices.windows(2).all(|pair| pair[0].until == pair[1].since));
        assert!(slices.iter().all(|slice| slice.until.duration_since(slice.since) <= SLICE));
        assert_eq!(slices.len(), 17);
    }

    #[test]
    fn the_same_years_asked_for_a_day_later_have_the_same_slices_but_the_first_and_the_last() {
        let today = cut_up("2025-08-01T00:00:00Z", "2026-11-01T00:00:00Z");
        let tomorrow = cut_up("2025-08-02T00:00:00Z", "2026-11-02T00:00:00Z");
        assert_eq!(today[1..today.len() - 1], tomorrow[1..tomorrow.len() - 1]);
    }

    #[test]
    fn an_empty_window_has_no_slices() {
        assert!(cut_up("2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z").is_empty());
        assert!(cut_up("2026-11-02T00:00:00Z", "2026-11-01T00:00:00Z").is_empty());
    }

    #[test]
    fn a_recording_is_of_somebody_else_only_where_both_are_known_by_their_ids() {
        let owner = |kind: &str, id: Option<&str>| Owner {
            kind: Some(kind.to_owned()),
            id: id.map(str::to_owned),
            ..Owner::default()
        };
        let users = |names: &[&str]| Owners::Users(names.iter().map(|&name| name.to_owned()).collect());
        let of_ids = users(&["uSeR1", "uSeR2"]);
        assert!(of_ids.may_hold(&owner("user", Some("uSeR2"))));
        assert!(!of_ids.may_hold(&owner("user", Some("uSeR3"))));
        for unknown in [owner("callQueue", Some("uSeR3")), owner("user", None), Owner::default()] {
            assert!(of_ids.may_hold(&unknown), "{unknown:?}");
        }
        for all in [users(&["uSeR1", "b@example.com"]), users(&["me"]), Owners::Account] {
            assert!(all.may_hold(&owner("user", Some("uSeR3"))), "{all:?}");
        }
    }

    #[test]
    fn users_are_asked_for_a_day_more_and_for_no_more_than_six_months() {
        let now = at("2026-11-21T12:00:00Z");
        let users = Owners::Users(vec!["a".into(), "b@example.com".into()]);
        let slices = users.slices(Some(window("2026-11-20T12:00:00Z", "2026-11-21T12:00:00Z")), now);
        let expected = Some(window("2026-11-19T12:00:00Z", "2026-11-21T12:00:00Z"));
        assert_eq!(slices.iter().map(|slice| slice.owner.as_str()).collect::<Vec<_>>(), ["a", "b@example.com"]);
        assert!(slices.iter().all(|slice| slice.window == expected));
        let years = users.slices(None, now);
        assert_eq!(years[0].window.unwrap().since, at("2026-05-22T12:00:00Z"));
        assert_eq!(Owners::Account.slices(None, now)[0].window.unwrap().since, at("2019-01-01T00:00:00Z"));
    }
}
