//! What the server was asked.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::http::request::Parts;
use url::form_urlencoded;

/// Which of the two listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listener {
    Api,
    Files,
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) listener: Listener,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    /// The whole `Authorization` header, if one was sent.
    pub(crate) authorization: Option<String>,
    pub(crate) range: Option<String>,
    pub(crate) if_range: Option<String>,
    /// The recording it was for.
    pub(crate) recording: Option<String>,
}

impl Seen {
    pub(super) fn new(listener: Listener, parts: &Parts) -> Self {
        let query = parts.uri.query().unwrap_or_default();
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self {
            at: Instant::now(),
            listener,
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            authorization: header("authorization"),
            range: header("range"),
            if_range: header("if-range"),
            recording: None,
        }
    }

    pub(crate) fn is_token_request(&self) -> bool {
        self.path == "/oauth/token"
    }

    pub(crate) fn is_listing(&self) -> bool {
        self.path.starts_with("/v2/phone/") && self.path.ends_with("/recordings")
    }
}
