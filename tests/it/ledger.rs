//! What a person asks of the ledger and tells it: status, retry, `--redo`, and the views that show its results.

use serde_json::{Value, json};

use crate::support::{Clip, Fault, Route, Script, ZoomServer};
use crate::workspace::{Workspace, cached};

const HELLO: &str = "speech/en_hello_world.mp3";
const FOX: &str = "speech/en_quick_brown_fox.mp3";

fn clip(id: &str, fixture: &str) -> Clip {
    Clip::new(id, cached("fixtures").join(fixture))
}

/// With the scripted engine: what is said does not matter here.
fn against(zoom: &ZoomServer) -> Workspace {
    let mut workspace = Workspace::against(zoom.environment());
    workspace.with_scripted_engine(&[]);
    workspace
}

/// Rows of a query over `views.sql`.
fn ask_views(workspace: &Workspace, sql: &str) -> Vec<Vec<Value>> {
    let views = std::fs::read_to_string(workspace.lake().join("views.sql")).unwrap();
    workspace.query(&format!("{views}; {sql}"))
}

fn recordings(workspace: &Workspace) -> Vec<Vec<Value>> {
    workspace.query(
        "select recording_id, fingerprint, model, transcribed_at::varchar from read_parquet('recordings/**/*.parquet')
         order by recording_id, transcribed_at",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_for_good_is_told_by_status_and_gets_another_chance_by_retry() {
    let zoom = ZoomServer::start(vec![clip("b01", HELLO), clip("b02", FOX)]).await;
    // Three tries of two requests each.
    zoom.fault(Script::next(Route::Download, Fault::html()).of("b02").times(6));
    let workspace = against(&zoom);
    let nothing = workspace.run(&["status"]).expect_code(0);
    assert!(nothing.stdout.contains("knows no recordings yet"), "{}", nothing.stdout);
    assert!(!workspace.path().join("state").exists(), "a question makes no ledger");
    workspace.run(&["--since", "7d"]).expect_code(4);

    let told = workspace.run(&["status"]).expect_code(0).stdout;
    assert!(told.contains("dead: not_audio") && told.contains("published"), "{told}");
    let states = workspace.run(&["status", "--format", "json"]).expect_code(0).json();
    let counts: Vec<(&Value, &Value)> =
        states["states"].as_array().unwrap().iter().map(|line| (&line["state"], &line["recordings"])).collect();
    assert_eq!(counts, [(&json!("published"), &json!(1)), (&json!("dead"), &json!(1))]);
    let life = workspace.run(&["status", "--recording", "B-02", "--format", "json"]).expect_code(0).json();
    let steps: Vec<&str> =
        life["events"].as_array().unwrap().iter().map(|event| event["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["seen", "claimed", "failed", "claimed", "failed", "claimed", "dead"]);
    assert_eq!((&life["state"], &life["reason"]), (&json!("dead"), &json!("not_audio")));
    let unknown = workspace.run(&["status", "--recording", "nobody"]).expect_code(4);
    assert!(unknown.stdout.contains("not found"), "{}", unknown.stdout);

    workspace.run(&["retry"]).expect_code(2);
    workspace.run(&["retry", "--reason", "bad_luck"]).expect_code(2);
    let none = workspace.run(&["retry", "--reason", "not_found", "--format", "json"]).expect_code(0).json();
    assert_eq!(none["revived"], json!(0));
    let none = workspace.run(&["retry", "--older-than", "1h", "--format", "json"]).expect_code(0).json();
    assert_eq!(none["revived"], json!(0));
    let one = workspace.run(&["retry", "--reason", "not_audio", "--newer-than", "1h"]).expect_code(0);
    assert!(one.stdout.contains("1 recording will be tried again"), "{}", one.stdout);
    workspace.run(&["retry", "b02", "b99"]).expect_code(4);
    let summary = workspace.run(&["--since", "7d", "--format", "json"]).expect_code(0).json();
    assert_eq!((&summary["done"], &summary["failed"]), (&json!(1), &json!(0)));
    let life = workspace.run(&["status", "--recording", "b02"]).expect_code(0).stdout;
    for word in ["state       published, attempt 1", "revived", "fetch: not_audio"] {
        assert!(life.contains(word), "{word}: {life}");
    }
    workspace.run(&["lake", "init"]).expect_code(0);
    let quarantined = ask_views(&workspace, "select count(*) from quarantine");
    assert_eq!(quarantined, [[json!(1)]], "history is kept");
    assert!(ask_views(&workspace, "select * from current_quarantine").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_model_made_is_done_anew_and_readers_see_one_result_of_each() {
    let zoom = ZoomServer::start(vec![clip("c01", HELLO), clip("c02", FOX)]).await;
    let mut workspace = against(&zoom);
    workspace.run(&["--since", "7d"]).expect_code(0);
    workspace.run(&["lake", "init"]).expect_code(0);
    let first = recordings(&workspace);
    let unchanged = workspace.run(&["--since", "7d", "--redo", "changed", "--format", "json"]).expect_code(0).json();
    assert_eq!((&unchanged["done"], &unchanged["skipped"]), (&json!(0), &json!(2)));
    assert_eq!(recordings(&workspace), first);

    workspace.set("TRANSCRIBE__STT__MODEL", "base");
    let plan =
        workspace.run(&["--since", "7d", "--redo", "changed", "--plan", "--format", "json"]).expect_code(0).json();
    assert_eq!(plan["to_do"], json!(2));
    let changed = workspace.run(&["--since", "7d", "--redo", "changed", "--format", "json"]).expect_code(0).json();
    assert_eq!((&changed["done"], &changed["skipped"]), (&json!(2), &json!(0)));
    assert_eq!(recordings(&workspace).len(), 4, "earlier results stay");
    let models = ask_views(&workspace, "select recording_id, model from current_recordings order by 1");
    assert_eq!(models, [[json!("c01"), json!("base")], [json!("c02"), json!("base")]]);

    // Back to the first model: done anew, although it was done with that one before.
    workspace.set("TRANSCRIBE__STT__MODEL", "tiny.en");
    workspace.run(&["--since", "7d", "--redo", "changed"]).expect_code(0);
    let models = ask_views(&workspace, "select distinct model from current_recordings");
    assert_eq!(models, [[json!("tiny.en")]]);
    workspace.run(&["--since", "7d", "--redo", "all", "--recording", "c02"]).expect_code(0);
    assert_eq!(recordings(&workspace).len(), 7);
    for (view, key) in [
        ("current_recordings", "recording_id"),
        ("current_segments", "recording_id, segment_index"),
        ("current_words", "recording_id, segment_index, word_index"),
    ] {
        let rows = ask_views(
            &workspace,
            &format!("select count(*), count(distinct ({key})), count(distinct fingerprint) from {view}"),
        );
        assert!(rows[0][0] == rows[0][1] && rows[0][2] == json!(2), "{view}: {rows:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn views_stand_on_a_lake_that_lacks_some_tables() {
    let zoom = ZoomServer::start(vec![clip("d01", "edge/silence_30s.mp3")]).await;
    let workspace = against(&zoom);
    workspace.run(&["lake", "init"]).expect_code(0);
    assert!(ask_views(&workspace, "select * from current_recordings").is_empty());
    workspace.run(&["--since", "7d"]).expect_code(0);
    let told = workspace.run(&["lake", "init"]).expect_code(0).stdout;
    assert!(told.contains("views.sql"), "{told}");
    let rows = ask_views(&workspace, "select recording_id, status, dt from current_recordings");
    assert_eq!(rows[0][..2], [json!("d01"), json!("no_speech")]);
    assert!(ask_views(&workspace, "select * from current_words").is_empty());
    assert!(ask_views(&workspace, "select * from current_quarantine").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_done_anew_on_request() {
    let zoom = ZoomServer::start(vec![clip("e01", HELLO)]).await;
    zoom.fault(Script::next(Route::Download, Fault::html()).of("e01").times(6));
    let workspace = against(&zoom);
    workspace.run(&["--since", "7d"]).expect_code(4);
    let skipped = workspace.run(&["--since", "7d", "--format", "json"]).expect_code(0).json();
    assert_eq!((&skipped["done"], &skipped["skipped"]), (&json!(0), &json!(1)));
    let plan =
        workspace.run(&["--since", "7d", "--redo", "failed", "--plan", "--format", "json"]).expect_code(0).json();
    assert_eq!(plan["to_do"], json!(1));
    let done = workspace.run(&["--since", "7d", "--redo", "failed", "--format", "json"]).expect_code(0).json();
    assert_eq!(done["done"], json!(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_gets_on_no_more_is_given_up_and_tried_again() {
    let zoom = ZoomServer::start(vec![clip("f01", HELLO)]).await;
    let mut workspace = against(&zoom);
    workspace.failpoint("decoding=1*pause").failpoint("standstill-ms=return(500)");
    let summary = workspace.run(&["--since", "7d", "--format", "json"]).expect_code(0).json();
    let job = &summary["recordings"][0];
    assert_eq!((&job["status"], &job["attempt"]), (&json!("done"), &json!(2)));
    let life = workspace.run(&["status", "--recording", "f01"]).expect_code(0).stdout;
    assert!(life.contains("decode: timed_out"), "{life}");
}
