//! Server-to-Server sign-in: one access token shared by all callers.
//!
//! However many callers need a token at once, one request is in flight, and all of them get its outcome, a failure
//! too. Nothing is retried here: the failure says whether it is worth another try, and the caller's loop decides.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use url::Url;

use super::error::{ZoomError, judge_token_answer};
use crate::config::secrets::ZoomSecrets;
use crate::net::Answer;

/// A token is renewed this long before it expires, or after half of its life if that is shorter.
const MARGIN: Duration = Duration::from_secs(300);
/// How long a token lives when Zoom does not say.
const USUAL_LIFE_S: u64 = 3_600;
const MAX_ANSWER_BYTES: u64 = 1024 * 1024;

/// A bearer token; it cannot be printed.
#[derive(Debug)]
pub struct AccessToken {
    serial: u64,
    value: SecretString,
    usable_until: Instant,
}

impl AccessToken {
    /// The token as it goes into the `Authorization` header.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.value.expose_secret()
    }
}

#[derive(Debug, Default)]
struct State {
    token: Option<Arc<AccessToken>>,
    /// How the last request failed, if it did.
    failure: Option<ZoomError>,
}

/// Gets and renews the access token.
#[derive(Debug)]
pub struct Authenticator {
    client: Client,
    oauth_url: Url,
    secrets: ZoomSecrets,
    answer_within: Duration,
    state: Mutex<State>,
    /// Requests that came to an end.
    finished: AtomicU64,
}

impl Authenticator {
    /// `answer_within` is how long the token endpoint may take to answer.
    #[must_use]
    pub fn new(client: Client, oauth_url: Url, secrets: ZoomSecrets, answer_within: Duration) -> Self {
        let (state, finished) = (Mutex::default(), AtomicU64::new(0));
        Self { client, oauth_url, secrets, answer_within, state, finished }
    }

    /// A token that is good for some minutes at least.
    ///
    /// # Errors
    /// [`ZoomError::Refused`] when Zoom turns the credentials away; anything else may pass.
    pub async fn token(&self) -> Result<Arc<AccessToken>, ZoomError> {
        self.obtain(None).await
    }

    /// Another token than `refused`, which Zoom did not accept. All callers that hold the same one share the renewal.
    ///
    /// # Errors
    /// As [`Self::token`].
    pub async fn renew(&self, refused: &AccessToken) -> Result<Arc<AccessToken>, ZoomError> {
        self.obtain(Some(refused.serial)).await
    }

    async fn obtain(&self, refused_serial: Option<u64>) -> Result<Arc<AccessToken>, ZoomError> {
        let finished_before = self.finished.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        if let Some(token) = &state.token
            && token.usable_until > Instant::now()
            && refused_serial != Some(token.serial)
        {
            return Ok(Arc::clone(token));
        }
        let finished = self.finished.load(Ordering::Acquire);
        if finished != finished_before
            && let Some(failure) = &state.failure
        {
            return Err(failure.clone());
        }
        let outcome = self.request(finished).await.map(Arc::new);
        self.finished.store(finished + 1, Ordering::Release);
        state.token = outcome.as_ref().ok().map(Arc::clone);
        state.failure = outcome.as_ref().err().cloned();
        outcome
    }

    async fn request(&self, serial: u64) -> Result<AccessToken, ZoomError> {
        let form = [("grant_type", "account_credentials"), ("account_id", &self.secrets.account_id)];
        let request = self
            .client
            .post(self.oauth_url.clone())
            .basic_auth(&self.secrets.client_id, Some(self.secrets.client_secret.expose_secret()))
            .form(&form);
        let asked_at = Instant::now();
        let Ok(response) = timeout(self.answer_within, request.send()).await else { return Err(ZoomError::NoAnswer) };
        let response = response.map_err(|error| ZoomError::unreachable(&self.oauth_url, error))?;
        let answer = Answer::read(response, MAX_ANSWER_BYTES, self.answer_within)
            .await
            .map_err(|error| ZoomError::Body(Arc::new(error)))?;
        if answer.status != 200 {
            return Err(judge_token_answer(&answer, Timestamp::now()));
        }
        let (value, life) = read_token(&answer.body).ok_or(ZoomError::Unreadable)?;
        tracing::debug!(life_s = life.as_secs(), "access token issued");
        Ok(AccessToken { serial, value, usable_until: asked_at + life - MARGIN.min(life / 2) })
    }
}

/// The token and its life, from an answer in which the life may be missing or a string.
fn read_token(body: &[u8]) -> Option<(SecretString, Duration)> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let token = body.get("access_token")?.as_str()?.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let life_s = body.get("expires_in").and_then(|life| match life {
        Value::String(life) => life.trim().parse().ok(),
        other => other.as_u64(),
    });
    let life_s = life_s.filter(|life| *life > 0).unwrap_or(USUAL_LIFE_S).min(24 * USUAL_LIFE_S);
    Some((SecretString::from(token), Duration::from_secs(life_s)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(body: &str) -> Option<u64> {
        read_token(body.as_bytes()).map(|(_, life)| life.as_secs())
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
}
