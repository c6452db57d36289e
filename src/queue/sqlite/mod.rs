//! The ledger in one SQLite file: WAL, one connection, every method one transaction.

mod batches;
mod calls;
mod claims;
mod connection;
mod inbox;
mod insight;
mod marks;
mod outbox;
#[cfg(test)]
mod plan_tests;
mod rows;
mod schema;
mod steps;
#[cfg(test)]
mod tests;
mod tombstones;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

use self::rows::{
    JOB_RECORD_COLUMNS, claimed_from_row, insert, job_record_from_row, learn_call, record_failure, refresh, timestamp,
};
use super::instance::Fate;
use super::state::{Life, Step};
use super::{
    Claimant, Claimed, Company, Counts, Desk, Enqueued, Fenced, FoundStaged, JobQueue, JobRecord, JobState, NewJob,
    PublishedBefore, QueueError, Reclaimed, Redo, Scope, Selection, Settled, Settlement,
};
use crate::config::QueueConfig;
use crate::domain::{Failure, Lease, PurgeReason, Reason, RecordingId, RunId, Stage, Treatment};

pub use connection::SqliteQueue;

/// Recordings that ended within this time pre-empt older ones.
const FRESH: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, Clone, Copy)]
pub struct SqliteSettings {
    /// How long a claim holds without a heartbeat.
    pub lease: Duration,
    /// Attempts before a job whose process keeps dying is dead.
    pub max_attempts: i32,
}

impl From<&QueueConfig> for SqliteSettings {
    fn from(config: &QueueConfig) -> Self {
        Self { lease: config.lease, max_attempts: config.max_attempts }
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
impl Desk for SqliteQueue {
    async fn heartbeat(&self, lease: &Lease, now: Timestamp) -> Result<Fenced, QueueError> {
        let (id, fence) = (lease.id.clone(), lease.fence);
        let lease_until = millis_after(now, self.settings.lease);
        self.transact(move |tx| {
            let changed = tx.execute(
                "UPDATE jobs SET lease_until_ms = ?3
                 WHERE recording_id = ?1 AND fence = ?2 AND state = 'claimed'",
                params![id.as_str(), fence, lease_until],
            )?;
            Ok(if changed == 1 { Fenced::Held } else { Fenced::Lost })
        })
        .await
    }

    async fn settle(&self, lease: Lease, settlement: Settlement, now: Timestamp) -> Result<Settled, QueueError> {
        let max_attempts = self.settings.max_attempts;
        self.transact(move |tx| {
            let id = &lease.id;
            let Some(life) = steps::life_of(tx, id)? else { return Ok(Settled::Lost) };
            if life.state != JobState::Claimed || life.fence != lease.fence {
                return Ok(Settled::Lost);
            }
            let failure = settlement.failure();
            if let Some(failure) = failure {
                record_failure(tx, id, failure)?;
            }
            let life = steps::advance(tx, id, life, settlement.step(), max_attempts, failure, now)?;
            match &settlement {
                Settlement::Staged { fingerprint, audio_sha256, bytes, audio_ms } => {
                    let (bytes, audio_ms) = (*bytes, *audio_ms);
                    let result = rows::StagedResult { fingerprint, audio_sha256, bytes, audio_ms, staged_at: now };
                    rows::record_result(tx, id, &result)?;
                }
                Settlement::Retry { not_before, .. } | Settlement::Postponed { not_before, .. } => {
                    tx.execute(
                        "UPDATE jobs SET not_before_ms = ?2 WHERE recording_id = ?1",
                        params![id.as_str(), not_before.as_millisecond()],
                    )?;
                }
                Settlement::Crashed { .. } | Settlement::Dead { .. } | Settlement::Released => {}
            }
            Ok(Settled::As(life.state))
        })
        .await
    }

    async fn purged(&self, ids: &[RecordingId]) -> Result<BTreeMap<RecordingId, PurgeReason>, QueueError> {
        let ids = ids.to_vec();
        self.look(move |tx| {
            let mut purged = BTreeMap::new();
            for id in ids {
                if let Some(reason) = tombstones::reason(tx, &id)? {
                    purged.insert(id, reason);
                }
            }
            Ok(purged)
        })
        .await
    }
}

#[async_trait]
impl JobQueue for SqliteQueue {
    async fn enqueue(
        &self,
        found: Vec<NewJob>,
        room: u64,
        redo: &Redo,
        now: Timestamp,
    ) -> Result<Enqueued, QueueError> {
        let (redo, max_attempts) = (redo.clone(), self.settings.max_attempts);
        self.transact(move |tx| {
            let mut enqueued = Enqueued::default();
            for job in found {
                let id = job.recording.id.clone();
                let has_room = ((enqueued.new.len() + enqueued.redone.len()) as u64) < room;
                let crate::domain::Recording { call_id, call_log_id, call_history_id, call_element_id, .. } =
                    &job.recording;
                let calls = [call_id, call_log_id, call_history_id, call_element_id];
                if tombstones::reason(tx, &id)?.is_some() || tombstones::is_purged_with_recordings(tx, &calls)? {
                    enqueued.purged.insert(id);
                    continue;
                }
                let list = match rows::record(tx, &id)? {
                    None if !has_room => {
                        enqueued.left_out += 1;
                        continue;
                    }
                    None => {
                        insert(tx, &job, now)?;
                        steps::remember(tx, &id, "seen", 0, None, now)?;
                        &mut enqueued.new
                    }
                    Some(known) if redo.wants(&known) && !has_room => {
                        enqueued.left_out += 1;
                        continue;
                    }
                    Some(known) if redo.wants(&known) => {
                        let life = steps::life_of(tx, &id)?.ok_or_else(|| rows::corrupt("a job that vanished"))?;
                        steps::advance(tx, &id, life, Step::Redo, max_attempts, None, now)?;
                        refresh(tx, &job)?;
                        &mut enqueued.redone
                    }
                    Some(JobRecord { state: JobState::Published, .. }) => &mut enqueued.done,
                    Some(JobRecord { state: JobState::Dead, .. }) => {
                        refresh(tx, &job)?;
                        &mut enqueued.dead
                    }
                    Some(_unfinished) => {
                        refresh(tx, &job)?;
                        &mut enqueued.open
                    }
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

    async fn adopt_published(&self, job: NewJob, result: PublishedBefore, now: Timestamp) -> Result<(), QueueError> {
        self.transact(move |tx| {
            let id = &job.recording.id;
            if rows::record(tx, id)?.is_some() || tombstones::reason(tx, id)?.is_some() {
                return Ok(());
            }
            insert(tx, &job, now)?;
            let PublishedBefore { fingerprint, audio_sha256, redo } = result;
            tx.execute(
                "UPDATE jobs SET state = 'published', fingerprint = ?2, audio_sha256 = ?3, redo = ?4, recording = NULL
                 WHERE recording_id = ?1",
                params![id.as_str(), fingerprint.as_str(), audio_sha256, redo],
            )?;
            steps::remember(tx, id, "found_in_lake", 0, None, now)
        })
        .await
    }

    async fn adopt_dead(&self, job: NewJob, reason: Option<Reason>, now: Timestamp) -> Result<(), QueueError> {
        self.transact(move |tx| {
            let id = &job.recording.id;
            if rows::record(tx, id)?.is_some() || tombstones::reason(tx, id)?.is_some() {
                return Ok(());
            }
            insert(tx, &job, now)?;
            tx.execute(
                "UPDATE jobs SET state = 'dead', reason = ?2, reported = 1 WHERE recording_id = ?1",
                params![id.as_str(), reason.map(Reason::as_str)],
            )?;
            steps::remember(tx, id, "found_in_quarantine", 0, None, now)
        })
        .await
    }

    async fn adopt_staged(&self, found: FoundStaged, now: Timestamp) -> Result<bool, QueueError> {
        let max_attempts = self.settings.max_attempts;
        self.transact(move |tx| {
            let id = &found.job.recording.id;
            if tombstones::reason(tx, id)?.is_some() {
                return Ok(false);
            }
            let life = match steps::life_of(tx, id)? {
                Some(life) => life,
                None => {
                    insert(tx, &found.job, now)?;
                    Life::NEW
                }
            };
            match steps::advance(tx, id, life, Step::Adopt, max_attempts, None, now) {
                Ok(_) => {}
                Err(QueueError::Refused(_)) => return Ok(false),
                Err(error) => return Err(error),
            }
            let result = rows::StagedResult {
                fingerprint: &found.fingerprint,
                audio_sha256: &found.audio_sha256,
                bytes: found.bytes,
                audio_ms: found.audio_ms,
                // Its age counts from when it was made, so that it is not kept waiting again.
                staged_at: found.transcribed_at,
            };
            rows::record_result(tx, id, &result)?;
            Ok(true)
        })
        .await
    }

    async fn reopen(&self, job: NewJob, now: Timestamp) -> Result<(), QueueError> {
        let max_attempts = self.settings.max_attempts;
        self.transact(move |tx| {
            let id = &job.recording.id;
            let Some(life) = steps::life_of(tx, id)?.filter(|life| life.state == JobState::Published) else {
                return Ok(());
            };
            tx.execute(
                "UPDATE jobs SET fingerprint = NULL, audio_sha256 = NULL WHERE recording_id = ?1",
                [id.as_str()],
            )?;
            steps::advance(tx, id, life, Step::StartOver, max_attempts, None, now)?;
            refresh(tx, &job)
        })
        .await
    }

    async fn claim(
        &self,
        claimant: &Claimant,
        scope: &Scope,
        company: Company,
        now: Timestamp,
    ) -> Result<Option<Claimed>, QueueError> {
        let Claimant { instance, run } = claimant.clone();
        let (source, only) = (scope.source.as_str(), scope_ids(scope));
        let SqliteSettings { lease, max_attempts } = self.settings;
        let lease_until = millis_after(now, lease);
        let fresh_since = now.checked_sub(FRESH).unwrap_or(Timestamp::MIN).as_millisecond();
        self.transact(move |tx| {
            claims::end_waits(tx, now)?;
            let Some(id) = claims::next(tx, source, only.as_deref(), company, fresh_since)? else { return Ok(None) };
            let life = steps::life_of(tx, &id)?.ok_or_else(|| rows::corrupt("a job that vanished"))?;
            tx.prepare_cached("UPDATE jobs SET run_id = ?2 WHERE recording_id = ?1")?
                .execute(params![id.as_str(), run.0])?;
            let step = Step::Claim { alone: life.is_suspect() };
            let life = steps::advance(tx, &id, life, step, max_attempts, None, now)?;
            tx.prepare_cached(
                "UPDATE jobs SET instance = ?2, lease_until_ms = ?3 WHERE recording_id = ?1
                 RETURNING recording, started_at_ms, dt",
            )?
            .query_row(params![id.as_str(), instance, lease_until], |row| Ok(claimed_from_row(row, life)))?
            .map(Some)
        })
        .await
    }

    async fn held_by(&self, instance: &str) -> Result<Vec<(Claimed, RunId)>, QueueError> {
        let instance = instance.to_owned();
        self.look(move |tx| claims::held_by(tx, &instance)).await
    }

    async fn next_due(&self, scope: &Scope) -> Result<Option<Timestamp>, QueueError> {
        let (source, only) = (scope.source.as_str(), scope_ids(scope));
        self.transact(move |tx| {
            let due: Option<i64> =
                tx.prepare_cached(claims::NEXT_DUE)?.query_row(params![source, only], |row| row.get(0))?;
            due.map(timestamp).transpose()
        })
        .await
    }

    async fn reclaim(
        &self,
        fate: &(dyn for<'id> Fn(&'id str) -> Fate + Sync),
        run: &RunId,
        now: Timestamp,
    ) -> Result<Reclaimed, QueueError> {
        let held = self.transact(claims::held).await?;
        let mut fates = BTreeMap::new();
        let lost: Vec<(claims::Held, Step)> = held
            .into_iter()
            .filter_map(|claim| {
                let fate = *fates.entry(claim.instance.clone()).or_insert_with(|| fate(&claim.instance));
                match fate {
                    Fate::Died => Some((claim, Step::Crash)),
                    Fate::Ended => Some((claim, Step::Release)),
                    Fate::Runs if claim.lease_until <= now.as_millisecond() => Some((claim, Step::Expire)),
                    Fate::Runs => None,
                }
            })
            .collect();
        let (run, max_attempts) = (run.clone(), self.settings.max_attempts);
        self.transact(move |tx| {
            let mut reclaimed = Reclaimed::default();
            for (claims::Held { id, fence, .. }, step) in lost {
                // Settled or claimed anew in the meantime: nothing to take back.
                let Some(life) = steps::life_of(tx, &id)?.filter(|life| life.fence == fence) else { continue };
                let Ok(next) = life.after(step, max_attempts) else { continue };
                let failure = |reason| {
                    let detail = format!("attempts={} deaths={}", life.attempt, next.deaths);
                    Failure::new(Stage::Stt, reason, Treatment::Crashed, detail)
                };
                let failure = match step {
                    Step::Crash => Some(failure(Reason::EngineCrash)),
                    Step::Expire => Some(failure(Reason::TimedOut)),
                    _ => None,
                };
                let next = steps::advance(tx, &id, life, step, max_attempts, failure.as_ref(), now)?;
                if let Some(failure) = &failure {
                    record_failure(tx, &id, failure)?;
                }
                if next.state == JobState::Dead {
                    tx.execute("UPDATE jobs SET run_id = ?2 WHERE recording_id = ?1", params![id.as_str(), run.0])?;
                    reclaimed.died += 1;
                } else {
                    reclaimed.back += 1;
                }
            }
            Ok(reclaimed)
        })
        .await
    }

    async fn revive(&self, which: &Selection, now: Timestamp) -> Result<u64, QueueError> {
        let (which, max_attempts) = (which.clone(), self.settings.max_attempts);
        self.transact(move |tx| {
            let chosen = claims::to_revive(tx, &which)?;
            for (id, life) in &chosen {
                steps::advance(tx, id, *life, Step::Revive, max_attempts, None, now)?;
            }
            Ok(chosen.len() as u64)
        })
        .await
    }

    async fn oldest_seen(&self, scope: &Scope) -> Result<Option<Timestamp>, QueueError> {
        let (only, source) = (scope_ids(scope), scope.source.as_str());
        self.look(move |tx| {
            let oldest: Option<i64> =
                tx.prepare_cached(claims::OLDEST_SEEN)?.query_row(params![only, source], |row| row.get(0))?;
            oldest.map(timestamp).transpose()
        })
        .await
    }

    async fn counts(&self, scope: &Scope) -> Result<Counts, QueueError> {
        let (only, source) = (scope_ids(scope), scope.source.as_str());
        self.look(move |tx| {
            let mut statement = tx.prepare_cached(claims::COUNTS)?;
            let mut rows = statement.query(params![only, source])?;
            let mut counts = Counts::default();
            while let Some(row) = rows.next()? {
                let word: String = row.get(0)?;
                let number = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
                counts.open_audio_s += u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0);
                match JobState::parse(&word) {
                    Some(JobState::Seen) => counts.seen = number,
                    Some(JobState::Claimed) => counts.claimed = number,
                    Some(JobState::Waiting) => counts.waiting = number,
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
        self.transact(move |tx| rows::record(tx, &id)).await
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
