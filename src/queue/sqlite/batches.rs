//! [`BatchLog`] in the ledger.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Transaction, params};

use super::rows::{STAGED_COLUMNS, dead_from_row, recording_id, staged_from_row};
use super::{SqliteQueue, json_ids, steps};
use crate::domain::RecordingId;
use crate::queue::state::Step;
use crate::queue::{BatchLog, DeadJob, JobState, OpenBatch, QueueError, StagedJob};

/// Staged jobs that are in no batch, oldest first.
pub(super) const FREE: &str = "state = 'staged' AND batch_id IS NULL ORDER BY staged_ms, recording_id";

pub(super) const OF_BATCH: &str = "batch_id = ?1 ORDER BY recording_id";

/// Those that are still to be published.
pub(super) const TO_CLOSE: &str = "SELECT recording_id FROM jobs WHERE batch_id = ?1 AND state = 'staged'";

pub(super) const UNREPORTED: &str =
    "SELECT recording_id, call_id, started_at_ms, stage, reason, detail, attempt, first_seen_ms, updated_ms, run_id
     FROM jobs WHERE state = 'dead' AND reported = 0 ORDER BY recording_id";

pub(super) fn staged_where(condition: &str) -> String {
    format!("SELECT {STAGED_COLUMNS} FROM jobs WHERE {condition}")
}

/// The rows of a staged job are in the lake: its address and metadata are forgotten.
fn publish(tx: &Transaction<'_>, id: &RecordingId, max_attempts: i32, now: Timestamp) -> Result<(), QueueError> {
    let Some(life) = steps::life_of(tx, id)?.filter(|life| life.state == JobState::Staged) else { return Ok(()) };
    tx.prepare_cached("UPDATE jobs SET batch_id = NULL, recording = NULL WHERE recording_id = ?1")?
        .execute([id.as_str()])?;
    steps::advance(tx, id, life, Step::Publish, max_attempts, None, now).map(drop)
}

#[async_trait]
impl BatchLog for SqliteQueue {
    async fn staged(&self) -> Result<Vec<StagedJob>, QueueError> {
        self.transact(|tx| {
            let mut statement = tx.prepare_cached(&staged_where(FREE))?;
            let mut rows = statement.query([])?;
            let mut staged = Vec::new();
            while let Some(row) = rows.next()? {
                staged.push(staged_from_row(row)?);
            }
            Ok(staged)
        })
        .await
    }

    async fn open_batch(&self, batch: &OpenBatch, now: Timestamp) -> Result<(), QueueError> {
        let batch = batch.clone();
        self.transact(move |tx| {
            tx.execute(
                "INSERT INTO batches (batch_id, dt, plan, created_ms) VALUES (?1, ?2, ?3, ?4)",
                params![batch.batch_id, batch.dt, batch.plan, now.as_millisecond()],
            )?;
            let mut join = tx.prepare(
                "UPDATE jobs SET batch_id = ?2 WHERE recording_id = ?1 AND state = 'staged' AND batch_id IS NULL",
            )?;
            for member in &batch.members {
                if join.execute(params![member.id.as_str(), batch.batch_id])? != 1 {
                    return Err(QueueError::Corrupt { what: "a batch member that is not staged".into() });
                }
            }
            Ok(())
        })
        .await
    }

    async fn open_batches(&self) -> Result<Vec<OpenBatch>, QueueError> {
        self.transact(|tx| {
            let mut statement = tx.prepare("SELECT batch_id, dt, plan FROM batches ORDER BY created_ms, batch_id")?;
            let mut batches: Vec<OpenBatch> = statement
                .query_map([], |row| {
                    Ok(OpenBatch { batch_id: row.get(0)?, dt: row.get(1)?, plan: row.get(2)?, members: Vec::new() })
                })?
                .collect::<Result<_, _>>()?;
            for batch in &mut batches {
                let mut statement = tx.prepare_cached(&staged_where(OF_BATCH))?;
                let mut rows = statement.query([&batch.batch_id])?;
                while let Some(row) = rows.next()? {
                    batch.members.push(staged_from_row(row)?);
                }
            }
            Ok(batches)
        })
        .await
    }

    async fn abandon_batch(&self, batch_id: &str) -> Result<(), QueueError> {
        let batch_id = batch_id.to_owned();
        self.transact(move |tx| {
            tx.execute("UPDATE jobs SET batch_id = NULL WHERE batch_id = ?1", [&batch_id])?;
            tx.execute("DELETE FROM batches WHERE batch_id = ?1", [&batch_id])?;
            Ok(())
        })
        .await
    }

    async fn start_over(&self, id: &RecordingId, now: Timestamp) -> Result<(), QueueError> {
        let (id, max_attempts) = (id.clone(), self.settings.max_attempts);
        self.transact(move |tx| {
            let Some(life) = steps::life_of(tx, &id)?.filter(|life| life.state == JobState::Staged) else {
                return Ok(());
            };
            tx.execute(
                "UPDATE jobs SET batch_id = NULL, fingerprint = NULL, audio_sha256 = NULL WHERE recording_id = ?1",
                [id.as_str()],
            )?;
            steps::advance(tx, &id, life, Step::StartOver, max_attempts, None, now).map(drop)
        })
        .await
    }

    async fn close_batch(&self, batch_id: &str, now: Timestamp) -> Result<(), QueueError> {
        let (batch_id, max_attempts) = (batch_id.to_owned(), self.settings.max_attempts);
        self.transact(move |tx| {
            let mut members = tx.prepare(TO_CLOSE)?;
            let members: Vec<String> = members.query_map([&batch_id], |row| row.get(0))?.collect::<Result<_, _>>()?;
            for id in members {
                publish(tx, &recording_id(&id)?, max_attempts, now)?;
            }
            tx.execute("DELETE FROM batches WHERE batch_id = ?1", [&batch_id])?;
            Ok(())
        })
        .await
    }

    async fn mark_published(&self, ids: &[RecordingId], now: Timestamp) -> Result<(), QueueError> {
        let (ids, max_attempts) = (ids.to_vec(), self.settings.max_attempts);
        self.transact(move |tx| ids.iter().try_for_each(|id| publish(tx, id, max_attempts, now))).await
    }

    async fn unreported_dead(&self) -> Result<Vec<DeadJob>, QueueError> {
        self.transact(|tx| {
            let mut statement = tx.prepare(UNREPORTED)?;
            let mut rows = statement.query([])?;
            let mut dead = Vec::new();
            while let Some(row) = rows.next()? {
                dead.push(dead_from_row(row)?);
            }
            Ok(dead)
        })
        .await
    }

    async fn mark_reported(&self, ids: &[RecordingId]) -> Result<(), QueueError> {
        let ids = json_ids(ids);
        self.transact(move |tx| {
            tx.execute("UPDATE jobs SET reported = 1 WHERE recording_id IN (SELECT value FROM json_each(?1))", [ids])?;
            Ok(())
        })
        .await
    }
}
