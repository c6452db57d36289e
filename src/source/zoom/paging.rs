//! Any list of Zoom's, page after page.
//!
//! A list ends when its page token is missing or repeated. A token that Zoom no longer takes (they die after 15 minutes)
//! begins the list anew.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::Value;

use super::client::ZoomClient;
use super::error::ZoomError;
use super::limits::Label;
use crate::net::Missing;
use crate::source::TimeWindow;

/// More pages than this in one list are a server that never ends.
const MAX_PAGES: usize = 10_000;
/// How often a list is begun again because a page token was refused.
const MAX_RESTARTS: u32 = 3;

/// A list that is being read.
pub(super) struct Pages<'a> {
    client: &'a ZoomClient,
    label: Label,
    path: Vec<&'a str>,
    query: Vec<(&'static str, String)>,
    /// Of the next page; `None` at the start.
    token: Option<String>,
    used_tokens: HashSet<String>,
    restarts: u32,
    is_over: bool,
}

impl<'a> Pages<'a> {
    /// The list at `path` of what lies in `window`.
    pub(super) fn new(
        client: &'a ZoomClient,
        label: Label,
        path: Vec<&'a str>,
        page_size: u32,
        window: TimeWindow,
    ) -> Self {
        let query = vec![
            ("page_size", page_size.to_string()),
            ("from", zoom_time(window.since)),
            ("to", zoom_time(window.until)),
        ];
        let used_tokens = HashSet::new();
        Self { client, label, path, query, token: None, used_tokens, restarts: 0, is_over: false }
    }

    /// Asks with one more parameter.
    pub(super) fn with(mut self, key: &'static str, value: &str) -> Self {
        self.query.push((key, value.to_owned()));
        self
    }

    /// Whether the next page is the first.
    pub(super) const fn is_at_start(&self) -> bool {
        self.token.is_none()
    }

    /// How often the list was begun again: what its pages said before is said again.
    pub(super) const fn restarts(&self) -> u32 {
        self.restarts
    }

    /// The next page; `None` after the last. `parse` reads a page and the token of the next one, `None` when it is the
    /// last, and answers `None` for what is no page.
    ///
    /// # Errors
    /// [`ZoomError`] after all retries, and when there is no end to restarts or pages.
    pub(super) async fn next<P: Send>(
        &mut self,
        parse: impl Fn(Value) -> Option<(P, Option<String>)> + Send + Sync,
    ) -> Result<Option<P>, ZoomError> {
        while !self.is_over {
            if self.used_tokens.len() >= MAX_PAGES {
                return Err(ZoomError::Endless { pages: MAX_PAGES });
            }
            let mut query = self.query.clone();
            query.extend(self.token.iter().map(|token| ("next_page_token", token.clone())));
            match self.client.get_json(self.label, Missing::IsFinal, &self.path, &query, &parse).await {
                Ok((page, next)) => {
                    self.go_on_with(next);
                    return Ok(Some(page));
                }
                Err(error) if self.token.is_some() && error.is_refused_page_token() => self.restart()?,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn go_on_with(&mut self, next: Option<String>) {
        match next {
            Some(next) if self.used_tokens.insert(next.clone()) => self.token = Some(next),
            Some(_) => {
                tracing::warn!(pages = self.used_tokens.len(), "Zoom repeats a page token, taking it for the end");
                self.is_over = true;
            }
            None => self.is_over = true,
        }
    }

    fn restart(&mut self) -> Result<(), ZoomError> {
        if self.restarts >= MAX_RESTARTS {
            return Err(ZoomError::PageTokens);
        }
        self.restarts += 1;
        tracing::debug!(restarts = self.restarts, "page token refused, listing again from the start");
        self.token = None;
        self.used_tokens.clear();
        Ok(())
    }
}

/// A time as Zoom's parameters take it: UTC, whole seconds.
pub(super) fn zoom_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
