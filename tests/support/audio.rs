//! Downloads: from the API, and from the host of signed files.

use std::io;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use sha2::{Digest, Sha256};

use super::clip::Audio;
use super::fault::Fault;
use super::routes::{error, identity, scripted};
use super::seen::Seen;
use super::server::World;

pub(super) async fn download(world: &World, seen: &Seen, fault: Option<&Fault>) -> Response {
    if seen.query.contains_key("access_token") {
        return error(401, 124, "This token is not supported as query parameter string.");
    }
    if identity(world, seen).is_none() {
        return error(401, 124, "Invalid access token.");
    }
    if world.redirects_downloads && seen.recording.is_some() {
        let key = seen.path.rsplit('/').next().unwrap_or_default();
        let signed = format!("{}/file/{key}?business=phone&jwt=signed", world.files_address);
        return scripted(302, &[("location", signed)], Vec::new());
    }
    audio(world, seen, fault).await
}

pub(super) async fn file(world: &World, seen: &Seen, fault: Option<&Fault>) -> Response {
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
    let tag = world.honours_ranges.then(|| format!("\"{}\"", hex::encode(Sha256::digest(&bytes))));
    let is_same = seen.if_range.is_none() || seen.if_range == tag;
    let asked = seen.range.as_deref().filter(|_| world.honours_ranges && is_same).and_then(first_byte);
    let (status, bytes, part) = match asked {
        Some(start) if start >= bytes.len() => {
            return scripted(416, &[("content-range", format!("bytes */{}", bytes.len()))], Vec::new());
        }
        Some(start) => {
            let part = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
            (StatusCode::PARTIAL_CONTENT, bytes.slice(start..), Some((CONTENT_RANGE, part)))
        }
        None => (StatusCode::OK, bytes, None),
    };
    let mut headers = HeaderMap::new();
    let named = [(CONTENT_TYPE, "audio/mpeg".to_owned()), (CONTENT_LENGTH, bytes.len().to_string())];
    for (name, value) in named.into_iter().chain(part).chain(tag.map(|tag| (ETAG, tag))) {
        headers.insert(name, value.parse().expect("a plain value"));
    }
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
    (status, headers, body).into_response()
}

/// The start of `bytes=START-`.
fn first_byte(range: &str) -> Option<usize> {
    range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}
