use super::*;
use crate::domain::{Channel, FinishedTranscript, Segment, Suppression};
use crate::lake::open::tests::config;
use crate::lake::sample::finished;

/// A recording that says these, a second each.
fn saying(id: &str, texts: &[&str]) -> FinishedTranscript {
    let mut member = finished(id);
    let first = member.transcript.segments[0].clone();
    let said = |(start_ms, text): (i64, &&str)| Segment {
        start_ms,
        end_ms: start_ms + 1_000,
        text: (*text).into(),
        words: Vec::new(),
        ..first.clone()
    };
    member.transcript.segments = (0..).step_by(1_000).zip(texts).map(said).collect();
    member
}

async fn publish(lake: &Lake, members: &[FinishedTranscript]) {
    let fingerprints: Vec<_> = members.iter().map(|member| member.fingerprint.clone()).collect();
    lake.publish(&Lake::plan_batch(&members[0].dt, &fingerprints), members.to_vec()).await.unwrap();
}

fn search(words: &[&str], limit: usize, context: usize) -> Search {
    Search {
        query: Query::parse(words).unwrap(),
        since: "2026-11-01T00:00:00Z".parse().unwrap(),
        until: "2026-11-30T00:00:00Z".parse().unwrap(),
        limit,
        context,
    }
}

/// `id: before | hit | after` of each hit.
fn summary(found: &Found) -> Vec<String> {
    let texts = |lines: &[Line]| lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>().join(" / ");
    let one =
        |hit: &Hit| format!("{}: {} | {} | {}", hit.recording_id, texts(&hit.before), hit.line.text, texts(&hit.after));
    found.hits.iter().map(one).collect()
}

#[tokio::test]
async fn a_hit_has_its_neighbours_of_the_same_recording() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(&config(folder.path(), "UTC")).await.unwrap();
    let mut other = saying("bb", &["two plans", "four", "", "five"]);
    other.transcript.segments[1].suppressed = Some(Suppression::Loop);
    publish(&lake, &[saying("aa", &["one", "two", "a plan"]), other]).await;
    let found = lake.search(search(&["plan"], 9, 1)).await.unwrap();
    assert_eq!(summary(&found), ["bb:  | two plans | five", "aa: two | a plan | "]);
    assert!(!found.has_more);
    let found = lake.search(search(&["plan"], 1, 0)).await.unwrap();
    assert_eq!((summary(&found), found.has_more), (vec!["bb:  | two plans | ".to_owned()], true));
    assert_eq!(lake.search(search(&["four"], 9, 1)).await.unwrap().hits, []);
}

#[tokio::test]
async fn a_word_that_two_segments_of_a_channel_share_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(&config(folder.path(), "UTC")).await.unwrap();
    let mut call = saying("aa", &["来月の請", "はい", "求書です", "以上"]);
    for (segment, channel) in
        call.transcript.segments.iter_mut().zip([Channel::Left, Channel::Right, Channel::Left, Channel::Left])
    {
        segment.channel = channel;
    }
    publish(&lake, &[call, saying("bb", &["請"]), saying("cc", &["求書"])]).await;
    let found = lake.search(search(&["請求書"], 9, 1)).await.unwrap();
    assert_eq!(summary(&found), ["aa:  | 来月の請求書です | はい"]);
    let line = &found.hits[0].line;
    assert_eq!((line.start_ms, line.end_ms), (0, 3_000));
}

#[tokio::test]
async fn only_the_last_result_counts_and_only_in_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(&config(folder.path(), "UTC")).await.unwrap();
    let mut redone = saying("aa", &["the new plan"]);
    redone.fingerprint = finished("zz").fingerprint;
    redone.transcribed_at = "2026-11-09T00:00:00Z".parse().unwrap();
    let mut later = saying("bb", &["a later plan"]);
    later.dt = "2026-11-05".into();
    later.started_at = "2026-11-05T10:00:00Z".parse().unwrap();
    for member in [saying("aa", &["the old plan"]), redone, later] {
        publish(&lake, &[member]).await;
    }
    let found = lake.search(search(&["plan"], 9, 1)).await.unwrap();
    assert_eq!(summary(&found), ["bb:  | a later plan | ", "aa:  | the new plan | "]);
    let until = "2026-11-05T10:00:00Z".parse().unwrap();
    let earlier = lake.search(Search { until, ..search(&["plan"], 9, 1) }).await.unwrap();
    assert_eq!(summary(&earlier), ["aa:  | the new plan | "]);
    assert_eq!(earlier.days.len(), 2);
    let since = "2026-11-06T00:00:00Z".parse().unwrap();
    let none = lake.search(Search { since, ..search(&["plan"], 9, 1) }).await.unwrap();
    assert_eq!((none.hits.len(), none.days), (0, vec![]));
}

#[tokio::test]
async fn many_hits_of_many_recordings_end_at_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(&config(folder.path(), "UTC")).await.unwrap();
    let mut members: Vec<_> = (10..40).map(|number| saying(&format!("{number}"), &["plan"; 3])).collect();
    for (minute, member) in (0..).zip(&mut members) {
        member.started_at += jiff::SignedDuration::from_mins(minute);
    }
    publish(&lake, &members).await;
    let found = lake.search(search(&["plan"], 5, 0)).await.unwrap();
    let ids: Vec<&str> = found.hits.iter().map(|hit| hit.recording_id.as_str()).collect();
    assert_eq!((ids, found.has_more), (vec!["39", "39", "39", "38", "38"], true));
    let all = lake.search(search(&["plan"], 90, 0)).await.unwrap();
    assert_eq!((all.hits.len(), all.has_more), (90, false));
}
