//! One request to the token endpoint and its judgement.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout};
use url::Url;

use super::answer::Issued;
use super::refusal::judge_token_answer;
use crate::config::ZoomMode;
use crate::net::Answer;
use crate::source::zoom::error::ZoomError;

const MAX_ANSWER_BYTES: u64 = 1024 * 1024;

/// Where tokens come from, and the app that asks for them.
#[derive(Debug)]
pub struct TokenEndpoint {
    pub client: Client,
    pub oauth_url: Url,
    pub client_id: String,
    pub client_secret: SecretString,
    /// How long the endpoint may take to answer.
    pub answer_within: Duration,
    /// What kind of app it is, for the words of a refusal.
    pub mode: ZoomMode,
}

impl TokenEndpoint {
    /// Sends `form`; the app's secret goes only into the header.
    ///
    /// # Errors
    /// [`ZoomError::Refused`] when Zoom turns the request away for good; anything else may pass.
    pub async fn ask(&self, form: &[(&str, &str)]) -> Result<Issued, ZoomError> {
        let request = self
            .client
            .post(self.oauth_url.clone())
            .basic_auth(&self.client_id, Some(self.client_secret.expose_secret()))
            .form(form);
        let asked_at = Instant::now();
        let Ok(response) = timeout(self.answer_within, request.send()).await else { return Err(ZoomError::NoAnswer) };
        let response = response.map_err(|error| ZoomError::unreachable(&self.oauth_url, error))?;
        let answer = Answer::read(response, MAX_ANSWER_BYTES, self.answer_within)
            .await
            .map_err(|error| ZoomError::Body(Arc::new(error)))?;
        let now = Timestamp::now();
        if answer.status != 200 {
            return Err(judge_token_answer(&answer, self.mode, now));
        }
        let issued = Issued::read(&answer, asked_at, now).ok_or(ZoomError::Unreadable)?;
        tracing::debug!(life_s = issued.life.as_secs(), "access token issued");
        Ok(issued)
    }
}
