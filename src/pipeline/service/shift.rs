//! The service's time in pieces, each a row of the table `runs`: what was claimed in a shift bears its id.

use std::time::Duration;

use jiff::Timestamp;

use super::super::item::whole_millis;
use super::super::publisher::PublishedCount;
use super::super::sweep::Run;
use crate::domain::RunId;
use crate::lake::RunRow;

/// How long one lasts.
const LENGTH: Duration = Duration::from_secs(3600);

/// One shift. It is over when another one has begun and none of its recordings is in work any more; nobody dies in it
/// after that.
#[derive(Debug)]
pub(super) struct Shift {
    pub(super) run: RunId,
    began: Timestamp,
    pub(super) claimed: u64,
    pub(super) failed: u64,
    pub(super) published: PublishedCount,
}

impl Shift {
    pub(super) fn begin(instance: &str) -> Self {
        let began = whole_millis(Timestamp::now());
        let run = RunId::new(began, instance);
        Self { run, began, claimed: 0, failed: 0, published: PublishedCount::default() }
    }

    /// The shift that goes on with a run that was opened for the service.
    pub(super) fn of(run: &Run<'_>) -> Self {
        Self { run: run.run_id.clone(), began: run.started_at, failed: run.failed, ..Self::begin("") }
    }

    /// Whether there is nothing to tell of it.
    pub(super) const fn is_blank(&self) -> bool {
        self.claimed == 0 && self.failed == 0 && self.published.recordings == 0
    }

    /// Whether it is time for the next one.
    pub(super) fn is_long(&self) -> bool {
        Timestamp::now().duration_since(self.began).unsigned_abs() >= LENGTH
    }

    pub(super) fn row(&self) -> RunRow {
        RunRow {
            run_id: self.run.clone(),
            command: "serve".into(),
            trigger: "events".into(),
            started_at: self.began,
            ended_at: whole_millis(Timestamp::now()),
            exit_code: if self.failed > 0 { 4 } else { 0 },
            listed: 0,
            done: self.published.recordings,
            skipped: 0,
            failed: self.failed,
            waiting: 0,
            audio_ms: self.published.audio_ms,
            program_version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}
