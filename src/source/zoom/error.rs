//! What Zoom's error answers mean and how they must be treated.
//!
//! The body's `code` counts, not only the status: Zoom sends "no such file" and "scope missing" as 400. Texts from
//! outside are never kept; of a missing scope only its name is, with every unexpected character removed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use url::Url;

use super::auth::StoreError;
use crate::fetch::DownloadError;
use crate::net::{Answer, BodyError, Classify, RateLimitExhausted, Redacted, Verdict, retry_after};
use crate::source::SourceError;

/// How long everyone waits after "too many requests per second" without a stated time.
const PAUSE: Duration = Duration::from_secs(1);
/// A longer wait is not slept on, whatever the limit is called.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Zoom turns this app away; asking again is pointless until somebody changes something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    #[error(
        "Zoom refuses the app's credentials ({label}): compare ZOOM_CLIENT_ID, ZOOM_CLIENT_SECRET and, in account mode, \
         ZOOM_ACCOUNT_ID with the app's page in the Zoom App Marketplace, and see that the app is activated"
    )]
    Credentials { label: String },
    #[error("nobody has signed in yet: run `transcribe auth login`")]
    NotSignedIn,
    #[error(
        "the user's sign-in no longer holds ({label}; it was revoked, replaced, or unused for about 90 days): run \
         `transcribe auth login`"
    )]
    SignInOver { label: String },
    #[error(
        "the scopes of the Zoom app have changed since it was agreed to ({label}): in account mode activate the app \
         again, in user mode run `transcribe auth login`"
    )]
    AppChanged { label: String },
    #[error(
        "the Zoom user behind this app is gone ({label}): in account mode make the app anew under another user, in \
         user mode run `transcribe auth login` as another user"
    )]
    OwnerGone { label: String },
    #[error("an administrator has disabled the Zoom app ({label}): ask an administrator of the account to allow it")]
    Disabled { label: String },
    #[error(
        "the Zoom app is of another kind ({label}): zoom.mode = \"account\" needs a Server-to-Server OAuth app, \"user\" a \
         user-managed general app"
    )]
    WrongKindOfApp { label: String },
    #[error(
        "the Zoom app does not know this redirect address ({label}): add http://127.0.0.1:PORT/callback to its OAuth \
         redirect URL and allow list, with the port of `transcribe auth login`"
    )]
    RedirectAddress { label: String },
    #[error("Zoom refuses a token that it has just issued")]
    Token,
    #[error("the Zoom app lacks the scope {scopes}")]
    Scope { scopes: String },
    #[error("Zoom Phone is not enabled for this account (code {code})")]
    PhoneNotEnabled { code: i64 },
}

impl Refusal {
    /// The refusal as code and numbers, for the ledger.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::Credentials { label }
            | Self::SignInOver { label }
            | Self::AppChanged { label }
            | Self::OwnerGone { label }
            | Self::Disabled { label }
            | Self::WrongKindOfApp { label }
            | Self::RedirectAddress { label } => format!("error={label}"),
            Self::NotSignedIn => "error=not_signed_in".to_owned(),
            Self::Token => "code=124".to_owned(),
            Self::Scope { scopes } => format!("code=104 scope={scopes}"),
            Self::PhoneNotEnabled { code } => format!("code={code}"),
        }
    }
}

/// Why a request to Zoom failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ZoomError {
    #[error("{0}")]
    Refused(Refusal),
    /// 401 or code 124: one renewed token is worth a try.
    #[error("Zoom refuses the access token")]
    TokenRefused,
    #[error("Zoom denies access (status 403)")]
    Forbidden,
    #[error("Zoom asks for fewer requests per second")]
    TooFast { after: Duration },
    #[error("Zoom's rate limit is used up for another {} s", .resumes_in.as_secs())]
    RateLimit { resumes_in: Duration },
    #[error("Zoom answers with status {status} (code {})", .code.unwrap_or_default())]
    Status { status: u16, code: Option<i64>, after: Option<Duration> },
    #[error("Zoom cannot be reached at {at}")]
    Unreachable {
        /// Scheme, host and port.
        at: String,
        #[source]
        source: Arc<reqwest::Error>,
    },
    #[error("Zoom does not answer in time")]
    NoAnswer,
    #[error("Zoom's answer breaks off")]
    Body(#[source] Arc<BodyError>),
    #[error("Zoom's answer is not in the expected form")]
    Unreadable,
    #[error("Zoom keeps refusing its own page tokens")]
    PageTokens,
    #[error("Zoom's listing has no end after {pages} pages")]
    Endless { pages: usize },
    #[error("the audio could not be downloaded")]
    Download(#[source] Arc<DownloadError>),
    /// The user's sign-in cannot be read or stored on this machine.
    #[error(transparent)]
    Store(StoreError),
}

impl Classify for ZoomError {
    fn verdict(&self) -> Verdict {
        const AGAIN: Verdict = Verdict::Retry { after: None };
        match self {
            Self::Refused(_) | Self::TokenRefused | Self::Forbidden | Self::RateLimit { .. } => Verdict::Stop,
            Self::PageTokens | Self::Endless { .. } => Verdict::Stop,
            Self::TooFast { after } => Verdict::Retry { after: Some(*after) },
            Self::Status { status: 500.. | 408 | 425, after, .. } => Verdict::Retry { after: *after },
            // Right after a call its recording may be listed before its file is there.
            Self::Status { .. } if self.is_missing_file() => Verdict::NotThereYet,
            Self::Status { .. } => Verdict::Stop,
            Self::Unreachable { .. } | Self::NoAnswer | Self::Body(_) | Self::Unreadable => AGAIN,
            Self::Store(StoreError::Busy { .. }) => AGAIN,
            Self::Store(_) => Verdict::Stop,
            Self::Download(error) => match **error {
                DownloadError::FileHostStatus { status: 404 | 410 } => Verdict::NotThereYet,
                DownloadError::Address(_)
                | DownloadError::Disk(_)
                | DownloadError::Body(BodyError::TooLarge { .. })
                | DownloadError::NotAudio(crate::fetch::Sniffed::OtherAudio) => Verdict::Stop,
                _ => AGAIN,
            },
        }
    }
}

impl From<RateLimitExhausted> for ZoomError {
    fn from(limit: RateLimitExhausted) -> Self {
        Self::RateLimit { resumes_in: limit.resumes_in }
    }
}

impl From<StoreError> for ZoomError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<DownloadError> for ZoomError {
    fn from(error: DownloadError) -> Self {
        match error {
            DownloadError::Status(answer) => judge(&answer, Timestamp::now()),
            other => Self::Download(Arc::new(other)),
        }
    }
}

impl ZoomError {
    /// The failure to send a request to `url`, of which only the host is told.
    #[must_use]
    pub fn unreachable(url: &Url, error: reqwest::Error) -> Self {
        Self::Unreachable { at: Redacted(url).to_string(), source: Arc::new(error.without_url()) }
    }

    /// Whether a download's answer says that there is no such file.
    #[must_use]
    pub fn is_missing_file(&self) -> bool {
        match self {
            Self::Status { code: Some(404), .. } | Self::Status { status: 404 | 410, .. } => true,
            Self::Download(error) => matches!(**error, DownloadError::FileHostStatus { status: 404 | 410 }),
            _ => false,
        }
    }

    /// Whether a download broke off, so that the rest of it may still come.
    #[must_use]
    pub fn is_broken_off(&self) -> bool {
        let broken = |error: &DownloadError| {
            let body = matches!(error, DownloadError::Body(BodyError::Cut { .. } | BodyError::Stalled { .. }));
            body || matches!(error, DownloadError::TooSlow)
        };
        matches!(self, Self::Download(error) if broken(error))
    }

    /// Whether the answer to a user's list means that there is no such user.
    #[must_use]
    pub fn is_unknown_user(&self) -> bool {
        matches!(self, Self::Status { status: 404, .. } | Self::Status { code: Some(300 | 1001), .. })
    }

    /// Whether an answer to a later page of a listing means that its page token no longer counts.
    #[must_use]
    pub fn is_refused_page_token(&self) -> bool {
        matches!(self, Self::Status { status: 400 | 404 | 410 | 422, .. })
    }

    /// The error of a listing.
    #[must_use]
    pub fn into_source_error(self) -> SourceError {
        match self {
            Self::Refused(refusal) => SourceError::Refused { explanation: refusal.to_string() },
            Self::TokenRefused => SourceError::Refused { explanation: Refusal::Token.to_string() },
            Self::Forbidden => SourceError::Refused {
                explanation: "Zoom denies this app the account's phone recordings (status 403)".to_owned(),
            },
            Self::Status { code: Some(code @ 300), .. } => SourceError::Misconfigured {
                explanation: format!("Zoom does not take the request (code {code}); see zoom.page_size and the window"),
            },
            Self::Status { status: 404, .. } => SourceError::Misconfigured {
                explanation: "zoom.api_url has no phone recordings (status 404)".to_owned(),
            },
            Self::RateLimit { resumes_in } => {
                let now = Timestamp::now();
                SourceError::LimitReached { resumes_at: now.checked_add(resumes_in).unwrap_or(now) }
            }
            Self::Store(error) => {
                let is_for_now = error.is_full() || matches!(error, StoreError::Busy { .. });
                let explanation = match &error {
                    StoreError::Disk { source, .. } => format!("{error}: {source}"),
                    _ => error.to_string(),
                };
                if is_for_now {
                    SourceError::Unavailable { explanation, source: None }
                } else {
                    SourceError::Misconfigured { explanation }
                }
            }
            other => {
                let explanation = other.to_string();
                let source: Option<Box<dyn std::error::Error + Send + Sync>> = match other {
                    Self::Unreachable { source, .. } => Some(Box::new(source)),
                    Self::Body(source) => Some(Box::new(source)),
                    _ => None,
                };
                SourceError::Unavailable { explanation, source }
            }
        }
    }
}

/// Judges an error answer of the API. `now` is for dates in its headers.
#[must_use]
pub fn judge(answer: &Answer, now: Timestamp) -> ZoomError {
    let body = ErrorBody::read(&answer.body);
    let after = answer.header("retry-after").and_then(|value| retry_after::parse(value, now));
    if answer.status == 429 || body.code == Some(429) {
        return judge_rate_limit(answer, &body, after, now);
    }
    match (answer.status, body.code) {
        (_, Some(104 | 4700)) => ZoomError::Refused(Refusal::Scope { scopes: body.scopes() }),
        (_, Some(code @ (2001 | 2013 | 2031))) => ZoomError::Refused(Refusal::PhoneNotEnabled { code }),
        (401, _) | (_, Some(124)) => ZoomError::TokenRefused,
        // A 403 that is not in Zoom's own words comes from something in between.
        (403, _) if body.is_zooms => ZoomError::Forbidden,
        (status, code) => ZoomError::Status { status, code, after },
    }
}

pub(super) fn judge_rate_limit(
    answer: &Answer,
    body: &ErrorBody,
    after: Option<Duration>,
    now: Timestamp,
) -> ZoomError {
    let kind = answer.header("x-ratelimit-type").unwrap_or_default().to_ascii_lowercase();
    let is_daily = kind.contains("daily") || (kind.is_empty() && body.message.contains("daily"));
    if is_daily || after.is_some_and(|after| after > LONGEST_PAUSE) {
        return ZoomError::RateLimit { resumes_in: after.unwrap_or_else(|| until_midnight(now)) };
    }
    ZoomError::TooFast { after: after.unwrap_or(PAUSE).max(PAUSE) }
}

/// The time left of the UTC day, after which Zoom's daily limits start anew.
fn until_midnight(now: Timestamp) -> Duration {
    let midnight = now.to_zoned(TimeZone::UTC).tomorrow().and_then(|tomorrow| tomorrow.start_of_day());
    let left = midnight.ok().and_then(|midnight| Duration::try_from(midnight.timestamp().duration_since(now)).ok());
    left.unwrap_or(Duration::from_secs(24 * 60 * 60))
}

/// What an error answer says.
#[derive(Debug, Default)]
pub(super) struct ErrorBody {
    pub(super) code: Option<i64>,
    pub(super) error: Option<String>,
    /// In lower case.
    pub(super) message: String,
    /// Whether it is an object of JSON, as Zoom's are.
    pub(super) is_zooms: bool,
}

impl ErrorBody {
    pub(super) fn read(body: &[u8]) -> Self {
        let Ok(Value::Object(body)) = serde_json::from_slice(body) else { return Self::default() };
        let text = |key: &str| body.get(key).and_then(Value::as_str);
        let code = body.get("code").or_else(|| body.get("errorCode")).and_then(|code| match code {
            Value::String(code) => code.trim().parse().ok(),
            other => other.as_i64(),
        });
        let message = ["message", "error_message", "reason", "errorMessage"].into_iter().find_map(text);
        let mut message = message.unwrap_or_default().to_lowercase();
        if message.contains("does not contain scopes") {
            return Self { code: Some(104), error: None, message, is_zooms: true };
        }
        message.truncate(message.floor_char_boundary(2_000));
        Self { code, error: text("error").map(str::to_owned), message, is_zooms: true }
    }

    /// What stands in the brackets of "…does not contain scopes:[a, b]".
    fn scopes(&self) -> String {
        let inside = self.message.split_once('[').map_or("", |(_, rest)| rest.split(']').next().unwrap_or_default());
        let scopes = plain(inside, 200);
        if scopes.is_empty() { "(which one, Zoom does not say)".to_owned() } else { scopes }
    }
}

/// Keeps only the characters of scope names and error labels, and at most `limit` of them.
pub(super) fn plain(text: &str, limit: usize) -> String {
    let expected = |c: &char| c.is_ascii_alphabetic() || matches!(c, ':' | '_' | ',' | '.' | '-');
    text.chars().filter(expected).take(limit).collect()
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderName};

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
        let pair = |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
        let headers: HeaderMap = headers.iter().map(pair).collect();
        Answer { status, headers, body: body.as_bytes().to_vec() }
    }

    fn now() -> Timestamp {
        "2026-11-07T23:00:00Z".parse().unwrap()
    }

    fn judged(status: u16, body: &str) -> ZoomError {
        judge(&answer(status, &[], body), now())
    }

    #[test]
    fn a_missing_scope_is_named_whatever_the_status() {
        let body = r#"{"code":104,"message":"Invalid access token, does not contain scopes:[phone:read:list_call_recordings:admin, b]."}"#;
        for status in [400, 403] {
            let ZoomError::Refused(refusal) = judged(status, body) else { panic!("not refused") };
            assert_eq!(refusal.detail(), "code=104 scope=phone:read:list_call_recordings:admin,b");
        }
        let ZoomError::Refused(refusal) = judged(400, r#"{"code":"4700","message":"does not contain scopes"}"#) else {
            panic!("not refused")
        };
        assert!(refusal.to_string().contains("Zoom does not say"));
    }

    #[test]
    fn the_code_of_the_body_counts_more_than_the_status() {
        assert!(matches!(judged(400, r#"{"code":124}"#), ZoomError::TokenRefused));
        assert!(matches!(judged(404, r#"{"code":124}"#), ZoomError::TokenRefused));
        assert!(matches!(judged(401, ""), ZoomError::TokenRefused));
        assert!(judged(400, r#"{"code":404,"message":"File does not exist."}"#).is_missing_file());
        assert!(judged(404, "<html>").is_missing_file());
        assert!(!judged(400, r#"{"code":300}"#).is_missing_file());
        assert!(matches!(judged(400, r#"{"code":2013}"#), ZoomError::Refused(_)));
        assert!(matches!(judged(403, "{}"), ZoomError::Forbidden));
        assert!(matches!(judged(403, "<html>"), ZoomError::Status { status: 403, .. }));
        let other_code = r#"{"code":4711,"message":"Invalid access token, does not contain scopes:[phone:read:x]."}"#;
        assert!(matches!(judged(400, other_code), ZoomError::Refused(Refusal::Scope { .. })));
    }

    #[test]
    fn trouble_at_zoom_is_tried_again_and_a_wrong_request_is_not() {
        assert_eq!(judged(503, "").verdict(), Verdict::Retry { after: None });
        let busy = judge(&answer(503, &[("retry-after", "7")], ""), now());
        assert_eq!(busy.verdict(), Verdict::Retry { after: Some(Duration::from_secs(7)) });
        assert_eq!(judged(400, r#"{"code":300}"#).verdict(), Verdict::Stop);
    }

    #[test]
    fn a_limit_per_second_pauses_and_a_limit_per_day_closes() {
        let fast = r#"{"code":429,"message":"You have reached the maximum per-second rate limit for this API."}"#;
        let daily = r#"{"code":429,"message":"You have reached the maximum daily rate limit for this API."}"#;
        let after = |error: ZoomError| match error {
            ZoomError::TooFast { after } => ("fast", after.as_secs()),
            ZoomError::RateLimit { resumes_in } => ("daily", resumes_in.as_secs()),
            other => panic!("{other:?}"),
        };
        assert_eq!(after(judged(429, fast)), ("fast", 1));
        assert_eq!(after(judged(429, "")), ("fast", 1));
        assert_eq!(after(judged(429, daily)), ("daily", 3_600));
        let headers = [("x-ratelimit-type", "Daily-limit"), ("retry-after", "2026-11-08T02:00:00Z")];
        assert_eq!(after(judge(&answer(429, &headers, ""), now())), ("daily", 3 * 3_600));
        let headers = [("retry-after", "7200")];
        assert_eq!(after(judge(&answer(429, &headers, ""), now())), ("daily", 7_200));
        let headers = [("x-ratelimit-type", "QPS"), ("retry-after", "2")];
        assert_eq!(after(judge(&answer(429, &headers, ""), now())), ("fast", 2));
    }

    #[test]
    fn text_from_outside_does_not_come_through() {
        let body = r#"{"code":104,"message":"does not contain scopes:[phone:read\u001b[31m, +81355500123 https://x]"}"#;
        let ZoomError::Refused(refusal) = judged(400, body) else { panic!("not refused") };
        assert_eq!(refusal.detail(), "code=104 scope=phone:readm,https:x");
    }
}
