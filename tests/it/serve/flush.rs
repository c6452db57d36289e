//! When what is finished becomes rows.

use serde_json::{Value, json};

use super::{ROWS, Serve, completed, once, workspace};
use crate::support::{Clip, ZoomServer};
use crate::workspace::Workspace;

/// As [`completed`], of a call three days ago.
fn completed_late(zoom: &ZoomServer, id: &str) -> Value {
    let mut event = completed(zoom, id);
    let ended = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(72);
    let recording = &mut event["payload"]["object"]["recordings"][0];
    recording["date_time"] = json!((ended - jiff::SignedDuration::from_secs(2)).to_string());
    recording["end_time"] = json!(ended.to_string());
    event
}

fn flush_every(workspace: &Workspace, duration: &str) {
    let file = workspace.path().join("pipeline.toml");
    std::fs::write(file, format!("[lake]\nflush_every = \"{duration}\"\n")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_call_waits_its_time_also_when_a_fresh_one_is_published_meanwhile() {
    let zoom = ZoomServer::start(vec![]).await;
    let workspace = workspace(&zoom);
    flush_every(&workspace, "5s");
    let mut serve = Serve::start(&workspace);
    for (id, event) in [("old", completed_late(&zoom, "old")), ("fresh", completed(&zoom, "fresh"))] {
        zoom.add(Clip::silent(id, 20));
        assert_eq!(serve.deliver(&event).await, 200);
        serve.started.wait_for(&[" transcribed"]);
    }
    serve.wait_for_rows(2);
    serve.stop();
    assert_eq!(workspace.query(ROWS), once(&["fresh", "old"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_published_when_a_hang_up_makes_the_wait_shorter() {
    let zoom = ZoomServer::start(vec![]).await;
    let workspace = workspace(&zoom);
    flush_every(&workspace, "1d");
    let mut serve = Serve::start(&workspace);
    zoom.add(Clip::silent("old", 20));
    assert_eq!(serve.deliver(&completed_late(&zoom, "old")).await, 200);
    serve.started.wait_for(&[" transcribed"]);
    flush_every(&workspace, "0s");
    serve.started.signal("HUP");
    serve.wait_for_rows(1);
    serve.stop();
    assert_eq!(workspace.query(ROWS), once(&["old"]));
}
