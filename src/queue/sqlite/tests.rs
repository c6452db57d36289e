use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;

use super::*;
use crate::domain::{AudioLocation, Fingerprint, Recording, SourceKind};
use crate::queue::conformance::{self, Engine, LEASE, MAX_ATTEMPTS};
use crate::queue::state::DEATHS_IN_COMPANY;
use crate::queue::{BatchLog, Insight, OpenBatch};

struct Ledger {
    _folder: tempfile::TempDir,
    queue: SqliteQueue,
    path: PathBuf,
}

fn settings() -> SqliteSettings {
    SqliteSettings { lease: LEASE, max_attempts: MAX_ATTEMPTS }
}

fn ledger() -> Ledger {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let queue = SqliteQueue::open(&path, settings()).unwrap();
    Ledger { _folder: folder, queue, path }
}

impl Engine for Ledger {
    type Queue = SqliteQueue;

    async fn fresh() -> Self {
        ledger()
    }

    async fn open(&self) -> SqliteQueue {
        SqliteQueue::open(&self.path, settings()).unwrap()
    }
}

#[test]
fn the_ledger_behaves_like_the_model_of_a_queue() {
    conformance::behaves_like_the_model::<Ledger>();
}

fn everything() -> Scope {
    Scope { source: SourceKind::Zoom, only: None }
}

fn now() -> Timestamp {
    "2026-11-10T12:00:00Z".parse().unwrap()
}

fn run() -> RunId {
    RunId("run-1".into())
}

fn id(text: &str) -> RecordingId {
    RecordingId::parse(text).unwrap()
}

fn job(name: &str, started_at: Timestamp) -> NewJob {
    let address = AudioLocation::Download(format!("https://zoom.us/{name}"));
    let recording = Recording::bare(id(name), name.into(), SourceKind::Zoom, address);
    NewJob { recording, started_at, dt: "2026-11-10".into() }
}

fn fingerprint(digit: char) -> Fingerprint {
    Fingerprint::from_hex(digit.to_string().repeat(64)).unwrap()
}

fn staged_as(digit: char) -> Settlement {
    Settlement::Staged { fingerprint: fingerprint(digit), audio_sha256: "a1".into(), bytes: 10, audio_ms: 1_000 }
}

fn failure(reason: Reason) -> Failure {
    Failure::new(Stage::Fetch, reason, Treatment::Transient, "status=502")
}

fn me() -> Claimant {
    Claimant { instance: "me".into(), run: run() }
}

fn back(back: u64) -> Reclaimed {
    Reclaimed { back, died: 0 }
}

async fn claim(queue: &SqliteQueue, at: Timestamp) -> Option<Claimed> {
    queue.claim(&me(), &everything(), Company::Nobody, at).await.unwrap()
}

#[tokio::test]
async fn a_recording_listed_twice_is_one_job() {
    let ledger = ledger();
    let first =
        ledger.queue.enqueue(vec![job("a", now()), job("a", now())], u64::MAX, &Redo::Nothing, now()).await.unwrap();
    assert_eq!((first.new.len(), first.open.len()), (1, 1));
    assert!(claim(&ledger.queue, now()).await.is_some());
    assert!(claim(&ledger.queue, now()).await.is_none());
}

#[tokio::test]
async fn no_more_is_added_than_there_is_room_for() {
    let ledger = ledger();
    ledger.queue.enqueue(vec![job("a", now())], 1, &Redo::Nothing, now()).await.unwrap();
    let more = vec![job("a", now()), job("b", now()), job("c", now())];
    let enqueued = ledger.queue.enqueue(more, 1, &Redo::Nothing, now()).await.unwrap();
    assert_eq!((enqueued.new, enqueued.left_out), (BTreeSet::from([id("b")]), 1));
    assert_eq!(ledger.queue.record(&id("c")).await.unwrap(), None);
}

#[tokio::test]
async fn calls_of_the_last_day_come_before_a_backfill() {
    let ledger = ledger();
    let hours_ago = |hours| now() - SignedDuration::from_hours(hours);
    let jobs = vec![job("older", hours_ago(900)), job("old", hours_ago(800)), job("fresh", hours_ago(1))];
    ledger.queue.enqueue(jobs, u64::MAX, &Redo::Nothing, now()).await.unwrap();
    let mut order = Vec::new();
    while let Some(claimed) = claim(&ledger.queue, now()).await {
        order.push(claimed.lease.id.to_string());
    }
    assert_eq!(order, ["fresh", "older", "old"]);
}

#[tokio::test]
async fn a_late_twin_cannot_settle_what_another_holds() {
    let ledger = ledger();
    ledger.queue.enqueue(vec![job("a", now())], u64::MAX, &Redo::Nothing, now()).await.unwrap();
    let late = claim(&ledger.queue, now()).await.unwrap().lease;
    let after_lease = now() + SignedDuration::from_secs(61);
    assert_eq!(ledger.queue.reclaim(&|_| Fate::Runs, &run(), after_lease).await.unwrap(), back(1));
    let current = claim(&ledger.queue, after_lease).await.unwrap().lease;
    assert_eq!((late.attempt, current.attempt), (1, 2));
    assert_eq!(ledger.queue.settle(late, staged_as('a'), after_lease).await.unwrap(), Settled::Lost);
    assert_eq!(ledger.queue.settle(current, staged_as('b'), after_lease).await.unwrap(), Settled::As(JobState::Staged));
    assert_eq!(ledger.queue.staged().await.unwrap()[0].fingerprint, fingerprint('b'));
}

#[tokio::test]
async fn a_heartbeat_keeps_a_lease_and_an_expired_one_comes_back() {
    let ledger = ledger();
    ledger.queue.enqueue(vec![job("a", now())], u64::MAX, &Redo::Nothing, now()).await.unwrap();
    let lease = claim(&ledger.queue, now()).await.unwrap().lease;
    let later = now() + SignedDuration::from_secs(50);
    assert_eq!(ledger.queue.heartbeat(&lease, later).await.unwrap(), Fenced::Held);
    let past_first_lease = now() + SignedDuration::from_secs(70);
    assert_eq!(ledger.queue.reclaim(&|_| Fate::Runs, &run(), past_first_lease).await.unwrap(), back(0));
    let past_both = now() + SignedDuration::from_secs(111);
    assert_eq!(ledger.queue.reclaim(&|_| Fate::Runs, &run(), past_both).await.unwrap(), back(1));
    assert_eq!(ledger.queue.heartbeat(&lease, past_both).await.unwrap(), Fenced::Lost);
}

#[tokio::test]
async fn a_suspect_of_the_last_day_has_its_turn_before_a_backlog() {
    let ledger = ledger();
    let days_ago = |days: i64| now() - SignedDuration::from_hours(24 * days);
    ledger.queue.enqueue(vec![job("suspect", now())], u64::MAX, &Redo::Nothing, now()).await.unwrap();
    for _ in 0..DEATHS_IN_COMPANY {
        claim(&ledger.queue, now()).await.unwrap();
        assert_eq!(ledger.queue.reclaim(&|_| Fate::Died, &run(), now()).await.unwrap(), back(1));
    }
    let others = vec![job("fresh", now()), job("old", days_ago(9)), job("older", days_ago(10))];
    ledger.queue.enqueue(others, u64::MAX, &Redo::Nothing, now()).await.unwrap();
    let mut order = Vec::new();
    for company in [Company::Others, Company::Others, Company::Nobody, Company::Others] {
        let claimed = ledger.queue.claim(&me(), &everything(), company, now()).await.unwrap();
        order.push(claimed.map(|claimed| (claimed.lease.id.to_string(), claimed.alone)));
    }
    let claimed = |name: &str, alone| Some((name.to_owned(), alone));
    assert_eq!(order, [claimed("fresh", false), None, claimed("suspect", true), claimed("older", false)]);
}

#[tokio::test]
async fn a_recording_that_keeps_killing_the_process_ends_as_engine_crash_and_its_neighbour_does_not() {
    let ledger = ledger();
    ledger.queue.enqueue(vec![job("a", now()), job("b", now())], u64::MAX, &Redo::Nothing, now()).await.unwrap();
    for _ in 0..DEATHS_IN_COMPANY {
        claim(&ledger.queue, now()).await.unwrap();
        assert!(ledger.queue.claim(&me(), &everything(), Company::Others, now()).await.unwrap().is_some());
        assert_eq!(ledger.queue.reclaim(&|_| Fate::Died, &run(), now()).await.unwrap(), back(2));
    }
    assert!(ledger.queue.claim(&me(), &everything(), Company::Others, now()).await.unwrap().is_none());
    for attempt in 1..MAX_ATTEMPTS {
        let claimed = claim(&ledger.queue, now()).await.unwrap();
        assert_eq!((claimed.lease.id, claimed.alone, claimed.lease.attempt), (id("a"), true, attempt));
        assert_eq!(ledger.queue.reclaim(&|_| Fate::Died, &run(), now()).await.unwrap(), back(1));
    }
    claim(&ledger.queue, now()).await.unwrap();
    assert_eq!(ledger.queue.reclaim(&|_| Fate::Died, &run(), now()).await.unwrap(), Reclaimed { back: 0, died: 1 });
    let dead = ledger.queue.unreported_dead().await.unwrap();
    assert_eq!((&dead[0].id, dead[0].failure.reason, dead[0].attempts), (&id("a"), Reason::EngineCrash, MAX_ATTEMPTS));
    let innocent = claim(&ledger.queue, now()).await.unwrap();
    assert_eq!((innocent.lease.id.clone(), innocent.lease.attempt), (id("b"), 1));
    let settled = ledger.queue.settle(innocent.lease, staged_as('b'), now()).await.unwrap();
    assert_eq!(settled, Settled::As(JobState::Staged));
}

#[tokio::test]
async fn a_claim_that_was_given_back_fences_off_its_late_twin_although_the_attempt_is_the_same() {
    let ledger = ledger();
    ledger.queue.enqueue(vec![job("a", now())], u64::MAX, &Redo::Nothing, now()).await.unwrap();
    let late = claim(&ledger.queue, now()).await.unwrap().lease;
    ledger.queue.reclaim(&|_| Fate::Died, &run(), now()).await.unwrap();
    let current = claim(&ledger.queue, now()).await.unwrap().lease;
    assert_eq!(late.attempt, current.attempt);
    assert_eq!(ledger.queue.heartbeat(&late, now()).await.unwrap(), Fenced::Lost);
    assert_eq!(ledger.queue.settle(late, staged_as('a'), now()).await.unwrap(), Settled::Lost);
    assert_eq!(ledger.queue.heartbeat(&current, now()).await.unwrap(), Fenced::Held);
}

#[tokio::test]
async fn dead_ones_are_revived_by_id_reason_and_age_and_their_life_is_told() {
    let ledger = ledger();
    let jobs = ["a", "b", "c"].map(|name| job(name, now()));
    ledger.queue.enqueue(jobs.to_vec(), u64::MAX, &Redo::Nothing, now()).await.unwrap();
    for (minutes, reason) in [(0, Reason::NotAudio), (10, Reason::NotFound), (20, Reason::NotFound)] {
        let at = now() + SignedDuration::from_mins(minutes);
        let lease = claim(&ledger.queue, at).await.unwrap().lease;
        ledger.queue.settle(lease, Settlement::Dead { failure: failure(reason) }, at).await.unwrap();
    }
    let later = now() + SignedDuration::from_mins(30);
    let missing = Selection { reasons: Some([Reason::NotFound].into()), ..Selection::default() };
    let young = Selection { since: Some(now() + SignedDuration::from_mins(15)), ..missing.clone() };
    assert_eq!(ledger.queue.revive(&young, later).await.unwrap(), 1);
    assert_eq!(ledger.queue.revive(&missing, later).await.unwrap(), 1);
    let by_id = Selection { ids: Some([id("a"), id("unknown")].into()), ..Selection::default() };
    assert_eq!(ledger.queue.revive(&by_id, later).await.unwrap(), 1);
    assert_eq!(ledger.queue.revive(&Selection::default(), later).await.unwrap(), 0);
    let steps: Vec<String> = ledger.queue.life(&id("c")).await.unwrap().into_iter().map(|event| event.step).collect();
    assert_eq!(steps, ["seen", "claimed", "dead", "revived"]);
    let overview = ledger.queue.overview().await.unwrap();
    assert_eq!((overview.len(), overview[0].state, overview[0].jobs), (1, JobState::Seen, 3));
}

#[tokio::test]
async fn a_retry_waits_for_its_time_and_a_released_claim_costs_no_attempt() {
    let ledger = ledger();
    ledger.queue.enqueue(vec![job("a", now())], u64::MAX, &Redo::Nothing, now()).await.unwrap();
    let lease = claim(&ledger.queue, now()).await.unwrap().lease;
    ledger.queue.settle(lease, Settlement::Released, now()).await.unwrap();
    let lease = claim(&ledger.queue, now()).await.unwrap().lease;
    assert_eq!(lease.attempt, 1);
    let due = now() + SignedDuration::from_secs(30);
    let retry = Settlement::Retry { failure: failure(Reason::Truncated), not_before: due };
    ledger.queue.settle(lease, retry, now()).await.unwrap();
    assert!(claim(&ledger.queue, now()).await.is_none());
    assert_eq!(ledger.queue.next_due(&everything()).await.unwrap(), Some(due));
    assert_eq!(claim(&ledger.queue, due).await.unwrap().lease.attempt, 2);
}

#[tokio::test]
async fn a_batch_survives_a_restart_and_publishing_forgets_the_address() {
    let ledger = ledger();
    ledger.queue.enqueue(vec![job("a", now()), job("b", now())], u64::MAX, &Redo::Nothing, now()).await.unwrap();
    for digit in ['a', 'b'] {
        let lease = claim(&ledger.queue, now()).await.unwrap().lease;
        ledger.queue.settle(lease, staged_as(digit), now()).await.unwrap();
    }
    let members = ledger.queue.staged().await.unwrap();
    let batch = OpenBatch { batch_id: "b1".into(), dt: "2026-11-10".into(), plan: "{}".into(), members };
    ledger.queue.open_batch(&batch, now()).await.unwrap();
    assert!(ledger.queue.staged().await.unwrap().is_empty());

    let reopened = SqliteQueue::open(&ledger.path, settings()).unwrap();
    assert_eq!(reopened.open_batches().await.unwrap(), [batch]);
    reopened.close_batch("b1", now()).await.unwrap();
    assert!(reopened.open_batches().await.unwrap().is_empty());
    assert_eq!(reopened.counts(&everything()).await.unwrap().published, 2);
    let again = reopened.enqueue(vec![job("a", now())], u64::MAX, &Redo::Nothing, now()).await.unwrap();
    assert_eq!(again.done, BTreeSet::from([id("a")]));
    let connection = Connection::open(&ledger.path).unwrap();
    let with_address: i64 =
        connection.query_row("SELECT count(*) FROM jobs WHERE recording IS NOT NULL", [], |row| row.get(0)).unwrap();
    assert_eq!(with_address, 0);
}

#[tokio::test]
async fn a_published_recording_starts_over_with_its_first_day_and_a_fresh_address_and_no_other_does() {
    let ledger = ledger();
    ledger.queue.enqueue(vec![job("a", now()), job("b", now())], u64::MAX, &Redo::Nothing, now()).await.unwrap();
    let lease = claim(&ledger.queue, now()).await.unwrap().lease;
    ledger.queue.settle(lease, staged_as('a'), now()).await.unwrap();
    let members = ledger.queue.staged().await.unwrap();
    let batch = OpenBatch { batch_id: "b1".into(), dt: "2026-11-10".into(), plan: "{}".into(), members };
    ledger.queue.open_batch(&batch, now()).await.unwrap();
    ledger.queue.close_batch("b1", now()).await.unwrap();
    let other = claim(&ledger.queue, now()).await.unwrap().lease;

    let listed_now = |name: &str| NewJob { dt: "2026-11-11".into(), ..job(name, now()) };
    for name in ["a", "b", "c"] {
        ledger.queue.reopen(listed_now(name), now()).await.unwrap();
    }
    let again = claim(&ledger.queue, now()).await.unwrap();
    assert_eq!((again.lease.id, again.lease.attempt, again.dt.as_str()), (id("a"), 1, "2026-11-10"));
    assert_eq!(ledger.queue.heartbeat(&other, now()).await.unwrap(), Fenced::Held);
    assert_eq!(ledger.queue.record(&id("c")).await.unwrap(), None);
}

#[tokio::test]
async fn a_run_leaves_alone_what_only_another_source_can_fetch() {
    let ledger = ledger();
    ledger.queue.enqueue(vec![job("a", now())], u64::MAX, &Redo::Nothing, now()).await.unwrap();
    let folder = Scope { source: SourceKind::Folder, only: None };
    assert!(ledger.queue.claim(&me(), &folder, Company::Nobody, now()).await.unwrap().is_none());
    assert_eq!(ledger.queue.counts(&folder).await.unwrap(), Counts::default());
    assert!(claim(&ledger.queue, now()).await.is_some());
}

#[tokio::test]
async fn adopting_changes_nothing_that_is_known() {
    let ledger = ledger();
    ledger.queue.enqueue(vec![job("a", now())], u64::MAX, &Redo::Nothing, now()).await.unwrap();
    for (name, digit) in [("a", 'a'), ("b", 'b'), ("b", 'c')] {
        let result = PublishedBefore { fingerprint: fingerprint(digit), audio_sha256: "a1".into(), redo: 0 };
        ledger.queue.adopt_published(job(name, now()), result, now()).await.unwrap();
    }
    let counts = ledger.queue.counts(&everything()).await.unwrap();
    assert_eq!((counts.seen, counts.published), (1, 1));
}

#[tokio::test]
async fn a_lost_transcript_starts_over_and_its_batch_is_forgotten() {
    let ledger = ledger();
    ledger.queue.enqueue(vec![job("a", now()), job("b", now())], u64::MAX, &Redo::Nothing, now()).await.unwrap();
    for digit in ['a', 'b'] {
        let lease = claim(&ledger.queue, now()).await.unwrap().lease;
        ledger.queue.settle(lease, staged_as(digit), now()).await.unwrap();
    }
    let members = ledger.queue.staged().await.unwrap();
    let batch = OpenBatch { batch_id: "b1".into(), dt: "2026-11-10".into(), plan: "{}".into(), members };
    ledger.queue.open_batch(&batch, now()).await.unwrap();
    ledger.queue.abandon_batch("b1").await.unwrap();
    ledger.queue.start_over(&id("a"), now()).await.unwrap();
    assert_eq!(ledger.queue.staged().await.unwrap().len(), 1);
    assert_eq!(claim(&ledger.queue, now()).await.unwrap().lease.id, id("a"));
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_can_read_the_ledger() {
    use std::os::unix::fs::PermissionsExt;
    let ledger = ledger();
    ledger.queue.enqueue(vec![job("a", now())], u64::MAX, &Redo::Nothing, now()).await.unwrap();
    for entry in std::fs::read_dir(ledger.path.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.file_name());
    }
}
