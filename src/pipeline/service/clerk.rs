//! Acts upon what events told: recordings become jobs, everything else makes the next sweep come sooner.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{Bell, PAUSE, Service, pause};
use crate::config::{OnDeleted, ZoomConfig};
use crate::domain::{PurgeReason, Recording, RecordingId, SourceKind};
use crate::failpoint;
use crate::pipeline::discover::Discovery;
use crate::pipeline::sweep::Run;
use crate::pipeline::{PurgeOrder, RunError, Stop, post_call_events};
use crate::queue::{Inbox, Notice, Redo, Subject};
use crate::source::zoom::slices::Owners;
use crate::source::zoom::wire::{RecordingFields, recording_from_json};
use crate::telemetry::{Health, Need};

/// Notices that are acted upon together.
const AT_ONCE: u32 = 500;
/// A ring that was missed costs at most this.
const LOOK_EVERY: Duration = Duration::from_secs(30);

pub(super) struct Clerk<'a> {
    run: Run<'a>,
    inbox: Arc<dyn Inbox>,
    bell: Arc<Bell>,
    health: Arc<Health>,
    stop: Stop,
    zoom: &'a ZoomConfig,
    owners: Owners,
    is_zoom: bool,
}

impl<'a> Clerk<'a> {
    pub(super) async fn new(service: &'a Service<'_>) -> Result<Self, RunError> {
        Ok(Self {
            run: service.open("events").await?,
            inbox: Arc::clone(&service.inbox),
            bell: Arc::clone(&service.bell),
            health: Arc::clone(&service.health),
            stop: service.stop.clone(),
            zoom: &service.config.zoom,
            owners: Owners::of(&service.config.zoom),
            is_zoom: service.config.source == SourceKind::Zoom,
        })
    }

    /// Ends when the service stops; what is left in the inbox is for the next start.
    pub(super) async fn serve(self) {
        while !self.stop.is_draining() {
            match self.clear().await {
                Ok(()) => self.health.met(Need::Events),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "events cannot be acted upon");
                    self.health.missed(Need::Events, error.to_string());
                    pause(&self.stop, PAUSE).await;
                    continue;
                }
            }
            tokio::select! {
                () = self.bell.inbox.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = self.stop.draining() => {}
            }
        }
    }

    /// Acts until the inbox is empty. A crash before the notices are struck off acts upon them again, which changes
    /// nothing.
    async fn clear(&self) -> Result<(), RunError> {
        loop {
            let notices = self.inbox.received(AT_ONCE).await?;
            if notices.is_empty() {
                return Ok(());
            }
            let numbers = notices.iter().map(|(number, _notice)| *number).collect();
            self.act(notices).await?;
            failpoint::pass("events-acted-upon");
            self.inbox.acted_upon(numbers).await?;
        }
    }

    async fn act(&self, notices: Vec<(i64, Notice)>) -> Result<(), RunError> {
        let (mut calls, mut found, mut transcripts) = (Vec::new(), Vec::new(), Vec::new());
        let mut deleted = BTreeSet::new();
        let (mut lists, mut lists_now) = (false, false);
        for (number, notice) in notices {
            match notice.subject {
                Subject::Call => calls.push((number, notice)),
                // Which recordings their lists hold is known to the listing only.
                Subject::Recording if matches!(self.owners, Owners::Users(_)) => {
                    lists_now |= fields(&notice).is_none_or(|fields| self.owners.may_hold(&fields.owner));
                }
                Subject::Recording => found.extend(recording(&notice)),
                Subject::Transcript => transcripts.extend(id(&notice)),
                Subject::History => lists |= self.zoom.history,
                Subject::Deleted if self.zoom.on_deleted == OnDeleted::Purge => deleted.extend(id(&notice)),
                Subject::Deleted => {
                    tracing::debug!("a recording was deleted in Zoom; its rows stay (zoom.on_deleted = \"keep\")");
                }
            }
        }
        if !calls.is_empty() {
            let (outbox, lake) = (self.run.publisher.outbox.as_ref(), &self.run.publisher.lake);
            if post_call_events(outbox, lake, calls, Timestamp::now()).await? > 0 {
                self.bell.rows_wait();
            }
        }
        if !deleted.is_empty() {
            let recordings = deleted.len();
            let reason = PurgeReason::DeletedInZoom;
            let order = PurgeOrder { recordings: deleted, reason, ..PurgeOrder::default() };
            self.run.publisher.purge(&order).await?;
            tracing::info!(recordings, "purged what was deleted in Zoom (zoom.on_deleted)");
        }
        if !found.is_empty() && self.is_zoom {
            self.enqueue(found).await?;
        }
        if self.zoom.transcripts && !transcripts.is_empty() {
            self.run.publisher.outbox.expect_transcripts(transcripts, Timestamp::now()).await?;
            lists = true;
        }
        if lists_now {
            self.bell.events_were_missed(None);
        } else if lists {
            self.bell.sweep_is_worthwhile();
        }
        Ok(())
    }

    async fn enqueue(&self, found: Vec<Recording>) -> Result<(), RunError> {
        // A ledger that a sweep has seen through knows what the lake holds.
        let knows_lake = self.run.marks.last_sweep(SourceKind::Zoom).await?.is_some();
        let discovery = Discovery {
            source: self.run.source.as_ref(),
            queue: self.run.queue.as_ref(),
            marks: self.run.marks.as_ref(),
            lake: &self.run.publisher.lake,
            reporter: self.run.reporter.as_ref(),
            window: None,
            only: None,
            room: u64::MAX,
            redo: &Redo::Nothing,
            now: Timestamp::now(),
        };
        let new = discovery.enqueue(found, knows_lake).await?.new;
        if new > 0 {
            tracing::info!(recordings = new, "events told of new recordings");
        }
        self.bell.work.notify_one();
        Ok(())
    }
}

/// What a notice says of its recording.
fn fields(notice: &Notice) -> Option<RecordingFields> {
    let value: Value = serde_json::from_str(&notice.body).ok()?;
    RecordingFields::read(&value)
}

/// Which recording a notice is about.
fn id(notice: &Notice) -> Option<RecordingId> {
    RecordingId::parse(&fields(notice)?.id?).ok()
}

/// The recording that a notice tells of; the sweep finds what it does not describe.
fn recording(notice: &Notice) -> Option<Recording> {
    let value: Option<Value> = serde_json::from_str(&notice.body).ok();
    let recording = value.as_ref().map(recording_from_json);
    match recording {
        Some(Ok(recording)) => Some(recording),
        Some(Err(why)) => {
            tracing::warn!(%why, "an event's recording cannot be taken up; the next sweep lists it");
            None
        }
        None => None,
    }
}
