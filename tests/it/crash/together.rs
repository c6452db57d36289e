//! Two processes in one workspace: started together, one of them killed, one of them stopped for a while.

use std::fs;

use serde_json::json;

use super::scene::{HELLO, RUN, assert_nothing_is_left_over, clip, finish, workspace};
use crate::started::Started;
use crate::support::ZoomServer;
use crate::workspace::Workspace;

const ROWS: &str = "select count(*), count(distinct recording_id) from read_parquet('recordings/**/*.parquet')";

/// So many recordings, and a workspace whose engine is slow as long as the file is there.
async fn slow(recordings: usize) -> (ZoomServer, Workspace, Vec<String>) {
    let ids: Vec<String> = (1..=recordings).map(|number| format!("c{number:02}")).collect();
    let zoom = ZoomServer::start(ids.iter().map(|id| clip(id, 0, HELLO)).collect()).await;
    let mut workspace = workspace(&zoom);
    workspace.set("SCRIPTED_SLOW_MS", "0..60000");
    let be_slow = workspace.path().join("be-slow").display().to_string();
    fs::write(&be_slow, "").unwrap();
    workspace.set("SCRIPTED_WHILE", be_slow);
    (zoom, workspace, ids)
}

fn be_quick(workspace: &Workspace) {
    fs::remove_file(workspace.path().join("be-slow")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_once_share_the_recordings_and_leave_no_row_twice_and_no_lock_behind() {
    let (zoom, workspace, ids) = slow(12).await;
    let mut runs = [Started::run(&workspace, &RUN), Started::run(&workspace, &RUN)];
    for run in &mut runs {
        run.wait_for(&["recording claimed"]);
    }
    // Each has work in hand now.
    be_quick(&workspace);
    let ends = runs.map(|run| std::thread::spawn(|| run.end())).map(|end| end.join().unwrap());
    for end in ends {
        assert_eq!(end.code, Some(0), "{}", end.said);
    }
    for id in &ids {
        assert_eq!(zoom.downloads_of(id), 1, "{id}");
    }
    assert_eq!(workspace.query(ROWS), [[json!(12), json!(12)]]);
    assert_nothing_is_left_over(&workspace, "two runs at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_takes_over_the_recordings_of_one_that_is_killed_beside_it() {
    let (_zoom, mut workspace, _ids) = slow(6).await;
    workspace.set("TRANSCRIBE__QUEUE__LEASE", "1s");
    let mut killed = Started::run(&workspace, &RUN);
    killed.wait_for(&["audio fetched"]);
    let mut survivor = Started::run(&workspace, &RUN);
    survivor.wait_for(&["audio fetched"]);
    killed.signal("KILL");
    assert_eq!(killed.end().code, None);
    be_quick(&workspace);
    let survivor = survivor.end();
    assert_eq!(survivor.code, Some(0), "{}", survivor.said);
    assert!(survivor.said.contains("took back recordings of a process that ended"), "{}", survivor.said);
    assert_eq!(workspace.query(ROWS), [[json!(6), json!(6)]]);
    // The audio that the killed one had spooled goes with the next run.
    finish(&workspace);
    assert_nothing_is_left_over(&workspace, "a kill beside a run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_stopped_until_others_did_its_work_settles_nothing_and_doubles_nothing() {
    let (zoom, workspace, ids) = slow(2).await;
    let mut stopped = Started::run(&workspace, &RUN);
    for _recording in &ids {
        stopped.wait_for(&["audio fetched"]);
    }
    let ledger = rusqlite::Connection::open(workspace.path().join("state/ledger.sqlite")).unwrap();
    stopped.stop_outside_of_transactions(&ledger);
    be_quick(&workspace);
    // Its leases have run out.
    let claims = ledger.execute("UPDATE jobs SET lease_until_ms = 0 WHERE state = 'claimed'", []).unwrap();
    assert_eq!(claims, 2);
    drop(ledger);
    workspace.run(&RUN).expect_code(0);
    assert_eq!(workspace.query(ROWS), [[json!(2), json!(2)]]);
    let rows_of_calls = |workspace: &Workspace| {
        let mut files = workspace.snapshot();
        files.retain(|path, _| !path.starts_with(workspace.lake().join("runs")));
        files
    };
    let before = rows_of_calls(&workspace);

    stopped.signal("CONT");
    let stopped = stopped.end();
    assert_eq!(stopped.code, Some(0), "{}", stopped.said);
    assert_eq!(stopped.said.matches("another process took the recording over").count(), 2, "{}", stopped.said);
    assert!(!stopped.said.contains(" published"), "{}", stopped.said);
    finish(&workspace);
    assert_eq!(rows_of_calls(&workspace), before);
    assert_eq!(workspace.query("select sum(done)::int from read_parquet('runs/**/*.parquet')"), [[json!(2)]]);
    for id in &ids {
        assert_eq!(zoom.downloads_of(id), 2, "once for each of the two");
    }
    assert_nothing_is_left_over(&workspace, "a late twin");
}
