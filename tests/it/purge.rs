//! Forgetting by the real binary: rows and numbers are gone everywhere, others are as they were, and nothing comes back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::crash::boundaries::{COMPACTING, PURGING};
use crate::support::{Clip, ZoomServer};
use crate::workspace::{Workspace, cached};

const TARGET: &str = "+81355500123";
const OTHER: &str = "+81355500999";
const RUN: [&str; 2] = ["--since", "7d"];
const PURGE: [&str; 6] = ["purge", "--phone", "03-5550-0123", "--yes", "--format", "json"];
const TABLES: [&str; 9] = [
    "recordings",
    "segments",
    "words",
    "quarantine",
    "zoom_transcripts",
    "zoom_segments",
    "call_history",
    "call_events",
    "tombstones",
];

fn clip(id: &str, days_ago: i64, number: &str) -> Clip {
    let started_at = Timestamp::now() - SignedDuration::from_hours(24 * days_ago + 2);
    let clip = Clip::new(id, cached("fixtures/speech/en_hello_world.mp3")).started_at(started_at);
    clip.with("caller_number", json!(number)).with("call_id", json!(format!("74{id}")))
}

/// Two recordings of the number, on two days, and two of another; calls of both without any recording; a transcript by
/// Zoom of another's call in which the number is said.
async fn zoom() -> ZoomServer {
    let clips = [("a1", 0, TARGET), ("a2", 1, TARGET), ("b1", 0, OTHER), ("b2", 3, OTHER)];
    let zoom = ZoomServer::start(clips.map(|(id, days_ago, number)| clip(id, days_ago, number)).into()).await;
    let at = |seconds: i64| {
        (Timestamp::now() - SignedDuration::from_hours(26) + SignedDuration::from_secs(seconds)).to_string()
    };
    for (history_id, number) in [("missed1", "0355500123"), ("missed2", OTHER)] {
        let call = json!({"call_history_uuid": history_id, "call_id": format!("99{history_id}"), "direction": "inbound",
                          "call_result": "no_answer", "start_time": at(0), "end_time": at(9), "duration": 9,
                          "caller_did_number": number, "caller_name": "Example Caller"});
        zoom.history(|history| history.call_history.push(call));
    }
    let line =
        json!({"ts": "00:00:00.780", "end_ts": "00:00:02.580", "text": "Ring 03-5550-0123, please.", "userId": "803"});
    let transcript = json!({"type": "zoom_transcript", "ver": 1, "timeline": [line]});
    zoom.set_transcript("b1", transcript.to_string());
    zoom
}

fn workspace(zoom: &ZoomServer) -> Workspace {
    let mut workspace = Workspace::against(zoom.environment());
    workspace.with_scripted_engine(&[]);
    for (name, value) in [
        ("TRANSCRIBE__ZOOM__HISTORY", "true"),
        ("TRANSCRIBE__ZOOM__TRANSCRIPTS", "true"),
        ("TRANSCRIBE__ZOOM__PLAN", "business"),
        ("TRANSCRIBE__ZOOM__RATE_SHARE", "1"),
        ("TRANSCRIBE__PRIVACY__REGION", "JP"),
    ] {
        workspace.set(name, value);
    }
    workspace
}

/// A lake with everything of [`zoom`].
async fn filled() -> (ZoomServer, Workspace) {
    let zoom = zoom().await;
    let workspace = workspace(&zoom);
    workspace.run(&RUN).expect_code(0);
    assert_eq!(ids(&workspace), ["a1", "a2", "b1", "b2"]);
    (zoom, workspace)
}

fn ids(workspace: &Workspace) -> Vec<String> {
    let rows = workspace.query("select distinct recording_id from read_parquet('recordings/*/*.parquet') order by 1");
    rows.into_iter().map(|row| row[0].as_str().unwrap().to_owned()).collect()
}

fn tables(workspace: &Workspace) -> Vec<&'static str> {
    let is_there = |table: &&str| {
        glob::glob(&format!("{}/{table}/*/*.parquet", workspace.lake().display())).unwrap().next().is_some()
    };
    TABLES.into_iter().filter(is_there).collect()
}

/// Every row of the tables, tombstones aside.
fn rows(workspace: &Workspace) -> BTreeMap<&'static str, Vec<String>> {
    let all = |table: &'static str| {
        let sql = format!("select to_json(t)::varchar r from read_parquet('{table}/*/*.parquet') t order by r");
        let rows = workspace.query(&sql).into_iter();
        (table, rows.map(|row| row[0].as_str().unwrap().to_owned()).collect())
    };
    tables(workspace).into_iter().filter(|table| *table != "tombstones").map(all).collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Where the number stands, in any of its forms: in bytes of files, or in values of the lake.
fn traces(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    let mut all = Vec::new();
    files(&workspace.lake(), &mut all);
    files(&workspace.path().join("state"), &mut all);
    for path in all {
        let bytes = fs::read(&path).unwrap();
        for form in [TARGET, "0355500123", "81355500123", "03-5550-0123", "3-5550-0123", "355500123"] {
            if bytes.windows(form.len()).any(|window| window == form.as_bytes()) {
                found.push(format!("{form} in {}", path.display()));
            }
        }
    }
    for table in tables(workspace) {
        let sql = format!(
            "select count(*) from read_parquet('{table}/*/*.parquet') t
             where regexp_replace(to_json(t)::varchar, '[^0-9]', '', 'g') like '%355500123%'"
        );
        if workspace.query(&sql) != [[json!(0)]] {
            found.push(format!("a row of {table}"));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_number_is_purged_it_is_in_no_byte_and_others_are_as_they_were() {
    let (zoom, workspace) = filled().await;
    assert!(!traces(&workspace).is_empty());
    let (before, was) = (rows(&workspace), workspace.snapshot());
    let done = workspace.run(&PURGE).expect_code(0);
    assert_eq!(done.json()["recordings"], json!(2), "{}", done.stdout);
    assert_eq!(done.json()["masked_rows"], json!(1), "{}", done.stdout);
    assert!(!format!("{}{}", done.stdout, done.stderr).contains("5550"), "{}", done.stderr);
    assert_eq!(traces(&workspace), Vec::<String>::new());
    assert_eq!(ids(&workspace), ["b1", "b2"]);

    let masked = |rows: &String| rows.replace("Ring 03-5550-0123, please.", "Ring [PHONE], please.");
    let is_others = |row: &String| !["\"a1\"", "\"a2\"", "missed1"].iter().any(|id| row.contains(id));
    for (table, rows) in rows(&workspace) {
        let expected: Vec<String> = before[table].iter().filter(|row| is_others(row)).map(masked).collect();
        assert_eq!(rows, expected, "{table}");
    }
    // Only files that held such rows were written anew.
    let is = workspace.snapshot();
    let day_of_b2 = |path: &&PathBuf| {
        let dt = (Timestamp::now() - SignedDuration::from_hours(74)).strftime("dt=%Y-%m-%d").to_string();
        path.to_string_lossy().contains(&dt)
    };
    let untouched: Vec<_> = was.keys().filter(day_of_b2).collect();
    assert!(!untouched.is_empty() && untouched.iter().all(|path| was[*path] == is[*path]), "{untouched:?}");
    let stones = workspace.query("select recording_id, reason from read_parquet('tombstones/*/*.parquet') where recording_id is not null order by 1");
    assert_eq!(stones, [[json!("a1"), json!("phone")], [json!("a2"), json!("phone")]]);

    // The next sweep brings nothing back, nor does an order to do it anew, nor the loss of the ledger.
    let forgotten = rows(&workspace);
    let again: [&[&str]; 3] = [&RUN, &["--since", "7d", "--redo", "all", "--recording", "a1"], &["retry", "a1"]];
    for (arguments, code) in again.into_iter().zip([0, 0, 4]) {
        let outcome = workspace.run(arguments).expect_code(code);
        assert!(outcome.stdout.contains("purged"), "{}", outcome.stdout);
    }
    fs::remove_dir_all(workspace.path().join("state")).unwrap();
    workspace.run(&RUN).expect_code(0);
    assert_eq!(rows(&workspace), forgotten);
    assert_eq!((zoom.downloads_of("a1"), zoom.downloads_of("a2")), (1, 1));
    assert_eq!(traces(&workspace), Vec::<String>::new());
    let compared = workspace.run(&["reconcile", "--since", "7d", "--format", "json"]).expect_code(0);
    assert!(compared.stdout.contains("\"purged\""), "{}", compared.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_a_purge_is_killed_the_same_command_or_the_next_run_ends_it() {
    let (_zoom, filled) = filled().await;
    let undisturbed = filled.copy();
    undisturbed.run(&PURGE).expect_code(0);
    let expected = rows(&undisturbed);
    for boundary in PURGING.iter().chain(COMPACTING) {
        for passed in [0, 2] {
            let workspace = filled.copy();
            let is_killed = workspace.dies_at(&PURGE, boundary, passed);
            assert!(is_killed || passed > 0, "no purge passes {boundary}");
            if !is_killed {
                continue;
            }
            let by_a_run = workspace.copy();
            let by_a_new_ledger = workspace.copy();
            workspace.run(&PURGE).expect_code(0);
            assert_eq!(rows(&workspace), expected, "{boundary} {passed}");
            assert_eq!(traces(&workspace), Vec::<String>::new(), "{boundary} {passed}");
            by_a_run.run(&RUN).expect_code(0);
            assert_eq!(ids(&by_a_run), ids(&undisturbed), "{boundary} {passed}");
            let unended = rusqlite::Connection::open(by_a_run.path().join("state/ledger.sqlite")).unwrap();
            let unended: i64 = unended.query_row("select sum(unended) from tombstones", [], |row| row.get(0)).unwrap();
            assert_eq!(unended, 0, "{boundary} {passed}");
            if tables(&by_a_new_ledger).contains(&"tombstones") {
                fs::remove_dir_all(by_a_new_ledger.path().join("state")).unwrap();
                by_a_new_ledger.run(&RUN).expect_code(0);
                assert_eq!(ids(&by_a_new_ledger), ids(&undisturbed), "{boundary} {passed}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_a_call_and_everything_before_a_day_go_and_a_plan_changes_nothing() {
    let (_zoom, filled) = filled().await;
    let before = rows(&filled);
    let planned = filled.run(&["purge", "--recording", "a1", "--plan"]).expect_code(0);
    assert!(planned.stdout.starts_with("1 recordings"), "{}", planned.stdout);
    assert_eq!(rows(&filled), before);
    let refused = filled.run(&["purge", "--recording", "a1"]).expect_code(2);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    filled.run(&["purge", "--phone", "803", "--yes"]).expect_code(2);
    filled.run(&["purge", "--yes"]).expect_code(2);
    let cases: [(&[&str], &[&str]); 3] = [
        (&["--recording", "A1", "b2"], &["a2", "b1"]),
        (&["--call", "74a2"], &["a1", "b1", "b2"]),
        (&["--before", "60h"], &["a1", "a2", "b1"]),
    ];
    for (what, left) in cases {
        let workspace = filled.copy();
        workspace.run(&[&["purge", "--yes"], what].concat()).expect_code(0);
        assert_eq!(ids(&workspace), left, "{what:?}");
        workspace.run(&RUN).expect_code(0);
        assert_eq!(ids(&workspace), left, "{what:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sweep_purges_what_is_older_than_its_retention() {
    let (_zoom, mut workspace) = filled().await;
    workspace.set("TRANSCRIBE__PRIVACY__TRANSCRIPT_RETENTION", "2d");
    workspace.run(&["--since", "1h"]).expect_code(0);
    assert_eq!(ids(&workspace), ["a1", "a2", "b1"]);
    let reasons = workspace.query("select distinct reason from read_parquet('tombstones/*/*.parquet')");
    assert_eq!(reasons, [[json!("retention")]]);
    let lake = workspace.snapshot();
    workspace.run(&["--since", "1h"]).expect_code(0);
    assert_eq!(workspace.snapshot(), lake, "nothing is due, nothing is touched");
    workspace.set("TRANSCRIBE__PRIVACY__TRANSCRIPT_RETENTION", "soon");
    let bad = workspace.run(&RUN).expect_code(3);
    assert!(bad.stderr.contains("privacy.transcript_retention"), "{}", bad.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn audio_stays_as_long_as_it_may_and_that_of_the_dead_a_week() {
    let good = clip("a1", 0, TARGET);
    let zoom = ZoomServer::start(vec![good, Clip::new("bad", cached("fixtures/edge/corrupt_middle.mp3"))]).await;
    let mut workspace = workspace(&zoom);
    workspace.set("TRANSCRIBE__PRIVACY__AUDIO_RETENTION", "1d");
    let _some_may_fail = workspace.run(&RUN);
    let kept = || {
        let mut all = Vec::new();
        files(&workspace.path().join("state/audio"), &mut all);
        all.sort();
        all
    };
    let first = kept();
    assert!(first.iter().any(|path| path.to_string_lossy().contains("done-a1.")), "{first:?}");
    for path in &first {
        let old = SystemTime::now() - Duration::from_secs(25 * 3_600);
        fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
    }
    workspace.run(&["--since", "1h"]);
    assert!(kept().iter().all(|path| path.to_string_lossy().contains("dead-")), "{:?}", kept());
    let spool: Vec<_> = fs::read_dir(workspace.path().join("state/spool")).into_iter().flatten().collect();
    assert!(spool.is_empty(), "{spool:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hashes_join_calls_of_one_number_and_a_bad_key_is_refused() {
    let zoom =
        ZoomServer::start(vec![clip("a1", 0, TARGET), clip("a2", 1, "03-5550-0123"), clip("b1", 0, OTHER)]).await;
    let mut workspace = workspace(&zoom);
    let key = workspace.path().join("hash.key");
    workspace.set("TRANSCRIBE__PRIVACY__HASH_KEY_FILE", key.display().to_string());
    let missing = workspace.run(&RUN).expect_code(3);
    assert!(missing.stderr.contains("privacy.hash_key_file"), "{}", missing.stderr);
    fs::write(&key, "short\n").unwrap();
    let short = workspace.run(&RUN).expect_code(3);
    assert!(short.stderr.contains("32 bytes") && !short.stderr.contains("short\n"), "{}", short.stderr);
    fs::write(&key, format!("{}\n", "k".repeat(32))).unwrap();
    workspace.run(&RUN).expect_code(0);
    let joined = workspace.query(
        "select count(*), count(distinct caller_number_hash), min(length(caller_number_hash))
         from read_parquet('recordings/*/*.parquet')",
    );
    assert_eq!(joined, [[json!(3), json!(2), json!(64)]]);
    let of_one: Vec<Vec<Value>> = workspace.query(
        "select list(recording_id order by recording_id)::varchar from read_parquet('recordings/*/*.parquet')
         group by caller_number_hash order by 1",
    );
    assert_eq!(of_one, [[json!("[a1, a2]")], [json!("[b1]")]]);
}
