//! The outbox in SQLite.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Transaction, params, params_from_iter};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::SqliteQueue;
use super::calls;
use super::rows::{recording_id, timestamp};
use super::tombstones::is_purged_call;
use crate::domain::{CallHistoryRow, CallLeg, CallRecord, JoinKey, JoinedLeg, RecordingId, RunId, TranscriptOutcome};
use crate::queue::{CallNotice, DueTranscript, NewLegs, Outbox, Parcel, QueueError, TranscriptNote};

/// The table that legs are posted to.
const CALL_HISTORY: &str = "call_history";

#[async_trait]
impl Outbox for SqliteQueue {
    async fn changed_calls(&self, calls: Vec<CallRecord>) -> Result<Vec<CallRecord>, QueueError> {
        self.transact(move |tx| {
            let mut changed = Vec::new();
            for call in calls {
                if is_purged(tx, &call.whole)? {
                    continue;
                }
                if last_hash(tx, &ledger_key(&call))?.as_deref() != Some(hash_of_call(tx, &call)?.as_str()) {
                    changed.push(call);
                }
            }
            Ok(changed)
        })
        .await
    }

    async fn adopt_legs(&self, legs: Vec<(String, String)>) -> Result<(), QueueError> {
        self.transact(move |tx| {
            let mut insert =
                tx.prepare_cached("INSERT INTO call_legs (leg_id, hash) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
            for (leg_id, hash) in legs.into_iter().rev() {
                insert.execute([leg_id, hash])?;
            }
            Ok(())
        })
        .await
    }

    async fn post_legs(&self, calls: Vec<NewLegs>, now: Timestamp, run: &RunId) -> Result<u64, QueueError> {
        let run = run.clone();
        self.transact(move |tx| {
            let mut calls = calls;
            for new in &mut calls {
                let legs = std::mem::take(&mut new.legs);
                for (leg, dt) in legs {
                    if !is_purged(tx, &leg)? {
                        new.legs.push((leg, dt));
                    }
                }
            }
            for NewLegs { call, legs, is_complete: _ } in &calls {
                for (leg, _dt) in legs {
                    introduce(tx, &leg.leg_id, &call.record_id)?;
                }
            }
            let mut changed = 0;
            for NewLegs { call, legs, is_complete } in calls {
                for (leg, dt) in legs {
                    let leg_id = leg.leg_id.clone();
                    let joined = join(tx, leg)?;
                    let row_hash = sha256(&joined)?;
                    if last_hash(tx, &leg_id)?.as_deref() == Some(row_hash.as_str()) {
                        continue;
                    }
                    remember(tx, &leg_id, Some(&call.record_id), &row_hash)?;
                    let row = CallHistoryRow { joined, row_hash, fetched_at: now, run_id: run.clone() };
                    post(tx, CALL_HISTORY, &dt, &json(&row)?)?;
                    changed += 1;
                }
                if is_complete {
                    // After its legs, whose ids count in it.
                    let hash = hash_of_call(tx, &call)?;
                    remember(tx, &ledger_key(&call), None, &hash)?;
                }
            }
            Ok(changed)
        })
        .await
    }

    async fn due_transcripts(
        &self,
        since: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueTranscript>, QueueError> {
        self.transact(move |tx| {
            let mut statement = tx.prepare_cached(
                "SELECT j.recording_id, j.raw_id, j.dt, coalesce(t.tries, 0), t.first_try_ms, t.outcome
                 FROM jobs j LEFT JOIN zoom_transcripts t ON t.recording_id = j.recording_id
                 WHERE j.state = 'published' AND j.source = 'zoom' AND j.started_at_ms >= ?1
                   AND (t.recording_id IS NULL OR t.next_try_ms <= ?2)
                 ORDER BY coalesce(t.outcome = 'disabled', 0), coalesce(t.tries, 0), j.started_at_ms, j.recording_id
                 LIMIT ?3",
            )?;
            let mut rows = statement.query(params![since.as_millisecond(), now.as_millisecond(), limit])?;
            let mut due = Vec::new();
            while let Some(row) = rows.next()? {
                let told: Option<String> = row.get(5)?;
                due.push(DueTranscript {
                    id: recording_id(&row.get::<_, String>(0)?)?,
                    raw_id: row.get(1)?,
                    dt: row.get(2)?,
                    tries: row.get(3)?,
                    first_try_at: row.get::<_, Option<i64>>(4)?.map(timestamp).transpose()?,
                    told: told.as_deref().and_then(TranscriptOutcome::parse),
                });
            }
            Ok(due)
        })
        .await
    }

    async fn expect_transcripts(&self, recordings: Vec<RecordingId>, now: Timestamp) -> Result<(), QueueError> {
        self.transact(move |tx| {
            let mut hasten = tx.prepare_cached(
                "UPDATE zoom_transcripts SET next_try_ms = min(next_try_ms, ?2)
                 WHERE recording_id = ?1 AND next_try_ms IS NOT NULL",
            )?;
            for id in recordings {
                hasten.execute(params![id.as_str(), now.as_millisecond()])?;
            }
            Ok(())
        })
        .await
    }

    async fn note_transcript(&self, note: TranscriptNote) -> Result<bool, QueueError> {
        self.transact(move |tx| {
            let mut statement = tx.prepare_cached(
                "INSERT INTO zoom_transcripts (recording_id, tries, first_try_ms, next_try_ms, outcome)
                 VALUES (?1, 1, ?2, ?3, ?4)
                 ON CONFLICT (recording_id) DO UPDATE SET tries = tries + 1, next_try_ms = excluded.next_try_ms,
                     outcome = coalesce(excluded.outcome, outcome)
                 WHERE tries = ?5 AND next_try_ms IS NOT NULL",
            )?;
            let noted = statement.execute(params![
                note.id.as_str(),
                note.first_try_at.as_millisecond(),
                note.next_try_at.map(Timestamp::as_millisecond),
                note.outcome.map(TranscriptOutcome::as_str),
                note.tries,
            ])?;
            if noted == 0 || super::tombstones::reason(tx, &note.id)?.is_some() {
                tx.execute(
                    "DELETE FROM zoom_transcripts WHERE recording_id IN
                         (SELECT id FROM tombstones WHERE kind = 'recording' AND id = ?1)",
                    [note.id.as_str()],
                )?;
                return Ok(false);
            }
            for parcel in note.rows {
                for row in parcel.rows {
                    post(tx, &parcel.table, &parcel.dt, &row)?;
                }
            }
            Ok(true)
        })
        .await
    }

    async fn post_call_events(&self, notices: Vec<CallNotice>, now: Timestamp) -> Result<u64, QueueError> {
        self.transact(move |tx| calls::post(tx, notices, now)).await
    }

    async fn next_parcels(&self, limit: u32) -> Result<Option<(i64, Vec<Parcel>)>, QueueError> {
        self.transact(move |tx| {
            let handed_out: Option<i64> = tx.query_row("SELECT min(batch) FROM outbox", [], |row| row.get(0))?;
            let batch = match handed_out {
                Some(batch) => batch,
                None => {
                    let first: Option<i64> = tx.query_row("SELECT min(row_id) FROM outbox", [], |row| row.get(0))?;
                    let Some(first) = first else { return Ok(None) };
                    tx.execute(
                        "UPDATE outbox SET batch = ?1 WHERE row_id IN
                             (SELECT row_id FROM outbox WHERE batch IS NULL ORDER BY table_name, dt, row_id LIMIT ?2)",
                        params![first, limit],
                    )?;
                    first
                }
            };
            let mut statement = tx.prepare_cached(
                "SELECT table_name, dt, row_json FROM outbox WHERE batch = ?1 ORDER BY table_name, dt, row_id",
            )?;
            let mut rows = statement.query([batch])?;
            let mut parcels: Vec<Parcel> = Vec::new();
            while let Some(row) = rows.next()? {
                let (table, dt): (String, String) = (row.get(0)?, row.get(1)?);
                let row = row.get(2)?;
                match parcels.last_mut().filter(|parcel| parcel.table == table && parcel.dt == dt) {
                    Some(parcel) => parcel.rows.push(row),
                    None => parcels.push(Parcel { table, dt, rows: vec![row] }),
                }
            }
            Ok(Some((batch, parcels)))
        })
        .await
    }

    async fn delivered(&self, batch: i64) -> Result<(), QueueError> {
        self.transact(move |tx| Ok(tx.execute("DELETE FROM outbox WHERE batch = ?1", [batch]).map(drop)?)).await
    }
}

pub(super) fn post(tx: &Transaction<'_>, table: &str, dt: &str, row: &str) -> Result<(), QueueError> {
    tx.prepare_cached("INSERT INTO outbox (table_name, dt, row_json) VALUES (?1, ?2, ?3)")?
        .execute([table, dt, row])?;
    Ok(())
}

/// Whether a leg or its call was purged.
fn is_purged(tx: &Transaction<'_>, leg: &CallLeg) -> Result<bool, QueueError> {
    let ids = [&leg.call_element_id, &leg.call_history_id, &leg.call_log_id, &leg.call_id];
    is_purged_call(tx, ids.into_iter().map(Option::as_deref).chain([Some(leg.leg_id.as_str())]))
}

fn ledger_key(call: &CallRecord) -> String {
    format!("record:{}", call.record_id)
}

fn last_hash(tx: &Transaction<'_>, key: &str) -> Result<Option<String>, QueueError> {
    let mut statement = tx.prepare_cached("SELECT hash FROM call_legs WHERE leg_id = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}

fn remember(tx: &Transaction<'_>, key: &str, record_id: Option<&str>, hash: &str) -> Result<(), QueueError> {
    tx.prepare_cached(
        "INSERT INTO call_legs (leg_id, record_id, hash) VALUES (?1, ?2, ?3)
         ON CONFLICT (leg_id) DO UPDATE SET record_id = excluded.record_id, hash = excluded.hash",
    )?
    .execute(params![key, record_id, hash])?;
    Ok(())
}

/// Makes a leg known before anything is joined, so that its recordings are not taken for another's.
fn introduce(tx: &Transaction<'_>, leg_id: &str, record_id: &str) -> Result<(), QueueError> {
    tx.prepare_cached(
        "INSERT INTO call_legs (leg_id, record_id, hash) VALUES (?1, ?2, '')
         ON CONFLICT (leg_id) DO UPDATE SET record_id = excluded.record_id",
    )?
    .execute([leg_id, record_id])?;
    Ok(())
}

/// What is known of a call at present: its own words, and every recording that one of its ids leads to.
fn hash_of_call(tx: &Transaction<'_>, call: &CallRecord) -> Result<String, QueueError> {
    let own = Some(call.record_id.clone());
    let not_of_another = "NOT EXISTS (SELECT 1 FROM call_legs WHERE leg_id = call_element_id AND record_id IS NOT ?2)";
    // One question for each id: each has an index, which an OR of them would not use.
    let by_leg =
        recordings(tx, "call_element_id IN (SELECT leg_id FROM call_legs WHERE record_id = ?1)", [own.clone()])?;
    let by_history = format!("call_history_id = ?1 AND {not_of_another}");
    let by_history = recordings(tx, &by_history, [call.whole.call_history_id.clone(), own.clone()])?;
    let by_call = format!("call_id = ?1 AND {not_of_another}");
    let by_call = recordings(tx, &by_call, [call.whole.call_id.clone(), own])?;
    let all: BTreeSet<String> = by_leg.into_iter().chain(by_history).chain(by_call).collect();
    sha256(&(&call.whole, all))
}

/// Finds the recordings of a leg by the best of its ids that leads to any. A recording that belongs to another leg or
/// another call by a better id does not count.
fn join(tx: &Transaction<'_>, leg: CallLeg) -> Result<JoinedLeg, QueueError> {
    for key in JoinKey::BEST_FIRST {
        let found = recordings_by(tx, key, &leg)?;
        if !found.is_empty() {
            return Ok(JoinedLeg { leg, recording_ids: Some(found.join(",")), joined_by: Some(key) });
        }
    }
    Ok(JoinedLeg { leg, recording_ids: None, joined_by: None })
}

/// The recordings that this id of the leg leads to, sorted.
fn recordings_by(tx: &Transaction<'_>, key: JoinKey, leg: &CallLeg) -> Result<Vec<String>, QueueError> {
    let (element, history, call) = (leg.call_element_id.clone(), leg.call_history_id.clone(), leg.call_id.clone());
    let own = Some(leg.leg_id.clone());
    match key {
        JoinKey::CallElementId => recordings(tx, "call_element_id = ?1", [element]),
        JoinKey::RecordingId => {
            let mut named: Vec<String> = leg.named_recordings.iter().map(|id| id.as_str().to_owned()).collect();
            named.sort();
            Ok(named)
        }
        JoinKey::CallHistoryId => {
            let condition = "call_history_id = ?1 AND (?2 IS NULL OR call_element_id IS NULL)
                             AND NOT EXISTS (SELECT 1 FROM call_legs WHERE leg_id = call_element_id AND leg_id <> ?3)";
            recordings(tx, condition, [history, element, own])
        }
        JoinKey::CallId => {
            let condition = "call_id = ?1 AND (?2 IS NULL OR call_element_id IS NULL)
                             AND (?3 IS NULL OR call_history_id IS NULL OR call_history_id = ?3)
                             AND NOT EXISTS (SELECT 1 FROM call_legs WHERE leg_id = call_element_id AND leg_id <> ?4)";
            recordings(tx, condition, [call, element, history, own])
        }
    }
}

fn recordings<const N: usize>(
    tx: &Transaction<'_>,
    condition: &str,
    ids: [Option<String>; N],
) -> Result<Vec<String>, QueueError> {
    // The plus keeps SQLite from walking all of Zoom's jobs by the index that begins with the source.
    let sql = format!("SELECT recording_id FROM jobs WHERE +source = 'zoom' AND {condition} ORDER BY recording_id");
    let mut statement = tx.prepare_cached(&sql)?;
    let ids = ids.map(|id| id.map_or(Value::Null, Value::Text));
    let found = statement.query_map(params_from_iter(ids), |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn json(value: &impl Serialize) -> Result<String, QueueError> {
    serde_json::to_string(value).map_err(|_serialise| QueueError::Corrupt { what: "a row of the outbox".into() })
}

fn sha256(value: &impl Serialize) -> Result<String, QueueError> {
    Ok(hex::encode(Sha256::digest(json(value)?)))
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
