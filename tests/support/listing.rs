//! The lists of recordings: of the account and of one user.

use std::time::{Duration, Instant};

use axum::response::Response;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use serde_json::{Value, json};

use super::clip::Clip;
use super::fault::Fault;
use super::routes::{error, identity, json_answer};
use super::seen::Seen;
use super::server::{Identity, World};

const PAGE_TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);
const LONGEST_WINDOW: SignedDuration = SignedDuration::from_hours(31 * 24);

pub(super) fn list(world: &World, seen: &Seen, fault: Option<&Fault>) -> Response {
    let Some(identity) = identity(world, seen) else { return error(401, 124, "Invalid access token.") };
    let user = match (seen.path.split('/').nth(4), identity) {
        (None, Identity::Account) => None,
        (None, Identity::User(_)) => {
            let scope = "phone:read:list_call_recordings:admin";
            return error(400, 104, &format!("Invalid access token, does not contain scopes:[{scope}]."));
        }
        (Some("me"), Identity::User(user)) => Some(user),
        (Some("me"), Identity::Account) => return error(400, 300, "The user id is invalid."),
        (Some(_), Identity::User(_)) => return error(400, 4700, "Invalid access token, does not contain scopes."),
        (Some(user), Identity::Account) => Some(user.replace("%40", "@")),
    };
    let asked = |key: &str| seen.query.get(key).map(String::as_str).filter(|value| !value.is_empty());
    let Some(page_size) = asked("page_size").map_or(Some(30), |size| size.parse().ok()) else {
        return error(400, 300, "Validation Failed.");
    };
    let now = Timestamp::now();
    let until = asked("to").map_or(Some(now), |to| bound(to, true));
    let since = asked("from").map_or(Some(now - SignedDuration::from_hours(30 * 24)), |from| bound(from, false));
    let (Some(since), Some(until), 1..=300_usize) = (since, until, page_size) else {
        return error(400, 300, "Validation Failed.");
    };
    if until < since || until.duration_since(since) > LONGEST_WINDOW {
        return error(400, 300, "The time range is longer than one month.");
    }
    if user.is_some() && since < six_months_before(now) {
        return error(400, 300, "The month must be within the last six months.");
    }
    let by_end = user.is_none() && asked("query_date_type") == Some("end_time");
    let by = if by_end { "end_time" } else { "date_time" };

    let mut changing = world.changing();
    let presented = asked("next_page_token");
    let start = match presented.map(|token| changing.page_tokens.get(token)) {
        None => 0,
        Some(Some((start, issued))) if issued.elapsed() < PAGE_TOKEN_LIFE => *start,
        Some(_) => return error(400, 300, "The next page token is invalid or expired."),
    };
    if matches!(fault, Some(Fault::RefusePageToken)) {
        return error(400, 300, "The next page token is invalid or expired.");
    }
    // To the second, as it is written in the listing.
    let covers = |time: Timestamp| (since.as_second()..=until.as_second()).contains(&time.as_second());
    let is_listed = |clip: &&Clip| {
        if user.is_some() && clip.user != user {
            return false;
        }
        if let Some(moment) = clip.moment(by_end) {
            return covers(moment);
        }
        // What has no readable time is listed always, so that odd items can be offered.
        let item = clip.listed(&world.api_address, user.is_some());
        let time = item.get(by).or_else(|| item.get("date_time")).and_then(Value::as_str);
        time.and_then(|time| time.parse().ok()).is_none_or(covers)
    };
    let listed: Vec<&Clip> = changing.clips.iter().filter(is_listed).collect();
    let total = listed.len();
    let end = total.min(start + page_size);
    let page = listed.get(start..end).unwrap_or_default();
    let items: Vec<Value> =
        page.iter().map(|clip| Value::Object(clip.listed(&world.api_address, user.is_some()))).collect();
    let next = if matches!(fault, Some(Fault::RepeatPageToken)) {
        presented.unwrap_or_default().to_owned()
    } else if end < total {
        changing.issued += 1;
        let token = format!("page-{}", changing.issued);
        changing.page_tokens.insert(token.clone(), (end, Instant::now()));
        token
    } else {
        String::new()
    };
    let mut page =
        json!({ "next_page_token": next, "page_size": page_size, "total_records": total, "recordings": items });
    if matches!(fault, Some(Fault::NumbersAsStrings)) {
        numbers_to_strings(&mut page);
    }
    json_answer(200, &page)
}

/// A bound of a window: `yyyy-MM-ddTHH:mm:ssZ`, or a date, which as an upper bound includes its day.
fn bound(text: &str, is_upper: bool) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let date: Date = text.parse().ok()?;
    let day = date.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(if is_upper { day + SignedDuration::from_secs(24 * 60 * 60 - 1) } else { day })
}

fn numbers_to_strings(value: &mut Value) {
    match value {
        Value::Number(number) => *value = Value::String(number.to_string()),
        Value::Array(items) => items.iter_mut().for_each(numbers_to_strings),
        Value::Object(object) => object.values_mut().for_each(numbers_to_strings),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// How far back users' lists and lists of calls reach.
pub(super) fn six_months_before(now: Timestamp) -> Timestamp {
    let before = now.to_zoned(TimeZone::UTC).checked_sub(Span::new().months(6)).expect("a time of this age");
    before.timestamp()
}
