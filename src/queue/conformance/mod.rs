//! One suite for every engine of the queue: random operations on it and on a [`model::Model`] of it, by two processes
//! under a clock of the test's own. After each one everything that can be seen must be the same.

mod model;
mod ops;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestCaseResult, TestRng, TestRunner};

use self::model::Model;
use self::ops::{Again, How, Listing, OF_ZOOM, Op, PROCESSES, RECORDINGS};
use super::Desk;
use super::instance::Fate;
use super::{
    BatchLog, Claimant, Claimed, FoundStaged, Graves, JobQueue, JobRecord, NewJob, OpenBatch, PublishedBefore, Redo,
    Scope, Selection, Settled, Settlement, StagedJob,
};
use crate::domain::{
    AudioLocation, Departed, EngineIdentity, Failure, Fingerprint, Lease, PurgeReason, Reason, Recipe, Recording,
    RecordingId, RunId, SourceKind, Stage, Tombstone, Treatment,
};

/// How every engine under test is set up.
pub(super) const LEASE: Duration = Duration::from_secs(60);
pub(super) const MAX_ATTEMPTS: i32 = 3;

const CASES: u32 = 64;
const MOST_OPS: usize = 120;
/// What some of the cases must come to, or they try too little.
const ENDS: [&str; 9] = [
    "adopted",
    "batch refused",
    "claimed alone",
    "died of its crashes",
    "known to be bad",
    "late twin",
    "left out",
    "purged",
    "redone",
];
const AUDIO_SHA256: &str = "a1";

/// One ledger of an engine.
pub(super) trait Engine: Sized {
    type Queue: JobQueue + BatchLog + Graves;

    /// An empty ledger.
    async fn fresh() -> Self;

    /// A handle on it, as every process has one of its own.
    async fn open(&self) -> Self::Queue;
}

/// Fails unless the engine does what the model does. The same operations in every run of the test.
pub(super) fn behaves_like_the_model<E: Engine>() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let config = Config { failure_persistence: None, ..Config::with_cases(CASES) };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let ends = RefCell::new(BTreeSet::new());
    let try_out = |ops: Vec<Op>| {
        runtime.block_on(async {
            let mut world = World::new(E::fresh().await).await;
            for op in &ops {
                world.apply(op).await?;
                world.looks_the_same().await?;
            }
            ends.borrow_mut().extend(world.seen);
            Ok(())
        })
    };
    for ops in ops::by_hand() {
        let outcome: TestCaseResult = try_out(ops);
        outcome.unwrap();
    }
    let outcome = runner.run(&vec(ops::op(), 1..MOST_OPS), try_out);
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let missing: Vec<_> = ENDS.into_iter().filter(|end| !ends.borrow().contains(end)).collect();
    assert!(missing.is_empty(), "no case came to this: {missing:?}");
}

/// An engine, its model, and what both are told.
struct World<E: Engine> {
    /// One for each process.
    queues: Vec<E::Queue>,
    model: Model,
    now: Timestamp,
    /// Names of the processes that run now; the others are dead, or have ended in order.
    processes: Vec<String>,
    ended: BTreeSet<String>,
    /// Every lease that was ever handed out, with the number of the order to redo it answers.
    leases: Vec<(Lease, u32)>,
    ops: usize,
    /// What happened that does not happen often.
    seen: BTreeSet<&'static str>,
    _engine: E,
}

fn same<T: PartialEq + Debug>(what: &str, engine: T, model: T) -> TestCaseResult {
    if engine == model {
        return Ok(());
    }
    Err(TestCaseError::fail(format!("{what}: the engine says {engine:?}, the model {model:?}")))
}

fn id(recording: usize) -> RecordingId {
    RecordingId::parse(&format!("r{recording}")).unwrap()
}

fn ids(recordings: &[usize]) -> Vec<RecordingId> {
    recordings.iter().copied().map(id).collect()
}

fn recipe(number: usize) -> Recipe {
    let engine = EngineIdentity {
        engine: "whisper.cpp".into(),
        engine_version: "1".into(),
        model: "base".into(),
        model_sha256: number.to_string(),
    };
    Recipe { engine, settings_sha256: "s".into(), schema_version: 1 }
}

/// Everything of a claim that can be compared.
fn parts(claimed: Option<&Claimed>) -> Option<(&Lease, &Recording, Timestamp, &str, bool, u32)> {
    claimed.map(|job| (&job.lease, &job.recording, job.started_at, job.dt.as_str(), job.alone, job.redo))
}

fn failure(reason: Reason, seconds: i64) -> Failure {
    Failure::new(Stage::Fetch, reason, Treatment::Transient, format!("wait={seconds}"))
}

impl<E: Engine> World<E> {
    async fn new(engine: E) -> Self {
        let mut queues = Vec::new();
        for _ in 0..PROCESSES {
            queues.push(engine.open().await);
        }
        Self {
            queues,
            model: Model::default(),
            now: "2026-11-10T12:00:00Z".parse().unwrap(),
            processes: (0..PROCESSES).map(|process| format!("p{process}")).collect(),
            ended: BTreeSet::new(),
            leases: Vec::new(),
            ops: 0,
            seen: BTreeSet::new(),
            _engine: engine,
        }
    }

    fn job(&self, listing: &Listing) -> NewJob {
        let Listing { recording, hours_ago, duration_s, call, version } = *listing;
        let source = if recording < OF_ZOOM { SourceKind::Zoom } else { SourceKind::Folder };
        let address = AudioLocation::Download(format!("https://zoom.us/{recording}/{version}"));
        let mut listed = Recording::bare(id(recording), format!("R{recording}"), source, address);
        (listed.duration_s, listed.call_id) = (duration_s, call.map(|call| format!("c{call}")));
        let started_at = self.now - SignedDuration::from_hours(hours_ago);
        NewJob { recording: listed, started_at, dt: started_at.strftime("%Y-%m-%d").to_string() }
    }

    fn fingerprint(&mut self, id: &RecordingId, made_with: usize, redo: u32) -> Fingerprint {
        let recipe = recipe(made_with);
        let fingerprint = Fingerprint::compute(id, AUDIO_SHA256, &recipe, redo);
        self.model.made_by.insert(fingerprint.clone(), recipe);
        fingerprint
    }

    fn run_of(process: usize) -> RunId {
        RunId(format!("run-{process}"))
    }

    /// A lease, counted from the newest; a copy, since a late twin holds the same one.
    fn lease(&self, from_newest: usize) -> Option<(Lease, u32)> {
        self.leases.iter().rev().nth(from_newest).map(|(lease, redo)| (lease.twin(), *redo))
    }

    fn settlement(&mut self, how: How, lease: &Lease, redo: u32) -> Settlement {
        let later = |seconds| self.now + SignedDuration::from_secs(seconds);
        match how {
            How::Staged { recipe } => Settlement::Staged {
                fingerprint: self.fingerprint(&lease.id, recipe, redo),
                audio_sha256: AUDIO_SHA256.into(),
                bytes: 10 + lease.fence.unsigned_abs(),
                audio_ms: 1_000 * lease.fence,
            },
            How::Retry { reason, seconds } => {
                Settlement::Retry { failure: failure(reason, seconds), not_before: later(seconds) }
            }
            How::Postponed { reason, seconds } => {
                Settlement::Postponed { failure: failure(reason, seconds), not_before: later(seconds) }
            }
            How::Crashed => Settlement::Crashed { failure: failure(Reason::EngineCrash, 0) },
            How::Dead { reason } => Settlement::Dead { failure: failure(reason, 0) },
            How::Released => Settlement::Released,
        }
    }

    fn scope(source: SourceKind, only: Option<&[usize]>) -> Scope {
        Scope { source, only: only.map(|recordings| ids(recordings).into_iter().collect()) }
    }

    fn note(&mut self, happened: bool, what: &'static str) {
        if happened {
            self.seen.insert(what);
        }
    }

    /// Does the same to both, through one of the handles, and compares their answers.
    async fn apply(&mut self, op: &Op) -> TestCaseResult {
        let handle = self.ops % PROCESSES;
        self.ops += 1;
        let now = self.now;
        match op {
            Op::Pass { seconds } => self.now += SignedDuration::from_secs(*seconds),
            Op::Die { process } => self.processes[*process] = format!("p{process}-{}", self.ops),
            Op::End { process } => {
                let ended = std::mem::replace(&mut self.processes[*process], format!("p{process}-{}", self.ops));
                self.ended.insert(ended);
            }
            Op::List { found, room, again } => {
                let found: Vec<NewJob> = found.iter().map(|listing| self.job(listing)).collect();
                let redo = match again {
                    Again::Nothing => Redo::Nothing,
                    Again::Failed => Redo::Failed,
                    Again::All => Redo::All,
                    Again::Changed { recipe: number } => Redo::Changed(recipe(*number)),
                };
                let engine = self.queues[handle].enqueue(found.clone(), *room, &redo, now).await.unwrap();
                self.note(!engine.redone.is_empty(), "redone");
                self.note(engine.left_out > 0, "left out");
                same("enqueue", engine, self.model.enqueue(found, *room, &redo, now))?;
            }
            Op::Claim { process, source, only, company } => {
                let claimant = Claimant { instance: self.processes[*process].clone(), run: Self::run_of(*process) };
                let scope = Self::scope(*source, only.as_deref());
                let engine = self.queues[*process].claim(&claimant, &scope, *company, now).await.unwrap();
                let model = self.model.claim(&claimant, &scope, *company, now);
                same("claim", parts(engine.as_ref()), parts(model.as_ref()))?;
                if let Some(Claimed { lease, redo, alone, .. }) = engine {
                    self.leases.push((lease, redo));
                    self.note(alone, "claimed alone");
                }
            }
            Op::Settle { lease, how } => {
                let Some((lease, redo)) = self.lease(*lease) else { return Ok(()) };
                let settlement = self.settlement(*how, &lease, redo);
                let host_is_down = settlement.failure().is_some_and(|new| new.reason == Reason::SourceUnavailable);
                let keeps_its_reason = host_is_down && self.model.is_known_to_be_bad(&lease.id);
                let model = self.model.settle(&lease, settlement.clone(), now);
                let engine = self.queues[handle].settle(lease, settlement, now).await.unwrap();
                self.note(engine == Settled::Lost, "late twin");
                self.note(engine != Settled::Lost && keeps_its_reason, "known to be bad");
                same("settle", engine, model)?;
            }
            Op::Heartbeat { lease } => {
                let Some((lease, _)) = self.lease(*lease) else { return Ok(()) };
                let engine = self.queues[handle].heartbeat(&lease, now).await.unwrap();
                same("heartbeat", engine, self.model.heartbeat(&lease, now))?;
            }
            Op::Reclaim => {
                let fate = |id: &str| match self.ended.contains(id) {
                    true => Fate::Ended,
                    false if self.processes.iter().any(|process| process == id) => Fate::Runs,
                    false => Fate::Died,
                };
                let run = Self::run_of(handle);
                let engine = self.queues[handle].reclaim(&fate, &run, now).await.unwrap();
                let model = self.model.reclaim(&fate, &run, now);
                self.note(engine.died > 0, "died of its crashes");
                same("reclaim", engine, model)?;
            }
            Op::Revive { named, reason, before, since } => {
                let ago = |seconds: &i64| now - SignedDuration::from_secs(*seconds);
                let which = Selection {
                    ids: named.as_ref().map(|named| ids(named).into_iter().collect()),
                    reasons: reason.map(|reason| BTreeSet::from([reason])),
                    before: before.as_ref().map(ago),
                    since: since.as_ref().map(ago),
                };
                let engine = self.queues[handle].revive(&which, now).await.unwrap();
                same("revive", engine, self.model.revive(&which, now))?;
            }
            Op::AdoptPublished { listing, recipe, redo } => {
                let job = self.job(listing);
                let fingerprint = self.fingerprint(&job.recording.id, *recipe, *redo);
                let result = PublishedBefore { fingerprint, audio_sha256: AUDIO_SHA256.into(), redo: *redo };
                self.queues[handle].adopt_published(job.clone(), result.clone(), now).await.unwrap();
                self.model.adopt_published(job, result, now);
            }
            Op::AdoptStaged { listing, recipe } => {
                let job = self.job(listing);
                let redo = self.model.redo_of(&job.recording.id);
                let fingerprint = self.fingerprint(&job.recording.id, *recipe, redo);
                let (audio_sha256, transcribed_at) = (AUDIO_SHA256.into(), now - SignedDuration::from_secs(5));
                let found = FoundStaged { job, fingerprint, audio_sha256, bytes: 7, audio_ms: 700, transcribed_at };
                let engine = self.queues[handle].adopt_staged(found.clone(), now).await.unwrap();
                self.note(engine, "adopted");
                same("adopt_staged", engine, self.model.adopt_staged(found, now))?;
            }
            Op::Purge { recording } => {
                let of = Departed::Recording(id(*recording));
                let stone = Tombstone { of, purged_at: now, reason: PurgeReason::Recording };
                self.queues[handle].entomb(vec![stone]).await.unwrap();
                self.model.purge(&id(*recording));
                self.note(true, "purged");
            }
            batches => self.apply_to_batches(handle, batches).await?,
        }
        Ok(())
    }

    async fn apply_to_batches(&mut self, handle: usize, op: &Op) -> TestCaseResult {
        let (queue, now) = (&self.queues[handle], self.now);
        let name = |batch: &usize| format!("b{batch}");
        match op {
            Op::OpenBatch { batch, members } => {
                let free = self.model.staged();
                let members = match (members, free.first()) {
                    (Some(named), Some(any)) => {
                        ids(named).into_iter().map(|id| StagedJob { id, ..any.clone() }).collect()
                    }
                    _ => free,
                };
                let (batch_id, dt, plan) = (name(batch), now.strftime("%Y-%m-%d").to_string(), "{}".into());
                let batch = OpenBatch { batch_id, dt, plan, members };
                let engine = queue.open_batch(&batch, now).await.is_ok();
                same("open_batch", engine, self.model.open_batch(&batch, now))?;
                self.note(!engine, "batch refused");
            }
            Op::CloseBatch { batch } => {
                queue.close_batch(&name(batch), now).await.unwrap();
                self.model.close_batch(&name(batch), now);
            }
            Op::AbandonBatch { batch } => {
                queue.abandon_batch(&name(batch)).await.unwrap();
                self.model.abandon_batch(&name(batch));
            }
            Op::StartOver { recording } => {
                queue.start_over(&id(*recording), now).await.unwrap();
                self.model.start_over(&id(*recording), now);
            }
            Op::MarkPublished { recordings } => {
                queue.mark_published(&ids(recordings), now).await.unwrap();
                self.model.mark_published(&ids(recordings), now);
            }
            Op::MarkReported { recordings } => {
                queue.mark_reported(&ids(recordings)).await.unwrap();
                self.model.mark_reported(&ids(recordings));
            }
            other => unreachable!("{other:?} is not about batches"),
        }
        Ok(())
    }

    /// Compares everything that can be asked, through the handle that did not do the last step.
    async fn looks_the_same(&self) -> TestCaseResult {
        let (queue, model) = (&self.queues[self.ops % PROCESSES], &self.model);
        let all: Vec<RecordingId> = (0..RECORDINGS).map(id).collect();
        let purged: BTreeSet<RecordingId> = queue.purged(&all).await.unwrap().into_keys().collect();
        same("purged", &purged, &model.purged)?;
        same("known", queue.known(&all).await.unwrap(), model.known(&all))?;
        same("records", queue.records(&all).await.unwrap(), model.records())?;
        for source in [SourceKind::Zoom, SourceKind::Folder] {
            for only in [None, Some([0, 2, 5].as_slice())] {
                let scope = Self::scope(source, only);
                same("counts", queue.counts(&scope).await.unwrap(), model.counts(&scope))?;
                same("next_due", queue.next_due(&scope).await.unwrap(), model.next_due(&scope))?;
            }
        }
        for run in (0..PROCESSES).map(Self::run_of) {
            same("touched_by", touched_by(queue, &run).await, model.touched_by(&run))?;
        }
        same("staged", queue.staged().await.unwrap(), model.staged())?;
        same("open_batches", queue.open_batches().await.unwrap(), model.open_batches())?;
        same("unreported_dead", queue.unreported_dead().await.unwrap(), model.unreported_dead())
    }
}

/// All pages of it.
async fn touched_by(queue: &impl JobQueue, run: &RunId) -> Vec<JobRecord> {
    let mut all: Vec<JobRecord> = Vec::new();
    loop {
        let page = queue.touched_by(run, all.last().map(|job| &job.id), 2).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}
