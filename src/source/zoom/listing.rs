//! Lists the recordings of the account, window by window and page by page.
//!
//! Zoom takes at most a month per request, so a window is cut into slices of 28 days. A slice ends when its page token
//! is missing, empty or repeated, or when a page is empty. A page token that Zoom no longer takes (they die after 15
//! minutes) restarts its slice; every recording is sent once all the same.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::client::ZoomClient;
use super::limits::Label;
use super::wire::{Page, recording_from_json};
use crate::domain::{Recording, RecordingId};
use crate::source::{Listed, SourceError, TimeWindow};

/// Zoom does not say how long its month is.
const SLICE: SignedDuration = SignedDuration::from_hours(28 * 24);
/// More pages than this in one slice are a server that never ends.
const MAX_PAGES: u32 = 10_000;
/// How often a slice is begun again because a page token was refused.
const MAX_RESTARTS: u32 = 3;

/// One listing in progress.
pub struct Listing<'a> {
    client: &'a ZoomClient,
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
    /// Sends what it finds to `found`, page by page.
    #[must_use]
    pub fn new(client: &'a ZoomClient, page_size: u32, found: mpsc::Sender<Vec<Recording>>) -> Self {
        Self { client, page_size, found, sent: HashSet::new(), listed: Listed::default() }
    }

    /// Lists all recordings that ended in `window`, widened to whole seconds.
    ///
    /// # Errors
    /// [`SourceError`]; what was sent so far stays valid.
    pub async fn run(mut self, window: TimeWindow) -> Result<Listed, SourceError> {
        for slice in slices(window) {
            self.slice(slice).await?;
        }
        Ok(self.listed)
    }

    async fn slice(&mut self, slice: TimeWindow) -> Result<(), SourceError> {
        for restarts in 0..=MAX_RESTARTS {
            match self.pass(slice, restarts == 0).await? {
                Pass::Complete { unusable } => {
                    self.listed.unusable += unusable;
                    return Ok(());
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
            let page = match self.client.get_json(Label::Medium, &["phone", "recordings"], &query, Page::read).await {
                Ok(page) => page,
                Err(error) if token.is_some() && error.is_refused_page_token() => return Ok(Pass::PageTokenRefused),
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
            ("query_date_type", "end_time".to_owned()),
            ("from", zoom_time(slice.since)),
            ("to", zoom_time(slice.until)),
        ];
        query.extend(token.map(|token| ("next_page_token", token.to_owned())));
        query
    }

    /// Sends the recordings of one page that were not sent before; returns how many items were none.
    async fn send(&mut self, items: &[Value], count_repeats: bool) -> Result<u64, SourceError> {
        let mut unusable = 0;
        let mut fresh = Vec::with_capacity(items.len());
        for item in items {
            match recording_from_json(item) {
                Ok(recording) if self.sent.insert(short_digest(&recording.id)) => fresh.push(recording),
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

fn short_digest(id: &RecordingId) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(id.as_str()).into();
    *digest.first_chunk().expect("32 bytes hold 16")
}

/// Cuts a window into slices of at most 28 days whose bounds are whole seconds, oldest first.
pub(super) fn slices(window: TimeWindow) -> impl Iterator<Item = TimeWindow> {
    let whole = |time: Timestamp, up: i64| Timestamp::from_second(time.as_second() + up).unwrap_or(time);
    let mut since = whole(window.since, 0);
    let until = whole(window.until, i64::from(window.until.subsec_nanosecond() > 0));
    std::iter::from_fn(move || {
        if since >= until {
            return None;
        }
        let end = since.checked_add(SLICE).map_or(until, |end| end.min(until));
        let slice = TimeWindow { since, until: end };
        since = end;
        Some(slice)
    })
}

pub(super) fn zoom_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(since: &str, until: &str) -> Vec<(String, String)> {
        let window = TimeWindow { since: since.parse().unwrap(), until: until.parse().unwrap() };
        slices(window).map(|slice| (zoom_time(slice.since), zoom_time(slice.until))).collect()
    }

    #[test]
    fn a_short_window_is_one_slice_of_whole_seconds() {
        let cut = cut("2026-11-01T00:00:00.7Z", "2026-11-02T00:00:00.1Z");
        assert_eq!(cut, [("2026-11-01T00:00:00Z".to_owned(), "2026-11-02T00:00:01Z".to_owned())]);
    }

    #[test]
    fn a_long_window_is_covered_without_gaps_by_slices_of_28_days() {
        let cut = cut("2026-08-01T00:00:00Z", "2026-11-01T00:00:00Z");
        let bounds: Vec<_> = cut.iter().map(|(since, _)| since.as_str()).collect();
        let expected = ["2026-08-01T00:00:00Z", "2026-08-29T00:00:00Z", "2026-09-26T00:00:00Z", "2026-10-24T00:00:00Z"];
        assert_eq!(bounds, expected);
        assert!(cut.windows(2).all(|pair| pair[0].1 == pair[1].0));
        assert_eq!(cut[3].1, "2026-11-01T00:00:00Z");
    }

    #[test]
    fn an_empty_window_has_no_slices() {
        assert!(cut("2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z").is_empty());
        assert!(cut("2026-11-02T00:00:00Z", "2026-11-01T00:00:00Z").is_empty());
    }
}
