//! Which endpoint a request is for, and what goes wrong on the way to it.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};

use super::fault::{Fault, Route};
use super::seen::{Listener, Seen};
use super::server::{Identity, World};
use super::{audio, history, listing, oauth, zoom_transcript};

pub(super) async fn answer(world: &World, listener: Listener, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 * 1024).await.unwrap_or_default();
    let mut seen = Seen::new(listener, &parts);
    let observer = world.changing().observer.clone();
    if let Some(observer) = observer {
        observer(&seen);
    }
    if seen.listener == Listener::Api && seen.path == "/oauth/authorize" {
        world.changing().seen.push(seen.clone());
        return oauth::authorize(world, &seen);
    }
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
        let scripted =
            scripts.find_map(|script| script.strikes(route, id, has_page_token).then(|| script.fault.clone()));
        scripted.or_else(|| changing.chaos.as_mut()?.strike(route, has_page_token))
    };
    if let Some(Fault::Answer { status, headers, body }) = fault {
        return scripted(status, &headers, body);
    }
    if let Some(Fault::ExpireAccessToken) = fault {
        world.changing().access_tokens.remove(bearer(&seen));
    }
    match route {
        Route::Token => oauth::token(world, &seen, &body),
        Route::List => listing::list(world, &seen, fault.as_ref()),
        Route::Download => audio::download(world, &seen, fault.as_ref()).await,
        Route::File => audio::file(world, &seen, fault.as_ref()).await,
        Route::History => history::list(world, &seen, fault.as_ref()),
        Route::HistoryDetail => history::detail(world, &seen),
        Route::Leg => history::leg(world, &seen),
        Route::Transcript => zoom_transcript::transcript(world, &seen),
        Route::TranscriptFile => zoom_transcript::file(world, &seen),
    }
}

fn route(world: &World, seen: &mut Seen) -> Option<Route> {
    let path = seen.path.clone();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let (route, key) = match (seen.listener, segments.as_slice()) {
        (Listener::Files, ["file", key]) => (Route::File, Some(*key)),
        (Listener::Api, ["oauth", "token"]) => (Route::Token, None),
        (Listener::Api, ["v2", "phone", "recordings"] | ["v2", "phone", "users", _, "recordings"]) => {
            (Route::List, None)
        }
        (Listener::Api, ["v2", "phone", "recording", "download", key]) => (Route::Download, Some(*key)),
        (Listener::Api, ["v2", "phone", "call_history" | "call_logs"])
        | (Listener::Api, ["v2", "phone", "users", _, "call_history" | "call_logs"]) => (Route::History, None),
        (Listener::Api, ["v2", "phone", "call_history", id]) => return for_id(seen, Route::HistoryDetail, id),
        (Listener::Api, ["v2", "phone", "call_element", id]) => return for_id(seen, Route::Leg, id),
        (Listener::Api, ["v2", "phone", "recording_transcript", "download", id]) => {
            return for_id(seen, Route::Transcript, id);
        }
        (Listener::Files, ["transcript", id]) => return for_id(seen, Route::TranscriptFile, id),
        _ => return None,
    };
    let changing = world.changing();
    seen.recording = changing.clips.iter().find(|clip| Some(clip.key().as_str()) == key).map(|clip| clip.id.clone());
    Some(route)
}

/// The path names what the request is for, and scripts can name it, too.
fn for_id(seen: &mut Seen, route: Route, id: &str) -> Option<Route> {
    seen.recording = Some(id.to_owned());
    Some(route)
}

pub(super) fn scripted(status: u16, headers: &[(&'static str, String)], body: Vec<u8>) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, value);
    }
    response.body(Body::from(body)).expect("the script's status and headers are valid")
}

pub(super) fn json_answer(status: u16, body: &Value) -> Response {
    scripted(status, &[("content-type", "application/json".to_owned())], body.to_string().into_bytes())
}

pub(super) fn error(status: u16, code: i64, message: &str) -> Response {
    json_answer(status, &json!({ "code": code, "message": message }))
}

pub(super) fn bearer(seen: &Seen) -> &str {
    seen.authorization.as_deref().and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default()
}

/// Whose token the request carries.
pub(super) fn identity(world: &World, seen: &Seen) -> Option<Identity> {
    world.changing().access_tokens.get(bearer(seen)).cloned()
}
