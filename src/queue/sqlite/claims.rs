//! Which job is next, who holds what, and which dead ones are meant.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::json_ids;
use super::rows::{claimed_from_row, corrupt, recording_id};
use super::steps::{LIFE_COLUMNS, life_from_row, life_of};
use crate::domain::{Reason, RecordingId, RunId};
use crate::queue::state::{DEATHS_IN_COMPANY, Life};
use crate::queue::{Claimed, Company, QueueError, Selection};

/// Waits that are ended in one transaction, so that a long outage ends in small steps.
const WAITS_AT_ONCE: u32 = 500;

pub(super) const END_WAITS: &str = "UPDATE jobs SET state = 'seen', not_before_ms = NULL WHERE recording_id IN (
     SELECT recording_id FROM jobs INDEXED BY jobs_due WHERE state = 'waiting' AND not_before_ms <= ?1
     ORDER BY not_before_ms LIMIT ?2)";

pub(super) const NEXT_DUE: &str =
    "SELECT min(not_before_ms) FROM jobs INDEXED BY jobs_due WHERE state = 'waiting' AND source = ?1
       AND (?2 IS NULL OR recording_id IN (SELECT value FROM json_each(?2)))";

pub(super) const HELD: &str =
    "SELECT recording_id, fence, instance, lease_until_ms FROM jobs INDEXED BY jobs_held WHERE state = 'claimed'";

pub(super) const HELD_BY: &str = "SELECT recording_id, run_id FROM jobs INDEXED BY jobs_held
     WHERE state = 'claimed' AND instance = ?1 ORDER BY started_at_ms, recording_id";

/// Reads the index from end to end, but no job.
pub(super) const COUNTS: &str = "SELECT state, count(*),
        coalesce(sum(CASE WHEN state IN ('seen', 'claimed', 'waiting') THEN duration_s END), 0)
     FROM jobs INDEXED BY jobs_to_claim
     WHERE source = ?2 AND (?1 IS NULL OR recording_id IN (SELECT value FROM json_each(?1)))
     GROUP BY state";

pub(super) const OLDEST_SEEN: &str = "SELECT min(updated_ms) FROM jobs INDEXED BY jobs_to_claim
     WHERE source = ?2 AND state = 'seen' AND (?1 IS NULL OR recording_id IN (SELECT value FROM json_each(?1)))";

/// Jobs whose wait is over come in question again. Not a line of their history: the next claim says it.
pub(super) fn end_waits(tx: &Transaction<'_>, now: Timestamp) -> Result<(), QueueError> {
    tx.prepare_cached(END_WAITS)?.execute(params![now.as_millisecond(), WAITS_AT_ONCE])?;
    Ok(())
}

/// The first of a lane. `deaths` compares with [`DEATHS_IN_COMPANY`]; `is_among` = only of the ids in `?2`.
pub(super) fn next_of(deaths: &str, is_among: bool) -> String {
    // `?2 IS NULL OR` would keep SQLite from walking the index in order.
    let among = if is_among { "AND recording_id IN (SELECT value FROM json_each(?2))" } else { "AND ?2 IS NULL" };
    format!(
        "SELECT recording_id FROM jobs INDEXED BY jobs_to_claim
         WHERE source = ?1 AND state = 'seen' AND started_at_ms BETWEEN ?3 AND ?4 AND deaths {deaths} ?5 {among}
         ORDER BY started_at_ms, recording_id LIMIT 1"
    )
}

/// The job to claim next, as [`JobQueue::claim`](crate::queue::JobQueue::claim) says.
pub(super) fn next(
    tx: &Transaction<'_>,
    source: &str,
    only: Option<&str>,
    company: Company,
    fresh_since: i64,
) -> Result<Option<RecordingId>, QueueError> {
    let lanes = [(fresh_since, i64::MAX), (i64::MIN, fresh_since.saturating_sub(1))];
    for (since, until) in lanes {
        for (deaths, may_be_claimed) in [("<", true), (">=", company == Company::Nobody)] {
            let found: Option<String> = tx
                .prepare_cached(&next_of(deaths, only.is_some()))?
                .query_row(params![source, only, since, until, DEATHS_IN_COMPANY], |row| row.get(0))
                .optional()?;
            if let Some(id) = found {
                return if may_be_claimed { recording_id(&id).map(Some) } else { Ok(None) };
            }
        }
    }
    Ok(None)
}

/// A claim as the ledger has it.
pub(super) struct Held {
    pub(super) id: RecordingId,
    pub(super) fence: i64,
    pub(super) instance: String,
    pub(super) lease_until: i64,
}

pub(super) fn held(tx: &Transaction<'_>) -> Result<Vec<Held>, QueueError> {
    let mut statement = tx.prepare_cached(HELD)?;
    let mut rows = statement.query([])?;
    let mut held = Vec::new();
    while let Some(row) = rows.next()? {
        let id = recording_id(&row.get::<_, String>(0)?)?;
        held.push(Held { id, fence: row.get(1)?, instance: row.get(2)?, lease_until: row.get(3)? });
    }
    Ok(held)
}

/// The jobs that a [`Selection`] means.
pub(super) fn to_revive(tx: &Transaction<'_>, which: &Selection) -> Result<Vec<(RecordingId, Life)>, QueueError> {
    let ids = which.ids.as_ref().map(json_ids);
    let reasons = which.reasons.as_ref().map(|reasons| {
        let words: Vec<&str> = reasons.iter().copied().map(Reason::as_str).collect();
        serde_json::Value::from(words).to_string()
    });
    let sql = format!(
        "SELECT {LIFE_COLUMNS}, recording_id FROM jobs
         WHERE (state = 'dead' OR (state = 'waiting' AND ?1 IS NOT NULL))
           AND (?1 IS NULL OR recording_id IN (SELECT value FROM json_each(?1)))
           AND (?2 IS NULL OR reason IN (SELECT value FROM json_each(?2)))
           AND updated_ms < ?3 AND updated_ms >= ?4
         ORDER BY recording_id"
    );
    let before = which.before.map_or(i64::MAX, Timestamp::as_millisecond);
    let since = which.since.map_or(i64::MIN, Timestamp::as_millisecond);
    let mut statement = tx.prepare(&sql)?;
    let mut rows = statement.query(params![ids, reasons, before, since])?;
    let mut chosen = Vec::new();
    while let Some(row) = rows.next()? {
        chosen.push((recording_id(&row.get::<_, String>(6)?)?, life_from_row(row)?));
    }
    Ok(chosen)
}

/// The claims of one holder, oldest first, and the runs that claimed them.
pub(super) fn held_by(tx: &Transaction<'_>, instance: &str) -> Result<Vec<(Claimed, RunId)>, QueueError> {
    let mut statement = tx.prepare_cached(HELD_BY)?;
    let held = statement.query_map([instance], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut claims = Vec::new();
    for row in held {
        let (id, run) = row?;
        let id = recording_id(&id)?;
        let life = life_of(tx, &id)?.ok_or_else(|| corrupt("a job that vanished"))?;
        let claimed = tx
            .prepare_cached("SELECT recording, started_at_ms, dt FROM jobs WHERE recording_id = ?1")?
            .query_row([id.as_str()], |row| Ok(claimed_from_row(row, life)))??;
        claims.push((claimed, RunId(run)));
    }
    Ok(claims)
}
