//! What the endpoints answer.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::clip::Audio;
use super::fault::{Fault, Route};
use super::seen::{Listener, Seen};
use super::server::{ACCOUNT_ID, CLIENT_ID, CLIENT_SECRET, World};

const PAGE_TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);
const LONGEST_WINDOW: SignedDuration = SignedDuration::from_hours(31 * 24);

pub(super) async fn answer(world: &World, listener: Listener, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 * 1024).await.unwrap_or_default();
    let mut seen = Seen::new(listener, &parts);
    let Some(route) = route(world, &mut seen) else {
        world.changing().seen.push(seen);
        return error(404, 404, "no such endpoint");
    };
    let fault = {
        let mut changing = world.changing();
        changing.seen.push(seen.clone());
        let has_page_token = seen.query.contains_key("next_page_token");
        let id = seen.recording.as_deref();
        let mut scripts = changing.scripts.iter_mut();
        scripts.find_map(|script| script.strikes(route, id, has_page_token).then(|| script.fault.clone()))
    };
    if let Some(Fault::Answer { status, headers, body }) = fault {
        return scripted(status, &headers, body);
    }
    if let Some(Fault::ExpireAccessToken) = fault {
        world.changing().access_tokens.remove(bearer(&seen));
    }
    match route {
        Route::Token => token(world, &seen, &body),
        Route::List => list(world, &seen, fault.as_ref()),
        Route::Download => download(world, &seen, fault.as_ref()).await,
        Route::File => file(world, &seen, fault.as_ref()).await,
    }
}

fn route(world: &World, seen: &mut Seen) -> Option<Route> {
    let (route, key) = match (seen.listener, seen.path.strip_prefix("/v2/phone/recording/download/")) {
        (Listener::Files, _) => (Route::File, seen.path.strip_prefix("/file/")),
        (Listener::Api, Some(key)) => (Route::Download, Some(key)),
        (Listener::Api, None) if seen.is_token_request() => (Route::Token, None),
        (Listener::Api, None) if seen.is_listing() => (Route::List, None),
        (Listener::Api, None) => return None,
    };
    let changing = world.changing();
    seen.recording = changing.clips.iter().find(|clip| Some(clip.key().as_str()) == key).map(|clip| clip.id.clone());
    Some(route)
}

fn scripted(status: u16, headers: &[(&'static str, String)], body: Vec<u8>) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, value);
    }
    response.body(Body::from(body)).expect("the script's status and headers are valid")
}

fn json_answer(status: u16, body: &Value) -> Response {
    scripted(status, &[("content-type", "application/json".to_owned())], body.to_string().into_bytes())
}

fn error(status: u16, code: i64, message: &str) -> Response {
    json_answer(status, &json!({ "code": code, "message": message }))
}

/// Base64 of `demo-client:demo-secret`.
const BASIC: &str = "Basic ZGVtby1jbGllbnQ6ZGVtby1zZWNyZXQ=";

fn token(world: &World, seen: &Seen, body: &Bytes) -> Response {
    debug_assert_eq!((CLIENT_ID, CLIENT_SECRET), ("demo-client", "demo-secret"));
    let form: BTreeMap<_, _> = form_urlencoded::parse(body).into_owned().collect();
    let given = |key: &str| form.get(key).or_else(|| seen.query.get(key)).map(String::as_str);
    if seen.method != "POST" || given("grant_type") != Some("account_credentials") {
        return json_answer(400, &json!({ "reason": "unsupported grant type", "error": "unsupported_grant_type" }));
    }
    if seen.authorization.as_deref() != Some(BASIC) || given("account_id") != Some(ACCOUNT_ID) {
        return json_answer(400, &json!({ "reason": "Invalid client_id or client_secret", "error": "invalid_client" }));
    }
    let mut changing = world.changing();
    changing.issued += 1;
    let token = format!("token-{}", changing.issued);
    changing.access_tokens.insert(token.clone());
    let scope = "phone:read:list_call_recordings:admin phone:read:call_recording:admin";
    json_answer(
        200,
        &json!({
            "access_token": token, "token_type": "bearer", "expires_in": 3599, "scope": scope,
            "api_url": world.api_address
        }),
    )
}

fn bearer(seen: &Seen) -> &str {
    seen.authorization.as_deref().and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default()
}

fn is_signed_in(world: &World, seen: &Seen) -> bool {
    world.changing().access_tokens.contains(bearer(seen))
}

fn list(world: &World, seen: &Seen, fault: Option<&Fault>) -> Response {
    if !is_signed_in(world, seen) {
        return error(401, 124, "Invalid access token.");
    }
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
    let by = if asked("query_date_type") == Some("end_time") { "end_time" } else { "date_time" };

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
    let in_window = |item: &Map<String, Value>| {
        // What has no readable time is listed always, so that odd items can be offered.
        let time = item.get(by).or_else(|| item.get("date_time")).and_then(Value::as_str);
        time.and_then(|time| time.parse::<Timestamp>().ok()).is_none_or(|time| (since..=until).contains(&time))
    };
    let listed = changing.clips.iter().map(|clip| clip.listed(&world.api_address));
    let mut items: Vec<Value> = listed.filter(in_window).map(Value::Object).collect();
    let total = items.len();
    let end = total.min(start + page_size);
    items = items.get(start..end).unwrap_or_default().to_vec();
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

async fn download(world: &World, seen: &Seen, fault: Option<&Fault>) -> Response {
    if seen.query.contains_key("access_token") {
        return error(401, 124, "This token is not supported as query parameter string.");
    }
    if !is_signed_in(world, seen) {
        return error(401, 124, "Invalid access token.");
    }
    if world.redirects_downloads && seen.recording.is_some() {
        let key = seen.path.rsplit('/').next().unwrap_or_default();
        let signed = format!("{}/file/{key}?business=phone&jwt=signed", world.files_address);
        return scripted(302, &[("location", signed)], Vec::new());
    }
    audio(world, seen, fault).await
}

async fn file(world: &World, seen: &Seen, fault: Option<&Fault>) -> Response {
    if seen.authorization.is_some() {
        return error(400, 400, "only one authentication is allowed");
    }
    if !seen.query.contains_key("jwt") {
        return error(403, 403, "not signed");
    }
    audio(world, seen, fault).await
}

async fn audio(world: &World, seen: &Seen, fault: Option<&Fault>) -> Response {
    let found = {
        let changing = world.changing();
        changing.clips.iter().find(|clip| Some(&clip.id) == seen.recording.as_ref()).map(|clip| clip.audio.clone())
    };
    let bytes = match found {
        Some(Audio::Bytes(bytes)) => bytes,
        Some(Audio::File(path)) => match tokio::fs::read(&path).await {
            Ok(bytes) => bytes.into(),
            Err(_) => return error(500, 500, "the clip cannot be read"),
        },
        None => return error(400, 404, "File does not exist."),
    };
    let headers = [(CONTENT_TYPE, "audio/mpeg".to_owned()), (CONTENT_LENGTH, bytes.len().to_string())];
    let first = |length: usize| {
        let piece = Ok::<_, io::Error>(bytes.slice(..length.min(bytes.len())));
        futures::stream::iter([piece])
    };
    let body = match fault {
        Some(Fault::CutAfter(length)) => {
            let cut = futures::stream::once(async {
                // While the body is not ready, what was written so far goes out.
                tokio::task::yield_now().await;
                Err(io::ErrorKind::ConnectionReset.into())
            });
            Body::from_stream(first(*length).chain(cut))
        }
        Some(Fault::StallAfter(length)) => Body::from_stream(first(*length).chain(futures::stream::pending())),
        _ => Body::from(bytes),
    };
    (headers, body).into_response()
}
