//! Lists now and then, and whenever events may have been missed. One sweep at a time: what is asked for meanwhile is
//! one more.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use super::bell::Wanted;
use super::{PAUSE, Service, Tunables};
use crate::domain::SourceKind;
use crate::pipeline::sweep::ListedOnly;
use crate::pipeline::{ExitCode, RunError, Window};
use crate::source::TimeWindow;
use crate::telemetry::Need;

/// Sweeps that can wait are this far apart.
const GATHER: Duration = Duration::from_secs(300);
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
            let mut tunables = self.service.tunables.clone();
            let began = Instant::now();
            let swept = tokio::select! {
                swept = self.sweep(wanted) => swept,
                // What was listed so far is in the ledger.
                () = stop.draining() => return,
            };
            let took = began.elapsed();
            let next = match self.digest(swept) {
                None => {
                    failures = 0;
                    None
                }
                Some(resume_at) => {
                    failures += 1;
                    // It is still wanted.
                    if let Some(Wanted { since, can_wait: false }) = wanted {
                        self.service.bell.events_were_missed(since);
                    }
                    let own = PAUSE.saturating_mul(1 << failures.min(8)).min(LONGEST_PAUSE);
                    let until = resume_at.map(|at| Duration::try_from(at.duration_since(Timestamp::now())));
                    Some(own.max(until.and_then(Result::ok).unwrap_or_default()))
                }
            };
            self.wait(began, took, next, &mut tunables).await;
        }
    }

    /// Until the next sweep is due or wanted. A `pause` after trouble is not cut short.
    async fn wait(
        &self,
        began: Instant,
        took: Duration,
        pause: Option<Duration>,
        tunables: &mut watch::Receiver<Tunables>,
    ) {
        let Service { stop, bell, .. } = self.service;
        loop {
            let every = tunables.borrow_and_update().sweep_every;
            let after = match (pause, bell.wanted_sweep()) {
                (Some(pause), _) => pause,
                (None, None) => every,
                (None, Some(Wanted { can_wait: true, .. })) => GATHER.min(every),
                // A long listing is not begun again and again.
                (None, Some(Wanted { can_wait: false, .. })) => (3 * took).max(APART).min(every),
            };
            tokio::select! {
                () = tokio::time::sleep_until(began + after) => return,
                () = bell.sweep.notified() => {}
                _ = tunables.changed() => {}
                () = stop.draining() => return,
            }
        }
    }

    async fn sweep(&self, wanted: Option<Wanted>) -> Result<ListedOnly, RunError> {
        let service = self.service;
        let mut run = service.open("schedule").await?;
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
        // Whoever cannot wait wants recordings and nothing else.
        let swept = run.list_only(wanted.is_none_or(|wanted| wanted.can_wait)).await?;
        if swept.is_whole {
            run.marks.mark_sweep(source, now).await?;
        }
        Ok(swept)
    }

    /// Says how the sweep went; when to come back at the earliest where it broke off (`Some(None)` = soon). Trouble with
    /// one owner of many, or beside the recordings, is told but does not make the sweeps come oftener.
    fn digest(&self, swept: Result<ListedOnly, RunError>) -> Option<Option<Timestamp>> {
        let Service { health, bell, .. } = self.service;
        bell.work.notify_one();
        let count = |code: ExitCode| {
            metrics::counter!("transcribe_sweeps_total", "exit_code" => code.number().to_string()).increment(1);
        };
        match swept {
            Ok(ListedOnly { summary, is_whole, resume_at }) => {
                count(summary.exit_code);
                tracing::info!(listed = summary.listed, is_whole, "swept");
                for trouble in &summary.troubles {
                    tracing::error!(trouble, "the sweep met trouble");
                }
                if is_whole {
                    health.met(Need::Source);
                    return None;
                }
                let why = summary.troubles.first().cloned();
                health.missed(Need::Source, why.unwrap_or_else(|| "the listing broke off".to_owned()));
                Some(resume_at)
            }
            Err(error) => {
                count(error.exit_code());
                tracing::error!(error = &error as &dyn std::error::Error, "the sweep could not be made");
                health.missed(Need::Source, error.to_string());
                Some(None)
            }
        }
    }
}
