//! Who is to blame for a crash: a recording that the engine dies of each time it is decoded alone, and nobody else.

use serde_json::{Value, json};

use super::scene::{COUNTING, FOX, HELLO, RUN, assert_nothing_is_left_over, clip, finish, workspace};
use crate::support::ZoomServer;
use crate::workspace::Workspace;

const SIX: [&str; 6] =
    [HELLO, FOX, COUNTING, "speech/es_conteo.mp3", "speech/fr_pangrama.mp3", "speech/it_pangrama.mp3"];
const DIR: [&str; 4] = ["--dir", "calls", "--format", "json"];
const TEXTS: &str = "select text from read_parquet('recordings/**/*.parquet')";
const DONE: &str = "select count(*), count(distinct recording_id) from read_parquet('recordings/**/*.parquet')";

/// Six recordings in a folder, for a scripted engine that misbehaves like this.
fn six(script: &[(&str, &str)]) -> Workspace {
    let mut workspace = Workspace::new();
    workspace.with_scripted_engine(script);
    workspace.folder_of("calls", &SIX);
    workspace
}

/// The lengths of the windows in milliseconds, as the scripted engine saw them: one window a recording.
fn window_lengths(workspace: &Workspace) -> Vec<u64> {
    let length = |row: &Vec<Value>| row[0].as_str().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    workspace.query(TEXTS).iter().map(length).collect()
}

fn quarantine_exists(workspace: &Workspace) -> bool {
    workspace.lake().join("quarantine").exists()
}

#[test]
fn the_one_recording_that_crashes_the_engine_is_quarantined_and_the_five_beside_it_are_done_in_the_same_run() {
    let healthy = six(&[]);
    healthy.run(&DIR).expect_code(0);
    let mut lengths = window_lengths(&healthy);
    lengths.sort_unstable();
    let culprit = lengths[5];
    assert!(lengths[4] < culprit, "two recordings are equally long: {lengths:?}");
    let mut workspace = six(&[("SCRIPTED_CRASH_MS", &format!("{culprit}..{}", culprit + 1))]);
    // Three in flight at a time, so that the culprit has company.
    workspace.set("TRANSCRIBE__STT__WORKERS", "2");
    let summary = workspace.run(&DIR).expect_code(4).json();
    assert_eq!((&summary["done"], &summary["failed"], &summary["waiting"]), (&json!(5), &json!(1), &json!(0)));
    let quarantine = workspace.query("select stage, reason from read_parquet('quarantine/**/*.parquet')");
    assert_eq!(quarantine, [[json!("stt"), json!("engine_crash")]]);
    let mut done = window_lengths(&workspace);
    done.sort_unstable();
    assert_eq!(done, lengths[..5]);
    assert_nothing_is_left_over(&workspace, "five of six");
}

#[test]
fn an_engine_that_crashes_at_everything_blames_nobody_and_a_healthy_one_finishes_later() {
    let mut workspace = six(&[("SCRIPTED_CRASH_ALWAYS", "1")]);
    let summary = workspace.run(&DIR).expect_code(5).json();
    assert_eq!((&summary["done"], &summary["failed"], &summary["waiting"]), (&json!(0), &json!(0), &json!(6)));
    let troubles = summary["troubles"].to_string();
    assert!(troubles.contains("dies of anything on this machine"), "{troubles}");
    assert!(!quarantine_exists(&workspace), "somebody was blamed");
    workspace.unset("SCRIPTED_CRASH_ALWAYS");
    let summary = workspace.run(&DIR).expect_code(0).json();
    assert_eq!((&summary["done"], &summary["failed"]), (&json!(6), &json!(0)));
    assert!(!quarantine_exists(&workspace));
    assert_nothing_is_left_over(&workspace, "a broken engine");
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_that_were_in_flight_at_one_kill_after_the_other_are_never_quarantined() {
    let clips = ["b1", "b2", "b3", "b4", "b5", "b6"].map(|id| clip(id, 0, HELLO));
    let zoom = ZoomServer::start(clips.into()).await;
    let workspace = workspace(&zoom);
    // Nothing is finished before these four: each has been in flight at each death, for all that is known.
    for kill in 1..=4 {
        assert!(workspace.dies_at(&RUN, "fetched", 0), "kill {kill}");
    }
    // From now on a run finishes a recording or two before it is killed.
    let mut kills = 4;
    while workspace.dies_at(&RUN, "fetched", 2) {
        kills += 1;
        assert!(kills < 20, "the killed runs get nowhere");
    }
    assert!(kills >= 6, "{kills}");
    finish(&workspace);
    assert!(!quarantine_exists(&workspace), "an innocent recording was blamed after {kills} kills");
    assert_eq!(workspace.query(DONE), [[json!(6), json!(6)]]);
    assert_nothing_is_left_over(&workspace, "kills");
}
