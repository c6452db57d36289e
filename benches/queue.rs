//! What the ledger costs when it holds 100,000 recordings: each step of a job, the questions of a run, and a start.
//!
//! `cargo bench --bench queue`. Every commit waits for the disk; `TMPDIR=/dev/shm` leaves that out, so that what remains
//! is CPU time.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use divan::Bencher;
use jiff::{SignedDuration, Timestamp};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use transcribe::domain::{AudioLocation, Fingerprint, Recording, RecordingId, RunId, SourceKind};
use transcribe::queue::instance::Fate;
use transcribe::queue::sqlite::{SqliteQueue, SqliteSettings};
use transcribe::queue::{BatchLog, Claimant, Claimed, Company, Desk, JobQueue, NewJob, Redo, Scope, Settlement};

const JOBS: u32 = 100_000;
/// Whatever is neither of these is seen.
const PUBLISHED: u32 = 60_000;
const WAITING: u32 = 1_000;
const STAGED: u32 = 500;
const DEAD: u32 = 500;
/// Claims of a process that died.
const HELD: usize = 50;

fn main() {
    divan::main();
}

fn now() -> Timestamp {
    "2026-11-10T12:00:00Z".parse().expect("a time")
}

fn id(number: u32) -> RecordingId {
    RecordingId::parse(&format!("{number:032x}")).expect("an id")
}

fn job(number: u32, random: &mut SmallRng) -> NewJob {
    let address = AudioLocation::Download(format!("https://zoom.us/v2/phone/recording/download/{number:022}"));
    let mut recording = Recording::bare(id(number), format!("{number:032x}"), SourceKind::Zoom, address);
    recording.call_id = Some(format!("74012345678{number:08}"));
    recording.duration_s = Some(random.random_range(5..3_600));
    let started_at = now() - SignedDuration::from_secs(random.random_range(0..180 * 86_400));
    NewJob { recording, started_at, dt: started_at.strftime("%Y-%m-%d").to_string() }
}

/// Written once; every measurement works on a copy. What took weeks to come about is set by hand.
fn template() -> &'static Path {
    static WRITTEN: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_folder, path) = WRITTEN.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.sqlite");
        let ledger = Ledger::at(path.clone());
        let mut random = SmallRng::seed_from_u64(7);
        let jobs = (0..JOBS).map(|number| job(number, &mut random)).collect();
        ledger.wait(ledger.queue.enqueue(jobs, u64::MAX, &Redo::Nothing, now())).expect("enqueued");
        let connection = Connection::open(&path).expect("the ledger");
        let result = "attempt = 1, fence = 1, run_id = 'earlier', fingerprint = recording_id || recording_id";
        let due = (now() + SignedDuration::from_hours(1)).as_millisecond();
        let mut first = 0;
        for (number, set) in [
            (PUBLISHED, format!("state = 'published', recording = NULL, {result}")),
            (WAITING, format!("state = 'waiting', attempt = 1, fence = 1, not_before_ms = {due}")),
            (STAGED, format!("state = 'staged', staged_bytes = 9000, staged_ms = 1, audio_ms = 60000, {result}")),
            (DEAD, "state = 'dead', reported = 1, stage = 'fetch', reason = 'not_found'".to_owned()),
        ] {
            let among = format!("recording_id >= '{}' AND recording_id < '{}'", id(first), id(first + number));
            connection.execute(&format!("UPDATE jobs SET {set} WHERE {among}"), []).expect("updated");
            first += number;
        }
        // All of it into the one file that is copied.
        connection.pragma_update(None, "wal_checkpoint", "truncate").expect("checkpointed");
        (folder, path)
    });
    path
}

/// A ledger of its own for one measurement.
struct Ledger {
    runtime: Runtime,
    queue: SqliteQueue,
    path: PathBuf,
}

impl Ledger {
    fn at(path: PathBuf) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let settings = SqliteSettings { lease: Duration::from_secs(600), max_attempts: 3 };
        Self { runtime, queue: SqliteQueue::open(&path, settings).expect("a ledger"), path }
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    fn claim(&self) -> Claimed {
        let claimant = Claimant { instance: "me".into(), run: RunId("now".into()) };
        let claimed = self.wait(self.queue.claim(&claimant, &everything(), Company::Nobody, now()));
        claimed.expect("a ledger").expect("a job that is due")
    }

    fn reclaim(&self) {
        let reclaimed = self.wait(self.queue.reclaim(&|_| Fate::Died, &RunId("next".into()), now())).expect("a ledger");
        assert_eq!(reclaimed.back + reclaimed.died, HELD as u64);
    }

    fn hold(&self) {
        for _ in 0..HELD {
            self.claim();
        }
    }
}

fn copied() -> (TempDir, Ledger) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.sqlite");
    std::fs::copy(template(), &path).expect("a copy");
    (folder, Ledger::at(path))
}

fn everything() -> Scope {
    Scope { source: SourceKind::Zoom, only: None }
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn claim(bencher: Bencher<'_, '_>) {
    let (_folder, ledger) = copied();
    bencher.bench_local(|| ledger.claim());
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn settle(bencher: Bencher<'_, '_>) {
    let (_folder, ledger) = copied();
    let fingerprint = Fingerprint::from_hex("a".repeat(64)).expect("a fingerprint");
    let input = || {
        let staged = Settlement::Staged {
            fingerprint: fingerprint.clone(),
            audio_sha256: "b".repeat(64),
            bytes: 9_000,
            audio_ms: 60_000,
        };
        (ledger.claim().lease, staged)
    };
    bencher.with_inputs(input).bench_local_values(|(lease, staged)| {
        ledger.wait(ledger.queue.settle(lease, staged, now())).expect("a ledger")
    });
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn heartbeat(bencher: Bencher<'_, '_>) {
    let (_folder, ledger) = copied();
    let lease = ledger.claim().lease;
    bencher.bench_local(|| ledger.wait(ledger.queue.heartbeat(&lease, now())).expect("a ledger"));
}

#[divan::bench(sample_count = 20)]
fn counts(bencher: Bencher<'_, '_>) {
    let (_folder, ledger) = copied();
    bencher.bench_local(|| ledger.wait(ledger.queue.counts(&everything())).expect("a ledger"));
}

#[divan::bench(sample_count = 100)]
fn next_due(bencher: Bencher<'_, '_>) {
    let (_folder, ledger) = copied();
    bencher.bench_local(|| ledger.wait(ledger.queue.next_due(&everything())).expect("a ledger"));
}

#[divan::bench(sample_count = 100)]
fn staged(bencher: Bencher<'_, '_>) {
    let (_folder, ledger) = copied();
    bencher.bench_local(|| ledger.wait(ledger.queue.staged()).expect("a ledger"));
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn reclaim(bencher: Bencher<'_, '_>) {
    let (_folder, ledger) = copied();
    bencher.with_inputs(|| ledger.hold()).bench_local_values(|()| ledger.reclaim());
}

/// Opens the ledger, takes back the claims of the dead, and looks up every transcript that lies in the staging folder.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn start(bencher: Bencher<'_, '_>) {
    let (_folder, ledger) = copied();
    bencher.with_inputs(|| ledger.hold()).bench_local_values(|()| {
        let opened = Ledger::at(ledger.path.clone());
        opened.reclaim();
        opened.wait(opened.queue.open_batches()).expect("a ledger");
        for staged in opened.wait(opened.queue.staged()).expect("a ledger") {
            opened.wait(opened.queue.record(&staged.id)).expect("a ledger").expect("a known one");
        }
    });
}
