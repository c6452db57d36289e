//! The ledger in one SQLite file: WAL, one connection, every method one transaction.

mod batches;
mod marks;
mod outbox;
mod rows;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use self::rows::{
    JOB_RECORD_COLUMNS, claimed_from_row, insert, job_record_from_row, learn_call, record_death, record_failure,
    refresh, timestamp,
};
use super::{Claimed, Counts, Enqueued, Fenced, JobQueue, JobRecord, JobState, NewJob, QueueError, Scope, Settlement};
use crate::domain::{Failure, Fingerprint, Lease, Reason, RecordingId, RunId, Stage, Treatment};

/// Recordings that ended within this time pre-empt older ones.
const FRESH: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, Clone, Copy)]
pub struct SqliteSettings {
    /// How long a claim holds without a heartbeat.
    pub lease: Duration,
    /// Attempts before a job whose process keeps dying is dead.
    pub max_attempts: i32,
}

/// A handle on the ledger; clones share one connection.
#[derive(Clone)]
pub struct SqliteQueue {
    connection: Arc<Mutex<Connection>>,
    path: PathBuf,
    settings: SqliteSettings,
}

impl std::fmt::Debug for SqliteQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteQueue").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SqliteQueue {
    /// Opens or creates the ledger, readable by its owner only, and brings an older schema up to date. Blocking.
    ///
    /// # Errors
    /// [`QueueError::TooNew`] for a ledger of a newer program, [`QueueError::Open`] when it cannot be opened.
    pub fn open(path: &Path, settings: SqliteSettings) -> Result<Self, QueueError> {
        let connection = schema::open(path).map_err(local_trouble_told_apart)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), path: path.to_owned(), settings })
    }

    /// Runs `step` in one write transaction on a blocking thread.
    async fn transact<T, F>(&self, step: F) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, QueueError> + Send + 'static,
    {
        let connection = Arc::clone(&self.connection);
        let outcome = tokio::task::spawn_blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = step(&transaction)?;
            transaction.commit()?;
            Ok(value)
        });
        outcome.await.map_err(|_join| QueueError::Stopped)?.map_err(local_trouble_told_apart)
    }
}

/// A full disk and a long lock are this machine's trouble, not this program's.
fn local_trouble_told_apart(error: QueueError) -> QueueError {
    match error {
        QueueError::Sqlite(sqlite) => match sqlite.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => QueueError::DiskFull(sqlite),
            Some(rusqlite::ErrorCode::DatabaseBusy) => QueueError::Busy(sqlite),
            _ => QueueError::Sqlite(sqlite),
        },
        other => other,
    }
}

fn millis_after(now: Timestamp, duration: Duration) -> i64 {
    let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    now.as_millisecond().saturating_add(millis)
}

/// A word of JSON text around ids, for `IN (SELECT value FROM json_each(?))`.
fn json_ids<'a>(ids: impl IntoIterator<Item = &'a RecordingId>) -> String {
    let ids: Vec<&str> = ids.into_iter().map(RecordingId::as_str).collect();
    serde_json::Value::from(ids).to_string()
}

fn scope_ids(scope: &Scope) -> Option<String> {
    scope.only.as_ref().map(json_ids)
}

#[async_trait]
impl JobQueue for SqliteQueue {
    async fn enqueue(&self, found: Vec<NewJob>, room: u64, now: Timestamp) -> Result<Enqueued, QueueError> {
        self.transact(move |tx| {
            let mut enqueued = Enqueued::default();
            for job in found {
                let id = job.recording.id.clone();
                let state: Option<String> = tx
                    .prepare_cached("SELECT state FROM jobs WHERE recording_id = ?1")?
                    .query_row([id.as_str()], |row| row.get(0))
                    .optional()?;
                let list = match state.as_deref().map(JobState::parse) {
                    None if enqueued.new.len() as u64 >= room => {
                        enqueued.left_out += 1;
                        continue;
                    }
                    None => {
                        insert(tx, &job, now)?;
                        &mut enqueued.new
                    }
                    Some(Some(JobState::Published)) => &mut enqueued.done,
                    Some(Some(JobState::Dead)) => {
                        refresh(tx, &job)?;
                        &mut enqueued.dead
                    }
                    Some(Some(_unfinished)) => {
                        refresh(tx, &job)?;
                        &mut enqueued.open
                    }
                    Some(None) => return Err(QueueError::Corrupt { what: "state".into() }),
                };
                learn_call(tx, &job)?;
                list.insert(id);
            }
            Ok(enqueued)
        })
        .await
    }

    async fn known(&self, ids: &[RecordingId]) -> Result<BTreeSet<RecordingId>, QueueError> {
        let ids = json_ids(ids);
        self.transact(move |tx| {
            let sql = "SELECT recording_id FROM jobs WHERE recording_id IN (SELECT value FROM json_each(?1))";
            let mut statement = tx.prepare_cached(sql)?;
            let found: Vec<String> = statement.query_map([ids], |row| row.get(0))?.collect::<Result<_, _>>()?;
            found.iter().map(|id| rows::recording_id(id)).collect()
        })
        .await
    }

    async fn adopt(&self, job: NewJob, fingerprint: Fingerprint, now: Timestamp) -> Result<(), QueueError> {
        self.transact(move |tx| {
            let id = job.recording.id.as_str();
            let known: bool =
                tx.query_row("SELECT EXISTS (SELECT 1 FROM jobs WHERE recording_id = ?1)", [id], |row| row.get(0))?;
            if known {
                return Ok(());
            }
            insert(tx, &job, now)?;
            tx.execute(
                "UPDATE jobs SET state = 'published', fingerprint = ?2, recording = NULL WHERE recording_id = ?1",
                params![job.recording.id.as_str(), fingerprint.as_str()],
            )?;
            Ok(())
        })
        .await
    }

    async fn reopen(&self, job: NewJob, now: Timestamp) -> Result<(), QueueError> {
        self.transact(move |tx| {
            let recording = rows::recording_to_json(&job.recording)?;
            tx.execute(
                "UPDATE jobs SET state = 'seen', recording = ?2, fingerprint = NULL, batch_id = NULL,
                        not_before_ms = NULL, updated_ms = ?3
                 WHERE recording_id = ?1 AND state = 'published'",
                params![job.recording.id.as_str(), recording, now.as_millisecond()],
            )?;
            Ok(())
        })
        .await
    }

    async fn claim(
        &self,
        instance: &str,
        run: &RunId,
        scope: &Scope,
        now: Timestamp,
    ) -> Result<Option<Claimed>, QueueError> {
        let (instance, run, only) = (instance.to_owned(), run.clone(), scope_ids(scope));
        let source = scope.source.as_str();
        let lease_until = millis_after(now, self.settings.lease);
        let fresh_since = now.checked_sub(FRESH).unwrap_or(Timestamp::MIN).as_millisecond();
        self.transact(move |tx| {
            tx.prepare_cached(
                "UPDATE jobs SET state = 'claimed', attempt = attempt + 1, instance = ?1, run_id = ?2,
                        lease_until_ms = ?3, not_before_ms = NULL, updated_ms = ?4
                 WHERE recording_id = (
                     SELECT recording_id FROM jobs
                     WHERE state IN ('seen', 'waiting') AND source = ?7 AND coalesce(not_before_ms, 0) <= ?4
                       AND (?5 IS NULL OR recording_id IN (SELECT value FROM json_each(?5)))
                     ORDER BY started_at_ms >= ?6 DESC, started_at_ms, recording_id
                     LIMIT 1)
                 RETURNING recording, attempt, started_at_ms, dt",
            )?
            .query_row(params![instance, run.0, lease_until, now.as_millisecond(), only, fresh_since, source], |row| {
                Ok(claimed_from_row(row))
            })
            .optional()?
            .transpose()
        })
        .await
    }

    async fn heartbeat(&self, id: &RecordingId, attempt: i32, now: Timestamp) -> Result<Fenced, QueueError> {
        let id = id.clone();
        let lease_until = millis_after(now, self.settings.lease);
        self.transact(move |tx| {
            let changed = tx.execute(
                "UPDATE jobs SET lease_until_ms = ?3
                 WHERE recording_id = ?1 AND attempt = ?2 AND state = 'claimed'",
                params![id.as_str(), attempt, lease_until],
            )?;
            Ok(if changed == 1 { Fenced::Held } else { Fenced::Lost })
        })
        .await
    }

    async fn settle(&self, lease: Lease, settlement: Settlement, now: Timestamp) -> Result<Fenced, QueueError> {
        let Lease { id, attempt } = lease;
        self.transact(move |tx| {
            let changed = tx.execute(
                "UPDATE jobs SET state = ?3, attempt = attempt - ?4, instance = NULL, lease_until_ms = NULL,
                        updated_ms = ?5
                 WHERE recording_id = ?1 AND attempt = ?2 AND state = 'claimed'",
                params![
                    id.as_str(),
                    attempt,
                    settlement.next_state().as_str(),
                    i32::from(settlement.refunds_attempt()),
                    now.as_millisecond()
                ],
            )?;
            if changed == 0 {
                return Ok(Fenced::Lost);
            }
            match settlement {
                Settlement::Staged { fingerprint, bytes, audio_ms } => {
                    tx.execute(
                        "UPDATE jobs SET fingerprint = ?2, staged_bytes = ?3, staged_ms = ?4,
                                audio_ms = ?5, stage = NULL, reason = NULL, detail = NULL
                         WHERE recording_id = ?1",
                        params![
                            id.as_str(),
                            fingerprint.as_str(),
                            i64::try_from(bytes).unwrap_or(i64::MAX),
                            now.as_millisecond(),
                            audio_ms
                        ],
                    )?;
                }
                Settlement::Retry { failure, not_before } | Settlement::Postponed { failure, not_before } => {
                    record_failure(tx, &id, &failure)?;
                    tx.execute(
                        "UPDATE jobs SET not_before_ms = ?2 WHERE recording_id = ?1",
                        params![id.as_str(), not_before.as_millisecond()],
                    )?;
                }
                Settlement::Dead { failure } => record_death(tx, &id, &failure)?,
                Settlement::Released => {}
            }
            Ok(Fenced::Held)
        })
        .await
    }

    async fn reclaim(
        &self,
        is_alive: &(dyn for<'id> Fn(&'id str) -> bool + Sync),
        run: &RunId,
        now: Timestamp,
    ) -> Result<(u64, u64), QueueError> {
        let holders: Vec<String> = self
            .transact(|tx| {
                let mut statement = tx.prepare("SELECT DISTINCT instance FROM jobs WHERE state = 'claimed'")?;
                let holders = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
                Ok(holders)
            })
            .await?;
        let gone: Vec<&str> = holders.iter().map(String::as_str).filter(|holder| !is_alive(holder)).collect();
        let gone = serde_json::Value::from(gone).to_string();
        let (run, max_attempts) = (run.clone(), self.settings.max_attempts);
        self.transact(move |tx| {
            let mut statement = tx.prepare(
                "UPDATE jobs SET state = 'seen', instance = NULL, lease_until_ms = NULL, updated_ms = ?2
                 WHERE state = 'claimed'
                   AND (instance IN (SELECT value FROM json_each(?1)) OR lease_until_ms <= ?2)
                 RETURNING recording_id, attempt",
            )?;
            let returned: Vec<(String, i32)> = statement
                .query_map(params![gone, now.as_millisecond()], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            let mut died = 0;
            let mut back = 0;
            for (id, attempt) in returned {
                if attempt < max_attempts {
                    back += 1;
                    continue;
                }
                let id = rows::recording_id(&id)?;
                let detail = format!("attempts={attempt}");
                let failure = Failure::new(Stage::Stt, Reason::EngineCrash, Treatment::Permanent, detail);
                tx.execute(
                    "UPDATE jobs SET state = 'dead', run_id = ?2 WHERE recording_id = ?1",
                    params![id.as_str(), run.0],
                )?;
                record_death(tx, &id, &failure)?;
                died += 1;
            }
            Ok((back, died))
        })
        .await
    }

    async fn counts(&self, scope: &Scope) -> Result<Counts, QueueError> {
        let (only, source) = (scope_ids(scope), scope.source.as_str());
        self.transact(move |tx| {
            let mut statement = tx.prepare_cached(
                "SELECT state, count(*), min(CASE WHEN state = 'waiting' THEN not_before_ms END),
                        coalesce(sum(CASE WHEN state IN ('seen', 'claimed', 'waiting') THEN duration_s END), 0)
                 FROM jobs
                 WHERE source = ?2 AND (?1 IS NULL OR recording_id IN (SELECT value FROM json_each(?1)))
                 GROUP BY state",
            )?;
            let mut rows = statement.query(params![only, source])?;
            let mut counts = Counts::default();
            while let Some(row) = rows.next()? {
                let word: String = row.get(0)?;
                let number = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
                counts.open_audio_s += u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0);
                match JobState::parse(&word) {
                    Some(JobState::Seen) => counts.seen = number,
                    Some(JobState::Claimed) => counts.claimed = number,
                    Some(JobState::Waiting) => {
                        counts.waiting = number;
                        counts.next_due = row.get::<_, Option<i64>>(2)?.map(timestamp).transpose()?;
                    }
                    Some(JobState::Staged) => counts.staged = number,
                    Some(JobState::Published) => counts.published = number,
                    Some(JobState::Dead) => counts.dead = number,
                    None => return Err(QueueError::Corrupt { what: "state".into() }),
                }
            }
            Ok(counts)
        })
        .await
    }

    async fn record(&self, id: &RecordingId) -> Result<Option<JobRecord>, QueueError> {
        let id = id.clone();
        self.transact(move |tx| {
            let sql = format!("SELECT {JOB_RECORD_COLUMNS} FROM jobs WHERE recording_id = ?1");
            tx.prepare_cached(&sql)?
                .query_row([id.as_str()], |row| Ok(job_record_from_row(row)))
                .optional()?
                .transpose()
        })
        .await
    }

    async fn records(&self, ids: &[RecordingId]) -> Result<Vec<JobRecord>, QueueError> {
        let ids = json_ids(ids);
        self.transact(move |tx| {
            let sql = format!(
                "SELECT {JOB_RECORD_COLUMNS} FROM jobs WHERE recording_id IN (SELECT value FROM json_each(?1))
                 ORDER BY recording_id"
            );
            let mut statement = tx.prepare_cached(&sql)?;
            let mut rows = statement.query([ids])?;
            let mut records = Vec::new();
            while let Some(row) = rows.next()? {
                records.push(job_record_from_row(row)?);
            }
            Ok(records)
        })
        .await
    }

    async fn touched_by(
        &self,
        run: &RunId,
        after: Option<&RecordingId>,
        limit: u32,
    ) -> Result<Vec<JobRecord>, QueueError> {
        let (run, after) = (run.clone(), after.map_or_else(String::new, |id| id.as_str().to_owned()));
        self.transact(move |tx| {
            let sql = format!(
                "SELECT {JOB_RECORD_COLUMNS} FROM jobs WHERE run_id = ?1 AND recording_id > ?2
                 ORDER BY recording_id LIMIT ?3"
            );
            let mut statement = tx.prepare_cached(&sql)?;
            let mut rows = statement.query(params![run.0, after, limit])?;
            let mut records = Vec::new();
            while let Some(row) = rows.next()? {
                records.push(job_record_from_row(row)?);
            }
            Ok(records)
        })
        .await
    }
}
