//! Compaction by the real binary: one file for each table and closed day, the same rows, also when it is killed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use transcribe::config::{Config, LakeConfig, LakePlace};
use transcribe::domain::FinishedTranscript;
use transcribe::lake::Lake;

use crate::crash::boundaries::COMPACTING;
use crate::transcripts::{finished, segment};
use crate::workspace::{Workspace, read_lake};

async fn open(workspace: &Workspace) -> Lake {
    let config = LakeConfig { place: LakePlace::Folder(workspace.lake()), ..Config::default().lake };
    Lake::open(&config).await.unwrap()
}

fn member(id: &str, dt: &str) -> FinishedTranscript {
    let texts = ["Good morning, Acme support.", "お電話ありがとうございます。", "090 の件です"];
    let segments = (0..).zip(texts).map(|(index, text)| segment(index * 1_000, text)).collect();
    let mut member = finished(id, segments);
    member.started_at = format!("{dt}T01:15:04Z").parse().unwrap();
    member.dt = dt.into();
    member
}

/// Two closed days of three batches each, with two recordings a batch, and one day with a single batch.
async fn lake_of_small_files() -> Workspace {
    let workspace = Workspace::new();
    Box::pin(fill(&workspace)).await;
    workspace
}

/// As [`lake_of_small_files`], in a workspace that is there.
pub(crate) async fn fill(workspace: &Workspace) {
    let lake = open(workspace).await;
    let batch = |day: &'static str, ids: [&'static str; 2]| ids.map(|id| member(id, day));
    let batches = [
        batch("2026-11-02", ["a1", "f2"]),
        batch("2026-11-02", ["c3", "b4"]),
        batch("2026-11-02", ["e5", "d6"]),
        batch("2026-11-03", ["a7", "b8"]),
        batch("2026-11-03", ["c9", "da"]),
        batch("2026-11-03", ["eb", "fc"]),
        batch("2026-11-04", ["ad", "be"]),
    ];
    for members in batches {
        let fingerprints: Vec<_> = members.iter().map(|member| member.fingerprint.clone()).collect();
        let plan = Lake::plan_batch(&members[0].dt, &fingerprints);
        lake.publish(&plan, members.to_vec()).await.unwrap();
    }
}

fn rows(workspace: &Workspace) -> Value {
    read_lake(["rows", workspace.lake().to_str().unwrap()])
}

/// How many files each table has on each day.
pub(crate) fn files(workspace: &Workspace) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for table in ["recordings", "segments", "words"] {
        for day in fs::read_dir(workspace.lake().join(table)).unwrap() {
            let day = day.unwrap().path();
            let name = format!("{table}/{}", day.file_name().unwrap().to_str().unwrap());
            counts.insert(name, fs::read_dir(day).unwrap().count());
        }
    }
    counts
}

#[tokio::test]
async fn a_closed_day_becomes_one_file_of_each_table_with_the_same_rows_in_order() {
    let workspace = Box::pin(lake_of_small_files()).await;
    let before = rows(&workspace);
    let first = workspace.snapshot();
    let done = workspace.run(&["compact", "--format", "json"]).expect_code(0).json();
    assert_eq!(done["days"], json!(["2026-11-02", "2026-11-03"]));
    // Six recordings with three segments of four, one and two words.
    assert_eq!((&done["files_before"], &done["files_after"]), (&json!(18), &json!(6)));
    assert_eq!(done["rows"], json!(2 * (6 + 18 + 42)));
    assert_eq!(rows(&workspace), before);
    assert!(files(&workspace).values().all(|count| *count == 1), "{:?}", files(&workspace));
    let order = workspace.query(
        "select list((recording_id, segment_index) order by file_row_number) = list((recording_id, segment_index) order by
         started_at, recording_id, segment_index)
         from read_parquet('segments/dt=2026-11-02/*.parquet', file_row_number = true)",
    );
    assert_eq!(order, [[json!(true)]]);

    let compacted = workspace.snapshot();
    let single: Vec<_> = first.iter().filter(|(path, _)| path.to_str().unwrap().contains("dt=2026-11-04")).collect();
    assert!(!single.is_empty() && single.iter().all(|(path, state)| compacted.get(*path) == Some(*state)));
    let again = workspace.run(&["compact"]).expect_code(0);
    assert_eq!(again.stdout, "nothing to do: no closed day has several files\n");
    assert_eq!(workspace.snapshot(), compacted);
}

#[tokio::test]
async fn a_day_that_is_not_over_is_left_alone() {
    let workspace = Workspace::new();
    let lake = open(&workspace).await;
    let today = lake.dt(jiff::Timestamp::now());
    for id in ["aa", "bb"] {
        let member = member(id, &today);
        let plan = Lake::plan_batch(&member.dt, std::slice::from_ref(&member.fingerprint));
        lake.publish(&plan, vec![member]).await.unwrap();
    }
    let before = workspace.snapshot();
    workspace.run(&["compact"]).expect_code(0);
    let after = workspace.snapshot();
    assert!(before.iter().all(|(path, state)| after.get(path) == Some(state)));
}

#[tokio::test]
async fn wherever_it_is_killed_every_row_is_there_once_for_who_asks_the_views() {
    for boundary in COMPACTING {
        for passed in [0, 1, 4] {
            let workspace = Box::pin(lake_of_small_files()).await;
            let before = rows(&workspace);
            assert!(workspace.dies_at(&["compact"], boundary, passed), "{boundary} is passed {passed} times");
            let counted = |table: &str| {
                workspace.query(&format!(
                    "select count(*), count(distinct (recording_id, fingerprint, to_json(t)::varchar))
                     from (from read_parquet('{table}/*/*.parquet', filename = true)) t
                     where not exists (from read_parquet('hidden_files/*.parquet') h
                                       where ends_with(t.filename, h.key))"
                ))
            };
            let expected = [("recordings", 14), ("segments", 42), ("words", 98)];
            for (table, expected) in expected {
                let of_one = workspace.query(&format!(
                    "select count(distinct (recording_id, fingerprint)) from read_parquet('{table}/*/*.parquet')"
                ));
                assert_eq!(of_one, [[json!(14)]], "{boundary} {passed} {table}: no recording is ever gone");
                assert_eq!(counted(table)[0][0], json!(expected), "{boundary} {passed} {table}");
            }
            // The program reads as the views do.
            let text = workspace.run(&["export", "c3", "--as", "txt"]).expect_code(0).stdout;
            assert_eq!(text.matches("Good morning").count(), 1, "{text}");

            workspace.run(&["compact"]).expect_code(0);
            assert_eq!(rows(&workspace), before, "{boundary} {passed}");
            assert!(files(&workspace).values().all(|count| *count == 1), "{boundary} {passed}");
        }
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_stops_it_and_loses_nothing() {
    let workspace = Box::pin(lake_of_small_files()).await;
    let day = workspace.lake().join("segments/dt=2026-11-02");
    let damaged: PathBuf = fs::read_dir(&day).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&damaged).unwrap();
    let middle = bytes.len() / 2;
    bytes[4..middle].fill(0);
    fs::write(&damaged, &bytes).unwrap();
    let before: Vec<_> = workspace.snapshot().into_keys().filter(|path| path.starts_with(&day)).collect();
    let stopped = workspace.run(&["compact"]).expect_code(5);
    assert!(stopped.stderr.contains("segments/dt=2026-11-02"), "{}", stopped.stderr);
    let after: Vec<_> = workspace.snapshot().into_keys().filter(|path| path.starts_with(&day)).collect();
    assert_eq!(after, before);
}

#[tokio::test]
async fn files_of_older_versions_get_the_columns_of_today_when_asked() {
    let workspace = Box::pin(lake_of_small_files()).await;
    let path = fs::read_dir(workspace.lake().join("segments/dt=2026-11-04")).unwrap().next().unwrap().unwrap().path();
    read_lake(["without_columns", path.to_str().unwrap(), "confidence,objections"]);
    workspace.run(&["compact"]).expect_code(0);
    let columns = |workspace: &Workspace| {
        let described = read_lake(["describe", workspace.lake().to_str().unwrap(), "segments/dt=2026-11-04/*.parquet"]);
        described.as_array().unwrap().len()
    };
    let all = columns(&workspace) + 2;
    workspace.run(&["compact", "--rewrite-schema"]).expect_code(0);
    assert_eq!(columns(&workspace), all);
    let rows = workspace
        .query("select count(*), count(confidence), count(text) from read_parquet('segments/dt=2026-11-04/*.parquet')");
    assert_eq!(rows, [[json!(6), json!(0), json!(6)]]);
    let again = workspace.run(&["compact", "--rewrite-schema"]).expect_code(0);
    assert_eq!(again.stdout, "nothing to do: no closed day has several files\n");
}
