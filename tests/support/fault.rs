//! What can be made to go wrong.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// The endpoints that can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Token,
    List,
    Download,
    /// A list of calls, of any generation.
    History,
    /// One call with its legs.
    HistoryDetail,
    /// One leg.
    Leg,
    /// Zoom's own transcript, at the API.
    Transcript,
    /// The same at the second listener.
    TranscriptFile,
    /// The second listener, that downloads can be redirected to.
    File,
}

/// One way to go wrong.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// This answer instead of the right one.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: Vec<u8> },
    /// The right headers, then the connection is cut after so many bytes of the body.
    CutAfter(usize),
    /// The right headers, then silence after so many bytes of the body.
    StallAfter(usize),
    /// The access token that was presented stops being one.
    ExpireAccessToken,
    /// The page token that was presented is refused.
    RefusePageToken,
    /// The answer carries the very page token that was presented.
    RepeatPageToken,
    /// Every number of the listing is written as a string.
    NumbersAsStrings,
}

impl Fault {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::with_header(status, "content-type", "application/json", body.to_string().into_bytes())
    }

    pub(crate) fn status(status: u16) -> Self {
        Self::json(status, &json!({ "code": status, "message": "Scripted." }))
    }

    pub(crate) fn html() -> Self {
        Self::with_header(200, "content-type", "text/html", b"<!DOCTYPE html><html>Please sign in</html>".to_vec())
    }

    pub(crate) fn empty() -> Self {
        Self::with_header(200, "content-type", "audio/mpeg", Vec::new())
    }

    pub(crate) fn redirect(to: &str) -> Self {
        Self::with_header(302, "location", to, Vec::new())
    }

    pub(crate) fn missing_file() -> Self {
        Self::json(400, &json!({ "code": 404, "message": "File does not exist." }))
    }

    pub(crate) fn missing_scope(scope: &str) -> Self {
        let message = format!("Invalid access token, does not contain scopes:[{scope}].");
        Self::json(400, &json!({ "code": 104, "message": message }))
    }

    /// 429 for requests per second, with the headers that Zoom used to send or without.
    pub(crate) fn too_fast(with_headers: bool) -> Self {
        let message = "You have reached the maximum per-second rate limit for this API. Try again later.";
        let body = json!({ "code": 429, "message": message }).to_string().into_bytes();
        let headers = [("x-ratelimit-category", "Medium"), ("x-ratelimit-type", "QPS"), ("retry-after", "1")];
        let headers = headers.into_iter().filter(|_| with_headers).map(|(name, value)| (name, value.to_owned()));
        Self::Answer { status: 429, headers: headers.collect(), body }
    }

    /// 429 for requests per day.
    pub(crate) fn daily_limit(retry_after: &str) -> Self {
        let message = "You have reached the maximum daily rate limit for this API. Refer to the response header.";
        let headers = vec![("x-ratelimit-type", "Daily-limit".to_owned()), ("retry-after", retry_after.to_owned())];
        Self::Answer { status: 429, headers, body: json!({ "code": 429, "message": message }).to_string().into_bytes() }
    }

    fn with_header(status: u16, name: &'static str, value: &str, body: Vec<u8>) -> Self {
        Self::Answer { status, headers: vec![(name, value.to_owned())], body }
    }
}

/// A fault, where it strikes and how often. Scripts strike in the order in which they were given.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    route: Route,
    id: Option<String>,
    spared: usize,
    left: usize,
    pub(super) fault: Fault,
}

impl Script {
    /// Strikes once, at the next request to `route`.
    pub(crate) fn next(route: Route, fault: Fault) -> Self {
        Self { route, id: None, spared: 0, left: 1, fault }
    }

    /// Strikes only requests for the recording with this id.
    pub(crate) fn of(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// Lets so many requests through first.
    pub(crate) fn after(mut self, requests: usize) -> Self {
        self.spared = requests;
        self
    }

    pub(crate) fn times(mut self, times: usize) -> Self {
        self.left = times;
        self
    }

    pub(crate) fn always(self) -> Self {
        self.times(usize::MAX)
    }

    /// Whether it strikes now; counts down if so.
    pub(super) fn strikes(&mut self, route: Route, id: Option<&str>, has_page_token: bool) -> bool {
        let needs_page_token = matches!(self.fault, Fault::RefusePageToken | Fault::RepeatPageToken);
        let strikes = self.left > 0
            && self.route == route
            && (self.id.is_none() || self.id.as_deref() == id)
            && (has_page_token || !needs_page_token);
        if strikes && self.spared > 0 {
            self.spared -= 1;
            return false;
        }
        if strikes {
            self.left -= 1;
        }
        strikes
    }
}

/// Lets a share of all requests fail, in ways that are drawn.
#[derive(Debug)]
pub(crate) struct Chaos {
    share: f64,
    random: SmallRng,
    /// Requests since a token was refused: a fresh token that is refused as well would be final.
    since_refusal: u32,
}

impl Chaos {
    pub(super) fn new(share: f64, seed: u64) -> Self {
        Self { share, random: SmallRng::seed_from_u64(seed), since_refusal: 0 }
    }

    /// What goes wrong with this request, if anything. Everything that strikes here passes: nothing is final.
    pub(super) fn strike(&mut self, route: Route, has_page_token: bool) -> Option<Fault> {
        self.since_refusal += 1;
        if self.random.random::<f64>() >= self.share {
            return None;
        }
        let fault = match (route, self.random.random_range(0..10)) {
            (_, 0) => Fault::status(500),
            (_, 1) => Fault::status(502),
            (_, 2) => Fault::too_fast(true),
            (_, 3) => Fault::html(),
            (Route::Token, _) => Fault::status(503),
            (Route::List, 4) if has_page_token => Fault::RefusePageToken,
            (Route::List, 5) => Fault::NumbersAsStrings,
            (Route::File, _) => Fault::CutAfter(self.random.random_range(0..2_000)),
            (Route::Download, 4) => Fault::missing_file(),
            (Route::Download, 5) => Fault::empty(),
            (Route::Download, 6 | 7) => Fault::CutAfter(self.random.random_range(0..2_000)),
            (_, 8) if self.since_refusal > 10 => {
                self.since_refusal = 0;
                Fault::json(401, &json!({ "code": 124, "message": "Invalid access token." }))
            }
            _ => Fault::status(503),
        };
        Some(fault)
    }
}
