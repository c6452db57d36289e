//! Lists one slice of the recordings, page by page.
//!
//! A slice ends when its page token is missing, empty or repeated, or when a page is empty. A page token that Zoom no
//! longer takes (they die after 15 minutes) restarts the slice; every recording is sent once all the same.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc;

use super::client::ZoomClient;
use super::limits::Label;
use super::slices::ACCOUNT;
use super::wire::{Page, recording_from_json};
use crate::domain::{Recording, short_digest};
use crate::source::{Listed, SourceError, TimeWindow};

/// More pages than this in one slice are a server that never ends.
const MAX_PAGES: u32 = 10_000;
/// How often a slice is begun again because a page token was refused.
const MAX_RESTARTS: u32 = 3;

/// One listing in progress.
pub struct Listing<'a> {
    client: &'a ZoomClient,
    path: Vec<&'a str>,
    /// The account's list alone can be asked for by end time.
    by_end: bool,
    page_size: u32,
    found: mpsc::Sender<Vec<Recording>>,
    /// Half of the SHA-256 of every id sent: small, however long the ids are.
    sent: HashSet<[u8; 16]>,
    listed: Listed,
}

enum Pass {
    Complete { unusable: u64 },
    PageTokenRefused,
}

impl<'a> Listing<'a> {
    /// Sends what it finds in `owner`'s list ([`ACCOUNT`], a user or `me`) to `found`, page by page.
    #[must_use]
    pub fn new(client: &'a ZoomClient, owner: &'a str, page_size: u32, found: mpsc::Sender<Vec<Recording>>) -> Self {
        let by_end = owner == ACCOUNT;
        let path = if by_end { vec!["phone", "recordings"] } else { vec!["phone", "users", owner, "recordings"] };
        Self { client, path, by_end, page_size, found, sent: HashSet::new(), listed: Listed::default() }
    }

    /// Lists the recordings that ended (of a user: began) in `window`, which is no longer than Zoom's month.
    ///
    /// # Errors
    /// [`SourceError`]; what was sent so far stays valid.
    pub async fn run(mut self, window: TimeWindow) -> Result<Listed, SourceError> {
        for restarts in 0..=MAX_RESTARTS {
            match self.pass(window, restarts == 0).await? {
                Pass::Complete { unusable } => {
                    self.listed.unusable += unusable;
                    return Ok(self.listed);
                }
                Pass::PageTokenRefused => tracing::debug!(restarts, "page token refused, listing the slice again"),
            }
        }
        let explanation = "Zoom keeps refusing its own page tokens".to_owned();
        Err(SourceError::Unavailable { explanation, source: None })
    }

    async fn pass(&mut self, slice: TimeWindow, is_first: bool) -> Result<Pass, SourceError> {
        let mut unusable = 0;
        let mut token: Option<String> = None;
        let mut used_tokens = HashSet::new();
        for _ in 0..MAX_PAGES {
            let query = self.query(slice, token.as_deref());
            let page = match self.client.get_json(Label::Medium, &self.path, &query, Page::read).await {
                Ok(page) => page,
                Err(error) if token.is_some() && error.is_refused_page_token() => return Ok(Pass::PageTokenRefused),
                Err(error) if !self.by_end && token.is_none() && error.is_unknown_user() => {
                    let explanation = "Zoom knows no such phone user".to_owned();
                    return Err(SourceError::UnknownOwner { explanation });
                }
                Err(error) => return Err(error.into_source_error()),
            };
            let is_empty = page.items.is_empty();
            unusable += self.send(&page.items, is_first).await?;
            match page.next {
                Some(next) if !is_empty => {
                    if !used_tokens.insert(next.clone()) {
                        tracing::warn!(pages = used_tokens.len(), "Zoom repeats a page token, taking it for the end");
                        return Ok(Pass::Complete { unusable });
                    }
                    token = Some(next);
                }
                _ => return Ok(Pass::Complete { unusable }),
            }
        }
        let explanation = format!("Zoom's listing has no end after {MAX_PAGES} pages");
        Err(SourceError::Unavailable { explanation, source: None })
    }

    fn query(&self, slice: TimeWindow, token: Option<&str>) -> Vec<(&'static str, String)> {
        let mut query = vec![
            ("page_size", self.page_size.to_string()),
            ("from", zoom_time(slice.since)),
            ("to", zoom_time(slice.until)),
        ];
        query.extend(self.by_end.then(|| ("query_date_type", "end_time".to_owned())));
        query.extend(token.map(|token| ("next_page_token", token.to_owned())));
        query
    }

    /// Sends the recordings of one page that were not sent before; returns how many items were none.
    async fn send(&mut self, items: &[Value], count_repeats: bool) -> Result<u64, SourceError> {
        let mut unusable = 0;
        let mut fresh = Vec::with_capacity(items.len());
        for item in items {
            match recording_from_json(item) {
                Ok(recording) if self.sent.insert(short_digest(recording.id.as_str())) => fresh.push(recording),
                Ok(_) => self.listed.repeated += u64::from(count_repeats),
                Err(reason) => {
                    tracing::warn!(%reason, "a listed item is no recording");
                    unusable += 1;
                }
            }
        }
        if !fresh.is_empty() {
            self.listed.recordings += u64::try_from(fresh.len()).unwrap_or(u64::MAX);
            self.found.send(fresh).await.ok().ok_or(SourceError::Stopped)?;
        }
        Ok(unusable)
    }
}

pub(super) fn zoom_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
