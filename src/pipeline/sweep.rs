//! One run of the main job: take up what is unfinished, list the window, transcribe, publish, sum up.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rand::RngExt;
use tokio::task::JoinSet;

use super::beside::{Beside, keep_beside};
use super::discover::{Discovered, Discovery, windows};
use super::error::source_exit_code;
use super::item::{ItemOutcome, Shop, whole_millis};
use super::publisher::{PublishedCount, Publisher};
use super::{ExitCode, RunError, Stop, Summary};
use crate::config::Config;
use crate::domain::{Reason, RecordingId, RunId, Treatment};
use crate::failpoint;
use crate::fetch::slot::Spool;
use crate::lake::{Lake, Staging};
use crate::queue::instance::{self, Instance};
use crate::queue::sqlite::{SqliteQueue, SqliteSettings};
use crate::queue::{Claimed, JobQueue, ListingMarks, Scope};
use crate::source::{RecordingSource, SourceError, TimeWindow};
use crate::stt::{ModelPath, SpeechToText};
use crate::telemetry::{Event, Reporter};

/// A run stays for retries that come due within this time; later ones belong to the next run.
const WAIT_FOR_RETRIES: SignedDuration = SignedDuration::from_mins(2);

/// What is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Window {
    /// All there is (a folder without `--since`).
    Everything,
    Span(TimeWindow),
}

/// What one run is asked to do.
#[derive(Debug, Clone)]
pub struct Sweep {
    pub window: Window,
    /// Only these recordings; empty = all.
    pub recordings: BTreeSet<RecordingId>,
    /// Take up at most so many.
    pub limit: Option<u64>,
    /// What started the run, for the `runs` table.
    pub trigger: &'static str,
}

/// Runs one sweep.
///
/// # Errors
/// What keeps the run from starting, or trouble of this machine that makes going on pointless. Trouble of single
/// recordings and of the source is part of the [`Summary`].
pub async fn run_sweep(
    config: &Config,
    source: Arc<dyn RecordingSource>,
    model: &ModelPath,
    reporter: Arc<Reporter>,
    stop: Stop,
    sweep: Sweep,
) -> Result<Summary, RunError> {
    let mut run = Run::open(config, source, reporter, stop, sweep)?;
    run.sweep(model).await
}

struct Run<'a> {
    config: &'a Config,
    started: Instant,
    started_at: Timestamp,
    run_id: RunId,
    source: Arc<dyn RecordingSource>,
    queue: Arc<dyn JobQueue>,
    marks: Arc<dyn ListingMarks>,
    publisher: Publisher,
    reporter: Arc<Reporter>,
    stop: Stop,
    sweep: Sweep,
    claimed: u64,
    failed: u64,
    published: PublishedCount,
    noted: Vec<ExitCode>,
    troubles: Vec<String>,
    notes: Vec<String>,
    resume_at: Option<Timestamp>,
    /// Last: other processes take this one for dead once it is dropped.
    instance: Instance,
}

impl<'a> Run<'a> {
    /// Opens everything that needs no model.
    fn open(
        config: &'a Config,
        source: Arc<dyn RecordingSource>,
        reporter: Arc<Reporter>,
        stop: Stop,
        sweep: Sweep,
    ) -> Result<Self, RunError> {
        let started_at = whole_millis(Timestamp::now());
        let state_dir = &config.paths.state_dir;
        let unusable = |source| RunError::State { path: state_dir.clone(), source };
        make_private(state_dir).map_err(unusable)?;
        let instance = Instance::register(state_dir, random_word()).map_err(unusable)?;
        let settings = SqliteSettings { lease: config.queue.lease, max_attempts: config.queue.max_attempts };
        let ledger = Arc::new(SqliteQueue::open(&config.queue.ledger, settings)?);
        let queue: Arc<dyn JobQueue> = Arc::clone(&ledger) as _;
        let publisher = Publisher {
            batches: Arc::clone(&ledger) as _,
            outbox: Arc::clone(&ledger) as _,
            lake: Lake::open(&config.lake)?,
            staging: Staging::open(config.paths.staging_dir()).map_err(unusable)?,
            reporter: Arc::clone(&reporter),
            state_dir: state_dir.clone(),
            flush_every: config.lake.flush_every,
            flush_bytes: config.lake.flush_bytes,
        };
        Ok(Self {
            config,
            started: Instant::now(),
            started_at,
            run_id: RunId::new(started_at, instance.id()),
            source,
            queue,
            marks: ledger,
            publisher,
            reporter,
            stop,
            sweep,
            claimed: 0,
            failed: 0,
            published: PublishedCount::default(),
            noted: Vec::new(),
            troubles: Vec::new(),
            notes: Vec::new(),
            resume_at: None,
            instance,
        })
    }

    async fn sweep(&mut self, model: &ModelPath) -> Result<Summary, RunError> {
        self.take_back().await?;
        let only = (!self.sweep.recordings.is_empty()).then(|| self.sweep.recordings.clone());
        let scope = Scope { source: self.config.source, only };
        let discovered = self.discover(&scope).await?;
        failpoint::pass("listed");
        let to_do = self.queue.counts(&scope).await?;
        let open = to_do.seen + to_do.waiting;
        self.reporter.emit(Event::Listed {
            found: discovered.found,
            done_before: discovered.done_before,
            to_do: self.sweep.limit.map_or(open, |limit| limit.min(open)),
            audio_s: to_do.open_audio_s,
        });
        // After a listing that broke off the work that is known goes on; after a refusal it would be refused as well.
        let is_pointless =
            matches!(discovered.failure, Some(SourceError::Refused { .. } | SourceError::Misconfigured { .. }));
        if open > 0 && !is_pointless && !self.stop.is_draining() {
            let shop = self.open_shop(model).await?;
            let mut in_work = JoinSet::new();
            let processed = self.process(&shop, &scope, &mut in_work).await;
            if processed.is_err() {
                // The others are innocent: their claims are given back before the run ends.
                self.stop.abort();
                while in_work.join_next().await.is_some() {}
            }
            processed?;
        }
        self.note_publication(self.publisher.publish_all().await?);
        let reported = self.publisher.report_dead().await?;
        let beside = if discovered.failure.is_some() {
            // What an earlier crash left is written all the same.
            Beside { rows: self.publisher.deliver().await?, ..Beside::default() }
        } else {
            keep_beside(self.source.as_ref(), &self.publisher, &self.sweep, &self.run_id, &self.stop).await?
        };
        self.noted.extend(beside.codes);
        self.troubles.extend(beside.troubles);
        self.notes.extend(beside.lines);
        self.resume_at = self.resume_at.max(beside.resume_at);
        let not_found = self.not_found(&discovered).await?;
        let left = self.queue.counts(&scope).await?;
        let waiting = left.seen + left.waiting + left.staged;
        if waiting == left.waiting {
            self.resume_at = self.resume_at.or(left.next_due.filter(|due| *due > Timestamp::now() + WAIT_FOR_RETRIES));
        }
        let summary = self.sum_up(&discovered, waiting, not_found);
        let changed = self.claimed + self.published.recordings + reported + discovered.new + beside.rows > 0;
        if changed {
            failpoint::pass("summed-up");
            self.publisher.lake.write_run(&summary.row(self.sweep.trigger, self.started_at)).await?;
        }
        Ok(summary)
    }

    /// Claims of processes that died come back; those that are out of attempts are dead.
    async fn take_back(&mut self) -> Result<(), RunError> {
        let state_dir = &self.config.paths.state_dir;
        let own = self.instance.id();
        let is_alive = |id: &str| id == own || instance::is_alive(state_dir, id);
        let (back, died) = self.queue.reclaim(&is_alive, &self.run_id, Timestamp::now()).await?;
        if back + died > 0 {
            self.reporter.emit(Event::TakenBack { jobs: back + died });
        }
        self.failed += died;
        Ok(())
    }

    async fn discover(&mut self, scope: &Scope) -> Result<Discovered, RunError> {
        self.reporter.emit(Event::Listing { source: self.config.source.as_str() });
        let unfinished = self.queue.counts(scope).await?.unfinished();
        let mut room = self.sweep.limit.map_or(u64::MAX, |limit| limit.saturating_sub(unfinished));
        let mut all = Discovered::default();
        for window in windows(&self.sweep, Some(self.queue.as_ref())).await? {
            let discovery = Discovery {
                source: self.source.as_ref(),
                queue: self.queue.as_ref(),
                marks: self.marks.as_ref(),
                lake: &self.publisher.lake,
                reporter: self.reporter.as_ref(),
                window,
                only: (!self.sweep.recordings.is_empty()).then_some(&self.sweep.recordings),
                room,
                now: Timestamp::now(),
            };
            let found = tokio::select! {
                found = discovery.run() => found?,
                () = self.stop.aborting() => break,
            };
            room = room.saturating_sub(found.new);
            all.merge(found);
            if all.failure.is_some() {
                break;
            }
        }
        if all.resumed_slices > 0 {
            let slices = all.resumed_slices;
            self.notes.push(format!("the listing went on where an earlier run broke off ({slices} slices were done)"));
        }
        if let (Some(reach), Window::Span(asked)) = (self.source.reaches_back_to(), &self.sweep.window)
            && asked.since < reach
        {
            let day = reach.strftime("%Y-%m-%d");
            self.notes.push(format!("Zoom lists a user's recordings of six months only: none before {day} were found"));
        }
        for unknown in &all.unknown_owners {
            self.noted.push(source_exit_code(unknown));
            self.troubles.push(unknown.to_string());
        }
        if let Some(failure) = &all.failure {
            if let SourceError::LimitReached { resumes_at } = failure {
                self.resume_at = Some(*resumes_at);
            }
            self.noted.push(source_exit_code(failure));
            self.troubles.push(describe(failure));
        }
        Ok(all)
    }

    async fn open_shop(&self, model: &ModelPath) -> Result<Arc<Shop>, RunError> {
        let state_dir = &self.config.paths.state_dir;
        let own = self.instance.id();
        let is_alive = |id: &str| id == own || instance::is_alive(state_dir, id);
        let spool = Spool::open(&self.config.paths.spool_dir(), own, self.config.paths.spool_max_bytes, &is_alive)
            .map_err(|source| RunError::State { path: state_dir.clone(), source })?;
        let began = Instant::now();
        let (settings, file) = (self.config.stt.clone(), model.clone());
        let speech = tokio::task::spawn_blocking(move || SpeechToText::load(&settings, &file))
            .await
            .map_err(RunError::Stage)??;
        let workers = speech.workers();
        self.reporter.emit(Event::ModelLoaded { model: &model.name, workers, elapsed: began.elapsed() });
        Ok(Arc::new(Shop {
            run_id: self.run_id.clone(),
            queue: Arc::clone(&self.queue),
            source: Arc::clone(&self.source),
            speech,
            staging: self.publisher.staging.clone(),
            spool,
            reporter: Arc::clone(&self.reporter),
            settings: self.config.queue.clone(),
            stop: self.stop.clone(),
            fetched: AtomicU64::new(0),
        }))
    }

    /// Claims and works until nothing is due: one recording more than there are decoders, so that the next one is
    /// fetched while they work.
    async fn process(
        &mut self,
        shop: &Arc<Shop>,
        scope: &Scope,
        in_work: &mut JoinSet<Result<ItemOutcome, RunError>>,
    ) -> Result<(), RunError> {
        let most_in_work = shop.speech.workers() + 1;
        let mut taken = BTreeSet::new();
        let mut halted = false;
        loop {
            let may_claim = !halted && !self.stop.is_draining();
            // Past the limit only recordings that this run took up before come in question: their retries.
            let limit_reached = self.sweep.limit.is_some_and(|limit| taken.len() as u64 >= limit);
            let claimable =
                if limit_reached { Scope { only: Some(taken.clone()), ..scope.clone() } } else { scope.clone() };
            let claimed = if may_claim && in_work.len() < most_in_work {
                self.claim(&claimable, &mut taken).await?
            } else {
                None
            };
            if let Some(claimed) = claimed {
                in_work.spawn(Arc::clone(shop).work_on(claimed));
                continue;
            }
            let next_due = if may_claim { self.queue.counts(&claimable).await?.next_due } else { None };
            let wait =
                next_due.map(|due| due.duration_since(Timestamp::now())).filter(|wait| *wait <= WAIT_FOR_RETRIES);
            let wait = wait.map(|wait| Duration::try_from(wait).unwrap_or(Duration::ZERO));
            if in_work.is_empty() {
                let Some(wait) = wait else { return Ok(()) };
                let jobs = self.queue.counts(&claimable).await?.waiting;
                self.reporter.emit(Event::WaitingForRetries { jobs, wait });
            }
            tokio::select! {
                Some(joined) = in_work.join_next() => {
                    let outcome = joined.map_err(RunError::Stage)??;
                    halted |= self.digest(outcome).await?;
                }
                // At least a moment, so that a job that another process holds is not asked for in a busy loop.
                () = tokio::time::sleep(wait.unwrap_or_default().max(Duration::from_millis(20))),
                    if wait.is_some() && in_work.len() < most_in_work => {}
                () = self.stop.draining(), if may_claim => {
                    self.reporter.emit(Event::Stopping { why: "the run was told to stop" });
                }
            }
        }
    }

    async fn claim(&mut self, scope: &Scope, taken: &mut BTreeSet<RecordingId>) -> Result<Option<Claimed>, RunError> {
        let claimed = self.queue.claim(self.instance.id(), &self.run_id, scope, Timestamp::now()).await?;
        if let Some(claimed) = &claimed {
            self.claimed += 1;
            if self.sweep.limit.is_some() {
                taken.insert(claimed.lease.id.clone());
            }
        }
        Ok(claimed)
    }

    /// Counts an outcome; true = no further claims.
    async fn digest(&mut self, outcome: ItemOutcome) -> Result<bool, RunError> {
        match outcome {
            ItemOutcome::Staged => self.note_publication(self.publisher.publish_due().await?),
            ItemOutcome::Dead => self.failed += 1,
            ItemOutcome::Waiting | ItemOutcome::GivenBack => {}
            ItemOutcome::Halt(failure) => {
                let code = match (failure.treatment, failure.reason) {
                    (Treatment::Fatal, Reason::CredentialsRefused) => ExitCode::CredentialsRefused,
                    _ => ExitCode::WorkRemains,
                };
                if failure.reason == Reason::DailyLimit {
                    let wait = SignedDuration::try_from(failure.retry_after()).unwrap_or(SignedDuration::ZERO);
                    self.resume_at = self.resume_at.max(Timestamp::now().checked_add(wait).ok());
                }
                if !self.noted.contains(&code) {
                    self.reporter.emit(Event::Stopping { why: failure.reason.as_str() });
                    let detail =
                        if failure.detail.is_empty() { String::new() } else { format!(" ({})", failure.detail) };
                    self.troubles.push(format!("{}{detail}", failure.reason.in_words()));
                    self.noted.push(code);
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn note_publication(&mut self, published: PublishedCount) {
        self.published.recordings += published.recordings;
        self.published.audio_ms += published.audio_ms;
    }

    async fn not_found(&self, discovered: &Discovered) -> Result<BTreeSet<RecordingId>, RunError> {
        let mut not_found = BTreeSet::new();
        if discovered.failure.is_none() {
            for id in self.sweep.recordings.difference(&discovered.matched) {
                if self.queue.record(id).await?.is_none() {
                    not_found.insert(id.clone());
                }
            }
        }
        Ok(not_found)
    }

    fn sum_up(&mut self, discovered: &Discovered, waiting: u64, not_found: BTreeSet<RecordingId>) -> Summary {
        if self.failed > 0 || !not_found.is_empty() {
            self.noted.push(ExitCode::RecordingsFailed);
        }
        if waiting > 0 {
            self.noted.push(ExitCode::WorkRemains);
        }
        if self.stop.is_aborting() {
            self.noted.push(ExitCode::Interrupted);
        }
        Summary {
            run_id: self.run_id.clone(),
            listed: discovered.found + discovered.listed.repeated,
            done: self.published.recordings,
            skipped: discovered.done_before + discovered.dead_before + discovered.listed.repeated,
            failed: self.failed,
            waiting,
            audio_ms: self.published.audio_ms,
            elapsed: self.started.elapsed(),
            dead_before: discovered.dead_before,
            left_out: discovered.left_out,
            unusable: discovered.listed.unusable,
            not_found,
            troubles: std::mem::take(&mut self.troubles),
            notes: std::mem::take(&mut self.notes),
            resume_at: self.resume_at,
            exit_code: ExitCode::heaviest(&self.noted),
            queue: Arc::clone(&self.queue),
        }
    }
}

/// A failed listing with its cause, for the summary.
pub(super) fn describe(failure: &SourceError) -> String {
    let mut text = failure.to_string();
    let mut cause = std::error::Error::source(failure);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Makes the folder, or closes an existing one, for everybody but its owner.
pub(super) fn make_private(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))
}

pub(super) fn random_word() -> String {
    format!("{:08x}", rand::rng().random::<u32>())
}
