//! Acts upon what events told: recordings become jobs, everything else makes the next sweep come sooner.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::super::discover::Discovery;
use super::super::sweep::Run;
use super::{PAUSE, Service, pause};
use crate::config::{ZoomConfig, ZoomMode};
use crate::domain::{Recording, RecordingId, SourceKind};
use crate::failpoint;
use crate::pipeline::{RunError, Stop, post_call_events};
use crate::queue::{Inbox, Notice, Redo, Subject};
use crate::source::zoom::wire::{RecordingFields, recording_from_json};
use crate::telemetry::{Health, Need};

use super::Bell;

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
    is_zoom: bool,
}

impl<'a> Clerk<'a> {
    pub(super) fn new(service: &'a Service<'_>) -> Result<Self, RunError> {
        Ok(Self {
            run: service.open("events")?,
            inbox: Arc::clone(&service.inbox),
            bell: Arc::clone(&service.bell),
            health: Arc::clone(&service.health),
            stop: service.stop.clone(),
            zoom: &service.config.zoom,
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
            let (calls, notices): (Vec<_>, Vec<_>) =
                notices.into_iter().partition(|(_number, notice)| notice.subject == Subject::Call);
            if !calls.is_empty() {
                let (outbox, lake) = (self.run.publisher.outbox.as_ref(), &self.run.publisher.lake);
                if post_call_events(outbox, lake, calls, Timestamp::now()).await? > 0 {
                    self.bell.rows_wait();
                }
            }
            let (numbers, notices): (Vec<i64>, Vec<Notice>) = notices.into_iter().unzip();
            self.act(notices).await?;
            failpoint::pass("events-acted-upon");
            self.inbox.acted_upon(numbers).await?;
        }
    }

    async fn act(&self, notices: Vec<Notice>) -> Result<(), RunError> {
        let (mut found, mut transcripts) = (Vec::new(), Vec::new());
        let (mut lists, mut lists_now) = (false, false);
        for notice in notices {
            match notice.subject {
                // Whose recordings are wanted is known to the listing only.
                Subject::Recording if self.lists_by_owner() => lists_now = true,
                Subject::Recording => found.extend(recording(&notice)),
                Subject::Transcript => transcripts.extend(id(&notice)),
                Subject::History => lists |= self.zoom.history,
                Subject::Deleted => {
                    tracing::info!("a recording was deleted in Zoom; its rows stay (zoom.on_deleted = \"keep\")");
                }
                Subject::Call => unreachable!("their rows were posted before"),
            }
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

    fn lists_by_owner(&self) -> bool {
        self.zoom.mode == ZoomMode::User || !self.zoom.users.is_empty()
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

/// Which recording a notice is about.
fn id(notice: &Notice) -> Option<RecordingId> {
    let value: Value = serde_json::from_str(&notice.body).ok()?;
    RecordingId::parse(&RecordingFields::read(&value)?.id?).ok()
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
