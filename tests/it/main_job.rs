//! The main job, end to end: the real binary, the real model, a real server that speaks Zoom, and DuckDB.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::{CLIENT_SECRET, Clip, Fault, Route, Script, ZoomServer};
use crate::workspace::{Workspace, cached};

const HELLO: &str = "speech/en_hello_world.mp3";
const FOX: &str = "speech/en_quick_brown_fox.mp3";
const COUNT: &str = "select count(*) from read_parquet('recordings/**/*.parquet')";

fn clip(id: &str, fixture: &str) -> Clip {
    Clip::new(id, cached("fixtures").join(fixture))
}

fn against(zoom: &ZoomServer) -> Workspace {
    Workspace::against(zoom.environment())
}

/// `{id: (status, reason)}` of a run's JSON.
fn statuses(summary: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let jobs = summary["recordings"].as_array().unwrap();
    jobs.iter().map(|job| (text(&job["id"]), text(&job["status"]), text(&job["reason"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_zoom_lists_becomes_rows_and_a_second_run_changes_nothing() {
    let zoom = ZoomServer::builder(vec![clip("AA-01", HELLO), clip("aa02", FOX), clip("aa03", "edge/silence_30s.mp3")])
        .redirecting_downloads()
        .start()
        .await
        .unwrap();
    let workspace = against(&zoom);
    let first = workspace.run(&["--since", "7d", "--format", "json"]).expect_code(0).json();
    assert_eq!(
        (&first["listed"], &first["done"], &first["failed"], &first["waiting"]),
        (&json!(3), &json!(3), &json!(0), &json!(0))
    );
    let rows = workspace.query(
        "select recording_id, status, lower(text), language, segment_count > 0, epoch_ms(started_at) > 0
         from read_parquet('recordings/**/*.parquet', hive_partitioning = true) order by recording_id",
    );
    assert_eq!(rows[0][..2], [json!("aa01"), json!("transcribed")]);
    assert!(rows[0][2].as_str().unwrap().contains("hello"), "{rows:?}");
    assert!(rows[1][2].as_str().unwrap().contains("fox"), "{rows:?}");
    assert_eq!(rows[2][..2], [json!("aa03"), json!("no_speech")]);
    assert_eq!(rows[2][2], json!(""));
    let spoken = workspace.query(
        "select count(*) from read_parquet('segments/**/*.parquet') s
         join read_parquet('words/**/*.parquet') w using (recording_id, segment_index)
         where not s.suppressed and w.start_ms >= s.start_ms and w.end_ms <= s.end_ms and w.fingerprint = s.fingerprint",
    );
    assert!(spoken[0][0].as_i64().unwrap() >= 10, "{spoken:?}");
    let runs = workspace.query("select listed, done, exit_code from read_parquet('runs/**/*.parquet')");
    assert_eq!(runs, [[json!(3), json!(3), json!(0)]]);

    let (lake, requests) = (workspace.snapshot(), zoom.requests().len());
    let second = workspace.run(&["--since", "7d", "--format", "json"]).expect_code(0).json();
    assert_eq!((&second["done"], &second["skipped"]), (&json!(0), &json!(3)));
    assert_eq!(workspace.snapshot(), lake);
    let new_requests = zoom.requests().split_off(requests);
    assert!(new_requests.iter().all(|seen| seen.recording.is_none()), "{new_requests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_recordings_end_in_quarantine_with_their_reason_and_the_rest_is_done() {
    let zoom = ZoomServer::start(vec![
        clip("b1", HELLO),
        clip("b2", HELLO),
        clip("b3", HELLO),
        clip("b4", HELLO),
        clip("b5", "edge/truncated.mp3"),
        clip("b6", HELLO),
    ])
    .await;
    zoom.fault(Script::next(Route::Download, Fault::html()).of("b2").always());
    zoom.fault(Script::next(Route::Download, Fault::empty()).of("b3").always());
    zoom.fault(Script::next(Route::Download, Fault::missing_file()).of("b4").always());
    zoom.fault(Script::next(Route::Download, Fault::status(403)).of("b6").always());
    let workspace = against(&zoom);
    let outcome = workspace.run(&["--since", "7d", "--format", "json"]).expect_code(4);
    let job = |id: &str, status: &str, reason: &str| (id.to_owned(), status.to_owned(), reason.to_owned());
    let expected = [
        job("b1", "done", ""),
        job("b2", "failed", "not_audio"),
        job("b3", "failed", "empty"),
        job("b4", "failed", "not_found"),
        job("b5", "done", ""),
        job("b6", "failed", "forbidden"),
    ];
    assert_eq!(statuses(&outcome.json()), expected);
    let quarantine = workspace
        .query("select recording_id, stage, reason, attempts from read_parquet('quarantine/**/*.parquet') order by 1");
    assert_eq!(
        quarantine,
        [
            [json!("b2"), json!("fetch"), json!("not_audio"), json!(3)],
            [json!("b3"), json!("fetch"), json!("empty"), json!(3)],
            [json!("b4"), json!("fetch"), json!("not_found"), json!(3)],
            [json!("b6"), json!("fetch"), json!("forbidden"), json!(1)],
        ]
    );
    assert_eq!(workspace.query(COUNT), [[json!(2)]]);
    let cut = workspace.query(
        "select recording_id, needs_review, review_reasons like '%audio_cut_short%' from read_parquet('recordings/**/*.parquet') order by 1",
    );
    assert_eq!(cut[1], [json!("b5"), json!(true), json!(true)], "the shortfall is not to be seen");
    // Earlier dead ones are a line of the summary, not a failure of this run.
    let again = workspace.run(&["--since", "7d"]).expect_code(0);
    assert!(again.stdout.contains("4 of the window failed in an earlier run"), "{}", again.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_that_passes_is_tried_again_in_the_same_run() {
    let zoom = ZoomServer::start(vec![clip("c1", HELLO), clip("c2", FOX)]).await;
    zoom.fault(Script::next(Route::Download, Fault::html()).of("c1"));
    zoom.fault(Script::next(Route::Download, Fault::status(502)).of("c2"));
    zoom.fault(Script::next(Route::List, Fault::status(503)));
    let workspace = against(&zoom);
    let summary = workspace.run(&["--since", "7d", "--format", "json"]).expect_code(0).json();
    assert_eq!((&summary["done"], &summary["failed"]), (&json!(2), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_counts_and_writes_nothing() {
    let zoom = ZoomServer::start(vec![clip("d1", HELLO).duration_s(120), clip("d2", FOX).duration_s(60)]).await;
    let workspace = against(&zoom);
    let plan = workspace.run(&["--since", "7d", "--plan", "--format", "json"]).expect_code(0).json();
    assert_eq!((&plan["to_do"], &plan["audio_seconds"]), (&json!(2), &json!(180)));
    assert_eq!((&plan["requests"], &plan["download_bytes"]), (&json!(3), &json!(180 * 16_000)));
    assert_eq!(plan["limited_requests"], json!(null));
    assert!(plan["state_bytes_free"].as_u64() > plan["state_bytes"].as_u64(), "{plan}");
    assert_eq!(zoom.downloads_of("d1") + zoom.downloads_of("d2"), 0);
    assert!(!workspace.lake().exists() && !workspace.path().join("state").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_takes_up_so_many_and_leaves_the_rest_for_the_next_run() {
    let zoom = ZoomServer::start(vec![clip("e1", HELLO), clip("e2", FOX), clip("e3", "edge/silence_30s.mp3")]).await;
    let workspace = against(&zoom);
    let first = workspace.run(&["--since", "7d", "--limit", "1", "--format", "json"]).expect_code(0).json();
    assert_eq!((&first["done"], &first["waiting"]), (&json!(1), &json!(0)));
    assert_eq!(workspace.query(COUNT), [[json!(1)]]);
    let second = workspace.run(&["--since", "7d", "--limit", "1"]).expect_code(0);
    assert!(second.stdout.contains("1 more are new and were left"), "{}", second.stdout);
    workspace.run(&["--since", "7d"]).expect_code(0);
    assert_eq!(workspace.query(COUNT), [[json!(3)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn single_recordings_can_be_asked_for_by_any_form_of_their_id() {
    let zoom = ZoomServer::start(vec![clip("f1f1", HELLO), clip("f2f2", FOX)]).await;
    let workspace = against(&zoom);
    workspace.run(&["--recording", "F1-F1"]).expect_code(0);
    assert_eq!(workspace.query("select recording_id from read_parquet('recordings/**/*.parquet')"), [[json!("f1f1")]]);
    let both = workspace.run(&["--recording", "f1f1", "F2F2", "--format", "json"]).expect_code(0).json();
    assert_eq!((&both["listed"], &both["done"]), (&json!(2), &json!(1)));
    let again = workspace.run(&["--recording", "f1f1", "f2f2", "--format", "json"]).expect_code(0).json();
    assert_eq!((&again["listed"], &again["skipped"]), (&json!(2), &json!(2)));
    let missing = workspace.run(&["--recording", "f9f9"]).expect_code(4);
    assert!(missing.stdout.contains("not found: f9f9"), "{}", missing.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_ledger_costs_no_download_and_no_row() {
    let zoom = ZoomServer::start(vec![clip("a7", HELLO)]).await;
    let workspace = against(&zoom);
    workspace.run(&["--since", "7d"]).expect_code(0);
    let lake = workspace.snapshot();
    std::fs::remove_dir_all(workspace.path().join("state")).unwrap();
    let summary = workspace.run(&["--since", "7d", "--format", "json"]).expect_code(0).json();
    assert_eq!(summary["skipped"], json!(1));
    assert_eq!(zoom.downloads_of("a7"), 1);
    assert_eq!(workspace.snapshot(), lake);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_lost_in_parts_still_learns_from_the_lake() {
    let old = Timestamp::now() - SignedDuration::from_hours(100);
    let zoom = ZoomServer::start(vec![clip("a71", HELLO), clip("a72", FOX).started_at(old)]).await;
    let workspace = against(&zoom);
    workspace.run(&["--since", "7d"]).expect_code(0);
    std::fs::remove_dir_all(workspace.path().join("state")).unwrap();
    // The nightly run sees a part of what the lake holds; the next one sees the rest.
    workspace.run(&["--since", "26h"]).expect_code(0);
    workspace.run(&["--since", "7d"]).expect_code(0);
    assert_eq!((zoom.downloads_of("a71"), zoom.downloads_of("a72")), (1, 1));
    assert_eq!(workspace.query(COUNT), [[json!(2)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_host_that_is_down_kills_no_recording_and_ends_the_run() {
    let zoom = ZoomServer::start(vec![clip("a73", HELLO), clip("a74", FOX)]).await;
    zoom.fault(Script::next(Route::Download, Fault::status(503)).always());
    let workspace = against(&zoom);
    let summary = workspace.run(&["--since", "7d", "--format", "json"]).expect_code(5).json();
    assert_eq!((&summary["waiting"], &summary["failed"]), (&json!(2), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_over_a_folder_leaves_zooms_recordings_to_zooms_runs() {
    let zoom = ZoomServer::start(vec![clip("a75", HELLO)]).await;
    zoom.fault(Script::next(Route::Download, Fault::daily_limit("2030-01-01T00:00:00Z")));
    let workspace = against(&zoom);
    workspace.run(&["--since", "7d"]).expect_code(5);
    workspace.folder_of("calls", &[FOX]);
    workspace.run(&["--dir", "calls"]).expect_code(0);
    assert_eq!(workspace.query(COUNT), [[json!(1)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_is_finished_by_the_next_one() {
    let zoom = ZoomServer::start(vec![clip("a81", HELLO), clip("a82", FOX)]).await;
    let workspace = against(&zoom);
    let mut child = workspace.command(&["--since", "7d"]).spawn().unwrap();
    let has_begun = async {
        while zoom.downloads_of("a81") + zoom.downloads_of("a82") == 0 {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), has_begun).await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    workspace.run(&["--since", "7d"]).expect_code(0);
    let rows = workspace
        .query("select recording_id, count(*) from read_parquet('recordings/**/*.parquet') group by 1 order by 1");
    assert_eq!(rows, [[json!("a81"), json!(1)], [json!("a82"), json!(1)]]);
    let spool = std::fs::read_dir(workspace.path().join("state/spool")).unwrap().count();
    let staged = std::fs::read_dir(workspace.path().join("state/staged")).unwrap().count();
    assert_eq!((spool, staged), (0, 0), "audio or transcripts were left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_or_personal_reaches_the_log_at_the_most_verbose_level() {
    let secretive = clip("a9", HELLO)
        .with("caller_number", json!("+81355500777"))
        .with("caller_name", json!("山田 太郎"))
        .with("owner", json!({"type": "user", "id": "u1", "name": "Ownername", "extension_number": 803}));
    let zoom = ZoomServer::builder(vec![secretive, clip("a10", HELLO)]).redirecting_downloads().start().await.unwrap();
    zoom.fault(Script::next(Route::Download, Fault::html()).of("a10").always());
    let workspace = against(&zoom);
    let outcome = workspace.run(&["--since", "7d", "-vv"]).expect_code(4);
    assert!(outcome.stderr.contains("recording_id"), "{}", outcome.stderr);
    let tokens: Vec<String> = zoom.requests().into_iter().filter_map(|seen| seen.authorization).collect();
    let bearer = tokens.iter().filter_map(|header| header.split(' ').nth(1)).map(str::to_owned);
    let words = ["+81355500777", "山田", "Ownername", CLIENT_SECRET, "/download/", "jwt", "Hello"].map(str::to_owned);
    for secret in words.into_iter().chain(bearer) {
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(!said.contains(&secret), "{secret} was printed: {said}");
    }
}

#[test]
fn a_folder_of_every_format_is_transcribed_with_its_metadata() {
    let workspace = Workspace::new();
    let files =
        ["edge/speech.flac", "edge/speech.m4a", "edge/speech_8k_mulaw.wav", "edge/stereo_two_speakers.mp3", HELLO];
    let calls = workspace.folder_of("calls", &files);
    std::fs::copy(calls.join("speech.flac"), calls.join("zz copy.FLAC")).unwrap();
    let metadata = json!({"id": "0F3A5C7E-9B1D", "caller_name": "佐藤 花子", "date_time": "2026-11-02T01:15:04Z", "duration": "2"});
    std::fs::write(calls.join("en_hello_world.mp3.json"), metadata.to_string()).unwrap();
    let summary = workspace.run(&["--dir", "calls", "--format", "json"]).expect_code(0).json();
    assert_eq!((&summary["done"], &summary["skipped"]), (&json!(5), &json!(1)));
    let row = workspace.query(
        "select caller_name, strftime(started_at, '%Y-%m-%d %H:%M'), dt, source
         from read_parquet('recordings/**/*.parquet', hive_partitioning = true, hive_types = {'dt': VARCHAR})
         where recording_id = '0f3a5c7e9b1d'",
    );
    assert_eq!(row, [[json!("佐藤 花子"), json!("2026-11-02 01:15"), json!("2026-11-02"), json!("folder")]]);
    let channels = workspace.query(
        "select distinct channel from read_parquet('segments/**/*.parquet') s
         join read_parquet('recordings/**/*.parquet') r using (recording_id)
         where r.channel_mode = 'stereo' and not s.suppressed order by 1",
    );
    assert_eq!(channels, [[json!("left")], [json!("right")]]);
    assert!(calls.join("speech.flac").exists(), "a folder's own files stay");
}

#[test]
fn bad_metadata_is_the_end_of_its_file_only() {
    let workspace = Workspace::new();
    let calls = workspace.folder_of("calls", &[HELLO, FOX]);
    std::fs::write(calls.join("en_hello_world.json"), "{not json").unwrap();
    let summary = workspace.run(&["--dir", "calls", "--format", "json"]).expect_code(4).json();
    assert_eq!((&summary["done"], &summary["failed"]), (&json!(1), &json!(1)));
    assert!(statuses(&summary).iter().any(|(_, status, reason)| status == "failed" && reason == "bad_metadata"));
}

/// Runs with `arguments` and expects `code` and all of `parts` on stderr, without a panic.
#[track_caller]
fn refused(workspace: &Workspace, arguments: &[&str], code: i32, parts: &[&str]) {
    let outcome = workspace.run(arguments).expect_code(code);
    for part in parts {
        assert!(outcome.stderr.contains(part), "{part:?} is missing in: {}", outcome.stderr);
    }
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
}

#[test]
fn a_missing_secret_an_unknown_key_and_a_bad_argument_say_what_to_do() {
    let mut workspace = Workspace::new();
    refused(&workspace, &["--since", "7d"], 3, &["ZOOM_ACCOUNT_ID is not set", "hint:"]);
    std::fs::write(workspace.path().join("pipeline.toml"), "[stt]\nmodle = \"base\"\n").unwrap();
    refused(&workspace, &[], 3, &["pipeline.toml, line 2", "`stt.modle`", "did you mean `stt.model`?"]);
    std::fs::remove_file(workspace.path().join("pipeline.toml")).unwrap();
    let leaked = workspace.run(&["--set", "zoom.client_secret=S3CRET"]).expect_code(3);
    assert!(!leaked.stderr.contains("S3CRET"), "{}", leaked.stderr);
    refused(&workspace, &["--set", "queue.lease=soon"], 3, &["queue.lease", "soon"]);
    refused(&workspace, &["--config", "nowhere.toml"], 3, &["nowhere.toml"]);
    refused(&workspace, &["--sinse", "7d"], 2, &["--since"]);
    refused(&workspace, &["--since", "yesterday"], 2, &["--since yesterday", "26h"]);
    refused(&workspace, &["--since", "2h", "--until", "5h"], 2, &["--since"]);
    refused(&workspace, &["--dir", "no such folder"], 3, &["no such folder"]);
    workspace.set("TRANSCRIBE__STT__MODEL", "no-such-model");
    std::fs::create_dir(workspace.path().join("empty")).unwrap();
    refused(&workspace, &["--dir", "empty"], 3, &["no-such-model", "transcribe models"]);
    workspace.unset("TRANSCRIBE__STT__MODEL");
}

#[test]
fn a_model_with_a_wrong_checksum_is_refused() {
    let mut workspace = Workspace::new();
    let calls = workspace.folder_of("calls", &[HELLO]);
    let models = workspace.path().join("models");
    std::fs::create_dir(&models).unwrap();
    let mut bytes = std::fs::read(cached("models/tiny.en.bin")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(models.join("tiny.en.bin"), bytes).unwrap();
    workspace.set("TRANSCRIBE__PATHS__MODELS_DIR", models.display().to_string());
    refused(&workspace, &["--dir", calls.to_str().unwrap()], 3, &["tiny.en", "SHA-256", "models pull"]);
    assert!(!has_files(&workspace.lake()), "nothing may be published with a wrong model");
}

fn has_files(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|e| e.path().is_dir())))
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_and_a_missing_scope_end_with_6() {
    let zoom = ZoomServer::start(vec![clip("a11", HELLO)]).await;
    let mut workspace = against(&zoom);
    zoom.fault(Script::next(Route::List, Fault::missing_scope("phone:read:list_call_recordings:admin")));
    let outcome = workspace.run(&["--since", "7d"]).expect_code(6);
    assert!(outcome.stdout.contains("phone:read:list_call_recordings:admin"), "{}", outcome.stdout);
    workspace.set("ZOOM_CLIENT_SECRET", "wrong");
    workspace.run(&["--since", "7d"]).expect_code(6);
}

#[test]
fn an_unreachable_host_is_work_that_remains() {
    let mut workspace = Workspace::new();
    for name in ["ZOOM_ACCOUNT_ID", "ZOOM_CLIENT_ID", "ZOOM_CLIENT_SECRET"] {
        workspace.set(name, "x");
    }
    // A port that was just free: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    workspace.set("TRANSCRIBE__ZOOM__API_URL", format!("http://127.0.0.1:{port}/v2"));
    workspace.set("TRANSCRIBE__ZOOM__OAUTH_URL", format!("http://127.0.0.1:{port}/oauth/token"));
    let outcome = workspace.run(&["--since", "7d"]).expect_code(5);
    assert!(outcome.stdout.contains("stopped early"), "{}", outcome.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quirks_of_a_listing_reach_the_lake_as_they_should() {
    let began = "2026-11-02T01:15:04Z";
    let odd = clip("0F3A5C7E-9B1D", HELLO)
        .with("call_id", json!("7401234567890123456_2"))
        .with("callee_number", json!(1_000_806))
        .with("caller_number_type", json!("7"))
        .with("duration", json!("2"))
        .with("direction", json!("sideways"))
        .with("recording_type", json!("On-demand"))
        .with("date_time", json!(began))
        .with("end_time", json!(null))
        .with("end_date_time", json!("2026-11-02T01:15:06Z"))
        .with("owner", json!({ "type": "call queue", "id": "q1", "name": "Support", "extension_number": "806" }))
        .with("accepted_by", json!({ "name": "佐藤 花子", "extension_number": 803 }))
        .with("never_heard_of", json!({ "deep": [1, { "er": null }] }));
    let zoom = ZoomServer::start(vec![odd]).await;
    let workspace = against(&zoom);
    workspace.run(&["--since", "2026-11-01", "--until", "2026-11-03"]).expect_code(0);
    let row = workspace.query(
        "select recording_id, call_id, callee_number, duration_s, direction, recording_type, owner_type, owner_extension,
                accepted_by_name, accepted_by_extension, ended_at::varchar like '%01:15:06%', abs(duration_delta_ms) < 2000
         from read_parquet('recordings/**/*.parquet')",
    );
    let expected = json!([[
        "0f3a5c7e9b1d",
        "7401234567890123456_2",
        "1000806",
        2,
        "sideways",
        "On-demand",
        "call queue",
        "806",
        "佐藤 花子",
        "803",
        true,
        true
    ]]);
    assert_eq!(json!(row), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_the_day_keeps_the_work_and_says_when_to_come_back() {
    let tomorrow = Timestamp::now() + SignedDuration::from_hours(20);
    let (iso, http) = (tomorrow.strftime("%Y-%m-%dT%H:%M:%SZ"), tomorrow.strftime("%a, %d %b %Y %H:%M:%S GMT"));
    for (route, retry_after) in [
        (Route::List, iso.to_string()),
        (Route::Download, iso.to_string()),
        (Route::Download, http.to_string()),
        (Route::Download, (20 * 3_600).to_string()),
    ] {
        let zoom = ZoomServer::start(vec![clip("a12", HELLO)]).await;
        zoom.fault(Script::next(route, Fault::daily_limit(&retry_after)).always());
        let workspace = against(&zoom);
        let summary = workspace.run(&["--since", "7d", "--format", "json"]).expect_code(5).json();
        assert_eq!(summary["failed"], json!(0));
        let resume_at: Timestamp = summary["resume_at"].as_str().unwrap().parse().unwrap();
        assert!(resume_at.duration_since(tomorrow).abs() < SignedDuration::from_mins(2), "{retry_after}: {resume_at}");
        let asked = zoom.requests().len();
        let again = workspace.run(&["--since", "7d"]).expect_code(5);
        assert!(again.stdout.contains("run again after 20"), "{}", again.stdout);
        assert!(zoom.requests().len() <= asked + 3, "a used-up limit is not asked again and again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_says_how_much_the_second_model_had_to_hear_again() {
    let zoom = ZoomServer::builder(vec![clip("aa01", HELLO), clip("aa02", FOX)]).start().await.unwrap();
    let mut workspace = against(&zoom);
    workspace.set("TRANSCRIBE__STT__SECOND_MODEL", "base");
    workspace.set("TRANSCRIBE__STT__LANGUAGES", "[\"en\"]");
    workspace.set("TRANSCRIBE__STT__DOUBTFUL_AVG_LOGPROB", "0.0");
    let summary = workspace.run(&["--since", "7d", "--format", "json"]).expect_code(0).json();
    let note = summary["notes"][0].as_str().unwrap();
    assert!(note.starts_with("base heard 2 of 2 windows again, which took "), "{note}");
    let rows = workspace.query(
        "select window_count, second_window_count from read_parquet('recordings/**/*.parquet', hive_partitioning = true)",
    );
    assert_eq!(rows, [[json!(1), json!(1)], [json!(1), json!(1)]]);
}
