//! Zoom's own transcripts: the API redirects to the host of signed files.

use axum::response::Response;

use super::routes::{error, identity, scripted};
use super::seen::Seen;
use super::server::World;

pub(super) fn transcript(world: &World, seen: &Seen) -> Response {
    if identity(world, seen).is_none() {
        return error(401, 124, "Invalid access token.");
    }
    let id = seen.recording.as_deref().unwrap_or_default();
    if !world.changing().transcripts.contains_key(id) {
        return error(400, 404, "File does not exist.");
    }
    let signed = format!("{}/transcript/{id}?jwt=signed", world.files_address);
    scripted(302, &[("location", signed)], Vec::new())
}

pub(super) fn file(world: &World, seen: &Seen) -> Response {
    if seen.authorization.is_some() {
        return error(400, 400, "only one authentication is allowed");
    }
    let file = world.changing().transcripts.get(seen.recording.as_deref().unwrap_or_default()).cloned();
    match file {
        Some(file) => scripted(200, &[("content-type", "application/json".to_owned())], file),
        None => error(404, 404, "File does not exist."),
    }
}
