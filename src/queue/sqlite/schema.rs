//! The ledger's tables and their versions.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::QueueError;

/// How long a statement waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// One step a version: `MIGRATIONS[n]` brings schema version n to n + 1.
const MIGRATIONS: &[&str] = &[
    "
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
",
    "
CREATE TABLE listed_slices (
    owner     TEXT NOT NULL,
    since_ms  INTEGER NOT NULL,
    until_ms  INTEGER NOT NULL,
    listed_ms INTEGER NOT NULL,
    PRIMARY KEY (owner, since_ms, until_ms)
) WITHOUT ROWID;
",
];

/// Opens the file, creating it readable by its owner only, and migrates it.
pub(super) fn open(path: &Path) -> Result<Connection, QueueError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| QueueError::Open { path: path.to_owned(), source };
    create_private(path).map_err(|error| failed(error.into()))?;
    let mut connection = Connection::open(path).map_err(|error| failed(error.into()))?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // The first statement that reads the file: what is no ledger shows here.
    connection.pragma_update(None, "journal_mode", "wal").map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => failed(error.into()),
        _ => error.into(),
    })?;
    // WAL with FULL syncs at every commit: a settled job stays settled through a power cut.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(QueueError::TooNew { path: path.to_owned(), found, known });
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(connection)
}

fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}
