//! From events to rows.

use serde_json::json;

use super::{ROWS, Serve, completed, once, workspace};
use crate::support::{Clip, EventServer, ZoomServer};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_listed_and_what_an_event_tells_become_rows_and_a_stop_ends_in_order() {
    let zoom = ZoomServer::start(vec![Clip::silent("a1", 20)]).await;
    let workspace = workspace(&zoom);
    let mut serve = Serve::start(&workspace);
    serve.wait_for_rows(1);
    zoom.add(Clip::silent("b2", 30));
    let listings = zoom.listings().len();
    assert_eq!(serve.deliver(&completed(&zoom, "b2")).await, 200);
    serve.wait_for_rows(2);
    assert_eq!(zoom.listings().len(), listings, "an event needs no listing");
    serve.stop();
    assert_eq!(workspace.query(ROWS), once(&["a1", "b2"]));
    let names =
        workspace.query("select caller_name from read_parquet('recordings/**/*.parquet') where recording_id = 'b2'");
    assert_eq!(names, [[json!("山田 太郎")]]);
    let runs = "select trigger, sum(done) from read_parquet('runs/**/*.parquet') group by 1 order by 1";
    assert_eq!(workspace.query(runs), [[json!("events"), json!(2)], [json!("schedule"), json!(0)]]);
    assert_eq!(workspace.run(&["--since", "7d", "--format", "json"]).expect_code(0).json()["done"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_of_one_recording_are_one_row_however_it_is_written() {
    let zoom = ZoomServer::start(vec![]).await;
    let workspace = workspace(&zoom);
    let mut serve = Serve::start(&workspace);
    let id = "0f3a5c7e9b1d4f6a8c0e2d4b6f8a1c3e";
    zoom.add(Clip::silent(id, 20));
    let event = completed(&zoom, id);
    let mut copy = event.clone();
    copy["event"] = json!("phone.recording_completed_for_access_member");
    copy["payload"]["object"]["recordings"][0]["user_id"] = json!("somebody");
    let mut dashed = event.clone();
    dashed["payload"]["object"]["recordings"][0]["id"] = json!("0F3A5C7E-9B1D-4F6A-8C0E-2D4B6F8A1C3E");
    for event in [&event, &copy, &dashed, &event] {
        assert_eq!(serve.deliver(event).await, 200);
    }
    serve.wait_for_rows(1);
    assert_eq!(serve.deliver(&copy).await, 200);
    serve.stop();
    assert_eq!(workspace.query(ROWS), once(&[id]));
    assert_eq!(zoom.downloads_of(id), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_whose_event_was_lost_with_the_websocket_is_found_by_the_sweep_after_it() {
    let zoom = ZoomServer::start(vec![]).await;
    let mut events = EventServer::start().await;
    let mut workspace = workspace(&zoom);
    workspace.set("TRANSCRIBE__TRIGGER__WEBSOCKET__ENABLED", "true");
    workspace.set("TRANSCRIBE__TRIGGER__WEBSOCKET__URL", events.url());
    workspace.set("TRANSCRIBE__TRIGGER__WEBSOCKET__GRANT", "account_credentials");
    let mut serve = Serve::start(&workspace);
    let mut line = events.next().await;
    line.open().await;
    zoom.add(Clip::silent("told", 20));
    line.bring(&completed(&zoom, "told")).await;
    serve.wait_for_rows(1);
    line.cut().await;
    // Nobody tells of this one.
    zoom.add(Clip::silent("missed", 30));
    events.next().await.open().await;
    serve.wait_for_rows(2);
    serve.stop();
    assert_eq!(workspace.query(ROWS), once(&["missed", "told"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_before_the_recording_is_there_is_no_verdict_on_it() {
    let zoom = ZoomServer::start(vec![]).await;
    let mut workspace = workspace(&zoom);
    // How often the service looks what others did to its ledger.
    workspace.set("TRANSCRIBE__QUEUE__LEASE", "2s");
    let mut serve = Serve::start(&workspace);
    assert_eq!(serve.deliver(&completed(&zoom, "early")).await, 200);
    serve.started.wait_for(&["will try again", "listed=not_yet"]);
    zoom.add(Clip::silent("early", 20));
    // What a person would do who does not want to wait for a minute.
    workspace.run(&["retry", "early"]).expect_code(0);
    serve.wait_for_rows(1);
    serve.stop();
    assert_eq!(workspace.query(ROWS), once(&["early"]));
    let attempts = workspace.query("select attempt from read_parquet('recordings/**/*.parquet')");
    assert_eq!(attempts, [[json!(1)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_chosen_user_an_event_is_a_hint_to_list() {
    let zoom = ZoomServer::start(vec![]).await;
    let mut workspace = workspace(&zoom);
    workspace.set("TRANSCRIBE__ZOOM__USERS", "[\"u1\"]");
    let mut serve = Serve::start(&workspace);
    zoom.add(Clip::silent("mine", 20).of_user("u1"));
    zoom.add(Clip::silent("other", 20));
    assert_eq!(serve.deliver(&completed(&zoom, "other")).await, 200);
    serve.wait_for_rows(1);
    serve.stop();
    assert_eq!(workspace.query(ROWS), once(&["mine"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_is_deleted_in_zoom_is_purged_where_that_is_wanted() {
    let zoom = ZoomServer::start(vec![Clip::silent("a1", 20), Clip::silent("b2", 20)]).await;
    let mut workspace = workspace(&zoom);
    workspace.set("TRANSCRIBE__ZOOM__ON_DELETED", "purge");
    let mut serve = Serve::start(&workspace);
    serve.wait_for_rows(2);
    let deleted = json!({"event": "phone.recording_deleted", "event_ts": jiff::Timestamp::now().as_millisecond(),
                         "payload": {"account_id": "x", "object": {"recordings": [{"id": "a1"}]}}});
    assert_eq!(serve.deliver(&deleted).await, 200);
    serve.started.wait_for(&["purged what was deleted in Zoom"]);
    assert_eq!(workspace.query(ROWS), once(&["b2"]));
    assert_eq!(serve.deliver(&completed(&zoom, "a1")).await, 200);
    serve.stop();
    workspace.run(&["--since", "7d"]).expect_code(0);
    assert_eq!(workspace.query(ROWS), once(&["b2"]), "an event or a listing brings it back");
    let reasons = workspace.query(
        "select recording_id, reason from read_parquet('tombstones/**/*.parquet') where recording_id is not null",
    );
    assert_eq!(reasons, [[json!("a1"), json!("deleted_in_zoom")]]);
}
