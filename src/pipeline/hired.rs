//! `transcribe worker`: takes jobs of a fleet, works on them as a run does, and reports. It keeps nothing that matters:
//! what it had in hand when it ends is another's.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::task::JoinHandle;

use super::floor::{Ended, Floor};
use super::item::{ItemOutcome, Shop};
use super::lead::host;
use super::service::joined;
use super::shop::Premises;
use super::sweep::{prepare_state, random_word};
use super::{RunError, Stop};
use crate::config::Config;
use crate::domain::{Failure, Lease, PurgeReason, Reason, RecordingId, Stage, Treatment};
use crate::failpoint;
use crate::fetch::slot::Spool;
use crate::fleet::{Hand, Link, Pace, Roll, Taken, WorkerCard};
use crate::lake::{LakeError, SharedStaging, Staging};
use crate::queue::instance::{self, Instance};
use crate::queue::{Desk, Fenced, JobState, QueueError, Settled, Settlement};
use crate::source::RecordingSource;
use crate::stt::ModelFiles;
use crate::telemetry::{Event, Health, Need, Reporter};

/// After something that failed.
const A_MOMENT: Duration = Duration::from_secs(1);
/// After trouble of this machine or of the other side.
const PAUSE: Duration = Duration::from_secs(30);
/// How long a finished transcript is tried to be put into the store.
const PUT_FOR: Duration = Duration::from_secs(600);

/// A worker of a fleet.
pub struct Hired<'a> {
    pub config: &'a Config,
    pub link: Link,
    pub source: Arc<dyn RecordingSource>,
    pub reporter: Arc<Reporter>,
    pub health: Arc<Health>,
    pub stop: Stop,
}

/// What a worker did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Worked {
    pub recordings: u64,
    pub audio_ms: u64,
}

impl Hired<'_> {
    /// Works until it is told to stop. What is in work then is finished, or given back when the stop is an abort.
    ///
    /// # Errors
    /// What keeps it from starting: state folder, message server, lake or model cannot be used.
    pub async fn work(self, models: &ModelFiles) -> Result<Worked, RunError> {
        let config = self.config;
        prepare_state(&config.paths)?;
        let state_dir = &config.paths.state_dir;
        let unusable = |source| RunError::State { path: state_dir.clone(), source };
        let instance = Instance::register(state_dir, random_word()).map_err(unusable)?;
        instance::sweep(state_dir).map_err(unusable)?;
        let is_alive = |id: &str| id == instance.id() || instance::is_alive(state_dir, id);
        Spool::remove_abandoned(&config.paths.spool_dir(), &is_alive).map_err(unusable)?;
        // A folder of its own: what an earlier process left in its own was reported lost.
        let staged = config.paths.staging_dir();
        remove_abandoned(&staged, &is_alive).map_err(unusable)?;
        let own_staged = staged.join(instance.id());
        let staging = Staging::open(&own_staged).map_err(unusable)?;
        let link = self.link.clone();
        let mut card = WorkerCard {
            host: host(),
            pid: std::process::id(),
            instance: instance.id().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: config.stt.model.clone(),
            workers: 0,
            in_work: Vec::new(),
            done: 0,
            audio_ms: 0,
            since: Timestamp::now(),
            pace: None,
        };
        let hand = Arc::new(Hand::open(&link, card.name()).await?);
        let desk = Arc::new(Remote {
            stop: self.stop.clone(),
            backoff: config.queue.backoff,
            hand: Arc::clone(&hand),
            staging: staging.clone(),
            shared: SharedStaging::open(&config.lake.place).await?,
            recordings: AtomicU64::new(0),
            audio_ms: AtomicU64::new(0),
        });
        let premises = Premises {
            config,
            instance: instance.id(),
            desk: Arc::clone(&desk) as _,
            source: Arc::clone(&self.source),
            staging,
            reporter: Arc::clone(&self.reporter),
            stop: self.stop.clone(),
            // Nothing here would remove it, nor would a purge find it.
            keeps_audio: false,
        };
        let shop = Shop::open(premises, models).await?;
        card.workers = shop.speech.workers();
        self.health.met(Need::Model);
        self.health.met(Need::Work);
        let roll = Roll::of(link.clone());
        self.until_stopped(Floor::new(shop), hand, &desk, &roll, &mut card).await;
        roll.leave(&card).await;
        link.flush().await;
        let _is_empty = std::fs::remove_dir_all(&own_staged);
        Ok(desk.worked())
    }

    async fn until_stopped(
        &self,
        mut floor: Floor,
        hand: Arc<Hand>,
        desk: &Remote,
        roll: &Roll,
        card: &mut WorkerCard,
    ) {
        let mut taking: Option<JoinHandle<Result<Option<Taken>, RunError>>> = None;
        let mut paused_until: Option<Instant> = None;
        let mut pace = Pace::from(Instant::now());
        let mut beat = tokio::time::interval((self.config.queue.lease / 3).min(Duration::from_secs(5)));
        while !(self.stop.is_draining() && floor.is_empty() && taking.is_none()) {
            if floor.is_empty()
                && let Some(broken) = floor.examine().await
            {
                paused_until = Some(self.rest(&broken));
            }
            paused_until = paused_until.filter(|until| *until > Instant::now());
            if taking.is_none() && paused_until.is_none() && !self.stop.is_draining() && floor.has_room() {
                let (hand, company) = (Arc::clone(&hand), floor.company());
                taking = Some(tokio::spawn(async move { Ok(hand.take(company).await?) }));
            }
            tokio::select! {
                Some(Ended { work, outcome }) = floor.next() => {
                    beat.reset_immediately();
                    match outcome {
                        Ok(ItemOutcome::Halt(failure)) => paused_until = Some(self.rest(&failure)),
                        Ok(_) => self.health.met(Need::Work),
                        Err(error) => {
                            let error = &error as &dyn std::error::Error;
                            tracing::error!(recording_id = %work.lease.id, error, "left to another worker");
                            self.health.missed(Need::Work, error.to_string());
                            paused_until = Some(Instant::now() + PAUSE);
                        }
                    }
                }
                taken = joined(taking.as_mut()) => {
                    taking = None;
                    match taken {
                        Ok(Some((claimed, _run))) if self.stop.is_draining() => {
                            let _lapses = hand.report(&claimed.lease, Settlement::Released).await;
                        }
                        Ok(Some((claimed, run))) => {
                            failpoint::pass("taken");
                            floor.begin(claimed, run);
                        }
                        Ok(None) => {}
                        Err(error) => {
                            let error = &error as &dyn std::error::Error;
                            tracing::warn!(error, "no job can be taken; trying again");
                            hand.mend().await;
                            paused_until = Some(Instant::now() + A_MOMENT);
                        }
                    }
                }
                () = until(paused_until) => {}
                _ = beat.tick() => {
                    let done = desk.worked();
                    if done.audio_ms > card.audio_ms {
                        pace.note(done.audio_ms - card.audio_ms, Instant::now());
                    }
                    (card.done, card.audio_ms) = (done.recordings, done.audio_ms);
                    card.pace = pace.per_second(Instant::now());
                    card.in_work = floor.in_work().map(|work| work.lease.id.clone()).collect();
                    roll.show(card).await;
                }
                () = self.stop.draining(), if !self.stop.is_draining() => {}
            }
        }
    }

    /// This machine or the other side is at fault: nothing is taken for a while.
    fn rest(&self, failure: &Failure) -> Instant {
        self.reporter.emit(Event::Stopping { why: failure.reason.as_str() });
        self.health.missed(Need::Work, failure.reason.in_words().to_owned());
        Instant::now() + failure.retry_after().max(PAUSE)
    }
}

/// Removes what workers left that are gone.
fn remove_abandoned(staged: &Path, is_alive: &dyn Fn(&str) -> bool) -> std::io::Result<()> {
    for entry in std::fs::read_dir(staged).into_iter().flatten() {
        let entry = entry?;
        let is_own = entry.file_name().to_str().is_some_and(is_alive);
        if entry.file_type()?.is_dir() && !is_own {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// The ledger, as far as a worker on another machine reaches it.
struct Remote {
    hand: Arc<Hand>,
    stop: Stop,
    /// Before a recording whose transcript could not be put is tried again.
    backoff: Duration,
    staging: Staging,
    shared: SharedStaging,
    recordings: AtomicU64,
    audio_ms: AtomicU64,
}

impl Remote {
    fn worked(&self) -> Worked {
        Worked { recordings: self.recordings.load(Ordering::Relaxed), audio_ms: self.audio_ms.load(Ordering::Relaxed) }
    }

    /// Puts a finished transcript where the coordinator finds it; lost when another may have the job by now.
    async fn hand_over(&self, lease: &Lease, settlement: &Settlement) -> Result<Fenced, QueueError> {
        let Settlement::Staged { fingerprint, audio_ms, .. } = settlement else { return Ok(Fenced::Held) };
        let (staging, id, fp) = (self.staging.clone(), lease.id.clone(), fingerprint.clone());
        let read = tokio::task::spawn_blocking(move || staging.bytes_of(&id, &fp)).await;
        let bytes = bytes::Bytes::from(read.map_err(not_told)?.map_err(not_told)?);
        let until = Instant::now() + PUT_FOR;
        loop {
            match self.shared.put(&lease.id, fingerprint, bytes.clone()).await {
                Ok(()) => break,
                Err(error @ LakeError::Credentials { .. }) => return Err(not_told(error)),
                Err(error) if Instant::now() >= until || self.stop.is_aborting() => return Err(not_told(error)),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "a finished transcript cannot be put into the store; trying again");
                }
            }
            tokio::time::sleep(A_MOMENT).await;
            if self.hand.keep(lease).await.map_err(not_told)? == Fenced::Lost {
                return Ok(Fenced::Lost);
            }
        }
        failpoint::pass("handed-over");
        self.recordings.fetch_add(1, Ordering::Relaxed);
        self.audio_ms.fetch_add(u64::try_from(*audio_ms).unwrap_or(0), Ordering::Relaxed);
        Ok(Fenced::Held)
    }
}

fn not_told(error: impl std::error::Error + Send + Sync + 'static) -> QueueError {
    QueueError::Fleet(Box::new(error))
}

#[async_trait]
impl Desk for Remote {
    async fn heartbeat(&self, lease: &Lease, _now: Timestamp) -> Result<Fenced, QueueError> {
        self.hand.keep(lease).await.map_err(not_told)
    }

    async fn settle(&self, lease: Lease, settlement: Settlement, _now: Timestamp) -> Result<Settled, QueueError> {
        let state = match &settlement {
            Settlement::Staged { .. } => JobState::Staged,
            Settlement::Retry { .. } | Settlement::Postponed { .. } => JobState::Waiting,
            Settlement::Dead { .. } => JobState::Dead,
            Settlement::Crashed { .. } | Settlement::Released => JobState::Seen,
        };
        // Where the server does not answer, the report will tell.
        let mut held = self.hand.keep(&lease).await.unwrap_or(Fenced::Held);
        if held == Fenced::Held {
            match self.hand_over(&lease, &settlement).await {
                Ok(still) => held = still,
                Err(error) => {
                    // This machine's trouble or the store's: nothing of it counts against the recording.
                    let failure = Failure::new(Stage::Stage, Reason::TranscriptLost, Treatment::Local, "not_put");
                    let not_before = Timestamp::now().checked_add(self.backoff).unwrap_or(Timestamp::MAX);
                    let postponed = Settlement::Postponed { failure, not_before };
                    self.hand.report(&lease, postponed).await.map_err(not_told)?;
                    return Err(error);
                }
            }
        }
        if held == Fenced::Held {
            held = self.hand.report(&lease, settlement).await.map_err(not_told)?;
        }
        failpoint::pass("reported");
        let (staging, id) = (self.staging.clone(), lease.id.clone());
        let removed = tokio::task::spawn_blocking(move || staging.remove_all_of(&id)).await.map_err(not_told)?;
        if let Err(error) = removed {
            tracing::warn!(%error, "a transcript that was handed over could not be removed here");
        }
        Ok(if held == Fenced::Held { Settled::As(state) } else { Settled::Lost })
    }

    /// Only the coordinator knows; what is purged is dropped there.
    async fn purged(&self, _ids: &[RecordingId]) -> Result<BTreeMap<RecordingId, PurgeReason>, QueueError> {
        Ok(BTreeMap::new())
    }
}
