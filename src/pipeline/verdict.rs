//! What a failed recording is told, and what the run is: another attempt, later, never, or that nothing works here.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tracing::Span;

use super::item::{ItemOutcome, Shop};
use crate::domain::{Failure, Reason, RecordingId, Stage, Treatment};
use crate::queue::Settlement;
use crate::telemetry::Event;

/// The pause after a recording's last attempt when the host answers nobody: longer than a run stays for retries.
const HOST_IS_DOWN: Duration = Duration::from_secs(600);

impl Shop {
    /// What a failure means for the claim and for the run.
    pub(super) fn judge(&self, id: &RecordingId, attempt: i32, failure: Failure) -> (Settlement, ItemOutcome) {
        let wait = self.wait_before(attempt.saturating_add(1), &failure);
        let not_before = Timestamp::now().checked_add(wait).unwrap_or(Timestamp::MAX);
        let used_up = attempt >= self.settings.max_attempts;
        // A host that has answered nobody since its last failure says nothing about this recording.
        let host_is_down = failure.reason == Reason::SourceUnavailable && self.fetched.swap(0, Ordering::Relaxed) == 0;
        match failure.treatment {
            // Nobody's fault and the same for every recording.
            _ if failure.reason == Reason::DailyLimit => {
                self.reporter.emit(Event::Retrying { id, attempt, failure: &failure, wait });
                (Settlement::Postponed { failure: failure.clone(), not_before }, ItemOutcome::Halt(failure))
            }
            Treatment::Permanent => self.bury(id, attempt, failure),
            Treatment::TooEarly => {
                self.reporter.emit(Event::Retrying { id, attempt, failure: &failure, wait });
                (Settlement::Postponed { failure, not_before }, ItemOutcome::Waiting)
            }
            Treatment::Crashed => {
                self.reporter.emit(Event::Crashed { id, failure: &failure });
                (Settlement::Crashed { failure }, ItemOutcome::Crashed)
            }
            Treatment::Transient if used_up && !host_is_down => self.bury(id, attempt, failure),
            Treatment::Transient if used_up => {
                let wait = wait.max(HOST_IS_DOWN);
                self.reporter.emit(Event::Retrying { id, attempt, failure: &failure, wait });
                let not_before = Timestamp::now().checked_add(wait).unwrap_or(Timestamp::MAX);
                (Settlement::Postponed { failure, not_before }, ItemOutcome::Waiting)
            }
            Treatment::Transient => {
                self.reporter.emit(Event::Retrying { id, attempt, failure: &failure, wait });
                (Settlement::Retry { failure, not_before }, ItemOutcome::Waiting)
            }
            Treatment::Local | Treatment::Fatal => {
                self.reporter.emit(Event::Retrying { id, attempt, failure: &failure, wait });
                (Settlement::Postponed { failure: failure.clone(), not_before }, ItemOutcome::Halt(failure))
            }
        }
    }

    /// The engine died with nothing but this recording in flight: its fault, unless the engine dies of anything here.
    pub(super) async fn accuse(
        self: &Arc<Self>,
        id: &RecordingId,
        attempt: i32,
        failure: Failure,
    ) -> (Settlement, ItemOutcome) {
        match self.examine_engine().await {
            None => self.judge(id, attempt, failure),
            Some(broken) => (Settlement::Released, ItemOutcome::Halt(broken)),
        }
    }

    /// Has the engine decode something harmless; what is wrong with this machine if it does not survive that.
    pub(super) async fn examine_engine(self: &Arc<Self>) -> Option<Failure> {
        let (shop, span) = (Arc::clone(self), Span::current());
        match tokio::task::spawn_blocking(move || span.in_scope(|| shop.speech.prove_healthy())).await {
            Ok(Ok(())) => None,
            _broken => Some(Failure::new(Stage::Stt, Reason::EngineBroken, Treatment::Local, "")),
        }
    }

    fn bury(&self, id: &RecordingId, attempt: i32, failure: Failure) -> (Settlement, ItemOutcome) {
        self.reporter.emit(Event::Dead { id, attempt, failure: &failure });
        (Settlement::Dead { failure }, ItemOutcome::Dead)
    }

    /// The pause before the next attempt: the configured one, doubled for each further attempt, or what the other side
    /// asked for where that is longer.
    fn wait_before(&self, next_attempt: i32, failure: &Failure) -> Duration {
        let doublings = u32::try_from(next_attempt.saturating_sub(2)).unwrap_or(0).min(16);
        let own = self.settings.backoff.saturating_mul(1 << doublings);
        own.max(failure.retry_after())
    }
}
