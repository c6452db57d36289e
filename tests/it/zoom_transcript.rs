//! Zoom's own transcripts, end to end: the real binary, the real model, a real server that speaks Zoom, and DuckDB.

use serde_json::{Value, json};

use crate::lake::{bytes_beside_the_pages, holds};
use crate::support::{Clip, Fault, Listener, Route, Script, ZoomServer};
use crate::workspace::{Workspace, cached};

const OUTCOMES: &str = "select recording_id, outcome, round(agreement, 3), fingerprint is not null
                        from read_parquet('zoom_transcripts/**/*.parquet') order by fetched_at, recording_id";

fn with_transcripts(zoom: &ZoomServer) -> Workspace {
    let mut workspace = Workspace::against(zoom.environment());
    workspace.set("TRANSCRIBE__ZOOM__TRANSCRIPTS", "true");
    workspace
}

fn hello(id: &str) -> Clip {
    Clip::new(id, cached("fixtures/speech/en_hello_world.mp3"))
}

fn silence(id: &str) -> Clip {
    Clip::new(id, cached("fixtures/edge/silence_30s.mp3"))
}

fn transcript(timeline: &Value) -> String {
    json!({"type": "zoom_transcript", "ver": 1, "timeline": timeline}).to_string()
}

fn says(text: &str) -> String {
    transcript(&json!([{"ts": "00:00:00.780", "end_ts": "00:00:02.580", "text": text, "userId": "803"}]))
}

fn error(code: i64) -> Fault {
    Fault::json(400, &json!({"code": code, "message": "Scripted."}))
}

/// Every transcript that was asked for before may be asked for again now.
fn let_time_pass(workspace: &Workspace) {
    let ledger = rusqlite::Connection::open(workspace.path().join("state/ledger.sqlite")).unwrap();
    ledger.execute("UPDATE zoom_transcripts SET next_try_ms = 0 WHERE next_try_ms IS NOT NULL", []).unwrap();
}

/// As [`let_time_pass`], and the first try was long ago.
fn let_a_week_pass(workspace: &Workspace) {
    let_time_pass(workspace);
    let ledger = rusqlite::Connection::open(workspace.path().join("state/ledger.sqlite")).unwrap();
    ledger.execute("UPDATE zoom_transcripts SET first_try_ms = first_try_ms - 7 * 24 * 3600 * 1000", []).unwrap();
}

fn run(workspace: &Workspace, code: i32) -> String {
    workspace.run(&["--since", "7d"]).expect_code(code).stdout
}

fn outcomes(workspace: &Workspace) -> Value {
    json!(workspace.query(OUTCOMES))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transcript_is_stored_line_by_line_and_compared_with_ours() {
    let zoom = ZoomServer::start(vec![hello("A1")]).await;
    zoom.set_transcript(
        "A1",
        transcript(&json!([
            {"ts": "00:00:01.000", "end_ts": "00:00:01.500", "text": "ＷＯＲＬＤ！", "channelMark": "R",
             "users": [{"username": "+81355500123", "zoom_userid": "Unknown Speaker"}]},
            {"ts": "00:00:00.100", "end_ts": "00:00:00.900", "text": "Hello,", "channelMark": "L", "userId": "803"}
        ])),
    );
    let workspace = with_transcripts(&zoom);
    let stdout = run(&workspace, 0);
    assert!(stdout.contains("Zoom's transcripts: 1 fetched, 0 not ready, agreement 1.00"), "{stdout}");
    assert_eq!(outcomes(&workspace), json!([["a1", "fetched", 1.0, true]]));
    let lines = workspace.query(
        "select recording_id, segment_index, channel, speaker, start_ms, end_ms, text
         from read_parquet('zoom_segments/**/*.parquet')",
    );
    assert_eq!(
        json!(lines),
        json!([
            ["a1", 0, "left", "803", 100, 900, "Hello,"],
            ["a1", 1, "right", "+81355500123", 1_000, 1_500, "ＷＯＲＬＤ！"]
        ])
    );
    let joined = workspace.query(
        "select count(*) from read_parquet('zoom_transcripts/**/*.parquet') z
         join read_parquet('recordings/**/*.parquet') r using (recording_id, fingerprint)",
    );
    assert_eq!(joined, [[json!(1)]]);
    let (lake, requests) = (workspace.snapshot(), zoom.asked("recording_transcript").len());
    let_time_pass(&workspace);
    run(&workspace, 0);
    assert_eq!(workspace.snapshot(), lake);
    assert_eq!(zoom.asked("recording_transcript").len(), requests);
}

#[tokio::test(flavor = "multi_thread")]
async fn different_words_agree_in_part_and_an_empty_transcript_of_silence_agrees() {
    let zoom = ZoomServer::start(vec![hello("a1"), silence("a2"), silence("a3")]).await;
    zoom.set_transcript("a1", says("Hello there, new world"));
    zoom.set_transcript("a2", transcript(&json!([])));
    zoom.set_transcript("a3", says("invented"));
    let workspace = with_transcripts(&zoom);
    run(&workspace, 0);
    let mut found = workspace.query(OUTCOMES);
    found.sort_by_key(|row| row[0].to_string());
    let expected = json!([["a1", "fetched", 0.5, true], ["a2", "fetched", 1.0, true], ["a3", "fetched", 0.0, true]]);
    assert_eq!(json!(found), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transcript_that_comes_days_late_is_fetched_by_a_later_run() {
    let zoom = ZoomServer::start(vec![hello("b1")]).await;
    let workspace = with_transcripts(&zoom);
    let stdout = run(&workspace, 0);
    assert!(stdout.contains("1 transcribed and published"), "{stdout}");
    assert!(stdout.contains("Zoom's transcripts: 0 fetched, 1 not ready"), "{stdout}");
    assert!(!workspace.lake().join("zoom_transcripts").exists());
    assert_eq!(zoom.asked("recording_transcript").len(), 1, "nobody waits for it");
    zoom.set_transcript("b1", says("Hello world"));
    run(&workspace, 0);
    assert_eq!(zoom.asked("recording_transcript").len(), 1, "it is not yet due");
    let_time_pass(&workspace);
    run(&workspace, 0);
    assert_eq!(outcomes(&workspace), json!([["b1", "fetched", 1.0, true]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_comes_is_given_up_after_a_week() {
    let zoom = ZoomServer::start(vec![silence("c1"), silence("c2")]).await;
    zoom.fault(Script::next(Route::Transcript, error(12_000)).of("c2").always());
    let workspace = with_transcripts(&zoom);
    run(&workspace, 0);
    let_a_week_pass(&workspace);
    let stdout = run(&workspace, 0);
    assert!(stdout.contains("0 fetched, 0 not ready, 2 given up"), "{stdout}");
    let mut found = workspace.query(OUTCOMES);
    found.sort_by_key(|row| row[0].to_string());
    assert_eq!(json!(found), json!([["c1", "none", null, false], ["c2", "failed", null, false]]));
    let_time_pass(&workspace);
    run(&workspace, 0);
    assert_eq!(zoom.asked("recording_transcript").len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_allows_no_transcripts_is_asked_a_few_times_a_run_and_told_of_once_each() {
    let ids: Vec<String> = (1..=9).map(|number| format!("d{number}")).collect();
    let zoom = ZoomServer::start(ids.iter().map(|id| silence(id)).collect()).await;
    zoom.fault(Script::next(Route::Transcript, error(12_001)).times(17));
    let workspace = with_transcripts(&zoom);
    let stdout = run(&workspace, 0);
    assert!(stdout.contains("0 not ready, 8 not allowed by the account"), "{stdout}");
    assert_eq!(zoom.asked("recording_transcript").len(), 8);
    let_time_pass(&workspace);
    let stdout = run(&workspace, 0);
    assert!(stdout.contains("0 not ready, 8 not allowed by the account"), "{stdout}");
    assert_eq!(zoom.asked("recording_transcript").len(), 16);
    let told = "select count(*), count(distinct recording_id) from read_parquet('zoom_transcripts/**/*.parquet')";
    assert_eq!(workspace.query(told), [[json!(9), json!(9)]], "what was told is no news");
    for id in &ids {
        zoom.set_transcript(id, says("hello"));
    }
    let_time_pass(&workspace);
    run(&workspace, 0);
    // The last refusal of the script is the newest recording's.
    let last = "select count(*) from (select last(outcome order by fetched_at) as outcome
                from read_parquet('zoom_transcripts/**/*.parquet') group by recording_id) where outcome = 'fetched'";
    assert_eq!(workspace.query(last), [[json!(8)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_recording_without_permission_keeps_no_other_transcript_waiting() {
    let ids: Vec<String> = (1..=12).map(|number| format!("k{number:02}")).collect();
    let zoom = ZoomServer::start(ids.iter().map(|id| silence(id)).collect()).await;
    zoom.fault(Script::next(Route::Transcript, error(12_001)).of("k01").always());
    for id in &ids {
        zoom.set_transcript(id, says("hello"));
    }
    let workspace = with_transcripts(&zoom);
    let stdout = run(&workspace, 0);
    assert!(stdout.contains("11 fetched, 0 not ready, 1 not allowed"), "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_transcript_that_zoom_fails_at_is_that_ones_trouble_and_five_in_a_row_are_zooms() {
    let ids: Vec<String> = (1..=7).map(|number| format!("l{number}")).collect();
    let zoom = ZoomServer::start(ids.iter().map(|id| silence(id)).collect()).await;
    for id in &ids {
        zoom.set_transcript(id, says("hello"));
    }
    zoom.fault(Script::next(Route::Transcript, Fault::status(500)).of("l1").times(2));
    let workspace = with_transcripts(&zoom);
    let stdout = run(&workspace, 0);
    assert!(stdout.contains("6 fetched, 1 not ready"), "{stdout}");
    let stdout = run(&workspace, 0);
    assert!(stdout.contains("1 fetched, 0 not ready"), "{stdout}");
    let more: Vec<String> = (1..=5).map(|number| format!("m{number}")).collect();
    for id in &more {
        zoom.add(silence(id));
        zoom.set_transcript(id, says("hello"));
    }
    zoom.fault(Script::next(Route::Transcript, Fault::status(500)).times(10));
    let stdout = run(&workspace, 5);
    assert!(stdout.contains("Zoom failed at 5 of them in a row"), "{stdout}");
    let stdout = run(&workspace, 0);
    assert!(stdout.contains("5 fetched, 0 not ready"), "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_of_every_transcript_is_named_and_ends_nothing_for_good() {
    let zoom = ZoomServer::start(vec![silence("n1"), silence("n2")]).await;
    for id in ["n1", "n2"] {
        zoom.set_transcript(id, says("hello"));
    }
    zoom.fault(Script::next(Route::Transcript, Fault::status(403)).times(24));
    let workspace = with_transcripts(&zoom);
    for _ in 0..12 {
        let stdout = run(&workspace, 6);
        assert!(stdout.contains("0 fetched, 2 not ready"), "{stdout}");
        assert!(stdout.contains("Zoom denies every one that was asked for (status 403)"), "{stdout}");
    }
    let stdout = run(&workspace, 0);
    assert!(stdout.contains("2 fetched, 0 not ready"), "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_in_the_making_comes_after_half_an_hour_and_a_failed_delivery_in_the_next_run() {
    let zoom = ZoomServer::start(vec![silence("e1"), silence("e2")]).await;
    zoom.fault(Script::next(Route::Transcript, error(12_002)).of("e1"));
    zoom.fault(Script::next(Route::Transcript, error(12_003)).of("e2"));
    for id in ["e1", "e2"] {
        zoom.set_transcript(id, says("hello"));
    }
    let workspace = with_transcripts(&zoom);
    run(&workspace, 0);
    assert_eq!(zoom.asked("recording_transcript").len(), 2, "each is asked for once a run");
    run(&workspace, 0);
    assert_eq!(outcomes(&workspace), json!([["e2", "fetched", 0.0, true]]));
    let_time_pass(&workspace);
    run(&workspace, 0);
    assert_eq!(json!(workspace.query(OUTCOMES)[1]), json!(["e1", "fetched", 0.0, true]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transcript_comes_from_another_host_without_the_token() {
    let zoom = ZoomServer::start(vec![silence("f1")]).await;
    zoom.set_transcript("f1", says("hello"));
    let workspace = with_transcripts(&zoom);
    run(&workspace, 0);
    let requests = zoom.requests();
    let to_files: Vec<_> = requests.iter().filter(|seen| seen.listener == Listener::Files).collect();
    assert_eq!((to_files.len(), &to_files[0].authorization), (1, &None));
    assert!(zoom.asked("recording_transcript/download/f1")[0].authorization.is_some());
    assert_eq!(outcomes(&workspace)[0][1], json!("fetched"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_too_large_for_a_transcript_fails_and_one_that_is_none_is_tried_again() {
    let zoom = ZoomServer::start(vec![silence("g1"), silence("g2"), silence("g3")]).await;
    zoom.set_transcript("g1", vec![b' '; 5 << 20]);
    zoom.set_transcript("g2", "WEBVTT\n\n1\n00:00.000 --> 00:01.000\nhello\n");
    zoom.set_transcript("g3", says("hello"));
    zoom.fault(Script::next(Route::Transcript, Fault::redirect("https://evil.example/file")).of("g3"));
    let workspace = with_transcripts(&zoom);
    let stdout = run(&workspace, 5);
    assert!(stdout.contains("0 fetched, 2 not ready, 1 given up"), "{stdout}");
    assert!(stdout.contains("add it to zoom.download_hosts"), "{stdout}");
    assert_eq!(outcomes(&workspace), json!([["g1", "failed", null, false]]));
    let stdout = run(&workspace, 0);
    assert!(stdout.contains("1 fetched, 1 not ready"), "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_with_transcripts_is_no_recordings_trouble() {
    let zoom = ZoomServer::start(vec![hello("h1")]).await;
    zoom.set_transcript("h1", says("Hello world"));
    let scope = "phone:read:recording_transcript:admin";
    zoom.fault(Script::next(Route::Transcript, Fault::missing_scope(scope)));
    let workspace = with_transcripts(&zoom);
    let stdout = run(&workspace, 6);
    assert!(stdout.contains("1 transcribed and published"), "{stdout}");
    assert!(stdout.contains(&format!("Zoom's transcripts: the Zoom app lacks the scope {scope}")), "{stdout}");
    zoom.fault(Script::next(Route::Transcript, Fault::daily_limit("2030-01-01T00:00:00Z")));
    let stdout = run(&workspace, 5);
    assert!(stdout.contains("stopped early: Zoom's transcripts: "), "{stdout}");
    run(&workspace, 0);
    assert_eq!(outcomes(&workspace), json!([["h1", "fetched", 1.0, true]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_ledger_repeats_no_transcript() {
    let zoom = ZoomServer::start(vec![silence("i1")]).await;
    zoom.set_transcript("i1", says("hello"));
    let workspace = with_transcripts(&zoom);
    run(&workspace, 0);
    let lake = workspace.snapshot();
    std::fs::remove_dir_all(workspace.path().join("state")).unwrap();
    run(&workspace, 0);
    assert_eq!(workspace.snapshot(), lake);
    assert_eq!(zoom.asked("recording_transcript").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_personal_of_a_transcript_stands_in_statistics_or_in_the_log() {
    let zoom = ZoomServer::start(vec![silence("j1"), silence("j2")]).await;
    zoom.set_transcript(
        "j1",
        transcript(&json!([{"ts": "00:00:00.100", "text": "zzsecretword", "users": [{"username": "Yamada Taro"}]}])),
    );
    zoom.set_transcript("j2", "{\"timeline\": \"zzsecretword Yamada Taro\"}");
    let workspace = with_transcripts(&zoom);
    let outcome = workspace.run(&["--since", "7d", "-vv"]).expect_code(0);
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    let pattern = workspace.lake().join("zoom_*/*/*.parquet").display().to_string();
    let files: Vec<_> = glob::glob(&pattern).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 2);
    let tokens =
        zoom.requests().into_iter().filter_map(|seen| seen.authorization?.split(' ').nth(1).map(str::to_owned));
    for private in ["zzsecretword", "Yamada Taro", "jwt"].map(str::to_owned).into_iter().chain(tokens) {
        assert!(!said.contains(&private), "{private} was printed: {said}");
        for file in &files {
            let beside = bytes_beside_the_pages(&std::fs::read(file).unwrap());
            assert!(!holds(&beside, &private), "{private} stands beside the pages of {}", file.display());
        }
    }
}
