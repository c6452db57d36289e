//! What the token endpoint answers: lenient in everything but the token itself.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::scopes::Scopes;
use crate::net::Answer;

/// How long a token lives when Zoom does not say.
const USUAL_LIFE_S: u64 = 3_600;

/// A token that was issued, with everything that came with it.
#[derive(Debug)]
pub struct Issued {
    pub access_token: SecretString,
    /// How long the access token lives from `asked_at` on.
    pub life: Duration,
    pub asked_at: Instant,
    /// The next refresh token, where the grant has one.
    pub refresh_token: Option<SecretString>,
    /// What the token may do, where Zoom says so.
    pub scopes: Option<Scopes>,
    /// The region's address, unchecked.
    pub api_url: Option<Url>,
    /// How far this machine's clock is ahead of Zoom's, where the answer is dated.
    pub clock_ahead: Option<SignedDuration>,
}

impl Issued {
    /// Reads a good answer that came at `now`; `None` when there is no usable access token in it.
    #[must_use]
    pub fn read(answer: &Answer, asked_at: Instant, now: Timestamp) -> Option<Self> {
        let body: Value = serde_json::from_slice(&answer.body).ok()?;
        let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::trim);
        let scopes = text("scope").filter(|scope| !scope.is_empty()).map(Scopes::parse);
        let date = answer.header("date").and_then(|date| DateTimeParser::new().parse_timestamp(date).ok());
        Some(Self {
            access_token: text("access_token").and_then(token)?,
            life: life(&body),
            asked_at,
            refresh_token: text("refresh_token").and_then(token),
            scopes,
            api_url: text("api_url").and_then(|url| Url::parse(url).ok()),
            clock_ahead: date.map(|date| now.duration_since(date)),
        })
    }
}

/// A token that can stand in a header.
fn token(text: &str) -> Option<SecretString> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_plain.then(|| SecretString::from(text))
}

/// The life of the token, which may be missing or a string.
fn life(body: &Value) -> Duration {
    let life_s = body.get("expires_in").and_then(|life| match life {
        Value::String(life) => life.trim().parse().ok(),
        other => other.as_u64(),
    });
    Duration::from_secs(life_s.filter(|life| *life > 0).unwrap_or(USUAL_LIFE_S).min(24 * USUAL_LIFE_S))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{DATE, HeaderMap};
    use secrecy::ExposeSecret;

    use super::*;

    fn read(body: &str) -> Option<Issued> {
        let headers = HeaderMap::from_iter([(DATE, "Sat, 07 Nov 2026 22:50:00 GMT".parse().unwrap())]);
        let answer = Answer { status: 200, headers, body: body.as_bytes().to_vec() };
        Issued::read(&answer, Instant::now(), "2026-11-07T23:00:00Z".parse().unwrap())
    }

    fn life(body: &str) -> Option<u64> {
        read(body).map(|issued| issued.life.as_secs())
    }

    #[test]
    fn the_life_of_a_token_may_be_missing_a_string_or_senseless() {
        assert_eq!(life(r#"{"access_token":"t","expires_in":3599}"#), Some(3_599));
        assert_eq!(life(r#"{"access_token":"t","expires_in":"3599"}"#), Some(3_599));
        assert_eq!(life(r#"{"access_token":"t"}"#), Some(3_600));
        assert_eq!(life(r#"{"access_token":"t","expires_in":-1}"#), Some(3_600));
        assert_eq!(life(r#"{"access_token":"t","expires_in":18446744073709551615}"#), Some(24 * 3_600));
    }

    #[test]
    fn an_answer_without_a_usable_token_is_no_token() {
        for body in ["", "<html>", "{}", r#"{"access_token":""}"#, r#"{"access_token":"a\r\nb"}"#, "[]"] {
            assert_eq!(life(body), None, "{body}");
        }
    }

    #[test]
    fn what_comes_with_the_token_is_kept_and_may_be_missing() {
        let issued =
            read(r#"{"access_token":"t","refresh_token":"r","scope":"a b","api_url":"https://api-us.zoom.us"}"#);
        let issued = issued.unwrap();
        assert_eq!(issued.refresh_token.as_ref().unwrap().expose_secret(), "r");
        assert!(issued.scopes.as_ref().unwrap().contains("b") && !issued.scopes.as_ref().unwrap().contains("c"));
        assert_eq!(issued.api_url.as_ref().unwrap().as_str(), "https://api-us.zoom.us/");
        assert_eq!(issued.clock_ahead, Some(SignedDuration::from_mins(10)));
        assert!(!format!("{issued:?}").contains("\"t\""));
        let bare = read(r#"{"access_token":"t","scope":"","api_url":7}"#).unwrap();
        assert!(bare.scopes.is_none() && bare.api_url.is_none() && bare.refresh_token.is_none());
    }
}
