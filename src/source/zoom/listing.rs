//! Lists one slice of the recordings. Every recording is sent once, also when the list is begun again.

use std::collections::HashSet;

use serde_json::Value;
use tokio::sync::mpsc;

use super::client::ZoomClient;
use super::limits::Label;
use super::paging::Pages;
use super::slices::ACCOUNT;
use super::wire::{Page, recording_from_json};
use crate::domain::{Recording, short_digest};
use crate::source::{Listed, SourceError, TimeWindow};

/// One listing in progress.
pub struct Listing<'a> {
    client: &'a ZoomClient,
    owner: &'a str,
    page_size: u32,
    found: mpsc::Sender<Vec<Recording>>,
    sent: HashSet<[u8; 16]>,
    listed: Listed,
}

/// The path of `owner`'s list of recordings ([`ACCOUNT`], a user or `me`).
pub(super) fn path(owner: &str) -> Vec<&str> {
    if owner == ACCOUNT { vec!["phone", "recordings"] } else { vec!["phone", "users", owner, "recordings"] }
}

impl<'a> Listing<'a> {
    /// Sends what it finds in `owner`'s list ([`ACCOUNT`], a user or `me`) to `found`, page by page.
    #[must_use]
    pub fn new(client: &'a ZoomClient, owner: &'a str, page_size: u32, found: mpsc::Sender<Vec<Recording>>) -> Self {
        Self { client, owner, page_size, found, sent: HashSet::new(), listed: Listed::default() }
    }

    /// Lists the recordings that ended (of a user: began) in `window`, which is no longer than Zoom's month.
    ///
    /// # Errors
    /// [`SourceError`]; what was sent so far stays valid.
    pub async fn run(mut self, window: TimeWindow) -> Result<Listed, SourceError> {
        let mut pages = Pages::new(self.client, Label::Medium, path(self.owner), self.page_size, window);
        if self.owner == ACCOUNT {
            // The account's list alone can be asked for by end time.
            pages = pages.with("query_date_type", "end_time");
        }
        let mut restarts = 0;
        loop {
            let is_at_start = pages.is_at_start();
            let items = match pages.next(items_and_next).await {
                Ok(Some(items)) => items,
                Ok(None) => return Ok(self.listed),
                Err(error) if self.owner != ACCOUNT && is_at_start && error.is_unknown_user() => {
                    let explanation = "Zoom knows no such phone user".to_owned();
                    return Err(SourceError::UnknownOwner { explanation });
                }
                Err(error) => return Err(error.into_source_error()),
            };
            if pages.restarts() != restarts {
                restarts = pages.restarts();
                self.listed.unusable = 0;
            }
            self.send(&items, restarts == 0).await?;
        }
    }

    /// Sends the recordings of one page that were not sent before.
    async fn send(&mut self, items: &[Value], count_repeats: bool) -> Result<(), SourceError> {
        let mut fresh = Vec::with_capacity(items.len());
        for item in items {
            match recording_from_json(item) {
                Ok(recording) if self.sent.insert(short_digest(recording.id.as_str())) => fresh.push(recording),
                Ok(_) => self.listed.repeated += u64::from(count_repeats),
                Err(reason) => {
                    tracing::warn!(%reason, "a listed item is no recording");
                    self.listed.unusable += 1;
                }
            }
        }
        if !fresh.is_empty() {
            self.listed.recordings += u64::try_from(fresh.len()).unwrap_or(u64::MAX);
            self.found.send(fresh).await.ok().ok_or(SourceError::Stopped)?;
        }
        Ok(())
    }
}

/// A token that comes with an empty page leads nowhere.
fn items_and_next(value: Value) -> Option<(Vec<Value>, Option<String>)> {
    let Page { items, next } = Page::read(value)?;
    let next = next.filter(|_| !items.is_empty());
    Some((items, next))
}
