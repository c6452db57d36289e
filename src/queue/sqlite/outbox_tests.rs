use std::time::Duration;

use serde_json::Value as Json;

use super::super::schema::tests::write_ledger_of;
use super::super::{SqliteQueue, SqliteSettings};
use super::*;
use crate::config::{LakeConfig, LakePlace, Partition};
use crate::domain::{AudioLocation, Fingerprint, Generation, Recording, RecordingId, SourceKind};
use crate::lake::Lake;
use crate::queue::{JobQueue, NewJob, PublishedBefore, Redo};

struct Ledger {
    folder: tempfile::TempDir,
    queue: SqliteQueue,
}

impl Ledger {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(folder.path());
        Self { folder, queue }
    }

    async fn lake(&self) -> Lake {
        Lake::open(&LakeConfig {
            place: LakePlace::Folder(self.folder.path().join("lake")),
            partition_timezone: jiff::tz::TimeZone::UTC,
            partition: Partition::Day,
            flush_every: Duration::from_secs(60),
            flush_bytes: 1 << 20,
            fresh_every: Duration::from_secs(60),
            compression_level: 3,
        })
        .await
        .unwrap()
    }

    /// Lists a recording whose ids of calls are `[call_element_id, call_history_id, call_id]`.
    async fn list(&self, name: &str, ids: [Option<&str>; 3]) {
        let [element, history, call] = ids.map(|id| id.map(str::to_owned));
        let address = AudioLocation::Download(format!("https://zoom.us/{name}"));
        let id = RecordingId::parse(name).unwrap();
        let mut recording = Recording::bare(id, name.into(), SourceKind::Zoom, address);
        (recording.call_element_id, recording.call_history_id, recording.call_id) = (element, history, call);
        let job = NewJob { recording, started_at: now(), dt: DT.into() };
        self.queue.enqueue(vec![job], u64::MAX, &Redo::Nothing, now()).await.unwrap();
    }

    async fn publish(&self, name: &str) {
        let fingerprint = Fingerprint::from_hex("a".repeat(64)).unwrap();
        let address = AudioLocation::Download("x".into());
        let recording = Recording::bare(RecordingId::parse(name).unwrap(), name.into(), SourceKind::Zoom, address);
        let job = NewJob { recording, started_at: now(), dt: DT.into() };
        let result = PublishedBefore { fingerprint, audio_sha256: "a1".into(), redo: 0 };
        self.queue.adopt_published(job, result, now()).await.unwrap();
    }

    async fn post(&self, legs: Vec<CallLeg>) -> u64 {
        let new =
            NewLegs { call: call(), legs: legs.into_iter().map(|leg| (leg, DT.into())).collect(), is_complete: true };
        self.queue.post_legs(vec![new], now(), &run()).await.unwrap()
    }

    /// Takes everything out of the outbox; rows as JSON.
    async fn take(&self) -> Vec<Json> {
        let mut rows = Vec::new();
        while let Some((batch, parcels)) = self.queue.next_parcels(100).await.unwrap() {
            rows.extend(parcels.into_iter().flat_map(|parcel| parcel.rows));
            self.queue.delivered(batch).await.unwrap();
        }
        rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect()
    }

    /// How the leg `leg` is joined right now.
    async fn joined(&self, leg: CallLeg) -> (Option<String>, Option<String>) {
        self.post(vec![leg]).await;
        let row = self.take().await.pop().unwrap();
        let text = |value: &Json| value.as_str().map(str::to_owned);
        (text(&row["joined"]["recording_ids"]), text(&row["joined"]["joined_by"]))
    }
}

const DT: &str = "2026-11-10";

fn open(folder: &std::path::Path) -> SqliteQueue {
    let settings = SqliteSettings { lease: Duration::from_secs(60), max_attempts: 3 };
    SqliteQueue::open(&folder.join("ledger.sqlite"), settings).unwrap()
}

fn now() -> Timestamp {
    "2026-11-10T12:00:00Z".parse().unwrap()
}

fn run() -> RunId {
    RunId("run-1".into())
}

fn leg(id: &str) -> CallLeg {
    CallLeg::bare(id.into(), Generation::CallElement)
}

fn call() -> CallRecord {
    let mut whole = CallLeg::bare("h1".into(), Generation::CallHistory);
    whole.call_history_id = Some("h1".into());
    whole.call_id = Some("7401_1".into());
    CallRecord { record_id: "h1".into(), history_id: Some("h1".into()), whole }
}

async fn is_changed(ledger: &Ledger, call: CallRecord) -> bool {
    !ledger.queue.changed_calls(vec![call]).await.unwrap().is_empty()
}

#[tokio::test]
async fn a_leg_is_posted_once_and_again_when_it_changed() {
    let ledger = Ledger::new();
    assert!(is_changed(&ledger, call()).await);
    assert_eq!(ledger.post(vec![leg("e1"), leg("e2")]).await, 2);
    assert!(!is_changed(&ledger, call()).await);
    assert_eq!(ledger.post(vec![leg("e1"), leg("e2")]).await, 0);
    let mut answered = leg("e2");
    answered.result = Some("answered".into());
    assert_eq!(ledger.post(vec![leg("e1"), answered]).await, 1);
    assert_eq!(ledger.post(vec![leg("e2")]).await, 1, "back to an earlier form is a change, too");
    assert_eq!(ledger.take().await.len(), 4);
    let mut longer = call();
    longer.whole.duration_s = Some(9);
    assert!(is_changed(&ledger, longer).await);
}

#[tokio::test]
async fn a_leg_finds_its_recordings_by_the_best_id_that_leads_to_any() {
    let ledger = Ledger::new();
    let mut asking = leg("e1");
    asking.call_element_id = Some("e1".into());
    asking.call_history_id = Some("h1".into());
    asking.call_id = Some("7401_1".into());
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(ledger.joined(asking.clone()).await, (None, None));
    ledger.list("other", [None, None, Some("7401")]).await;
    ledger.list("r4", [None, None, Some("7401_1")]).await;
    assert_eq!(ledger.joined(asking.clone()).await, (text("r4"), text("call_id")));
    ledger.list("r3", [None, Some("h1"), None]).await;
    ledger.list("r2", [None, Some("h1"), None]).await;
    assert_eq!(ledger.joined(asking.clone()).await, (text("r2,r3"), text("call_history_id")));
    asking.named_recordings = vec![RecordingId::parse("R-9").unwrap()];
    assert_eq!(ledger.joined(asking.clone()).await, (text("r9"), text("recording_id")));
    ledger.list("r1", [Some("e1"), Some("h1"), Some("7401_1")]).await;
    assert_eq!(ledger.joined(asking).await, (text("r1"), text("call_element_id")));
}

#[tokio::test]
async fn a_recording_of_another_leg_or_call_is_not_joined_by_a_lesser_id() {
    let ledger = Ledger::new();
    ledger.list("r1", [Some("e1"), Some("h1"), Some("7401")]).await;
    ledger.list("r2", [None, Some("h2"), Some("7401")]).await;
    let mut other_leg = leg("e2");
    other_leg.call_element_id = Some("e2".into());
    other_leg.call_history_id = Some("h1".into());
    other_leg.call_id = Some("7401".into());
    assert_eq!(ledger.joined(other_leg).await, (None, None));
    let mut whole = CallLeg::bare("h1".into(), Generation::CallHistory);
    whole.call_history_id = Some("h1".into());
    assert_eq!(ledger.joined(whole).await.0.as_deref(), Some("r1"));
}

#[tokio::test]
async fn a_recording_of_a_known_leg_is_joined_to_that_leg_alone() {
    let ledger = Ledger::new();
    // An account's recording knows its element and the id that several calls share.
    ledger.list("r1", [Some("e1"), None, Some("7401_1")]).await;
    ledger.list("r2", [Some("e1"), Some("h1"), None]).await;
    let mut element = leg("e1");
    element.call_element_id = Some("e1".into());
    let mut path_only = leg("p1");
    path_only.call_history_id = Some("h1".into());
    let mut other = call();
    other.record_id = "h2".into();
    other.whole.leg_id = "h2".into();
    other.whole.call_history_id = Some("h2".into());
    let new = |call: CallRecord, legs: Vec<CallLeg>, is_complete| NewLegs {
        call,
        legs: legs.into_iter().map(|leg| (leg, DT.into())).collect(),
        is_complete,
    };
    let whole = other.whole.clone();
    let both = vec![new(other.clone(), vec![whole], true), new(call(), vec![path_only, element], true)];
    assert_eq!(ledger.queue.post_legs(both, now(), &run()).await.unwrap(), 3);
    let rows = ledger.take().await;
    let joined: Vec<_> = rows
        .iter()
        .map(|row| (row["joined"]["leg"]["leg_id"].as_str(), row["joined"]["recording_ids"].as_str()))
        .collect();
    assert_eq!(joined, [(Some("h2"), None), (Some("p1"), None), (Some("e1"), Some("r1,r2"))]);
    assert!(!is_changed(&ledger, call()).await);
    // Not yet known as a leg, it could be the other call's.
    ledger.list("r3", [Some("e3"), None, Some("7401_1")]).await;
    let again = vec![new(other.clone(), vec![other.whole.clone()], true)];
    assert_eq!(ledger.queue.post_legs(again, now(), &run()).await.unwrap(), 1);
    assert!(!is_changed(&ledger, other.clone()).await);
    ledger.post(vec![leg("e3")]).await;
    assert!(is_changed(&ledger, other).await, "its recording is another's after all");
}

#[tokio::test]
async fn a_recording_that_comes_later_makes_its_call_a_changed_one() {
    let ledger = Ledger::new();
    let mut element = leg("e1");
    element.call_element_id = Some("e1".into());
    ledger.post(vec![element.clone()]).await;
    assert!(!is_changed(&ledger, call()).await);
    for (name, ids) in
        [("r1", [Some("e1"), None, None]), ("r2", [None, Some("h1"), None]), ("r3", [None, None, Some("7401_1")])]
    {
        ledger.list(name, ids).await;
        assert!(is_changed(&ledger, call()).await, "{name}");
        ledger.post(vec![element.clone()]).await;
        assert!(!is_changed(&ledger, call()).await, "{name}");
    }
    let rows = ledger.take().await;
    assert_eq!(rows.len(), 2, "only the first of them belongs to the leg: {rows:?}");
}

#[tokio::test]
async fn what_a_listing_says_of_the_call_later_is_learnt_even_of_a_published_recording() {
    let ledger = Ledger::new();
    ledger.publish("r1").await;
    ledger.list("r1", [Some("e1"), None, None]).await;
    let mut asking = leg("e1");
    asking.call_element_id = Some("e1".into());
    assert_eq!(ledger.joined(asking).await.0.as_deref(), Some("r1"));
}

#[tokio::test]
async fn legs_that_the_lake_holds_are_not_written_again_after_the_ledger_was_lost() {
    let ledger = Ledger::new();
    let rows = {
        ledger.post(vec![leg("e1"), leg("e2")]).await;
        ledger.take().await
    };
    let hash = |row: &Json| {
        (row["joined"]["leg"]["leg_id"].as_str().unwrap().to_owned(), row["row_hash"].as_str().unwrap().to_owned())
    };
    let lost = Ledger::new();
    let mut in_lake = vec![("e1".to_owned(), "older".to_owned())];
    in_lake.extend(rows.iter().map(hash));
    lost.queue.adopt_legs(in_lake).await.unwrap();
    assert_eq!(lost.post(vec![leg("e1"), leg("e2"), leg("e3")]).await, 1);
}

#[tokio::test]
async fn a_parcel_that_a_crash_interrupted_is_written_as_one_object_all_the_same() {
    let ledger = Ledger::new();
    ledger.post(vec![leg("e1"), leg("e2")]).await;
    let (batch, parcels) = ledger.queue.next_parcels(100).await.unwrap().unwrap();
    let put = async |parcel: &Parcel| {
        ledger.lake().await.write_posted(&parcel.table, &parcel.dt, parcel.rows.clone()).await.unwrap()
    };
    assert!(put(&parcels[0]).await.created);
    // The process dies here: put, not confirmed. Another one opens the ledger, and something new arrives.
    let reopened = open(ledger.folder.path());
    ledger.post(vec![leg("e3")]).await;
    let (again, same) = reopened.next_parcels(100).await.unwrap().unwrap();
    assert_eq!((again, &same), (batch, &parcels));
    assert!(!put(&same[0]).await.created);
    reopened.delivered(again).await.unwrap();
    let (_, new) = reopened.next_parcels(100).await.unwrap().unwrap();
    assert_eq!(new[0].rows.len(), 1);
    assert!(put(&new[0]).await.created);
    let mut ids: Vec<_> =
        ledger.lake().await.written_legs(DT).await.unwrap().into_iter().map(|(leg_id, _)| leg_id).collect();
    ids.sort();
    assert_eq!(ids, ["e1", "e2", "e3"]);
}

#[tokio::test]
async fn a_large_outbox_is_handed_out_in_pieces_a_day_after_the_other() {
    let ledger = Ledger::new();
    let placed = |id: &str, dt: &str| (leg(id), dt.to_owned());
    let legs = vec![placed("a", "2026-11-02"), placed("b", "2026-11-01"), placed("c", "2026-11-02")];
    let new = NewLegs { call: call(), legs, is_complete: true };
    ledger.queue.post_legs(vec![new], now(), &run()).await.unwrap();
    let mut pieces = Vec::new();
    while let Some((batch, parcels)) = ledger.queue.next_parcels(2).await.unwrap() {
        pieces.push(parcels.into_iter().map(|parcel| (parcel.dt, parcel.rows.len())).collect::<Vec<_>>());
        ledger.queue.delivered(batch).await.unwrap();
    }
    let day = |dt: &str| (dt.to_owned(), 1);
    assert_eq!(pieces, [vec![day("2026-11-01"), day("2026-11-02")], vec![day("2026-11-02")]]);
}

#[tokio::test]
async fn a_transcript_is_due_until_its_outcome_is_final() {
    let ledger = Ledger::new();
    ledger.publish("r1").await;
    ledger.list("not-published", [None; 3]).await;
    let day = jiff::SignedDuration::from_hours(24);
    let due = async |at: Timestamp| ledger.queue.due_transcripts(now() - day, at, 10).await.unwrap();
    let first = due(now()).await;
    assert_eq!((first.len(), first[0].tries, first[0].raw_id.as_str()), (1, 0, "r1"));
    let note = |tries, next_try_at, outcome| TranscriptNote {
        id: RecordingId::parse("r1").unwrap(),
        tries,
        first_try_at: now(),
        next_try_at,
        outcome,
        rows: vec![Parcel { table: "zoom_transcripts".into(), dt: DT.into(), rows: vec!["{}".into()] }],
    };
    let disabled = || note(0, Some(now() + day), Some(TranscriptOutcome::Disabled));
    assert!(ledger.queue.note_transcript(disabled()).await.unwrap());
    assert!(!ledger.queue.note_transcript(disabled()).await.unwrap(), "another process asked at the same time");
    assert_eq!(due(now()).await, []);
    let hour = jiff::SignedDuration::from_hours(1);
    ledger.queue.expect_transcripts(vec![first[0].id.clone()], now() + hour).await.unwrap();
    assert_eq!(due(now() + hour).await.len(), 1, "an event said that it is there");
    let again = due(now() + day).await;
    assert_eq!((again[0].tries, again[0].first_try_at), (1, Some(now())));
    assert_eq!(again[0].told, Some(TranscriptOutcome::Disabled));
    assert!(ledger.queue.note_transcript(note(1, None, Some(TranscriptOutcome::Fetched))).await.unwrap());
    assert!(
        !ledger.queue.note_transcript(note(2, None, Some(TranscriptOutcome::Failed))).await.unwrap(),
        "it is final"
    );
    ledger.queue.expect_transcripts(vec![first[0].id.clone()], now()).await.unwrap();
    assert_eq!(due(now() + day + day).await, []);
    assert_eq!(ledger.take().await.len(), 2);
    assert_eq!(ledger.queue.due_transcripts(now() + day, now() + day, 10).await.unwrap(), []);
}

#[tokio::test]
async fn transcripts_tried_least_are_due_first_and_disabled_ones_at_last() {
    let ledger = Ledger::new();
    for name in ["r1", "r2", "r3"] {
        ledger.publish(name).await;
    }
    for (name, outcome) in [("r1", Some(TranscriptOutcome::Disabled)), ("r2", None)] {
        let id = RecordingId::parse(name).unwrap();
        let (first_try_at, next_try_at) = (now(), Some(now()));
        let note = TranscriptNote { id, tries: 0, first_try_at, next_try_at, outcome, rows: Vec::new() };
        assert!(ledger.queue.note_transcript(note).await.unwrap());
    }
    let due = ledger.queue.due_transcripts(now() - jiff::SignedDuration::from_hours(1), now(), 10).await.unwrap();
    assert_eq!(due.iter().map(|due| due.raw_id.as_str()).collect::<Vec<_>>(), ["r3", "r2", "r1"]);
}

#[tokio::test]
async fn an_older_ledger_is_brought_up_to_date_with_what_its_open_jobs_know() {
    let folder = tempfile::tempdir().unwrap();
    write_ledger_of(2, &folder.path().join("ledger.sqlite"));
    let migrated = Ledger { queue: open(folder.path()), folder };
    let mut asking = leg("e1");
    asking.call_element_id = Some("e-seen".into());
    let joined = (Some("seen".to_owned()), Some("call_element_id".to_owned()));
    assert_eq!(migrated.joined(asking).await, joined);
}
