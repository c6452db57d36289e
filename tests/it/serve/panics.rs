//! A bug that shows in the work on one recording is the trouble of that recording.

use serde_json::json;

use super::{ROWS, Serve, completed, once, workspace};
use crate::support::{Clip, ZoomServer};

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_the_work_on_a_recording_costs_it_an_attempt() {
    let zoom = ZoomServer::start(vec![Clip::silent("a1", 20)]).await;
    let mut workspace = workspace(&zoom);
    workspace.failpoint("fetched=1*panic");
    let mut serve = Serve::start(&workspace);
    serve.wait_for_rows(1);
    serve.stop();
    assert_eq!(workspace.query(ROWS), once(&["a1"]));
    let attempts = workspace.query("select attempt from read_parquet('recordings/**/*.parquet')");
    assert_eq!(attempts, [[json!(2)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_whose_work_panics_each_time_is_dead_and_the_others_go_on() {
    let zoom = ZoomServer::start(vec![]).await;
    let mut workspace = workspace(&zoom);
    workspace.set("TRANSCRIBE__QUEUE__MAX_ATTEMPTS", "2").failpoint("fetched=2*panic");
    let mut serve = Serve::start(&workspace);
    zoom.add(Clip::silent("bad", 20));
    assert_eq!(serve.deliver(&completed(&zoom, "bad")).await, 200);
    serve.started.wait_for(&["goes to quarantine"]);
    zoom.add(Clip::silent("good", 30));
    assert_eq!(serve.deliver(&completed(&zoom, "good")).await, 200);
    serve.wait_for_rows(1);
    serve.stop();
    assert_eq!(workspace.query(ROWS), once(&["good"]));
    let dead = "select recording_id, attempts, detail from read_parquet('quarantine/**/*.parquet')";
    assert_eq!(workspace.query(dead), [[json!("bad"), json!(2), json!("panicked")]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_after_the_end_of_a_claim_hides_nothing_that_is_finished() {
    let zoom = ZoomServer::start(vec![Clip::silent("a1", 20)]).await;
    let mut workspace = workspace(&zoom);
    workspace.failpoint("settled=1*panic");
    let mut serve = Serve::start(&workspace);
    serve.wait_for_rows(1);
    serve.stop();
    assert_eq!(workspace.query(ROWS), once(&["a1"]));
}
