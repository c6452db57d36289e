//! What operators see and do.

use serde_json::{Value, json};

use super::{ROWS, SECRET, Serve, completed, once, workspace};
use crate::started::Started;
use crate::support::{Clip, ZoomServer};
use crate::workspace::{Workspace, project};

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_that_it_lives_that_it_can_work_and_what_it_did() {
    let zoom = ZoomServer::start(vec![Clip::silent("a1", 20)]).await;
    let workspace = workspace(&zoom);
    let mut serve = Serve::start(&workspace);
    serve.wait_for_rows(1);
    assert_eq!(serve.ask("/healthz").await, (200, "ok\n".to_owned()));
    let (status, body) = serve.ask("/readyz").await;
    let ready: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &ready["ready"], &ready["needs"]["model"]), (200, &json!(true), &json!("ok")));
    assert_eq!(serve.deliver(&completed(&zoom, "a1")).await, 200);
    let (_, metrics) = serve.ask("/metrics").await;
    for line in [
        "transcribe_recordings_total{outcome=\"transcribed\"} 1",
        "transcribe_published_recordings_total 1",
        "transcribe_jobs{state=\"published\"} 1",
        "transcribe_sweeps_total{exit_code=\"0\"} 1",
        "transcribe_end_of_call_to_row_seconds_count 1",
    ] {
        assert!(metrics.lines().any(|said| said == line), "{line} is missing in {metrics}");
    }
    for name in ["transcribe_token_age_seconds", "transcribe_spool_bytes", "process_resident_memory_bytes"] {
        assert!(metrics.contains(name), "{name} is missing in {metrics}");
    }
    assert!(!metrics.contains("+81"), "{metrics}");
    serve.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_credentials_are_refused_says_that_it_is_not_ready_and_goes_on_when_they_count_again() {
    let zoom = ZoomServer::start(vec![Clip::silent("a1", 20)]).await;
    let mut workspace = workspace(&zoom);
    workspace.set("ZOOM_CLIENT_SECRET", "wrong");
    let mut started = Started::run(&workspace, &["serve"]);
    let ops = super::address_in(started.wait_for(&["health and metrics are served"]));
    started.wait_for(&["the sweep met trouble"]);
    let (status, body) = super::ask(&ops, "/readyz").await;
    assert_eq!(status, 503);
    assert!(body.contains("\"source\":"), "{body}");
    assert!(!body.contains("wrong"), "{body}");
    started.signal("TERM");
    assert_eq!(started.end().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_stop_gives_back_what_is_in_work_and_the_next_start_does_it() {
    let zoom = ZoomServer::start(vec![Clip::new("a1", hello())]).await;
    let mut workspace = workspace(&zoom);
    workspace.with_scripted_engine(&[("SCRIPTED_HANG_MS", "0..60000"), ("SCRIPTED_WHILE", "hanging")]);
    let flag = workspace.path().join("hanging");
    workspace.set("SCRIPTED_WHILE", flag.display().to_string());
    std::fs::write(&flag, "").unwrap();
    let mut started = Started::run(&workspace, &["serve"]);
    started.wait_for(&["scripted engine hangs"]);
    started.signal("TERM");
    started.wait_for(&["told to stop: finishing"]);
    started.signal("TERM");
    let ended = started.end();
    assert_eq!(ended.code, Some(130), "{}", ended.said);
    let life = workspace.run(&["status", "--recording", "a1"]).expect_code(0).stdout;
    assert!(life.contains("given_back"), "{life}");
    std::fs::remove_file(&flag).unwrap();
    let mut serve = Serve::start(&workspace);
    serve.wait_for_rows(1);
    serve.stop();
    assert_eq!(workspace.query(ROWS), once(&["a1"]));
    let attempts = workspace.query("select attempt from read_parquet('recordings/**/*.parquet')");
    assert_eq!(attempts, [[json!(1)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_work_longer_than_a_drain_may_take_is_given_back() {
    let zoom = ZoomServer::start(vec![Clip::new("a1", hello())]).await;
    let mut workspace = workspace(&zoom);
    workspace.with_scripted_engine(&[("SCRIPTED_HANG_MS", "0..60000")]);
    workspace.set("TRANSCRIBE__TRIGGER__DRAIN", "100ms");
    let mut started = Started::run(&workspace, &["serve"]);
    started.wait_for(&["scripted engine hangs"]);
    started.signal("TERM");
    let ended = started.end();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let life = workspace.run(&["status", "--recording", "a1"]).expect_code(0).stdout;
    assert!(life.contains("given_back"), "{life}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_up_takes_up_what_can_change_and_names_what_cannot() {
    let zoom = ZoomServer::start(vec![]).await;
    let workspace = workspace(&zoom);
    let file = workspace.path().join("pipeline.toml");
    let mut serve = Serve::start(&workspace);
    std::fs::write(&file, "[trigger]\noverlap = \"48h\"\n[stt]\nbeam_size = 2\n").unwrap();
    serve.started.signal("HUP");
    let mut said = vec![serve.started.wait_for(&["key=\"s"]).to_owned()];
    said.push(serve.started.wait_for(&["key=\"t"]).to_owned());
    assert!(said[0].contains("stt.beam_size") && said[0].contains("only a restart"), "{said:?}");
    assert!(said[1].contains("trigger.overlap") && said[1].contains("reloaded"), "{said:?}");
    std::fs::write(&file, "[trigger]\noverlop = \"48h\"\n").unwrap();
    serve.started.signal("HUP");
    serve.started.wait_for(&["not reloaded", "trigger.overlop"]);
    serve.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_secret_in_its_file_counts_from_the_hang_up_on_and_is_not_logged() {
    let zoom = ZoomServer::start(vec![]).await;
    let mut workspace = workspace(&zoom);
    let file = workspace.path().join("secret");
    std::fs::write(&file, SECRET).unwrap();
    workspace.unset("ZOOM_WEBHOOK_SECRET_TOKEN");
    workspace.set("ZOOM_WEBHOOK_SECRET_TOKEN_FILE", file.to_str().unwrap());
    let mut serve = Serve::start(&workspace);
    let event = json!({"event": "meeting.started", "payload": {}});
    assert_eq!(serve.deliver(&event).await, 200);
    std::fs::write(&file, "whsec-example-0002").unwrap();
    serve.started.signal("HUP");
    serve.started.wait_for(&["webhook secret reloaded"]);
    assert_eq!(serve.deliver(&event).await, 401);
    assert!(!serve.stop().contains("whsec-example"));
}

#[test]
fn the_token_in_an_address_is_not_shown() {
    let mut workspace = Workspace::new();
    workspace.set("TRANSCRIBE__HOOKS__URL", "https://hooks.example/services/T0KEN");
    workspace.set("TRANSCRIBE__TRIGGER__WEBSOCKET__URL", "wss://ws.example/T0KEN?subscriptionId=T0KEN");
    let shown = workspace.run(&["config", "show"]).expect_code(0).stdout;
    assert!(shown.contains("hooks.url = \"https://hooks.example\""), "{shown}");
    assert!(shown.contains("trigger.websocket.url = \"wss://ws.example\""), "{shown}");
    assert!(!shown.contains("T0KEN"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_listened_on_is_said_in_one_sentence_that_names_the_key() {
    let zoom = ZoomServer::start(vec![]).await;
    let mut first = workspace(&zoom);
    let serve = Serve::start(&first);
    let second = first.run(&["serve"]).expect_code(3);
    assert!(second.stderr.contains("another `transcribe serve`"), "{}", second.stderr);
    let mut other = workspace(&zoom);
    other.set("TRANSCRIBE__TRIGGER__WEBHOOK__LISTEN", &serve.webhook);
    let taken = other.run(&["serve"]).expect_code(3).stderr;
    assert!(taken.contains("trigger.webhook.listen"), "{taken}");
    other.set("TRANSCRIBE__TRIGGER__WEBHOOK__LISTEN", "127.0.0.1:0");
    other.set("TRANSCRIBE__TELEMETRY__METRICS_LISTEN", &serve.ops);
    let taken = other.run(&["serve"]).expect_code(3).stderr;
    assert!(taken.contains("telemetry.metrics_listen"), "{taken}");
    serve.stop();
    first.unset("ZOOM_WEBHOOK_SECRET_TOKEN");
    let missing = first.run(&["serve"]).expect_code(3).stderr;
    assert!(missing.contains("ZOOM_WEBHOOK_SECRET_TOKEN is not set"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_hears_when_it_is_ready_and_when_it_stops() {
    let zoom = ZoomServer::start(vec![]).await;
    let mut workspace = workspace(&zoom);
    let path = workspace.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    workspace.set("NOTIFY_SOCKET", path.display().to_string());
    let serve = Serve::start(&workspace);
    let hear = || {
        let mut word = [0; 256];
        let length = manager.recv(&mut word).unwrap();
        String::from_utf8_lossy(&word[..length]).into_owned()
    };
    assert!(hear().starts_with("READY=1"));
    serve.stop();
    assert!(hear().starts_with("STOPPING=1"));
}

/// Speech of a second.
fn hello() -> Vec<u8> {
    std::fs::read(project().join(".cache/fixtures/speech/en_hello_world.mp3")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_served_as_well() {
    let mut workspace = Workspace::new();
    workspace.folder_of("calls", &["speech/en_hello_world.mp3"]);
    workspace.set("TRANSCRIBE__SOURCE__KIND", "folder").set("TRANSCRIBE__FOLDER__PATH", "calls");
    workspace.set("TRANSCRIBE__TELEMETRY__METRICS_LISTEN", "off");
    let mut started = Started::run(&workspace, &["serve"]);
    started.wait_for(&["published", "recordings=1"]);
    started.signal("INT");
    assert_eq!(started.end().code, Some(0));
    assert_eq!(workspace.query("select count(*) from read_parquet('recordings/**/*.parquet')"), [[json!(1)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_night_the_closed_days_become_one_file_each() {
    let zoom = ZoomServer::builder(Vec::new()).start().await.unwrap();
    let mut workspace = workspace(&zoom);
    Box::pin(crate::compact::fill(&workspace)).await;
    workspace.failpoint("night-in-ms=return(100)");
    let mut serve = Serve::start(&workspace);
    serve.started.wait_for(&["closed days were compacted"]);
    serve.stop();
    assert!(crate::compact::files(&workspace).values().all(|count| *count == 1));
}
