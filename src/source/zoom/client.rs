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
use super::limits::{Label, Limits};
use crate::net::{Answer, HttpClients, Missing, Retry};

/// A page of 300 recordings is some 300 KB.
const MAX_PAGE_BYTES: u64 = 32 * 1024 * 1024;

/// Talks to Zoom's API on behalf of one account.
pub struct ZoomClient {
    http: HttpClients,
    auth: Arc<Authenticator>,
    limits: Limits,
    retry: Retry,
    answer_within: Duration,
}

impl ZoomClient {
    /// `answer_within` is how long Zoom may keep silent.
    #[must_use]
    pub const fn new(
        http: HttpClients,
        auth: Arc<Authenticator>,
        limits: Limits,
        retry: Retry,
        answer_within: Duration,
    ) -> Self {
        Self { http, auth, limits, retry, answer_within }
    }

    /// What signs the requests.
    #[must_use]
    pub const fn auth(&self) -> &Arc<Authenticator> {
        &self.auth
    }

    /// Signs in, or says why that fails after all retries.
    ///
    /// # Errors
    /// [`ZoomError`] of the last attempt.
    pub async fn sign_in(&self) -> Result<Arc<AccessToken>, ZoomError> {
        self.retry.run(Missing::IsFinal, || self.auth.token()).await
    }

    /// Signs in anew whatever token there is; in user mode the stored sign-in is renewed with it.
    ///
    /// # Errors
    /// [`ZoomError`] of the last attempt.
    pub async fn rotate(&self) -> Result<Arc<AccessToken>, ZoomError> {
        self.retry.run(Missing::IsFinal, || self.auth.rotate()).await
    }

    /// Gets `path` below the API's address and reads its JSON with `parse`, which answers `None` for what it cannot read.
    ///
    /// # Errors
    /// [`ZoomError`] after all retries.
    pub async fn get_json<T: Send>(
        &self,
        label: Label,
        missing: Missing,
        path: &[&str],
        query: &[(&str, String)],
        parse: impl Fn(Value) -> Option<T> + Send + Sync,
    ) -> Result<T, ZoomError> {
        let parse = &parse;
        let get = |token: Arc<AccessToken>| async move { self.get(&url(&token, path, query), &token, parse).await };
        self.with_token(label, missing, get).await
    }

    /// Runs `call` with a token until it succeeds, fails for good, or the retry policy is used up.
    ///
    /// # Errors
    /// [`ZoomError`] of the last attempt.
    pub async fn with_token<T, Call, Calling>(&self, label: Label, missing: Missing, call: Call) -> Result<T, ZoomError>
    where
        Call: Fn(Arc<AccessToken>) -> Calling,
        Calling: Future<Output = Result<T, ZoomError>>,
    {
        let call = &call;
        self.retry.run(missing, || async move { self.attempt(label, call).await }).await
    }

    /// One attempt; a refused token is renewed and the call repeated once. What Zoom says about its limits holds for
    /// everyone who asks under this label.
    async fn attempt<T, Calling>(
        &self,
        label: Label,
        call: &impl Fn(Arc<AccessToken>) -> Calling,
    ) -> Result<T, ZoomError>
    where
        Calling: Future<Output = Result<T, ZoomError>>,
    {
        let token = self.auth.token().await?;
        match self.limited(label, call(Arc::clone(&token))).await {
            Err(ZoomError::TokenRefused) => {}
            outcome => return outcome,
        }
        let token = self.auth.renew(&token).await?;
        match self.limited(label, call(token)).await {
            Err(ZoomError::TokenRefused) => Err(ZoomError::Refused(Refusal::Token)),
            outcome => outcome,
        }
    }

    async fn limited<T>(
        &self,
        label: Label,
        calling: impl Future<Output = Result<T, ZoomError>>,
    ) -> Result<T, ZoomError> {
        let limiter = self.limits.of(label);
        limiter.ready().await?;
        let outcome = calling.await;
        match &outcome {
            Err(ZoomError::TooFast { after }) => limiter.slow_down(*after),
            Err(ZoomError::RateLimit { resumes_in }) => limiter.close_for(*resumes_in),
            _ => {}
        }
        outcome
    }

    async fn get<T>(
        &self,
        url: &Url,
        token: &AccessToken,
        parse: &(impl Fn(Value) -> Option<T> + Send + Sync),
    ) -> Result<T, ZoomError> {
        let request = self.http.trusted().get(url.clone()).bearer_auth(token.expose());
        let Ok(response) = timeout(self.answer_within, request.send()).await else { return Err(ZoomError::NoAnswer) };
        let response = response.map_err(|error| ZoomError::unreachable(url, error))?;
        if response.status() != StatusCode::OK {
            return Err(judge(&Answer::read_error(response, self.answer_within).await, Timestamp::now()));
        }
        let answer = Answer::read(response, MAX_PAGE_BYTES, self.answer_within).await;
        let answer = answer.map_err(|error| ZoomError::Body(Arc::new(error)))?;
        serde_json::from_slice(&answer.body).ok().and_then(parse).ok_or(ZoomError::Unreadable)
    }
}

/// The address of `path` in the region that the token belongs to.
pub(super) fn url(token: &AccessToken, path: &[&str], query: &[(&str, String)]) -> Url {
    let mut url = token.api().clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}
