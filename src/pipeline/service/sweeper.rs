//! Lists now and then, and whenever events may have been missed. One sweep at a time: what is asked for meanwhile is
//! one more.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::bell::Wanted;
use super::{PAUSE, Service};
use crate::domain::SourceKind;
use crate::pipeline::{ExitCode, RunError, Summary, Window};
use crate::source::TimeWindow;
use crate::telemetry::Need;

/// Sweeps that can wait are this far apart.
const GATHER: Duration = Duration::from_secs(60);
/// Whatever the hurry: a connection that comes and goes is no reason to list without end.
const APART: Duration = Duration::from_secs(5);
/// The longest wait after sweeps that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

pub(super) struct Sweeper<'a> {
    service: &'a Service<'a>,
}

impl<'a> Sweeper<'a> {
    pub(super) const fn new(service: &'a Service<'a>) -> Self {
        Self { service }
    }

    /// Ends when the service stops.
    pub(super) async fn watch(self) {
        let stop = &self.service.stop;
        let mut failures = 0_u32;
        while !stop.is_draining() {
            let wanted = self.service.bell.take_wanted();
            let began = Instant::now();
            let swept = tokio::select! {
                swept = self.sweep(wanted) => swept,
                // What was listed so far is in the ledger.
                () = stop.draining() => return,
            };
            let next = match self.digest(swept) {
                None => {
                    failures = 0;
                    self.service.tunables.borrow().sweep_every
                }
                Some(resume_at) => {
                    failures += 1;
                    // It is still wanted.
                    if let Some(Wanted { since, can_wait: false }) = wanted {
                        self.service.bell.events_were_missed(since);
                    }
                    let own = PAUSE.saturating_mul(1 << failures.min(8)).min(LONGEST_PAUSE);
                    let until = resume_at.map(|at| Duration::try_from(at.duration_since(Timestamp::now())));
                    own.max(until.and_then(Result::ok).unwrap_or_default())
                }
            };
            self.wait(began, next, failures > 0).await;
        }
    }

    /// Until the next sweep is due or wanted. A pause after trouble is not cut short.
    async fn wait(&self, began: Instant, next: Duration, failed: bool) {
        let Service { stop, bell, .. } = self.service;
        loop {
            let after = match bell.wanted_sweep() {
                Some(wanted) if !failed => next.min(if wanted.can_wait { GATHER } else { APART }),
                _ => next,
            };
            tokio::select! {
                () = tokio::time::sleep_until(began + after) => return,
                () = bell.sweep.notified() => {}
                () = stop.draining() => return,
            }
        }
    }

    async fn sweep(&self, wanted: Option<Wanted>) -> Result<Summary, RunError> {
        let service = self.service;
        let mut run = service.open("schedule")?;
        let source = service.config.source;
        let now = Timestamp::now();
        run.sweep.window = match source {
            SourceKind::Folder => Window::Everything,
            SourceKind::Zoom => {
                let seen_through = run.marks.last_sweep(source).await?.unwrap_or(now).min(now);
                let missed = wanted.and_then(|wanted| wanted.since).unwrap_or(now);
                let overlap = service.tunables.borrow().overlap;
                let overlap = SignedDuration::try_from(overlap).unwrap_or(SignedDuration::MAX);
                let since = seen_through.min(missed).checked_sub(overlap).unwrap_or(Timestamp::MIN);
                Window::Span(TimeWindow { since, until: now })
            }
        };
        let summary = run.list_only().await?;
        if summary.exit_code == ExitCode::Done {
            run.marks.mark_sweep(source, now).await?;
        }
        Ok(summary)
    }

    /// Says how the sweep went; when to come back at the earliest where it failed (`Some(None)` = soon).
    fn digest(&self, swept: Result<Summary, RunError>) -> Option<Option<Timestamp>> {
        let Service { health, bell, .. } = self.service;
        bell.work.notify_one();
        match swept {
            Ok(summary) => {
                metrics::counter!("transcribe_sweeps_total", "exit_code" => summary.exit_code.number().to_string())
                    .increment(1);
                tracing::info!(listed = summary.listed, "swept");
                let Some(first) = summary.troubles.first() else {
                    health.met(Need::Source);
                    return None;
                };
                for trouble in &summary.troubles {
                    tracing::error!(trouble, "the sweep is not complete");
                }
                health.missed(Need::Source, first.clone());
                // Trouble with one owner of many, or beside the recordings, does not make the sweeps come oftener.
                (summary.exit_code != ExitCode::Done).then_some(summary.resume_at)
            }
            Err(error) => {
                metrics::counter!("transcribe_sweeps_total", "exit_code" => error.exit_code().number().to_string())
                    .increment(1);
                tracing::error!(error = &error as &dyn std::error::Error, "the sweep could not be made");
                health.missed(Need::Source, error.to_string());
                Some(None)
            }
        }
    }
}
