//! A coordinator's crew: claims go to the workers of a fleet, and what they report is settled here.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::StreamExt;
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::floor::Crew;
use super::item::{ItemOutcome, hold};
use super::{RunError, Stop};
use crate::domain::{Failure, FinishedTranscript, Reason, RecordingId, RunId, Stage, Treatment};
use crate::failpoint;
use crate::fleet::wire::{Job, Report};
use crate::fleet::{HOLDER, Link, Office, Roll};
use crate::lake::{SharedStaging, Staging, StagingError};
use crate::queue::{Claimed, Fenced, JobQueue, JobState, Settled, Settlement};
use crate::telemetry::{Event, Reporter};

/// How many reports are acted upon at once.
const REPORTS_AT_ONCE: usize = 16;
/// How long a request for reports is kept open.
const WAIT: Duration = Duration::from_secs(2);
/// After something that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the workers are counted.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// How often it is said that nobody works.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// Handed out beside what the workers have in hand, so that none waits, and one that is started finds something.
const SPARE: usize = 16;
/// How often it is looked whether a job is still on the server, which may have lost everything.
const POST_AGAIN_EVERY: Duration = Duration::from_secs(30);

type Key = (RecordingId, i64);

/// A claim that is out.
#[derive(Default)]
struct Waiting {
    /// Of whoever waits for its end; `None` until somebody does.
    answer: Option<oneshot::Sender<ItemOutcome>>,
    /// It is not on the server any more: its report could not be settled yet.
    is_reported: bool,
}

/// What a report brought beside itself.
enum Brought {
    Nothing,
    Transcript(Box<FinishedTranscript>),
    /// The transcript that it tells of cannot be found or read.
    Lost,
}

/// The workers of a fleet, as the floor sees them.
pub(super) struct Dispatch {
    office: Office,
    roll: Roll,
    queue: Arc<dyn JobQueue>,
    staging: Staging,
    shared: SharedStaging,
    reporter: Arc<Reporter>,
    stop: Stop,
    lease: Duration,
    /// Who waits for the end of a claim; none of a claim whose report is being settled.
    waiting: Mutex<HashMap<Key, Waiting>>,
    places: AtomicUsize,
}

/// What a coordinator brings with it.
pub(super) struct Desks {
    pub(super) queue: Arc<dyn JobQueue>,
    pub(super) staging: Staging,
    pub(super) shared: SharedStaging,
    pub(super) reporter: Arc<Reporter>,
    pub(super) stop: Stop,
    pub(super) lease: Duration,
}

impl Dispatch {
    /// Opens the way to the workers; reports are acted upon from here on. Also returns what an earlier coordinator handed
    /// out, and the runs that claimed it.
    pub(super) async fn open(link: &Link, desks: Desks) -> Result<(Arc<Self>, Vec<(Claimed, RunId)>), RunError> {
        let Desks { queue, staging, shared, reporter, stop, lease } = desks;
        let dispatch = Arc::new(Self {
            office: Office::open(link).await?,
            roll: Roll::of(link.clone()),
            queue,
            staging,
            shared,
            reporter,
            stop,
            lease,
            waiting: Mutex::default(),
            places: AtomicUsize::new(SPARE),
        });
        // What came while nobody read is settled before anything is posted again.
        while dispatch.take_reports(None).await? {}
        let out = dispatch.queue.held_by(HOLDER).await?;
        dispatch.office.keep_only(out.iter().map(|(claimed, _)| &claimed.lease.id)).await?;
        let (reports, count) = (Arc::downgrade(&dispatch), Arc::downgrade(&dispatch));
        tokio::spawn(async move {
            while let Some(dispatch) = reports.upgrade() {
                if let Err(error) = dispatch.take_reports(Some(WAIT)).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "reports cannot be read; trying again");
                    dispatch.office.mend().await;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        });
        tokio::spawn(async move {
            let mut said: Option<Instant> = None;
            while let Some(dispatch) = count.upgrade() {
                dispatch.count_workers(&mut said).await;
                drop(dispatch);
                tokio::time::sleep(COUNT_EVERY).await;
            }
        });
        Ok((dispatch, out))
    }

    /// Acts upon the next reports; false when there were none for so long.
    async fn take_reports(&self, patience: Option<Duration>) -> Result<bool, RunError> {
        let reports = self.office.reports(REPORTS_AT_ONCE, patience).await?;
        let came = !reports.is_empty();
        futures::stream::iter(reports)
            .for_each_concurrent(None, async |arrived| {
                let key = (arrived.report.id.clone(), arrived.report.fence);
                // Taken out first: who finds the claim lost from here on waits for what it came to.
                let answer = self.waiting().remove(&key).and_then(|waits| waits.answer);
                match self.settle(&arrived.report).await {
                    Ok(outcome) => {
                        let _nobody_waits = answer.map(|answer| answer.send(outcome));
                        arrived.done().await;
                    }
                    // It comes again when a lease has passed.
                    Err(error) => {
                        self.unsettled(key, answer);
                        tracing::error!(
                            recording_id = %arrived.report.id,
                            error = &error as &dyn std::error::Error,
                            "what a worker reported cannot be settled; trying again"
                        );
                    }
                }
            })
            .await;
        Ok(came)
    }

    /// A report that could not be settled comes again: its claim is not posted until then. Whoever is told to stop does not
    /// wait for that.
    fn unsettled(&self, key: Key, answer: Option<oneshot::Sender<ItemOutcome>>) {
        let mut waiting = self.waiting();
        let waits = waiting.entry(key).or_default();
        waits.is_reported = true;
        // Asked under the lock: who looks there later finds the claim again.
        waits.answer = if self.stop.is_draining() { None } else { waits.answer.take().or(answer) };
    }

    /// Takes over what a worker made, and settles its claim.
    async fn settle(&self, report: &Report) -> Result<ItemOutcome, RunError> {
        let Report { id, attempt, settlement, worker, .. } = report;
        let lease = report.lease();
        if self.queue.heartbeat(&lease, Timestamp::now()).await? == Fenced::Lost {
            return self.too_late(report).await;
        }
        let (settlement, finished) = match self.take_over(report).await? {
            Brought::Nothing => (settlement.clone(), None),
            Brought::Transcript(finished) => (settlement.clone(), Some(finished)),
            Brought::Lost => {
                let detail = format!("worker={worker}");
                let failure = Failure::new(Stage::Stage, Reason::TranscriptLost, Treatment::Transient, detail);
                (Settlement::Retry { failure, not_before: Timestamp::now() }, None)
            }
        };
        failpoint::pass("taken-over");
        let failure = settlement.failure().cloned();
        let wait = match &settlement {
            Settlement::Retry { not_before, .. } | Settlement::Postponed { not_before, .. } => {
                Duration::try_from(not_before.duration_since(Timestamp::now())).unwrap_or_default()
            }
            _ => Duration::ZERO,
        };
        let settled = self.queue.settle(lease, settlement.clone(), Timestamp::now()).await?;
        let Settled::As(state) = settled else { return self.too_late(report).await };
        failpoint::pass("report-settled");
        // Whatever of it lies between the machines has done its work.
        let removed = match (state, &report.settlement) {
            (JobState::Dead, _) => self.shared.remove_all_of(id).await,
            (_, Settlement::Staged { fingerprint, .. }) => self.shared.remove(id, fingerprint).await,
            _ => Ok(()),
        };
        if let Err(error) = removed {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(recording_id = %id, error, "a transcript that was taken over could not be removed");
        }
        let attempt = *attempt;
        match (state, &failure) {
            (JobState::Staged, _) => {
                if let Some(finished) = finished {
                    let (audio_ms, segments) = (finished.audio.audio_ms, finished.transcript.spoken().count());
                    let elapsed = Duration::try_from(Timestamp::now().duration_since(finished.transcribed_at));
                    let elapsed = elapsed.unwrap_or_default();
                    self.reporter.emit(Event::Transcribed { id, audio_ms, segments, elapsed });
                }
                Ok(ItemOutcome::Staged)
            }
            (JobState::Dead, Some(failure)) => {
                self.reporter.emit(Event::Dead { id, attempt, failure });
                Ok(ItemOutcome::Dead)
            }
            (JobState::Waiting, Some(failure)) => {
                self.reporter.emit(Event::Retrying { id, attempt, failure, wait });
                let is_everywhere = matches!(failure.reason, Reason::DailyLimit | Reason::CredentialsRefused);
                Ok(if is_everywhere { ItemOutcome::Halt(failure.clone()) } else { ItemOutcome::Waiting })
            }
            (_, Some(failure)) => {
                self.reporter.emit(Event::Crashed { id, failure });
                Ok(ItemOutcome::Waiting)
            }
            (_, None) => Ok(ItemOutcome::GivenBack),
        }
    }

    /// Brings a finished transcript to this machine.
    async fn take_over(&self, report: &Report) -> Result<Brought, RunError> {
        let Settlement::Staged { fingerprint, .. } = &report.settlement else { return Ok(Brought::Nothing) };
        let Some(bytes) = self.shared.read(&report.id, fingerprint).await? else {
            tracing::error!(recording_id = %report.id, worker = report.worker, "a worker's transcript is not in the store");
            return Ok(Brought::Lost);
        };
        let (staging, id, fingerprint) = (self.staging.clone(), report.id.clone(), fingerprint.clone());
        let accepted = {
            let (id, fingerprint) = (id.clone(), fingerprint.clone());
            tokio::task::spawn_blocking(move || staging.accept(&id, &fingerprint, &bytes))
        };
        match accepted.await.map_err(RunError::Stage)? {
            Ok(finished) => Ok(Brought::Transcript(Box::new(finished))),
            Err(error @ StagingError::Io { .. }) => Err(error.into()),
            Err(error) => {
                tracing::error!(recording_id = %id, worker = report.worker, %error, "a worker's transcript is of no use");
                self.shared.remove(&id, &fingerprint).await?;
                Ok(Brought::Lost)
            }
        }
    }

    /// A report of a claim that is not the current one. What it made goes, unless the current one may make the same.
    async fn too_late(&self, report: &Report) -> Result<ItemOutcome, RunError> {
        let id = &report.id;
        tracing::info!(recording_id = %id, worker = report.worker, "reported too late: the claim is another's or settled");
        let record = self.queue.record(id).await?;
        let is_open = record
            .as_ref()
            .is_some_and(|job| matches!(job.state, JobState::Seen | JobState::Claimed | JobState::Waiting));
        if let (Settlement::Staged { fingerprint, .. }, false) = (&report.settlement, is_open) {
            self.shared.remove(id, fingerprint).await?;
        }
        if record.is_none() {
            // Purged: nothing of it stays.
            self.shared.remove_all_of(id).await?;
            let (staging, id) = (self.staging.clone(), id.clone());
            let removing = tokio::task::spawn_blocking(move || staging.remove_all_of(&id));
            let removed = removing.await.map_err(RunError::Stage)?;
            removed.map_err(|source| StagingError::Io { name: "of a purged recording".into(), source })?;
        }
        Ok(ItemOutcome::GivenBack)
    }

    async fn count_workers(&self, said: &mut Option<Instant>) {
        let Ok(cards) = self.roll.all().await else { return };
        let slots: usize = cards.iter().map(|card| 2 * card.workers + 1).sum();
        self.places.store(slots + SPARE, Ordering::Relaxed);
        let is_time = said.is_none_or(|at| at.elapsed() >= SAY_EVERY);
        if cards.is_empty() && is_time && !self.waiting().is_empty() {
            *said = Some(Instant::now());
            tracing::warn!("recordings wait, and no worker is there: start `transcribe worker` somewhere");
        }
    }

    /// Posts the job, and now and then again: a server that lost it takes it.
    async fn keep_posted(&self, job: &Job) -> Infallible {
        let key = (job.recording.id.clone(), job.fence);
        let again = failpoint::value("post-again-ms").and_then(|millis| millis.parse().ok());
        let again = again.map_or(POST_AGAIN_EVERY, Duration::from_millis);
        loop {
            if self.waiting().get(&key).is_none_or(|waits| waits.is_reported) {
                tokio::time::sleep(again).await;
                continue;
            }
            match self.office.post(job).await {
                Ok(()) => tokio::time::sleep(again).await,
                Err(error) => {
                    self.office.mend().await;
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a job cannot be handed out; trying again"
                    );
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Key, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Crew for Dispatch {
    async fn work_on(self: Arc<Self>, claimed: Claimed, run: &RunId) -> Result<ItemOutcome, RunError> {
        let job = Job::of(&claimed, run);
        let lease = &claimed.lease;
        let (id, attempt) = (&lease.id, lease.attempt);
        let (answer, mut outcome) = oneshot::channel();
        let key = (id.clone(), lease.fence);
        self.waiting().entry(key.clone()).or_default().answer = Some(answer);
        self.reporter.emit(Event::Claimed { id, attempt, duration_s: claimed.recording.duration_s });
        failpoint::pass("claimed");
        let is_lost = tokio::select! {
            Ok(outcome) = &mut outcome => return Ok(outcome),
            never = self.keep_posted(&job) => match never {},
            () = hold(self.queue.as_ref(), lease, self.lease) => true,
            // It stays with the fleet: the next coordinator goes on from its ledger.
            () = self.stop.draining() => false,
        };
        if self.waiting().remove(&key).is_none()
            && let Ok(outcome) = outcome.await
        {
            // It was reported and settled just now.
            return Ok(outcome);
        }
        if is_lost {
            self.reporter.emit(Event::ClaimLost { id, stage: Stage::Stt });
            self.office.withdraw(&job).await;
        }
        Ok(ItemOutcome::GivenBack)
    }

    fn places(&self) -> usize {
        self.places.load(Ordering::Relaxed)
    }

    fn is_one_process(&self) -> bool {
        false
    }

    /// Each worker examines its own.
    async fn examine_engine(self: Arc<Self>) -> Option<Failure> {
        None
    }
}
