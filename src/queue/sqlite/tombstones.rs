//! [`Graves`] in the ledger.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::Value;

use super::SqliteQueue;
use super::rows::{corrupt, recording_id, timestamp};
use crate::domain::{Departed, PurgeReason, RecordingId, Tombstone};
use crate::queue::QueueError;
use crate::queue::tombstones::{Graves, Mentions, Trace};

const RECORDING: &str = "recording";
const CALL: &str = "call";

/// Why this recording was purged, if it was.
pub(super) fn reason(tx: &Transaction<'_>, id: &RecordingId) -> Result<Option<PurgeReason>, QueueError> {
    let sql = "SELECT reason FROM tombstones WHERE kind = 'recording' AND id = ?1";
    let word: Option<String> = tx.prepare_cached(sql)?.query_row([id.as_str()], |row| row.get(0)).optional()?;
    word.map(|word| PurgeReason::parse(&word).ok_or_else(|| corrupt("a tombstone's reason"))).transpose()
}

/// Whether one of these ids is that of a call that was purged with all of its recordings.
pub(super) fn is_purged_with_recordings(tx: &Transaction<'_>, ids: &[&Option<String>]) -> Result<bool, QueueError> {
    let sql = "SELECT 1 FROM tombstones WHERE kind = 'call' AND id = ?1 AND reason IN ('call', 'phone')";
    let mut statement = tx.prepare_cached(sql)?;
    for id in ids.iter().copied().flatten() {
        if statement.exists([id])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether one of these ids is that of a call or leg that was purged.
pub(super) fn is_purged_call<'a>(
    tx: &Transaction<'_>,
    ids: impl IntoIterator<Item = Option<&'a str>>,
) -> Result<bool, QueueError> {
    let mut statement = tx.prepare_cached("SELECT 1 FROM tombstones WHERE kind = 'call' AND id = ?1")?;
    for id in ids.into_iter().flatten() {
        if statement.exists([id])? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn parts(stone: &Tombstone) -> (&'static str, &str) {
    match &stone.of {
        Departed::Recording(id) => (RECORDING, id.as_str()),
        Departed::Call(id) => (CALL, id),
    }
}

/// Sets a stone, as of a purge that did not end; one that is there keeps its time, and its reason unless the new one keeps
/// more away. `begins` = it is purged again, also when that had ended.
fn set(tx: &Transaction<'_>, stone: &Tombstone, begins: bool) -> Result<(), QueueError> {
    let (kind, id) = parts(stone);
    tx.prepare_cached(
        "INSERT INTO tombstones (kind, id, purged_ms, reason, unended) VALUES (?1, ?2, ?3, ?4, 1)
         ON CONFLICT (kind, id) DO UPDATE SET unended = max(unended, ?5),
             reason = CASE WHEN excluded.reason IN ('call', 'phone') THEN excluded.reason ELSE reason END",
    )?
    .execute(params![kind, id, stone.purged_at.as_millisecond(), stone.reason.as_str(), begins])?;
    let forget: &[&str] = match stone.of {
        Departed::Recording(_) => &[
            "DELETE FROM jobs WHERE recording_id = ?1",
            "DELETE FROM job_events WHERE recording_id = ?1",
            "DELETE FROM zoom_transcripts WHERE recording_id = ?1",
        ],
        Departed::Call(_) => &["DELETE FROM call_legs WHERE leg_id = ?1 OR record_id = ?1 OR leg_id = 'record:' || ?1"],
    };
    for sql in forget {
        tx.prepare_cached(sql)?.execute([id])?;
    }
    Ok(())
}

fn stone(kind: &str, id: String, purged_ms: i64, reason: &str) -> Result<Tombstone, QueueError> {
    let of = if kind == RECORDING { Departed::Recording(recording_id(&id)?) } else { Departed::Call(id) };
    let reason = PurgeReason::parse(reason).ok_or_else(|| corrupt("a tombstone's reason"))?;
    Ok(Tombstone { of, purged_at: timestamp(purged_ms)?, reason })
}

/// Keys of JSON under which ids of recordings stand: as Zoom writes them, and as this program does. A plain `id` is one
/// only in a notice about recordings, in its object or in its list of them: owners and sites have ids too.
const RECORDING_KEYS: [&str; 3] = ["recording_id", "recording_ids", "named_recordings"];
const CALL_KEYS: [&str; 9] = [
    "leg_id",
    "call_id",
    "call_log_id",
    "call_history_id",
    "call_element_id",
    "call_path_id",
    "call_history_uuid",
    "call_uuid",
    "record_id",
];
/// When it happened, best first.
const TIME_KEYS: [&str; 8] = [
    "event_at",
    "started_at",
    "start_time",
    "date_time",
    "ringing_start_time",
    "call_start_time",
    "received_at",
    "fetched_at",
];

/// What a piece of JSON is about.
fn read(json: &str, trace: &mut Trace, is_recording: bool) {
    let Ok(value) = serde_json::from_str::<Value>(json) else {
        trace.texts.push(json.to_owned());
        return;
    };
    let mut times = [None; TIME_KEYS.len()];
    let ids_in: &[&str] = if is_recording { &["", "object", "payload", "recordings"] } else { &[] };
    walk(&value, ("", ""), ids_in, trace, &mut times);
    trace.at = trace.at.or_else(|| times.into_iter().flatten().next());
}

/// `inside` is the key under which the object stands that the value is in; `ids_in` those in which `id` is a recording's.
fn walk(
    value: &Value,
    (inside, key): (&str, &str),
    ids_in: &[&str],
    trace: &mut Trace,
    times: &mut [Option<Timestamp>],
) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(field, value)| walk(value, (key, field), ids_in, trace, times));
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, (inside, key), ids_in, trace, times)),
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => {
            if RECORDING_KEYS.contains(&key) || (key == "id" && ids_in.contains(&inside)) {
                let ids = text.split(',').filter_map(|id| RecordingId::parse(id).ok());
                trace.recordings.extend(ids.map(|id| id.as_str().to_owned()));
            } else if CALL_KEYS.contains(&key) {
                trace.calls.push(text.clone());
            } else if let Some(at) = TIME_KEYS.iter().position(|known| *known == key) {
                times[at] = times[at].or_else(|| text.parse().ok());
            } else {
                trace.texts.push(text.clone());
            }
        }
        Value::Number(number) if CALL_KEYS.contains(&key) => trace.calls.push(number.to_string()),
        Value::Number(number) => trace.texts.push(number.to_string()),
        Value::Bool(_) | Value::Null => {}
    }
}

/// Rows on their way into the lake and notices, each with its table, its key and what it is about.
fn messages(tx: &Transaction<'_>) -> Result<Vec<(&'static str, i64, Trace)>, QueueError> {
    let mut found = Vec::new();
    let mut statement = tx.prepare("SELECT row_id, row_json FROM outbox")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let mut trace = Trace::default();
        read(&row.get::<_, String>(1)?, &mut trace, false);
        found.push(("outbox", row.get(0)?, trace));
    }
    let mut statement = tx.prepare("SELECT number, body, subject, event_ms FROM inbox")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let subject: String = row.get(2)?;
        let mut trace = Trace::default();
        read(&row.get::<_, String>(1)?, &mut trace, matches!(subject.as_str(), "recording" | "transcript" | "deleted"));
        trace.at = row.get::<_, Option<i64>>(3)?.map(timestamp).transpose()?.or(trace.at);
        found.push(("inbox", row.get(0)?, trace));
    }
    Ok(found)
}

#[async_trait]
impl Graves for SqliteQueue {
    async fn traces(&self) -> Result<Vec<Trace>, QueueError> {
        self.look(|tx| {
            let mut traces: Vec<Trace> = messages(tx)?.into_iter().map(|(_, _, trace)| trace).collect();
            let mut statement = tx.prepare(
                "SELECT recording_id, started_at_ms, recording, call_id, call_element_id, call_history_id, raw_id FROM jobs",
            )?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let mut trace = Trace { at: Some(timestamp(row.get(1)?)?), ..Trace::default() };
                if let Some(json) = row.get::<_, Option<String>>(2)? {
                    read(&json, &mut trace, false);
                }
                trace.recordings = vec![row.get(0)?];
                for column in 3..6 {
                    trace.calls.extend(row.get::<_, Option<String>>(column)?);
                }
                // The name of a file may be the caller's number.
                let raw_id: String = row.get(6)?;
                let is_sign = |c: char| !c.is_ascii_digit() && c != '+';
                trace.texts.extend(raw_id.split(is_sign).filter(|part| part.len() >= 8).map(str::to_owned));
                traces.push(trace);
            }
            Ok(traces)
        })
        .await
    }

    async fn has_older(&self, before: Timestamp) -> Result<bool, QueueError> {
        self.look(move |tx| {
            let sql = "SELECT EXISTS (SELECT 1 FROM jobs WHERE started_at_ms < ?1)";
            Ok(tx.query_row(sql, [before.as_millisecond()], |row| row.get(0))?)
        })
        .await
    }

    async fn entomb(&self, stones: Vec<Tombstone>) -> Result<(), QueueError> {
        self.transact(move |tx| stones.iter().try_for_each(|stone| set(tx, stone, true))).await
    }

    async fn unended(&self) -> Result<Vec<Tombstone>, QueueError> {
        self.look(|tx| {
            let sql = "SELECT kind, id, purged_ms, reason FROM tombstones WHERE unended = 1 ORDER BY kind, id";
            let mut statement = tx.prepare(sql)?;
            let mut rows = statement.query([])?;
            let mut stones = Vec::new();
            while let Some(row) = rows.next()? {
                let (kind, reason): (String, String) = (row.get(0)?, row.get(3)?);
                stones.push(stone(&kind, row.get(1)?, row.get(2)?, &reason)?);
            }
            Ok(stones)
        })
        .await
    }

    async fn forget_messages(
        &self,
        recordings: BTreeSet<String>,
        calls: BTreeSet<String>,
        before: Option<Timestamp>,
        mentions: Mentions,
    ) -> Result<u64, QueueError> {
        self.transact(move |tx| {
            let mut forgotten = 0;
            for (table, key, trace) in messages(tx)? {
                let goes = trace.recordings.iter().any(|id| recordings.contains(id))
                    || trace.calls.iter().any(|id| calls.contains(id))
                    || before.is_some_and(|before| trace.at.is_some_and(|at| at < before))
                    || trace.texts.iter().any(|text| mentions(text));
                if goes {
                    let sql = match table {
                        "outbox" => "DELETE FROM outbox WHERE row_id = ?1",
                        _ => "DELETE FROM inbox WHERE number = ?1",
                    };
                    tx.prepare_cached(sql)?.execute([key])?;
                    forgotten += 1;
                }
            }
            // Their keys hold the call's id, and a call of that id is not told of again.
            let mut statement = tx.prepare("SELECT key FROM told_calls")?;
            let keys: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            for key in keys {
                if key.split(':').any(|part| calls.contains(part)) || mentions(&key) {
                    tx.prepare_cached("DELETE FROM told_calls WHERE key = ?1")?.execute([key])?;
                }
            }
            Ok(forgotten)
        })
        .await
    }

    async fn scrub(&self) -> Result<(), QueueError> {
        self.overwrite().await
    }

    async fn end_purge(&self, stones: Vec<Tombstone>) -> Result<(), QueueError> {
        self.transact(move |tx| {
            let mut end = tx.prepare_cached("UPDATE tombstones SET unended = 0 WHERE kind = ?1 AND id = ?2")?;
            for stone in &stones {
                let (kind, id) = parts(stone);
                end.execute([kind, id])?;
            }
            Ok(())
        })
        .await
    }

    async fn tombstone_files(&self) -> Result<BTreeSet<String>, QueueError> {
        self.look(|tx| {
            let mut statement = tx.prepare("SELECT key FROM tombstone_files")?;
            Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn adopt_tombstones(&self, file: &str, stones: Vec<Tombstone>) -> Result<(), QueueError> {
        let file = file.to_owned();
        self.transact(move |tx| {
            stones.iter().try_for_each(|stone| set(tx, stone, false))?;
            tx.execute("INSERT INTO tombstone_files (key) VALUES (?1) ON CONFLICT DO NOTHING", [file])?;
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{AudioLocation, Recording, SourceKind};
    use crate::queue::sqlite::SqliteSettings;
    use crate::queue::{Inbox, Insight, JobQueue, NewJob, Notice, Redo, Subject, Via};

    const NUMBER: &str = "+81355500123";

    fn now() -> Timestamp {
        "2026-11-10T12:00:00Z".parse().unwrap()
    }

    fn job(id: &str) -> NewJob {
        let address = AudioLocation::Download(format!("https://zoom.us/{id}"));
        let mut recording = Recording::bare(RecordingId::parse(id).unwrap(), id.into(), SourceKind::Zoom, address);
        recording.call_id = Some(format!("call-{id}"));
        recording.caller.number = Some(NUMBER.into());
        NewJob { recording, started_at: now(), dt: "2026-11-10".into() }
    }

    fn grave(id: &str) -> Tombstone {
        let of = Departed::Recording(RecordingId::parse(id).unwrap());
        Tombstone { of, purged_at: now(), reason: PurgeReason::Phone }
    }

    fn bytes_of(folder: &std::path::Path) -> Vec<u8> {
        let files = std::fs::read_dir(folder).unwrap();
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    #[tokio::test]
    async fn what_was_forgotten_is_in_no_byte_of_the_ledger_and_its_log_and_does_not_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let settings = SqliteSettings { lease: Duration::from_secs(60), max_attempts: 3 };
        let queue = SqliteQueue::open(&folder.path().join("ledger.sqlite"), settings).unwrap();
        queue.enqueue(vec![job("aa"), job("bb")], 10, &Redo::Nothing, now()).await.unwrap();
        let body = format!(r#"{{"object": {{"call_id": "7401", "caller": {{"phone_number": "{NUMBER}"}}}}}}"#);
        let notice = Notice {
            key: "call:x:7401".into(),
            subject: Subject::Call,
            via: Via::Webhook,
            event_at: None,
            received_at: now(),
            body,
        };
        queue.receive(vec![notice]).await.unwrap();
        let traces = queue.traces().await.unwrap();
        assert!(traces.iter().all(|trace| trace.texts.iter().any(|text| text == NUMBER)), "{traces:?}");
        assert!(bytes_of(folder.path()).windows(NUMBER.len()).any(|window| window == NUMBER.as_bytes()));

        let stones = vec![grave("aa"), grave("bb")];
        queue.entomb(stones.clone()).await.unwrap();
        assert_eq!(queue.unended().await.unwrap(), stones);
        let calls = BTreeSet::from(["7401".to_owned()]);
        assert_eq!(queue.forget_messages(BTreeSet::new(), calls, None, Box::new(|_| false)).await.unwrap(), 1);
        queue.scrub().await.unwrap();
        assert!(!bytes_of(folder.path()).windows(NUMBER.len()).any(|window| window == NUMBER.as_bytes()));
        queue.end_purge(stones).await.unwrap();
        assert_eq!(queue.unended().await.unwrap(), []);

        let enqueued = queue.enqueue(vec![job("aa")], 10, &Redo::All, now()).await.unwrap();
        assert_eq!((enqueued.new.len(), enqueued.purged.len()), (0, 1));
        assert_eq!(queue.record(&RecordingId::parse("aa").unwrap()).await.unwrap(), None);
        assert!(queue.life(&RecordingId::parse("aa").unwrap()).await.unwrap().is_empty());
    }
}
