//! The ledger's tables and their versions.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use super::QueueError;

/// How long a statement waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// One step a version: `MIGRATIONS[n]` brings schema version n to n + 1.
const MIGRATIONS: &[&str] = &[JOBS, LISTED_SLICES, BESIDE_RECORDINGS, LIVES, EVENTS, TOMBSTONES];

const JOBS: &str = "
CREATE TABLE jobs (
    recording_id   TEXT PRIMARY KEY,
    raw_id         TEXT NOT NULL,
    source         TEXT NOT NULL,
    call_id        TEXT,
    recording      TEXT,             -- metadata and address as JSON; NULL once published
    started_at_ms  INTEGER NOT NULL, -- fixed at first sight, like dt
    dt             TEXT NOT NULL,
    duration_s     INTEGER,
    first_seen_ms  INTEGER NOT NULL,
    updated_ms     INTEGER NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('seen', 'claimed', 'waiting', 'staged', 'published', 'dead')),
    attempt        INTEGER NOT NULL DEFAULT 0, -- counted at claim; the fencing token
    run_id         TEXT,             -- the last run that claimed it
    instance       TEXT,             -- who holds it, while claimed
    lease_until_ms INTEGER,
    not_before_ms  INTEGER,
    stage          TEXT,             -- the last failure
    reason         TEXT,
    detail         TEXT,
    reported       INTEGER NOT NULL DEFAULT 0, -- dead: its quarantine row is in the lake
    fingerprint    TEXT,
    staged_bytes   INTEGER,
    staged_ms      INTEGER,
    audio_ms       INTEGER,
    batch_id       TEXT REFERENCES batches (batch_id)
) WITHOUT ROWID;
CREATE INDEX jobs_by_state ON jobs (state, started_at_ms);
CREATE INDEX jobs_by_run ON jobs (run_id, recording_id);
CREATE TABLE batches (
    batch_id   TEXT PRIMARY KEY,
    dt         TEXT NOT NULL,
    plan       TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) WITHOUT ROWID;
";

/// How far a long listing got.
const LISTED_SLICES: &str = "
CREATE TABLE listed_slices (
    owner     TEXT NOT NULL,
    since_ms  INTEGER NOT NULL,
    until_ms  INTEGER NOT NULL,
    listed_ms INTEGER NOT NULL,
    PRIMARY KEY (owner, since_ms, until_ms)
) WITHOUT ROWID;
";

/// Call history, Zoom's own transcripts, and the rows of both on their way into the lake.
const BESIDE_RECORDINGS: &str = "
ALTER TABLE jobs ADD COLUMN call_element_id TEXT;
ALTER TABLE jobs ADD COLUMN call_history_id TEXT;
UPDATE jobs SET call_element_id = recording ->> '$.call_element_id', call_history_id = recording ->> '$.call_history_id'
    WHERE recording IS NOT NULL;
CREATE INDEX jobs_by_call_element ON jobs (call_element_id) WHERE call_element_id IS NOT NULL;
CREATE INDEX jobs_by_call_history ON jobs (call_history_id) WHERE call_history_id IS NOT NULL;
CREATE INDEX jobs_by_call ON jobs (call_id) WHERE call_id IS NOT NULL;
CREATE TABLE outbox (
    row_id     INTEGER PRIMARY KEY,
    batch      INTEGER, -- set once: these rows are written together
    table_name TEXT NOT NULL,
    dt         TEXT NOT NULL,
    row_json   TEXT NOT NULL
);
CREATE INDEX outbox_by_batch ON outbox (batch, table_name, dt);
CREATE TABLE call_legs (
    leg_id    TEXT PRIMARY KEY, -- of a leg, or `record:` and the id of a call
    record_id TEXT,             -- the call that a leg belongs to
    hash      TEXT NOT NULL     -- of a leg: its last written form; of a call: what was last known of it
) WITHOUT ROWID;
CREATE INDEX call_legs_by_record ON call_legs (record_id) WHERE record_id IS NOT NULL;
CREATE TABLE zoom_transcripts (
    recording_id TEXT PRIMARY KEY,
    tries        INTEGER NOT NULL,
    first_try_ms INTEGER NOT NULL,
    next_try_ms  INTEGER,        -- NULL once the outcome is final
    outcome      TEXT            -- the last one that was written to the lake
) WITHOUT ROWID;
";

/// The fencing token, who died with it, what was redone, and every step of every job; indexes for what a run asks often.
const LIVES: &str = "
ALTER TABLE jobs ADD COLUMN fence INTEGER NOT NULL DEFAULT 0;  -- claims ever
ALTER TABLE jobs ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0; -- deaths with it in flight since it last succeeded
ALTER TABLE jobs ADD COLUMN alone INTEGER NOT NULL DEFAULT 0;  -- claimed with nothing else in flight
ALTER TABLE jobs ADD COLUMN redo INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN audio_sha256 TEXT;
UPDATE jobs SET fence = attempt;
DROP INDEX jobs_by_state;
-- The last two are for counting, so that no job itself is read.
CREATE INDEX jobs_to_claim ON jobs (source, state, started_at_ms, recording_id, deaths, duration_s);
CREATE INDEX jobs_due ON jobs (not_before_ms) WHERE state = 'waiting';
CREATE INDEX jobs_held ON jobs (instance) WHERE state = 'claimed';
CREATE INDEX jobs_staged ON jobs (staged_ms, recording_id) WHERE state = 'staged';
CREATE INDEX jobs_to_report ON jobs (recording_id) WHERE state = 'dead' AND reported = 0;
CREATE INDEX jobs_by_batch ON jobs (batch_id) WHERE batch_id IS NOT NULL;
CREATE TABLE job_events (
    event_id     INTEGER PRIMARY KEY,
    recording_id TEXT NOT NULL,
    at_ms        INTEGER NOT NULL,
    step         TEXT NOT NULL,
    attempt      INTEGER NOT NULL,
    run_id       TEXT,
    stage        TEXT,    -- of a failure
    reason       TEXT,
    detail       TEXT
);
CREATE INDEX job_events_by_recording ON job_events (recording_id, event_id);
";

/// What events told, which of them became rows of `call_events`, and when the last sweep of the service began.
const EVENTS: &str = "
CREATE TABLE inbox (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    key         TEXT NOT NULL UNIQUE, -- equal for events that say the same
    subject     TEXT NOT NULL,
    via         TEXT NOT NULL,
    event_ms    INTEGER,
    received_ms INTEGER NOT NULL,
    body        TEXT NOT NULL
);
CREATE TABLE told_calls (
    key     TEXT PRIMARY KEY,  -- of a notice that became a row of call_events
    told_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX told_calls_by_time ON told_calls (told_ms);
CREATE TABLE sweeps (
    source     TEXT PRIMARY KEY,
    began_ms   INTEGER NOT NULL -- the last one that was complete
) WITHOUT ROWID;
";

/// What was purged, and which files of the lake's tombstones are known.
const TOMBSTONES: &str = "
CREATE TABLE tombstones (
    kind      TEXT NOT NULL CHECK (kind IN ('recording', 'call')),
    id        TEXT NOT NULL,
    purged_ms INTEGER NOT NULL,
    reason    TEXT NOT NULL,
    unended   INTEGER NOT NULL, -- the purge has begun and not ended
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX tombstones_unended ON tombstones (kind, id) WHERE unended = 1;
CREATE TABLE tombstone_files (
    key TEXT PRIMARY KEY
) WITHOUT ROWID;
";

/// Opens the file, creating it readable by its owner only, and migrates it.
pub(super) fn open(path: &Path) -> Result<Connection, QueueError> {
    let mut connection = connect(path)?;
    // All versions in one step: whatever ends it half way leaves the ledger as it was.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    migrate(&transaction, path)?;
    transaction.commit()?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<Connection, QueueError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| QueueError::Open { path: path.to_owned(), source };
    create_private(path).map_err(|error| match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            QueueError::DiskFull { path: path.to_owned(), source: error.into() }
        }
        _ => failed(error.into()),
    })?;
    let _alone = lock_folder(path).map_err(|error| failed(error.into()))?;
    let connection = Connection::open(path).map_err(|error| failed(error.into()))?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // The first statement that reads the file: what is no ledger shows here.
    connection.pragma_update(None, "journal_mode", "wal").map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => failed(error.into()),
        _ => error.into(),
    })?;
    // WAL with FULL syncs at every commit: a settled job stays settled through a power cut.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What is deleted is overwritten, and what is sorted on the way leaves no file.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    Ok(connection)
}

/// SQLite waits for nobody while it changes the journal of a new file, so two processes that make the ledger at the same
/// time do it one after the other: by a lock on its folder, which leaves no file behind.
fn lock_folder(path: &Path) -> std::io::Result<File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = File::open(folder)?;
    folder.lock()?;
    Ok(folder)
}

fn migrate(transaction: &Transaction<'_>, path: &Path) -> Result<(), QueueError> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(QueueError::TooNew { path: path.to_owned(), found, known });
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(migration)?;
    }
    if found < known {
        transaction.pragma_update(None, "user_version", known)?;
    }
    Ok(())
}

fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

#[cfg(test)]
#[path = "schema_tests.rs"]
pub(super) mod tests;
