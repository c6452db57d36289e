use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

use super::*;
use crate::domain::{AudioLocation, Fingerprint, Lease, Recording, RecordingId, RunId, SourceKind};
use crate::queue::Desk;
use crate::queue::instance::Fate;
use crate::queue::sqlite::{SqliteQueue, SqliteSettings};
use crate::queue::{
    BatchLog, Claimant, Company, Counts, Fenced, Insight, JobQueue, JobState, ListingMarks, NewJob, Outbox, Reclaimed,
    Redo, Scope, Selection, Settled, Settlement,
};

/// What every old ledger here holds, and how its row differs from that of a job that was only seen.
const JOBS_OF_OLD: [(&str, &str); 9] = [
    ("seen", "state = 'seen'"),
    ("held", "state = 'claimed', attempt = 2, run_id = 'run-0', instance = 'alive', lease_until_ms = :later"),
    ("orphan", "state = 'claimed', attempt = 1, run_id = 'run-0', instance = 'gone', lease_until_ms = :later"),
    ("due", "state = 'waiting', attempt = 1, not_before_ms = 5, stage = 'fetch', reason = 'truncated', detail = ''"),
    ("staged", "state = 'staged', attempt = 1, fingerprint = :print, staged_bytes = 10, staged_ms = 7, audio_ms = 9"),
    (
        "batched",
        "state = 'staged', attempt = 1, fingerprint = :print, staged_bytes = 10, staged_ms = 7, audio_ms = 9,
         batch_id = 'b1'",
    ),
    ("published", "state = 'published', attempt = 1, recording = NULL, fingerprint = :print"),
    ("dead", "state = 'dead', attempt = 3, run_id = 'run-0', stage = 'decode', reason = 'undecodable', detail = 'x'"),
    (
        "told",
        "state = 'dead', attempt = 3, run_id = 'run-0', stage = 'fetch', reason = 'not_found', detail = '',
         reported = 1",
    ),
];

fn now() -> Timestamp {
    "2026-11-10T12:00:00Z".parse().unwrap()
}

fn id(name: &str) -> RecordingId {
    RecordingId::parse(name).unwrap()
}

fn job(name: &str) -> NewJob {
    let address = AudioLocation::Download(format!("https://zoom.us/{name}"));
    let mut recording = Recording::bare(id(name), name.into(), SourceKind::Zoom, address);
    recording.call_element_id = Some(format!("e-{name}"));
    NewJob { recording, started_at: now(), dt: "2026-11-10".into() }
}

fn print() -> Fingerprint {
    Fingerprint::from_hex("a".repeat(64)).unwrap()
}

fn scope() -> Scope {
    Scope { source: SourceKind::Zoom, only: None }
}

fn opened(path: &Path) -> Result<SqliteQueue, QueueError> {
    SqliteQueue::open(path, SqliteSettings { lease: Duration::from_secs(60), max_attempts: 3 })
}

/// Writes the ledger that a program of schema version `version` left, with a job in every state.
pub(in crate::queue::sqlite) fn write_ledger_of(version: usize, path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    for migration in &MIGRATIONS[..version] {
        connection.execute_batch(migration).unwrap();
    }
    connection.pragma_update(None, "user_version", i64::try_from(version).unwrap()).unwrap();
    connection.execute("INSERT INTO batches VALUES ('b1', '2026-11-10', '{}', 1)", []).unwrap();
    for (name, set) in JOBS_OF_OLD {
        let NewJob { recording, started_at, dt } = job(name);
        connection
            .execute(
                "INSERT INTO jobs (recording_id, raw_id, source, recording, started_at_ms, dt, first_seen_ms, updated_ms,
                                   state) VALUES (?1, ?1, 'zoom', ?2, ?3, ?4, 1, 2, 'seen')",
                params![name, serde_json::to_string(&recording).unwrap(), started_at.as_millisecond(), dt],
            )
            .unwrap();
        let later = now() + SignedDuration::from_secs(30);
        let set = set.replace(":later", &later.as_millisecond().to_string());
        let set = set.replace(":print", &format!("'{}'", print().as_str()));
        connection.execute(&format!("UPDATE jobs SET {set} WHERE recording_id = ?1"), [name]).unwrap();
        if version >= 3 {
            let learnt = "UPDATE jobs SET call_element_id = 'e-' || recording_id WHERE recording_id = ?1";
            connection.execute(learnt, [name]).unwrap();
        }
        if version >= 4 {
            connection.execute("UPDATE jobs SET fence = attempt WHERE recording_id = ?1", [name]).unwrap();
        }
    }
    if version >= 2 {
        connection.execute("INSERT INTO listed_slices VALUES ('account', 1, 2, 3)", []).unwrap();
    }
    if version >= 3 {
        let posted = "INSERT INTO outbox (table_name, dt, row_json) VALUES ('call_history', '2026-11-10', '{}')";
        connection.execute(posted, []).unwrap();
    }
}

/// Everything in the ledger's file, as text.
fn dump(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let mut lines =
        vec![connection.pragma_query_value(None, "user_version", |row| row.get(0)).map(version_line).unwrap()];
    let mut schema = connection.prepare("SELECT coalesce(sql, name) FROM sqlite_master ORDER BY name").unwrap();
    lines.extend(schema.query_map([], |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap));
    let mut jobs = connection.prepare("SELECT * FROM jobs ORDER BY recording_id").unwrap();
    let columns = jobs.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        let values = (0..columns).map(|column| row.get_ref(column).map(|value| format!("{value:?}")));
        values.collect::<Result<Vec<_>, _>>().map(|values| values.join(" | "))
    };
    lines.extend(jobs.query_map([], row).unwrap().map(Result::unwrap));
    lines
}

fn version_line(version: i64) -> String {
    format!("version {version}")
}

async fn everything_goes_on(queue: &SqliteQueue, version: usize) {
    let counts = queue.counts(&scope()).await.unwrap();
    let each = Counts { seen: 1, claimed: 2, waiting: 1, staged: 2, published: 1, dead: 2, open_audio_s: 0 };
    assert_eq!(counts, each, "version {version}");

    // Who held a claim still does; whose process is gone does not.
    let held = || Lease { id: id("held"), attempt: 2, fence: 2 };
    assert_eq!(queue.heartbeat(&held(), now()).await.unwrap(), Fenced::Held);
    let fate = |instance: &str| if instance == "alive" { Fate::Runs } else { Fate::Died };
    let reclaimed = queue.reclaim(&fate, &RunId("run-1".into()), now()).await.unwrap();
    assert_eq!(reclaimed, Reclaimed { back: 1, died: 0 });
    let staged = || Settlement::Staged { fingerprint: print(), audio_sha256: "a1".into(), bytes: 10, audio_ms: 9 };
    assert_eq!(queue.settle(held(), staged(), now()).await.unwrap(), Settled::As(JobState::Staged));

    let claimant = Claimant { instance: "me".into(), run: RunId("run-1".into()) };
    let mut claimed = Vec::new();
    while let Some(job) = queue.claim(&claimant, &scope(), Company::Others, now()).await.unwrap() {
        assert_eq!(job.recording, self::job(&job.recording.raw_id).recording);
        claimed.push((job.recording.raw_id.clone(), job.lease.attempt));
        queue.settle(job.lease, staged(), now()).await.unwrap();
    }
    assert_eq!(claimed, [("due".into(), 2), ("orphan".into(), 1), ("seen".into(), 1)]);
    let steps: Vec<String> = queue.life(&id("due")).await.unwrap().into_iter().map(|event| event.step).collect();
    assert_eq!(steps, ["claimed", "staged"]);

    let free = queue.staged().await.unwrap();
    let free: Vec<&str> = free.iter().map(|job| job.id.as_str()).collect();
    assert_eq!(free, ["staged", "due", "held", "orphan", "seen"]);
    let batches = queue.open_batches().await.unwrap();
    assert_eq!((batches.len(), batches[0].members.len(), &batches[0].members[0].id), (1, 1, &id("batched")));
    queue.close_batch("b1", now()).await.unwrap();
    assert_eq!(queue.record(&id("batched")).await.unwrap().unwrap().state, JobState::Published);

    let unreported = queue.unreported_dead().await.unwrap();
    assert_eq!((unreported.len(), &unreported[0].id, unreported[0].attempts), (1, &id("dead"), 3));
    assert_eq!(queue.revive(&Selection::default(), now()).await.unwrap(), 2);
    let listed = queue.enqueue(vec![job("published")], u64::MAX, &Redo::Nothing, now()).await.unwrap();
    assert_eq!(listed.done, [id("published")].into());
    let redone = queue.enqueue(vec![job("published")], u64::MAX, &Redo::All, now()).await.unwrap();
    assert_eq!(redone.redone, [id("published")].into());

    assert_eq!(queue.listed_slices().await.unwrap().len(), usize::from(version >= 2));
    assert_eq!(queue.next_parcels(10).await.unwrap().is_some(), version >= 3);
}

#[tokio::test]
async fn a_ledger_of_any_older_version_goes_on_with_everything_in_it() {
    for version in 1..MIGRATIONS.len() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite");
        write_ledger_of(version, &path);
        everything_goes_on(&opened(&path).unwrap(), version).await;
    }
}

#[test]
fn a_migration_that_fails_leaves_the_old_version_as_it_was() {
    for version in 1..MIGRATIONS.len() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite");
        write_ledger_of(version, &path);
        // The last statements of the last step find their table there.
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE tombstone_files (mine TEXT)").unwrap();
        let before = dump(&path);
        opened(&path).unwrap_err();
        assert_eq!(dump(&path), before);
        Connection::open(&path).unwrap().execute_batch("DROP TABLE tombstone_files").unwrap();
        opened(&path).unwrap();
    }
}

#[tokio::test]
async fn a_process_that_is_killed_while_it_migrates_leaves_a_ledger_that_the_next_one_migrates() {
    // The step from version 4 makes empty tables only: nothing of it is written before it is committed.
    for version in 1..4 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite");
        write_ledger_of(version, &path);
        let before = dump(&path);
        let mut connection = connect(&path).unwrap();
        // Next to no memory, so that pages are written long before the end of the transaction.
        connection.pragma_update(None, "cache_size", 1).unwrap();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        migrate(&transaction, &path).unwrap();
        // What a kill leaves is the files as they are now.
        let left = tempfile::tempdir().unwrap();
        let log = "ledger.sqlite-wal";
        for name in ["ledger.sqlite", log] {
            std::fs::copy(folder.path().join(name), left.path().join(name)).unwrap();
        }
        drop(transaction);
        assert!(left.path().join(log).metadata().unwrap().len() > 0, "nothing was written yet");
        let path = left.path().join("ledger.sqlite");
        assert_eq!(dump(&path), before);
        everything_goes_on(&opened(&path).unwrap(), version).await;
    }
}

#[test]
fn a_ledger_of_a_newer_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    write_ledger_of(MIGRATIONS.len(), &path);
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = dump(&path);
    let error = opened(&path).unwrap_err();
    assert!(matches!(error, QueueError::TooNew { found: 99, .. }), "{error}");
    assert_eq!(dump(&path), before);
}
