//! The history of calls: listed slice by slice, then leg by leg.
//!
//! The lists of the second and third generation are one endpoint; where it does not exist yet (or no more), the first
//! generation's is asked instead, whose items are all there is to know.

use std::collections::HashSet;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::ZoomSource;
use super::client::ZoomClient;
use super::error::ZoomError;
use super::limits::Label;
use super::paging::Pages;
use super::slices::{ACCOUNT, cut, six_months_before};
use super::wire_history::{CallPage, leg_from_json, legs_from_json, page_from_json};
use crate::domain::{CallLeg, CallRecord, Generation, short_digest};
use crate::net::Missing;
use crate::source::{CallHistorySource, LegsAnswer, SourceError, TimeWindow};

/// The label of the list of `owner`'s calls ([`ACCOUNT`], a user or `me`).
fn label(owner: &str) -> Label {
    if owner == ACCOUNT { Label::Heavy } else { Label::Medium }
}

fn path(owner: &str, generation: Generation) -> Vec<&str> {
    let list = if generation == Generation::CallLog { "call_logs" } else { "call_history" };
    if owner == ACCOUNT { vec!["phone", list] } else { vec!["phone", "users", owner, list] }
}

#[async_trait]
impl CallHistorySource for ZoomSource {
    async fn calls(&self, window: TimeWindow, found: mpsc::Sender<Vec<CallRecord>>) -> Result<(), SourceError> {
        let window = TimeWindow { since: window.since.max(six_months_before(Timestamp::now())), ..window };
        let mut listing = Listing {
            client: &self.client,
            page_size: self.page_size,
            found,
            sent: HashSet::new(),
            sent_before: HashSet::new(),
            generation: Generation::CallHistory,
            has_history: false,
        };
        let mut failure = None;
        for owner in self.owners.names() {
            match listing.list(owner, window).await {
                Ok(()) => {}
                // One user may be unknown or without a phone; a second failure says no more than the first.
                Err(error @ ZoomError::Status { .. }) => failure = failure.or(Some(error)),
                Err(error) => return Err(source_error(error)),
            }
        }
        failure.map_or(Ok(()), |error| Err(source_error(error)))
    }

    async fn legs(&self, call: &CallRecord) -> Result<LegsAnswer, SourceError> {
        let Some(id) = &call.history_id else { return Ok(LegsAnswer::Unknown) };
        let path = ["phone", "call_history", id.as_str()];
        let parse = |value| legs_from_json(&value, call);
        // What is not there after an hour will not come in the next seconds.
        let missing = if call.is_fresh(Timestamp::now()) { Missing::MayCome } else { Missing::IsFinal };
        match self.client.get_json(Label::Light, missing, &path, &[], parse).await {
            Err(ZoomError::Forbidden) => Ok(LegsAnswer::Forbidden),
            Err(ZoomError::Status { status: 500.., .. }) => Ok(LegsAnswer::Failed),
            answer => {
                let legs = if_there(answer)?.filter(|legs| !legs.is_empty());
                Ok(legs.map_or(LegsAnswer::Unknown, LegsAnswer::Legs))
            }
        }
    }

    async fn leg(&self, call_element_id: &str) -> Result<Option<CallLeg>, SourceError> {
        let path = ["phone", "call_element", call_element_id];
        let read = |value| leg_from_json(&value);
        if_there(self.client.get_json(Label::Light, Missing::MayCome, &path, &[], read).await)
    }
}

/// What is wrong with one call only leaves that call without its legs.
fn if_there<T>(answer: Result<T, ZoomError>) -> Result<Option<T>, SourceError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(ZoomError::Forbidden | ZoomError::Unreadable | ZoomError::Status { status: 400..500, .. }) => Ok(None),
        Err(error) => Err(source_error(error)),
    }
}

fn source_error(error: ZoomError) -> SourceError {
    match error {
        ZoomError::Forbidden => SourceError::Refused { explanation: "Zoom denies it (status 403)".to_owned() },
        ZoomError::Status { .. } => SourceError::Unavailable { explanation: error.to_string(), source: None },
        other => other.into_source_error(),
    }
}

/// One listing in progress.
struct Listing<'a> {
    client: &'a ZoomClient,
    page_size: u32,
    found: mpsc::Sender<Vec<CallRecord>>,
    /// Half of the SHA-256 of every record of this slice that was sent.
    sent: HashSet<[u8; 16]>,
    /// The same of the slice before: a call may stand in both.
    sent_before: HashSet<[u8; 16]>,
    /// Which endpoint is asked.
    generation: Generation,
    /// Whether the newer endpoint has answered: then it is not the endpoint that is missing.
    has_history: bool,
}

impl Listing<'_> {
    async fn list(&mut self, owner: &str, window: TimeWindow) -> Result<(), ZoomError> {
        self.sent.clear();
        for slice in cut(window) {
            self.sent_before = std::mem::take(&mut self.sent);
            if self.found.is_closed() {
                // Nobody listens any more: the run is stopping, and says so itself.
                return Ok(());
            }
            match self.slice(owner, slice).await {
                Err(error) if self.may_be_older() && is_no_endpoint(&error) => {
                    tracing::info!("no call history here, asking for call logs");
                    self.generation = Generation::CallLog;
                    // Without either, the newer one's absence is the news.
                    self.slice(owner, slice).await.map_err(|_older| {
                        self.generation = Generation::CallHistory;
                        error
                    })?;
                }
                outcome => outcome?,
            }
        }
        Ok(())
    }

    fn may_be_older(&self) -> bool {
        self.generation == Generation::CallHistory && !self.has_history
    }

    async fn slice(&mut self, owner: &str, slice: TimeWindow) -> Result<(), ZoomError> {
        let generation = self.generation;
        let mut pages = Pages::new(self.client, label(owner), path(owner, generation), self.page_size, slice);
        let read = |value| {
            let CallPage { calls, unusable, next } = page_from_json(&value, generation)?;
            Some(((calls, unusable), next))
        };
        while let Some((calls, unusable)) = pages.next(read).await? {
            self.has_history |= generation == Generation::CallHistory;
            if unusable > 0 {
                tracing::warn!(items = unusable, "listed calls without an id were left out");
            }
            let fresh: Vec<_> = calls.into_iter().filter(|call| self.is_new(&call.record_id)).collect();
            if !fresh.is_empty() && self.found.send(fresh).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether a record was not sent yet; from now on it was.
    fn is_new(&mut self, record_id: &str) -> bool {
        let digest = short_digest(record_id);
        !self.sent_before.contains(&digest) && self.sent.insert(digest)
    }
}

/// Whether an answer says that this account has no such endpoint.
const fn is_no_endpoint(error: &ZoomError) -> bool {
    matches!(error, ZoomError::Status { code: Some(404), .. } | ZoomError::Status { status: 404 | 405 | 410 | 501, .. })
}
