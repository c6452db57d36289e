//! The state folder is deleted: the lake is what counts.

use std::fs;

use serde_json::{Value, json};

use super::scene::{RUN, assert_nothing_is_left_over, finish, good_clips, workspace, zoom_with_everything};
use crate::support::{Seen, ZoomServer};
use crate::workspace::Workspace;

const GOOD: [&str; 4] = ["a1", "a2", "a3", "a4"];

/// Each recording with the number of its results, and the run that made the current one.
const RESULTS: &str =
    "select recording_id, count(*), count(distinct fingerprint), arg_max(run_id, (transcribed_at, fingerprint))
                       from read_parquet('recordings/**/*.parquet') group by 1 order by 1";

fn lose_state(workspace: &Workspace) {
    fs::remove_dir_all(workspace.path().join("state")).unwrap();
}

/// Requests for audio.
fn downloads(zoom: &ZoomServer) -> usize {
    zoom.requests().iter().filter(|seen: &&Seen| seen.path.contains("/recording/download/")).count()
}

fn run_with(workspace: &Workspace, redo: &str) -> Value {
    workspace.run(&[RUN[0], RUN[1], "--redo", redo, "--format", "json"]).expect_code(0).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_state_is_deleted_nothing_is_downloaded_again_and_no_row_is_added_wherever_the_next_run_is_killed() {
    let zoom = ZoomServer::start(good_clips()).await;
    let workspace = workspace(&zoom);
    workspace.run(&RUN).expect_code(0);
    let lake = workspace.snapshot();
    for killed_after in [None, Some(0), Some(2), Some(3)] {
        lose_state(&workspace);
        if let Some(passed) = killed_after {
            assert!(workspace.dies_at(&RUN, "found-in-lake", passed));
        }
        finish(&workspace);
        assert_eq!(workspace.snapshot(), lake, "{killed_after:?}");
        assert_nothing_is_left_over(&workspace, "the loss of the state");
    }
    assert_eq!(downloads(&zoom), GOOD.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_state_is_deleted_calls_transcripts_and_the_quarantine_are_not_written_again() {
    let zoom = zoom_with_everything().await;
    let workspace = workspace(&zoom);
    workspace.run(&RUN).expect_code(4);
    let (lake, asked, downloaded) = (workspace.snapshot(), zoom.asked("recording_transcript").len(), downloads(&zoom));
    lose_state(&workspace);
    finish(&workspace);
    assert_eq!(workspace.snapshot(), lake);
    assert_eq!(downloads(&zoom), downloaded, "neither a good one nor the one in quarantine");
    let asked_again: Vec<_> =
        zoom.asked("recording_transcript").split_off(asked).into_iter().filter_map(|seen| seen.recording).collect();
    assert!(asked_again.iter().all(|id| id == "a2" || id == "a3"), "{asked_again:?} but a1 and a4 are in the lake");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_state_is_deleted_redo_knows_from_the_lake_what_has_changed_and_which_result_comes_next() {
    let zoom = ZoomServer::start(good_clips()).await;
    let workspace = workspace(&zoom);
    workspace.run(&RUN).expect_code(0);
    let lake = workspace.snapshot();
    lose_state(&workspace);
    let unchanged = run_with(&workspace, "changed");
    assert_eq!((&unchanged["done"], &unchanged["skipped"]), (&json!(0), &json!(4)));
    assert_eq!((workspace.snapshot(), downloads(&zoom)), (lake, GOOD.len()));
    for results in 2..=3 {
        lose_state(&workspace);
        let all = run_with(&workspace, "all");
        assert_eq!((&all["done"], &all["failed"]), (&json!(4), &json!(0)));
        let expected = GOOD.map(|id| vec![json!(id), json!(results), json!(results), all["run_id"].clone()]);
        assert_eq!(workspace.query(RESULTS), expected);
    }
    assert_nothing_is_left_over(&workspace, "--redo all");
}
