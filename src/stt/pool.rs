//! The worker threads: each owns one engine, all take from one bounded queue.
//!
//! A job always gets its reply. An engine that panics costs the job that met it, not the worker: the engine is replaced
//! before the next job. Dropping the pool ends the threads after the jobs that are queued.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{EngineError, Hints, SpeechWindow, SttError, Transcriber, Watch, WindowTranscript};
use crate::domain::{Language, SAMPLE_RATE_HZ};

/// Makes one engine per worker, and a new one after a panic.
pub type EngineFactory = Arc<dyn Fn() -> Result<Box<dyn Transcriber>, EngineError> + Send + Sync>;

/// What a worker is asked to do with one window.
pub(super) enum Task {
    Decode(Hints),
    Detect(Vec<Language>),
}

/// What it answers.
pub(super) enum Answer {
    /// The window comes back, because it may be decoded by another model.
    Text(SpeechWindow, WindowTranscript),
    /// The window comes back, because it is decoded next.
    Languages(SpeechWindow, Vec<(Language, f64)>),
}

/// One window on its way to a worker.
pub(super) struct Job {
    pub(super) window: SpeechWindow,
    pub(super) task: Task,
    pub(super) watch: Watch,
    pub(super) reply: ReplySlot,
}

pub(super) struct Reply {
    pub(super) index: usize,
    pub(super) outcome: Result<Answer, EngineError>,
}

/// Where the replies to any number of jobs come together.
#[expect(clippy::disallowed_methods, reason = "no more replies wait than jobs were handed out, and those are bounded")]
pub(super) fn replies() -> (Sender<Reply>, Receiver<Reply>) {
    channel()
}

/// The place where one job's answer goes. Dropping it unused answers [`EngineError::Panicked`], so that nobody waits
/// for a worker that is gone.
pub(super) struct ReplySlot {
    index: usize,
    to: Option<Sender<Reply>>,
}

impl ReplySlot {
    /// Workers never wait for a reader.
    pub(super) fn new(index: usize, to: Sender<Reply>) -> Self {
        Self { index, to: Some(to) }
    }

    fn answer(mut self, outcome: Result<Answer, EngineError>) {
        self.send(outcome);
    }

    fn send(&mut self, outcome: Result<Answer, EngineError>) {
        if let Some(to) = self.to.take()
            && to.send(Reply { index: self.index, outcome }).is_err()
        {
            tracing::debug!("a recording was given up before its window was decoded");
        }
    }
}

impl Drop for ReplySlot {
    fn drop(&mut self) {
        self.send(Err(EngineError::Panicked));
    }
}

/// What the workers of a pool have done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// Windows that were decoded.
    pub windows: u64,
    /// How much sound was in them.
    pub audio: Duration,
    /// How long that took, and to find out their languages, summed over the workers.
    pub decoding: Duration,
}

/// [`Effort`], while it grows.
#[derive(Debug, Default)]
struct EffortMeter {
    windows: AtomicU64,
    samples: AtomicU64,
    decoding_us: AtomicU64,
}

/// The threads and their queue.
pub(super) struct Pool {
    queue: Option<SyncSender<Job>>,
    effort: Arc<EffortMeter>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts `workers` threads. Every engine is made here, so that one that cannot be made is an error now.
    pub(super) fn start(workers: usize, make: &EngineFactory) -> Result<Self, SttError> {
        let workers = workers.max(1);
        let (queue, jobs) = sync_channel::<Job>(workers);
        let jobs = Arc::new(Mutex::new(jobs));
        let effort = Arc::<EffortMeter>::default();
        let mut pool = Self { queue: Some(queue), effort: Arc::clone(&effort), threads: Vec::with_capacity(workers) };
        for number in 0..workers {
            let engine = make()?;
            let (jobs, make, effort) = (Arc::clone(&jobs), Arc::clone(make), Arc::clone(&effort));
            let thread = std::thread::Builder::new()
                .name(format!("stt-{number}"))
                .spawn(move || work(&jobs, engine, &make, &effort))
                .map_err(SttError::Thread)?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    pub(super) fn workers(&self) -> usize {
        self.threads.len()
    }

    pub(super) fn effort(&self) -> Effort {
        Effort {
            windows: self.effort.windows.load(Ordering::Relaxed),
            audio: Duration::from_secs(self.effort.samples.load(Ordering::Relaxed)) / SAMPLE_RATE_HZ,
            decoding: Duration::from_micros(self.effort.decoding_us.load(Ordering::Relaxed)),
        }
    }

    /// Queues a job; blocks while the queue is full. Without workers the job answers that they are gone.
    pub(super) fn submit(&self, job: Job) {
        if let Some(queue) = &self.queue
            && let Err(rejected) = queue.send(job)
        {
            drop(rejected);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a speech-to-text worker panicked");
            }
        }
    }
}

fn work(jobs: &Mutex<Receiver<Job>>, engine: Box<dyn Transcriber>, make: &EngineFactory, effort: &EffortMeter) {
    let mut engine = Some(engine);
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { window, task, watch, reply }) = next else { return };
        if watch.is_cancelled() {
            reply.answer(Err(EngineError::Cancelled));
            continue;
        }
        let mut current = match engine.take().map_or_else(|| make(), Ok) {
            Ok(current) => current,
            Err(error) => {
                reply.answer(Err(error));
                continue;
            }
        };
        let (began, samples) = (Instant::now(), window.samples.len() as u64);
        match catch_unwind(AssertUnwindSafe(|| perform(current.as_mut(), window, &task, &watch))) {
            Ok(outcome) => {
                engine = Some(current);
                if outcome.is_ok() {
                    let took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                    effort.decoding_us.fetch_add(took_us, Ordering::Relaxed);
                }
                if matches!(outcome, Ok(Answer::Text(..))) {
                    effort.windows.fetch_add(1, Ordering::Relaxed);
                    effort.samples.fetch_add(samples, Ordering::Relaxed);
                }
                reply.answer(outcome);
            }
            // The panicked engine is dropped here: its state may be half changed.
            Err(_) => reply.answer(Err(EngineError::Panicked)),
        }
    }
}

fn perform(
    engine: &mut dyn Transcriber,
    window: SpeechWindow,
    task: &Task,
    watch: &Watch,
) -> Result<Answer, EngineError> {
    match task {
        Task::Detect(allowed) => {
            let probabilities = engine.detect_language(&window.samples, allowed, watch)?;
            Ok(Answer::Languages(window, probabilities))
        }
        Task::Decode(hints) => {
            let mut transcripts = engine.transcribe(std::slice::from_ref(&window), hints, watch)?;
            transcripts.pop().map(|text| Answer::Text(window, text)).ok_or(EngineError::Panicked)
        }
    }
}
