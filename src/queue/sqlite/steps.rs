//! One step in the life of one job: what the state machine says, and a line in the job's history.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::rows::corrupt;
use crate::domain::{Failure, RecordingId};
use crate::queue::state::{Life, Step};
use crate::queue::{JobState, QueueError};

/// The columns that [`life_from_row`] reads, from the first.
pub(super) const LIFE_COLUMNS: &str = "state, attempt, fence, deaths, alone, redo";

pub(super) fn life_from_row(row: &Row<'_>) -> Result<Life, QueueError> {
    let state: String = row.get(0)?;
    Ok(Life {
        state: JobState::parse(&state).ok_or_else(|| corrupt("state"))?,
        attempt: row.get(1)?,
        fence: row.get(2)?,
        deaths: row.get(3)?,
        alone: row.get(4)?,
        redo: row.get(5)?,
    })
}

/// The life of a job that is known.
pub(super) fn life_of(tx: &Transaction<'_>, id: &RecordingId) -> Result<Option<Life>, QueueError> {
    let sql = format!("SELECT {LIFE_COLUMNS} FROM jobs WHERE recording_id = ?1");
    tx.prepare_cached(&sql)?.query_row([id.as_str()], |row| Ok(life_from_row(row))).optional()?.transpose()
}

/// Takes `step` if the state machine draws it, and writes it down. Whoever held the job holds it no longer.
pub(super) fn advance(
    tx: &Transaction<'_>,
    id: &RecordingId,
    life: Life,
    step: Step,
    max_attempts: i32,
    failure: Option<&Failure>,
    now: Timestamp,
) -> Result<Life, QueueError> {
    let next = life.after(step, max_attempts)?;
    tx.prepare_cached(
        "UPDATE jobs SET state = ?2, attempt = ?3, fence = ?4, deaths = ?5, alone = ?6, redo = ?7, updated_ms = ?8,
                instance = NULL, lease_until_ms = NULL, not_before_ms = NULL
         WHERE recording_id = ?1",
    )?
    .execute(params![
        id.as_str(),
        next.state.as_str(),
        next.attempt,
        next.fence,
        next.deaths,
        next.alone,
        next.redo,
        now.as_millisecond()
    ])?;
    // In the history an attempt that was given back keeps its number.
    remember(tx, id, step.as_str(), life.attempt.max(next.attempt), failure, now)?;
    if next.state == JobState::Dead {
        tx.prepare_cached("UPDATE jobs SET reported = 0 WHERE recording_id = ?1")?.execute([id.as_str()])?;
    }
    Ok(next)
}

/// Adds a line to the job's history, for the run that claimed it last.
pub(super) fn remember(
    tx: &Transaction<'_>,
    id: &RecordingId,
    word: &str,
    attempt: i32,
    failure: Option<&Failure>,
    now: Timestamp,
) -> Result<(), QueueError> {
    tx.prepare_cached(
        "INSERT INTO job_events (recording_id, at_ms, step, attempt, run_id, stage, reason, detail)
         VALUES (?1, ?2, ?3, ?4, (SELECT run_id FROM jobs WHERE recording_id = ?1), ?5, ?6, ?7)",
    )?
    .execute(params![
        id.as_str(),
        now.as_millisecond(),
        word,
        attempt,
        failure.map(|failure| failure.stage.as_str()),
        failure.map(|failure| failure.reason.as_str()),
        failure.map(|failure| failure.detail.as_str()),
    ])?;
    Ok(())
}
