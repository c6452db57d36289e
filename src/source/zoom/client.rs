//! Signed requests to Zoom: rate limit, token, one renewal of the token, judgement of the answer, retries.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

use super::auth::{AccessToken, Authenticator};
use super::error::{Refusal, ZoomError, judge};
use crate::net::{Answer, HttpClients, RateLimiter, RetryPolicy, with_retry};

/// A page of 300 recordings is some 300 KB.
const MAX_PAGE_BYTES: u64 = 32 * 1024 * 1024;

/// Talks to Zoom's API on behalf of one account.
pub struct ZoomClient {
    http: HttpClients,
    api_url: Url,
    auth: Authenticator,
    /// The bucket that listing and downloading share.
    limiter: RateLimiter,
    policy: RetryPolicy,
    answer_within: Duration,
}

impl ZoomClient {
    /// `api_url` includes `/v2`; `answer_within` is how long Zoom may keep silent.
    #[must_use]
    pub const fn new(
        http: HttpClients,
        api_url: Url,
        auth: Authenticator,
        limiter: RateLimiter,
        policy: RetryPolicy,
        answer_within: Duration,
    ) -> Self {
        Self { http, api_url, auth, limiter, policy, answer_within }
    }

    /// Gets `{api_url}/{path}` and reads its JSON with `parse`, which answers `None` for what it cannot read.
    ///
    /// # Errors
    /// [`ZoomError`] after all retries.
    pub async fn get_json<T: Send>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        parse: impl Fn(Value) -> Option<T> + Send + Sync,
    ) -> Result<T, ZoomError> {
        let mut url = self.api_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url.query_pairs_mut().extend_pairs(query);
        let (url, parse) = (&url, &parse);
        self.with_token(|token| async move {
            let answer = self.get(url, &token).await?;
            if answer.status != 200 {
                return Err(judge(&answer, Timestamp::now()));
            }
            serde_json::from_slice(&answer.body).ok().and_then(parse).ok_or(ZoomError::Unreadable)
        })
        .await
    }

    /// Runs `call` with a token until it succeeds, fails for good, or the retry policy is used up.
    ///
    /// # Errors
    /// [`ZoomError`] of the last attempt.
    pub async fn with_token<T, Call, Calling>(&self, call: Call) -> Result<T, ZoomError>
    where
        Call: Fn(Arc<AccessToken>) -> Calling,
        Calling: Future<Output = Result<T, ZoomError>>,
    {
        let call = &call;
        with_retry(&self.policy, || async move {
            let outcome = self.attempt(call).await;
            match &outcome {
                Err(ZoomError::TooFast { after }) => self.limiter.slow_down(*after),
                Err(ZoomError::RateLimit { resumes_in }) => self.limiter.close_for(*resumes_in),
                _ => {}
            }
            outcome
        })
        .await
    }

    /// One attempt; a refused token is renewed and the call repeated once.
    async fn attempt<T, Calling>(&self, call: &impl Fn(Arc<AccessToken>) -> Calling) -> Result<T, ZoomError>
    where
        Calling: Future<Output = Result<T, ZoomError>>,
    {
        let token = self.auth.token().await?;
        self.limiter.ready().await?;
        match call(Arc::clone(&token)).await {
            Err(ZoomError::TokenRefused) => {}
            outcome => return outcome,
        }
        let token = self.auth.renew(&token).await?;
        self.limiter.ready().await?;
        match call(token).await {
            Err(ZoomError::TokenRefused) => Err(ZoomError::Refused(Refusal::Token)),
            outcome => outcome,
        }
    }

    async fn get(&self, url: &Url, token: &AccessToken) -> Result<Answer, ZoomError> {
        let request = self.http.trusted().get(url.clone()).bearer_auth(token.expose());
        let Ok(response) = timeout(self.answer_within, request.send()).await else { return Err(ZoomError::NoAnswer) };
        let response = response.map_err(|error| ZoomError::unreachable(url, error))?;
        if response.status() != StatusCode::OK {
            return Ok(Answer::read_error(response, self.answer_within).await);
        }
        let answer = Answer::read(response, MAX_PAGE_BYTES, self.answer_within).await;
        answer.map_err(|error| ZoomError::Body(Arc::new(error)))
    }
}
