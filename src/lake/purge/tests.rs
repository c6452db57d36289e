use std::collections::BTreeSet;

use super::*;
use crate::domain::{Departed, FinishedTranscript, PurgeReason, RecordingId, Tombstone};
use crate::lake::open::tests::config;
use crate::lake::sample::finished;
use crate::privacy::Region;

const DT: &str = "2026-11-02";

fn number() -> WantedNumber {
    WantedNumber::parse("03-5550-0123", Region::from_code("JP").unwrap()).unwrap()
}

/// Two recordings of one call and one of another, in which the number of the first is said.
async fn lake(folder: &std::path::Path) -> Lake {
    let lake = Lake::open(&config(folder, "UTC")).await.unwrap();
    let mut members: Vec<FinishedTranscript> = ["aa", "bb", "cc"].map(finished).into();
    for (member, call) in members.iter_mut().zip(["c1", "c1", "c2"]) {
        member.recording.call_id = Some(call.into());
        member.recording.caller.number = None;
        member.recording.callee.number = None;
    }
    members[0].recording.caller.number = Some("+81355500123".into());
    let mention = &mut members[2].transcript.segments[0];
    mention.text = "ring 03-5550-0123".into();
    let fingerprints: Vec<_> = members.iter().map(|member| member.fingerprint.clone()).collect();
    lake.publish(&Lake::plan_batch(DT, &fingerprints), members).await.unwrap();
    lake
}

async fn left(lake: &Lake) -> Vec<String> {
    let rows = lake.published_ids(&[DT.to_owned()]).await.unwrap();
    rows.into_iter().map(|row| row.recording_id.as_str().to_owned()).collect()
}

async fn tracked(lake: &Lake, quarry: &Quarry) -> Erasure {
    let mut known = quarry.erasure();
    while lake.track(quarry, &mut known).await.unwrap() {}
    known
}

fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[tokio::test]
async fn a_number_leads_to_every_recording_of_its_calls_and_is_masked_in_others() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake(folder.path()).await;
    let quarry = Quarry { numbers: vec![number()], whole_calls: true, ..Quarry::default() };
    let erasure = tracked(&lake, &quarry).await;
    assert_eq!(erasure.recordings, set(&["aa", "bb"]));
    assert!(erasure.calls.contains("c1") && !erasure.calls.contains("c2"));
    let counted = lake.count_erasure(&erasure).await.unwrap();
    let lock = lake.lock().await.unwrap();
    let erased = lake.erase(&erasure, &lock).await.unwrap();
    assert_eq!(erased, counted);
    assert!(erased.masked > 0 && erased.rows > 2, "{erased:?}");
    assert_eq!(left(&lake).await, ["cc"]);
    let wanted = BTreeSet::from([RecordingId::parse("cc").unwrap()]);
    let text = lake.texts(DT, &wanted).await.unwrap().pop_first().unwrap().1.text;
    assert!(text.contains("ring [PHONE]"), "{text}");
    assert_eq!(lake.erase(&erasure, &lock).await.unwrap(), Erased::default(), "again changes nothing");
}

#[tokio::test]
async fn a_recording_goes_alone_and_what_began_before_goes_whatever_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake(folder.path()).await;
    let quarry = Quarry { recordings: set(&["aa"]), ..Quarry::default() };
    let erasure = tracked(&lake, &quarry).await;
    assert_eq!(erasure.recordings, set(&["aa"]));
    assert!(erasure.calls.contains("c1"));
    let lock = lake.lock().await.unwrap();
    lake.erase(&erasure, &lock).await.unwrap();
    assert_eq!(left(&lake).await, ["bb", "cc"]);

    let before = "2026-11-03T00:00:00Z".parse().unwrap();
    assert!(lake.has_older(before).await.unwrap());
    let erasure = tracked(&lake, &Quarry { before: Some(before), ..Quarry::default() }).await;
    lake.erase(&erasure, &lock).await.unwrap();
    assert_eq!(left(&lake).await, Vec::<String>::new());
    assert!(!lake.has_older(before).await.unwrap());
}

#[tokio::test]
async fn tombstones_are_read_back_as_they_were_set_and_each_file_once() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(&config(folder.path(), "UTC")).await.unwrap();
    let purged_at = "2026-11-10T12:00:00Z".parse().unwrap();
    let stone = |of| Tombstone { of, purged_at, reason: PurgeReason::Phone };
    let stones =
        vec![stone(Departed::Recording(RecordingId::parse("aa").unwrap())), stone(Departed::Call("c1".into()))];
    lake.write_tombstones(stones.clone()).await.unwrap();
    lake.write_tombstones(stones.clone()).await.unwrap();
    lake.write_tombstones(Vec::new()).await.unwrap();
    let mut found = lake.tombstones_beside(&BTreeSet::new()).await.unwrap();
    assert_eq!(found.len(), 1);
    let (file, mut read) = found.remove(0);
    read.sort();
    let mut expected = stones;
    expected.sort();
    assert_eq!(read, expected);
    assert!(lake.tombstones_beside(&BTreeSet::from([file])).await.unwrap().is_empty());
}
