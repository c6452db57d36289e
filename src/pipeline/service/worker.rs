//! Claims, works and publishes for as long as the service lives.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::press::{Press, Published};
use super::shift::Shift;
use super::{Bell, PAUSE, Service, Tunables, joined};
use crate::config::Config;
use crate::domain::{Failure, Lease, Reason, RunId};
use crate::pipeline::error::MAKE_ROOM;
use crate::pipeline::floor::{Ended, Floor, InWork};
use crate::pipeline::item::ItemOutcome;
use crate::pipeline::lead::Hired;
use crate::pipeline::publisher::Publisher;
use crate::pipeline::sweep::Run;
use crate::pipeline::{RunError, Stop};
use crate::queue::instance::is_alive;
use crate::queue::{Claimant, Scope, Settlement};
use crate::telemetry::{Event, Health, Need};

/// After a step that failed: what is wrong may be wrong with the next one as well.
const A_MOMENT: Duration = Duration::from_secs(1);
/// What the last publication may take after an abort, at least.
const LEAST_PATIENCE: Duration = Duration::from_secs(10);
/// Nothing is looked for less often than this, whatever was missed.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// A shift that is over, while the lake is told of it.
struct Record {
    of: RunId,
    writing: JoinHandle<Result<(), RunError>>,
}

pub(super) struct Worker<'a> {
    config: &'a Config,
    stop: Stop,
    bell: Arc<Bell>,
    health: Arc<Health>,
    tunables: watch::Receiver<Tunables>,
    run: Run<'a>,
    scope: Scope,
    floor: Floor,
    shift: Shift,
    /// Shifts that ended with recordings still in work.
    ending: Vec<Shift>,
    press: Press,
    /// Shifts that are over are written down, and dead recordings told of.
    record: Option<Record>,
    record_again_at: Option<Instant>,
    taken_back_at: Instant,
    /// No claims before: this machine or the other side has trouble.
    paused_until: Option<Instant>,
    /// Claims whose end could not be written down.
    unsettled: Vec<Lease>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(service: &'a Service<'_>, run: Run<'a>, hired: Hired) -> Self {
        // Recordings that died when the service started are of its first shift.
        let shift = Shift::of(&run);
        let mut floor = Floor::new(hired.crew);
        hired.out.into_iter().for_each(|(claimed, run)| floor.begin(claimed, run));
        Self {
            config: service.config,
            stop: service.stop.clone(),
            bell: Arc::clone(&service.bell),
            health: Arc::clone(&service.health),
            tunables: service.tunables.clone(),
            scope: Scope { source: service.config.source, only: None },
            floor,
            shift,
            ending: Vec::new(),
            press: Press::new(Arc::clone(&run.publisher), service.tunables.clone()),
            record: None,
            record_again_at: None,
            taken_back_at: Instant::now(),
            paused_until: None,
            unsettled: Vec::new(),
            run,
        }
    }

    /// Ends when the service stops and nothing is in work any more; everything that is finished is published then.
    pub(super) async fn work(mut self) {
        while !(self.stop.is_draining() && self.floor.is_empty()) {
            if let Err(error) = self.step().await {
                self.stumble(&error);
            }
        }
        let (stop, patience) = (self.stop.clone(), self.config.trigger.drain.max(LEAST_PATIENCE));
        tokio::select! {
            closed = self.close() => {
                if let Err(error) = closed {
                    tracing::error!(error = &error as &dyn std::error::Error, "left for the next start: nothing is lost");
                }
            }
            () = async {
                tokio::time::sleep(patience).await;
                stop.aborting().await;
            } => tracing::warn!("what is finished could not be published in time: left for the next start"),
        }
    }

    /// Does what can be done now, then waits for something to happen: also when something could not be done.
    async fn step(&mut self) -> Result<(), RunError> {
        let maintained = self.maintain().await;
        let wake = match &maintained {
            Ok(()) => self.wakes_at().await,
            Err(_) => Ok(Instant::now() + A_MOMENT),
        };
        tokio::select! {
            Some(ended) = self.floor.next() => self.digest(ended)?,
            published = self.press.ended() => self.note_publication(published)?,
            recorded = joined(self.record.as_mut().map(|record| &mut record.writing)) => self.note_record(recorded)?,
            () = self.bell.work.notified() => {}
            // What waits is planned anew.
            Ok(()) = self.tunables.changed() => self.press.plan(None),
            () = tokio::time::sleep_until(*wake.as_ref().unwrap_or(&(Instant::now() + A_MOMENT))) => {}
            () = self.stop.draining(), if !self.stop.is_draining() => {
                self.run.reporter.emit(Event::Stopping { why: "the service was told to stop" });
            }
        }
        maintained.and(wake.map(drop))
    }

    async fn maintain(&mut self) -> Result<(), RunError> {
        self.settle_late().await?;
        if self.floor.is_empty()
            && let Some(broken) = self.floor.examine().await
        {
            self.halt(&broken);
        }
        if self.taken_back_at.elapsed() >= self.config.queue.lease {
            self.taken_back_at = Instant::now();
            self.take_back().await?;
        }
        self.change_shifts();
        if self.bell.take_rows() {
            self.press.plan(None);
        }
        self.press.begin();
        self.claim_all().await
    }

    async fn claim_all(&mut self) -> Result<(), RunError> {
        let may_claim = !self.stop.is_draining() && self.paused_until.is_none_or(|until| until <= Instant::now());
        while may_claim && self.floor.has_room() {
            if self.shift.is_blank() {
                // It begins with its first recording.
                self.shift = Shift::begin(self.run.instance.id());
            }
            let claimant = Claimant { instance: self.run.holder().to_owned(), run: self.shift.run.clone() };
            let company = self.floor.company();
            let Some(claimed) = self.run.queue.claim(&claimant, &self.scope, company, Timestamp::now()).await? else {
                break;
            };
            self.shift.claimed += 1;
            self.floor.begin(claimed, self.shift.run.clone());
        }
        if may_claim {
            self.paused_until = None;
            if self.floor.is_empty() {
                self.health.met(Need::Work);
            }
        }
        Ok(())
    }

    async fn wakes_at(&self) -> Result<Instant, RunError> {
        let now = Instant::now();
        let mut wake = now + LOOK_EVERY.min(self.config.queue.lease);
        let may_claim = self.floor.has_room() && self.paused_until.is_none() && !self.stop.is_draining();
        if may_claim && let Some(due) = self.run.queue.next_due(&self.scope).await? {
            let wait = Duration::try_from(due.duration_since(Timestamp::now())).unwrap_or_default();
            // At least a moment, so that a job that another process holds is not asked for in a busy loop.
            wake = wake.min(now + wait.max(Duration::from_millis(20)));
        }
        wake = self.press.due_at().map_or(wake, |at| wake.min(at));
        let paused_until = self.paused_until.filter(|_| !self.stop.is_draining());
        Ok(paused_until.map_or(wake, |until| wake.min(until)))
    }

    fn digest(&mut self, ended: Ended) -> Result<(), RunError> {
        let Ended { work: InWork { run, lease, call_ended_at: end }, outcome } = ended;
        match outcome {
            Ok(ItemOutcome::Staged) => {
                self.health.met(Need::Work);
                self.press.take(end);
            }
            Ok(ItemOutcome::Dead) => {
                let mut shifts = std::iter::once(&mut self.shift).chain(&mut self.ending);
                if let Some(shift) = shifts.find(|shift| shift.run == run) {
                    shift.failed += 1;
                }
            }
            Ok(ItemOutcome::Halt(failure)) => self.halt(&failure),
            Ok(ItemOutcome::Waiting | ItemOutcome::Crashed | ItemOutcome::GivenBack) => {}
            Err(error) => {
                // Where it was settled all the same, this is too late, and there may be something to publish.
                self.unsettled.push(lease);
                self.press.plan(end);
                return Err(error);
            }
        }
        Ok(())
    }

    fn note_publication(&mut self, published: Published) -> Result<(), RunError> {
        match self.press.note(published) {
            Ok(count) => {
                self.health.met(Need::Lake);
                self.shift.published.recordings += count.recordings;
                self.shift.published.audio_ms += count.audio_ms;
                Ok(())
            }
            Err(error) => {
                self.health.missed(Need::Lake, error.to_string());
                Err(error)
            }
        }
    }

    async fn take_back(&mut self) -> Result<(), RunError> {
        // Our own claims did not run out for a ledger that could not be written, or a clock that was set.
        for InWork { lease, .. } in self.floor.in_work() {
            self.run.queue.heartbeat(lease, Timestamp::now()).await?;
        }
        let died_before = self.run.failed;
        self.run.run_id = self.shift.run.clone();
        self.run.take_back().await?;
        self.shift.failed += self.run.failed - died_before;
        Ok(())
    }

    /// Begins a new shift when this one has lasted long enough, and has those that are over written down.
    fn change_shifts(&mut self) {
        if self.shift.is_long() && !self.shift.is_blank() {
            let next = Shift::begin(self.run.instance.id());
            self.ending.push(std::mem::replace(&mut self.shift, next));
        }
        if self.record.is_none()
            && self.record_again_at.is_none_or(|at| at <= Instant::now())
            && let Some(over) = self.ending.iter().find(|shift| self.floor.in_work().all(|work| work.run != shift.run))
        {
            let written = write_down(Arc::clone(&self.run.publisher), over, &self.config.paths.state_dir);
            self.record = Some(Record { of: over.run.clone(), writing: tokio::spawn(written) });
        }
    }

    fn note_record(&mut self, recorded: Result<(), RunError>) -> Result<(), RunError> {
        let Some(Record { of, .. }) = self.record.take() else { return recorded };
        match recorded {
            Ok(()) => {
                self.ending.retain(|shift| shift.run != of);
                self.record_again_at = None;
                Ok(())
            }
            Err(error) => {
                self.record_again_at = Some(Instant::now() + PAUSE);
                Err(error)
            }
        }
    }

    /// Gives back claims whose end could not be written down.
    async fn settle_late(&mut self) -> Result<(), RunError> {
        while let Some(lease) = self.unsettled.last() {
            self.run.queue.settle(lease.twin(), Settlement::Released, Timestamp::now()).await?;
            self.unsettled.pop();
        }
        Ok(())
    }

    /// This machine or the whole source is at fault: no claims for a while.
    fn halt(&mut self, failure: &Failure) {
        self.run.reporter.emit(Event::Stopping { why: failure.reason.as_str() });
        let mut why = failure.reason.in_words().to_owned();
        if failure.reason == Reason::Disk {
            why = format!("{why}; downloads and transcripts lie in paths.state_dir: {MAKE_ROOM}");
        }
        self.rest(failure.retry_after().max(PAUSE), &why);
    }

    fn stumble(&mut self, error: &RunError) {
        tracing::error!(error = error as &dyn std::error::Error, "the service cannot go on for now");
        self.rest(PAUSE, &error.to_string());
    }

    fn rest(&mut self, pause: Duration, why: &str) {
        self.health.missed(Need::Work, why);
        let until = Instant::now() + pause;
        self.paused_until = Some(self.paused_until.map_or(until, |earlier| earlier.max(until)));
    }

    async fn close(&mut self) -> Result<(), RunError> {
        self.settle_late().await?;
        if self.press.is_running() {
            let published = self.press.ended().await;
            self.note_publication(published)?;
        }
        if let Some(record) = &mut self.record {
            let recorded = (&mut record.writing).await.map_err(RunError::Stage)?;
            self.note_record(recorded)?;
        }
        let published = self.press.publish_all().await;
        self.note_publication(published)?;
        for shift in self.ending.iter().chain([&self.shift]).filter(|shift| !shift.is_blank()) {
            write_down(Arc::clone(&self.run.publisher), shift, &self.config.paths.state_dir).await?;
        }
        Ok(())
    }
}

/// Tells the lake of a shift that is over: its dead, those of processes that are gone, and its row.
fn write_down(
    publisher: Arc<Publisher>,
    shift: &Shift,
    state_dir: &Path,
) -> impl Future<Output = Result<(), RunError>> + use<> {
    let (run, row, state_dir) = (shift.run.clone(), shift.row(), state_dir.to_owned());
    async move {
        publisher.report_dead(|other| *other == run || !is_alive(&state_dir, other.instance())).await?;
        publisher.write_run(&row).await
    }
}
