//! Between the ledger's rows and the program's types. What cannot be read back is [`QueueError::Corrupt`], never a guess.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::super::state::Life;
use super::super::{Claimed, DeadJob, JobRecord, JobState, NewJob, QueueError, StagedJob};
use crate::domain::{Failure, Fingerprint, Lease, Reason, Recording, RecordingId, RunId, Stage, Treatment};

pub(super) const STAGED_COLUMNS: &str = "recording_id, dt, fingerprint, staged_bytes, staged_ms, coalesce(audio_ms, 0)";

pub(super) const JOB_RECORD_COLUMNS: &str = "recording_id, state, attempt, started_at_ms, reason, detail, audio_ms, dt,
    fingerprint, audio_sha256, redo";

pub(super) fn timestamp(millis: i64) -> Result<Timestamp, QueueError> {
    Timestamp::from_millisecond(millis).map_err(|_range| corrupt("a time"))
}

pub(super) fn recording_id(text: &str) -> Result<RecordingId, QueueError> {
    RecordingId::parse(text).map_err(|_invalid| corrupt("recording_id"))
}

fn fingerprint(hex: String) -> Result<Fingerprint, QueueError> {
    Fingerprint::from_hex(hex).ok_or_else(|| corrupt("fingerprint"))
}

fn recording_to_json(recording: &Recording) -> Result<String, QueueError> {
    serde_json::to_string(recording).map_err(|_serialise| corrupt("a recording's metadata"))
}

/// Reads `recording, started_at_ms, dt` of a job that was just claimed.
pub(super) fn claimed_from_row(row: &Row<'_>, life: Life) -> Result<Claimed, QueueError> {
    let json: Option<String> = row.get(0)?;
    let json = json.ok_or_else(|| corrupt("an open job without metadata"))?;
    let recording: Recording = serde_json::from_str(&json).map_err(|_parse| corrupt("a recording's metadata"))?;
    let lease = Lease { id: recording.id.clone(), attempt: life.attempt, fence: life.fence };
    let started_at = timestamp(row.get(1)?)?;
    Ok(Claimed { lease, recording, started_at, dt: row.get(2)?, alone: life.alone, redo: life.redo })
}

pub(super) fn staged_from_row(row: &Row<'_>) -> Result<StagedJob, QueueError> {
    Ok(StagedJob {
        id: recording_id(&row.get::<_, String>(0)?)?,
        dt: row.get(1)?,
        fingerprint: fingerprint(row.get(2)?)?,
        bytes: u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0),
        staged_at: timestamp(row.get(4)?)?,
        audio_ms: row.get(5)?,
    })
}

pub(super) fn dead_from_row(row: &Row<'_>) -> Result<DeadJob, QueueError> {
    let stage: String = row.get(3)?;
    let reason: String = row.get(4)?;
    let failure = Failure::new(
        Stage::parse(&stage).ok_or_else(|| corrupt("stage"))?,
        Reason::parse(&reason).ok_or_else(|| corrupt("reason"))?,
        Treatment::Permanent,
        row.get::<_, Option<String>>(5)?.unwrap_or_default(),
    );
    Ok(DeadJob {
        id: recording_id(&row.get::<_, String>(0)?)?,
        call_id: row.get(1)?,
        started_at: timestamp(row.get(2)?)?,
        failure,
        attempts: row.get(6)?,
        first_seen_at: timestamp(row.get(7)?)?,
        last_tried_at: timestamp(row.get(8)?)?,
        run_id: RunId(row.get::<_, Option<String>>(9)?.unwrap_or_default()),
    })
}

pub(super) fn job_record_from_row(row: &Row<'_>) -> Result<JobRecord, QueueError> {
    let state: String = row.get(1)?;
    Ok(JobRecord {
        id: recording_id(&row.get::<_, String>(0)?)?,
        state: JobState::parse(&state).ok_or_else(|| corrupt("state"))?,
        attempt: row.get(2)?,
        started_at: timestamp(row.get(3)?)?,
        reason: row.get(4)?,
        detail: row.get(5)?,
        audio_ms: row.get(6)?,
        dt: row.get(7)?,
        fingerprint: row.get::<_, Option<String>>(8)?.map(fingerprint).transpose()?,
        audio_sha256: row.get(9)?,
        redo: row.get(10)?,
    })
}

pub(super) fn record(tx: &Transaction<'_>, id: &RecordingId) -> Result<Option<JobRecord>, QueueError> {
    let sql = format!("SELECT {JOB_RECORD_COLUMNS} FROM jobs WHERE recording_id = ?1");
    tx.prepare_cached(&sql)?.query_row([id.as_str()], |row| Ok(job_record_from_row(row))).optional()?.transpose()
}

/// A transcript that is durable.
pub(super) struct StagedResult<'a> {
    pub(super) fingerprint: &'a Fingerprint,
    pub(super) audio_sha256: &'a str,
    pub(super) bytes: u64,
    pub(super) audio_ms: i64,
    pub(super) staged_at: Timestamp,
}

pub(super) fn record_result(
    tx: &Transaction<'_>,
    id: &RecordingId,
    result: &StagedResult<'_>,
) -> Result<(), QueueError> {
    tx.prepare_cached(
        "UPDATE jobs SET fingerprint = ?2, audio_sha256 = ?3, staged_bytes = ?4, staged_ms = ?5, audio_ms = ?6,
                stage = NULL, reason = NULL, detail = NULL
         WHERE recording_id = ?1",
    )?
    .execute(params![
        id.as_str(),
        result.fingerprint.as_str(),
        result.audio_sha256,
        i64::try_from(result.bytes).unwrap_or(i64::MAX),
        result.staged_at.as_millisecond(),
        result.audio_ms
    ])?;
    Ok(())
}

pub(super) fn insert(tx: &Transaction<'_>, job: &NewJob, now: Timestamp) -> Result<(), QueueError> {
    let recording = &job.recording;
    tx.prepare_cached(
        "INSERT INTO jobs (recording_id, raw_id, source, call_id, recording, started_at_ms, dt, duration_s,
                           first_seen_ms, updated_ms, state, call_element_id, call_history_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, 'seen', ?10, ?11)",
    )?
    .execute(params![
        recording.id.as_str(),
        recording.raw_id,
        recording.source.as_str(),
        recording.call_id,
        recording_to_json(recording)?,
        job.started_at.as_millisecond(),
        job.dt,
        recording.duration_s,
        now.as_millisecond(),
        recording.call_element_id,
        recording.call_history_id,
    ])?;
    Ok(())
}

/// A newer listing knows the address better; start and `dt` stay as they were at first sight.
pub(super) fn refresh(tx: &Transaction<'_>, job: &NewJob) -> Result<(), QueueError> {
    tx.prepare_cached("UPDATE jobs SET recording = ?2 WHERE recording_id = ?1 AND state <> 'staged'")?
        .execute(params![job.recording.id.as_str(), recording_to_json(&job.recording)?])?;
    Ok(())
}

/// A listing may know which call a recording belongs to when an earlier one did not, whatever became of it. Only what is
/// being told to the table `quarantine` stays as it is: a crash in between must tell the same again.
pub(super) fn learn_call(tx: &Transaction<'_>, job: &NewJob) -> Result<(), QueueError> {
    let recording = &job.recording;
    tx.prepare_cached(
        "UPDATE jobs SET call_id = coalesce(call_id, ?2), call_element_id = coalesce(call_element_id, ?3),
                call_history_id = coalesce(call_history_id, ?4)
         WHERE recording_id = ?1 AND NOT (state = 'dead' AND reported = 0) AND ((call_id IS NULL AND ?2 IS NOT NULL)
             OR (call_element_id IS NULL AND ?3 IS NOT NULL) OR (call_history_id IS NULL AND ?4 IS NOT NULL))",
    )?
    .execute(params![
        recording.id.as_str(),
        recording.call_id,
        recording.call_element_id,
        recording.call_history_id
    ])?;
    Ok(())
}

/// What was learned of the recording itself stays when a later try only found the host in trouble.
pub(super) fn record_failure(tx: &Transaction<'_>, id: &RecordingId, failure: &Failure) -> Result<(), QueueError> {
    if failure.reason == Reason::SourceUnavailable {
        let known: Option<String> =
            tx.query_row("SELECT reason FROM jobs WHERE recording_id = ?1", [id.as_str()], |row| row.get(0))?;
        if known.as_deref().and_then(Reason::parse).is_some_and(Reason::is_about_the_file) {
            return Ok(());
        }
    }
    tx.execute(
        "UPDATE jobs SET stage = ?2, reason = ?3, detail = ?4 WHERE recording_id = ?1",
        params![id.as_str(), failure.stage.as_str(), failure.reason.as_str(), failure.detail],
    )?;
    Ok(())
}

pub(super) fn corrupt(what: &str) -> QueueError {
    QueueError::Corrupt { what: what.to_owned() }
}
