//! Calls: their lists in three generations, their details, single legs.

use std::collections::BTreeMap;

use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::fault::Fault;
use super::listing::six_months_before;
use super::routes::{error, identity, json_answer};
use super::seen::Seen;
use super::server::{Identity, World};

const LONGEST_WINDOW: SignedDuration = SignedDuration::from_hours(31 * 24);

/// What the server knows of calls. Items are kept as they are answered.
#[derive(Default)]
pub(crate) struct History {
    /// The array `call_history` of the list of that name. An item's `of_user` says in whose list it stands, too.
    pub(crate) call_history: Vec<Value>,
    /// The older array `call_logs` of the same list.
    pub(crate) call_logs: Vec<Value>,
    /// The array `call_logs` of the first generation's own list.
    pub(crate) first_generation: Vec<Value>,
    /// Whether only the first generation's list exists.
    pub(crate) is_first_generation_only: bool,
    /// Whether a token is given even with the last page and with the empty ones after it.
    pub(crate) never_ends: bool,
    /// Details by the id of their call.
    pub(crate) details: BTreeMap<String, Value>,
    /// Single legs by their id.
    pub(crate) legs: BTreeMap<String, Value>,
}

pub(super) fn list(world: &World, seen: &Seen, fault: Option<&Fault>) -> Response {
    let Some(identity) = identity(world, seen) else { return error(401, 124, "Invalid access token.") };
    let user = match (seen.path.split('/').nth(4), identity) {
        (None, Identity::Account) => None,
        (None, Identity::User(_)) => return error(400, 104, "Invalid access token, does not contain scopes:[admin]."),
        (Some("me"), Identity::User(user)) => Some(user),
        (Some(user), Identity::Account) if user != "me" => Some(user.to_owned()),
        _ => return error(400, 300, "The user id is invalid."),
    };
    let asked = |key: &str| seen.query.get(key).map(String::as_str).filter(|value| !value.is_empty());
    let now = Timestamp::now();
    let day_ago = now - SignedDuration::from_hours(24);
    let bound = |key: &str, default| asked(key).map_or(Some(default), |text| text.parse::<Timestamp>().ok());
    let page_size = asked("page_size").map_or(Some(30), |size| size.parse::<usize>().ok());
    let (Some(since), Some(until), Some(page_size @ 1..=300)) = (bound("from", day_ago), bound("to", now), page_size)
    else {
        return error(400, 300, "Validation Failed.");
    };
    if until < since || until.duration_since(since) > LONGEST_WINDOW || since < six_months_before(now) {
        return error(400, 300, "The month must be within the last six months.");
    }
    let mut changing = world.changing();
    let start: usize = match asked("next_page_token").map(|token| token.strip_prefix("calls-")?.parse().ok()) {
        None => 0,
        Some(Some(start)) if !matches!(fault, Some(Fault::RefusePageToken)) => start,
        Some(_) => return error(400, 300, "The next page token is invalid or expired."),
    };
    let is_first_generation = seen.path.ends_with("/call_logs");
    let history = &mut changing.history;
    if history.is_first_generation_only && !is_first_generation {
        return error(404, 404, "No such endpoint.");
    }
    let arrays = if is_first_generation {
        vec![("call_logs", &history.first_generation)]
    } else {
        vec![("call_history", &history.call_history), ("call_logs", &history.call_logs)]
    };
    let listed = |item: &&Value| {
        let time = item.get("start_time").or_else(|| item.get("date_time")).and_then(Value::as_str);
        let time = time.and_then(|time| time.parse::<Timestamp>().ok());
        let is_of_user = user.is_none() || item.get("of_user").and_then(Value::as_str) == user.as_deref();
        is_of_user && time.is_none_or(|time| (since..=until).contains(&time))
    };
    let mut page = json!({ "page_size": page_size, "from": since.to_string(), "to": until.to_string() });
    let (mut longest, mut items) = (0, 0);
    for (name, array) in arrays {
        let all: Vec<&Value> = array.iter().filter(listed).collect();
        longest = longest.max(all.len());
        let slice = all.get(start.min(all.len())..all.len().min(start + page_size)).unwrap_or_default();
        items += slice.len();
        if !array.is_empty() {
            page[name] = json!(slice);
        }
    }
    let has_more = start + page_size < longest;
    page["next_page_token"] =
        if has_more || history.never_ends { json!(format!("calls-{}", start + page_size)) } else { json!("") };
    page["page_count"] = json!(usize::from(items > 0));
    page["total_records"] = json!(longest);
    json_answer(200, &page)
}

pub(super) fn detail(world: &World, seen: &Seen) -> Response {
    known(world, seen, "Call Log does not exist.", |history, id| history.details.get(id).cloned())
}

pub(super) fn leg(world: &World, seen: &Seen) -> Response {
    known(world, seen, "Call element does not exist.", |history, id| history.legs.get(id).cloned())
}

fn known(world: &World, seen: &Seen, missing: &str, find: fn(&History, &str) -> Option<Value>) -> Response {
    if identity(world, seen).is_none() {
        return error(401, 124, "Invalid access token.");
    }
    let id = seen.recording.as_deref().unwrap_or_default();
    match find(&world.changing().history, id) {
        Some(value) => json_answer(200, &value),
        None => error(404, 404, missing),
    }
}
