//! Call history, end to end: the real binary, a real server that speaks Zoom, and DuckDB.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use transcribe::config::ZoomConfig;
use transcribe::source::RecordingSource;

use crate::lake::{bytes_beside_the_pages, holds};
use crate::support::{Clip, Fault, Route, Script, ZoomServer};
use crate::workspace::{Workspace, cached};
use crate::zoom::source;

const ALL: &str = "select count(*) from read_parquet('call_history/**/*.parquet')";

fn with_history(zoom: &ZoomServer) -> Workspace {
    let mut workspace = Workspace::against(zoom.environment());
    workspace.set("TRANSCRIBE__ZOOM__HISTORY", "true");
    workspace
}

fn clip(id: &str) -> Clip {
    Clip::new(id, cached("fixtures/edge/silence_30s.mp3"))
}

fn ago(minutes: i64) -> String {
    let time = Timestamp::now() - SignedDuration::from_mins(minutes);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A call of the third generation that began five hours ago.
fn listed(history_id: &str) -> Value {
    json!({"call_history_uuid": history_id, "call_id": format!("74{history_id}"), "direction": "inbound",
           "call_result": "answered", "start_time": ago(300), "end_time": ago(298), "duration": 120,
           "caller_name": "Example Caller", "caller_did_number": "+81355500777", "caller_number_type": "external_pstn",
           "callee_name": "Sato Hanako", "callee_ext_number": "803", "callee_ext_id": "ext803",
           "department": "Sales", "site_id": "site", "site_name": "Tokyo", "recording_status": "recorded"})
}

fn element(id: &str, segment: i64) -> Value {
    json!({"call_element_id": id, "segment": segment, "node": 1, "event": "incoming", "result": "answered",
           "start_time": ago(300), "answer_time": ago(299), "end_time": ago(298), "wait_time": 60})
}

/// Offers a call of the third generation with its legs.
fn offer(zoom: &ZoomServer, history_id: &str, elements: &[&str]) {
    let legs: Vec<_> = (1..).zip(elements).map(|(segment, id)| element(id, segment)).collect();
    zoom.history(|history| {
        history.call_history.push(listed(history_id));
        history.details.insert(history_id.into(), json!({"call_elements": legs}));
    });
}

/// Rows of the view `current_call_history`.
fn current(workspace: &Workspace, columns: &str) -> Vec<Vec<Value>> {
    workspace.run(&["lake", "init"]).expect_code(0);
    let views = std::fs::read_to_string(workspace.lake().join("views.sql")).unwrap();
    workspace.query(&format!("{views}; select {columns} from current_call_history order by leg_id"))
}

#[tokio::test(flavor = "multi_thread")]
async fn three_generations_become_one_table() {
    let zoom = ZoomServer::start(vec![]).await;
    offer(&zoom, "20261102-v3", &["e1", "e2"]);
    zoom.history(|history| {
        let mut second = listed("x");
        let fields = second.as_object_mut().unwrap();
        fields.remove("call_history_uuid");
        fields.extend([("id".to_owned(), json!("20261102-v2")), ("call_path_id".to_owned(), json!("20261102-path"))]);
        fields.insert("call_id".into(), json!("7402_1"));
        history.call_logs.push(second);
        let path = json!([{"id": "p1", "segment": "1", "node": "1", "result": "no_answer", "waiting_time": "12"}]);
        history.details.insert("20261102-v2".into(), json!({"call_path": path}));
    });
    let workspace = with_history(&zoom);
    let outcome = workspace.run(&["--since", "1d"]).expect_code(0);
    assert!(outcome.stdout.contains("call history: 2 calls, 3 legs new or changed"), "{}", outcome.stdout);
    let rows = current(&workspace, "leg_id, generation, call_history_id, call_id, leg_index, result, wait_s, talk_s");
    assert_eq!(
        json!(rows),
        json!([
            ["e1", "call_element", "20261102-v3", "7420261102-v3", 0, "answered", 60, 60],
            ["e2", "call_element", "20261102-v3", "7420261102-v3", 1, "answered", 60, 60],
            ["p1", "call_history", "20261102-v2", "7402_1", 0, "no_answer", 12, null]
        ])
    );
    let parties = current(
        &workspace,
        "distinct caller_name, caller_number, caller_number_type, callee_extension, callee_user_id, department, site_name, has_recording",
    );
    assert_eq!(
        json!(parties),
        json!([["Example Caller", "+81355500777", "external_pstn", "803", "ext803", "Sales", "Tokyo", null]])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_call_history_the_call_logs_tell() {
    let zoom = ZoomServer::start(vec![]).await;
    zoom.history(|history| {
        history.is_first_generation_only = true;
        history.first_generation.push(json!({
            "id": "log-1", "call_id": "7401_2", "direction": "outbound", "result": "Call connected", "user_id": "u1",
            "date_time": ago(60), "answer_start_time": ago(58), "call_end_time": ago(55), "duration": "180",
            "caller_number": "803", "caller_number_type": 1, "has_recording": true, "recording_id": "R-1"
        }));
    });
    let workspace = with_history(&zoom);
    workspace.run(&["--since", "1d"]).expect_code(0);
    let row = current(
        &workspace,
        "leg_id, generation, call_log_id, call_id, result, caller_number_type, caller_user_id, talk_s, recording_ids",
    );
    assert_eq!(json!(row), json!([["log-1", "call_log", "log-1", "7401_2", "Call connected", "1", "u1", 180, "r1"]]));
    assert_eq!(zoom.asked("call_history/").len(), 0, "the first generation has no legs to ask for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_and_a_leg_that_stand_in_both_arrays_are_one() {
    let zoom = ZoomServer::start(vec![]).await;
    zoom.history(|history| {
        history.call_history.push(listed("20261102-aa"));
        let mut older = listed("20261102-aa");
        older["id"] = older["call_history_uuid"].take();
        older["cost_center"] = json!("77");
        history.call_logs.push(older);
        let path = json!([{"id": "e1", "segment": 1, "node": 1, "event": "incoming", "hold_time": 5}]);
        let detail = json!({"call_elements": [element("e1", 1)], "call_path": path});
        history.details.insert("20261102-aa".into(), detail);
    });
    let workspace = with_history(&zoom);
    let outcome = workspace.run(&["--since", "1d"]).expect_code(0);
    assert!(outcome.stdout.contains("call history: 1 calls, 1 legs"), "{}", outcome.stdout);
    assert_eq!(json!(current(&workspace, "leg_id, hold_s, wait_s, cost_center")), json!([["e1", 5, 60, "77"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_read_to_the_end_and_a_token_after_the_last_one_leads_nowhere() {
    let zoom = ZoomServer::start(vec![]).await;
    for number in 1..=5 {
        offer(&zoom, &format!("20261102-{number}"), &[&format!("e{number}")]);
    }
    zoom.history(|history| history.never_ends = true);
    zoom.fault(Script::next(Route::History, Fault::RefusePageToken));
    let mut workspace = with_history(&zoom);
    workspace.set("TRANSCRIBE__ZOOM__PAGE_SIZE", "2");
    let outcome = workspace.run(&["--since", "1d"]).expect_code(0);
    assert!(outcome.stdout.contains("call history: 5 calls, 5 legs"), "{}", outcome.stdout);
    // Two requests until a token is refused, three pages of calls and an empty one.
    let lists = zoom.asked("call_history").into_iter().filter(|seen| seen.recording.is_none()).count();
    assert_eq!(lists, 2 + 3 + 1);
    assert_eq!(workspace.query(ALL), [[json!(5)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_leg_is_not_written_again_and_a_changed_one_is_one_new_row() {
    let zoom = ZoomServer::start(vec![]).await;
    offer(&zoom, "20261102-aa", &["e1", "e2"]);
    let workspace = with_history(&zoom);
    workspace.run(&["--since", "1d"]).expect_code(0);
    let (lake, asked) = (workspace.snapshot(), zoom.asked("call_history/").len());
    let second = workspace.run(&["--since", "1d"]).expect_code(0);
    assert!(second.stdout.contains("call history: 1 calls, 0 legs new or changed"), "{}", second.stdout);
    assert_eq!(workspace.snapshot(), lake, "a run that finds nothing new writes nothing");
    assert_eq!(zoom.asked("call_history/").len(), asked, "nor does it ask for legs");
    zoom.history(|history| {
        history.call_history[0]["call_result"] = json!("voicemail");
        history.details.get_mut("20261102-aa").unwrap()["call_elements"][1]["result"] = json!("voicemail");
    });
    workspace.run(&["--since", "1d"]).expect_code(0);
    assert_eq!(workspace.query(ALL), [[json!(3)]]);
    assert_eq!(json!(current(&workspace, "leg_id, result")), json!([["e1", "answered"], ["e2", "voicemail"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_id_leads_to_its_recordings() {
    let zoom = ZoomServer::start(vec![
        clip("B-1").with("call_id", json!("other")).with("call_element_id", json!("e1")),
        clip("B-3").with("call_id", json!("other")).with("call_history_id", json!("20261102-cc")),
        clip("B-4").with("call_id", json!("7420261102-dd")),
        clip("B-5").with("call_id", json!("7420261102-dd")),
    ])
    .await;
    for (history_id, leg) in [("aa", "e1"), ("bb", "e2"), ("cc", "e3"), ("dd", "e4"), ("ee", "e5")] {
        offer(&zoom, &format!("20261102-{history_id}"), &[leg]);
    }
    zoom.history(|history| {
        let bb = history.details.get_mut("20261102-bb").unwrap();
        bb["call_elements"][0]["recording_id"] = json!("B-2");
        bb["call_elements"][0]["recording_type"] = json!("ad-hoc");
    });
    let workspace = with_history(&zoom);
    workspace.run(&["--since", "1d"]).expect_code(0);
    assert_eq!(
        json!(current(&workspace, "leg_id, recording_ids, joined_by, recording_type")),
        json!([
            ["e1", "b1", "call_element_id", null],
            ["e2", "b2", "recording_id", "ad-hoc"],
            ["e3", "b3", "call_history_id", null],
            ["e4", "b4,b5", "call_id", null],
            ["e5", null, null, null]
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_comes_late_joins_its_leg() {
    let zoom = ZoomServer::start(vec![]).await;
    offer(&zoom, "20261102-aa", &["e1", "e2"]);
    let workspace = with_history(&zoom);
    workspace.run(&["--since", "1d"]).expect_code(0);
    zoom.add(clip("c1").with("call_element_id", json!("e2")));
    workspace.run(&["--since", "1d"]).expect_code(0);
    assert_eq!(workspace.query(ALL), [[json!(3)]]);
    assert_eq!(json!(current(&workspace, "leg_id, recording_ids")), json!([["e1", null], ["e2", "c1"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_call_whose_legs_are_not_there_yet_is_asked_for_again() {
    let zoom = ZoomServer::start(vec![]).await;
    offer(&zoom, "20261102-aa", &["e1"]);
    zoom.history(|history| history.call_history[0]["end_time"] = json!(ago(1)));
    zoom.fault(Script::next(Route::HistoryDetail, Fault::status(404)).of("20261102-aa").times(4));
    let workspace = with_history(&zoom);
    workspace.run(&["--since", "1d"]).expect_code(0);
    assert_eq!(json!(current(&workspace, "leg_id")), json!([["e1"]]));
    assert_eq!(zoom.asked("call_history/20261102-aa").len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_legs_is_its_own_until_they_come() {
    let zoom = ZoomServer::start(vec![]).await;
    zoom.history(|history| history.call_history.push(listed("20261102-aa")));
    let workspace = with_history(&zoom);
    workspace.run(&["--since", "1d"]).expect_code(0);
    assert_eq!(zoom.asked("call_history/20261102-aa").len(), 1, "an old call is not waited for");
    let columns = "leg_id, generation, talk_s, has_recording";
    assert_eq!(json!(current(&workspace, columns)), json!([["20261102-aa", "call_history", null, true]]));
    zoom.history(|history| {
        let legs = json!({"call_elements": [element("e1", 1)]});
        history.details.insert("20261102-aa".into(), legs);
    });
    workspace.run(&["--since", "1d"]).expect_code(0);
    assert_eq!(json!(current(&workspace, columns)), json!([["e1", "call_element", 60, null]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_call_is_asked_for_again_although_a_leg_is_known() {
    let zoom = ZoomServer::start(vec![]).await;
    offer(&zoom, "20261102-aa", &["e1"]);
    zoom.history(|history| history.call_history[0]["end_time"] = json!(ago(1)));
    let workspace = with_history(&zoom);
    workspace.run(&["--since", "1d"]).expect_code(0);
    zoom.history(|history| {
        let legs = history.details.get_mut("20261102-aa").unwrap()["call_elements"].as_array_mut().unwrap();
        legs.push(element("e2", 2));
    });
    workspace.run(&["--since", "1d"]).expect_code(0);
    assert_eq!(json!(current(&workspace, "leg_id")), json!([["e1"], ["e2"]]));
    assert_eq!(workspace.query(ALL), [[json!(2)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_view_hides_a_call_whose_legs_are_known_and_never_a_leg() {
    let zoom = ZoomServer::start(vec![]).await;
    zoom.history(|history| {
        history.call_history.push(listed("20261102-aa"));
        let mut by_path = listed("x");
        let fields = by_path.as_object_mut().unwrap();
        fields.remove("call_history_uuid");
        fields.insert("call_path_id".into(), json!("20261102-path"));
        history.call_history.push(by_path);
    });
    let workspace = with_history(&zoom);
    workspace.run(&["--since", "1d"]).expect_code(0);
    assert_eq!(json!(current(&workspace, "leg_id")), json!([["20261102-aa"], ["20261102-path"]]));
    zoom.history(|history| {
        let path = json!([{"id": "20261102-aa", "segment": 1}, {"id": "20261102-ab", "segment": 2}]);
        history.details.insert("20261102-aa".into(), json!({"call_path": path}));
        let path = json!([{"id": "p1", "segment": 1}, {"id": "p2", "segment": 2}]);
        history.details.insert("20261102-path".into(), json!({"call_path": path}));
    });
    workspace.run(&["--since", "1d"]).expect_code(0);
    let legs = json!([["20261102-aa", 0], ["20261102-ab", 1], ["p1", 0], ["p2", 1]]);
    assert_eq!(json!(current(&workspace, "leg_id, leg_index")), legs);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_that_zoom_fails_at_is_that_calls_trouble_and_five_in_a_row_are_zooms() {
    let zoom = ZoomServer::start(vec![]).await;
    offer(&zoom, "20261102-aa", &["e1"]);
    offer(&zoom, "20261102-bb", &["e2"]);
    zoom.fault(Script::next(Route::HistoryDetail, Fault::status(503)).of("20261102-aa").times(2));
    let workspace = with_history(&zoom);
    workspace.run(&["--since", "1d"]).expect_code(0);
    assert_eq!(json!(current(&workspace, "leg_id")), json!([["20261102-aa"], ["e2"]]));
    workspace.run(&["--since", "1d"]).expect_code(0);
    assert_eq!(json!(current(&workspace, "leg_id")), json!([["e1"], ["e2"]]));
    for number in 1..=6 {
        offer(&zoom, &format!("20261102-{number}"), &[&format!("f{number}")]);
    }
    zoom.fault(Script::next(Route::HistoryDetail, Fault::status(503)).always());
    let outcome = workspace.run(&["--since", "1d"]).expect_code(5);
    assert!(outcome.stdout.contains("Zoom failed at the legs of 5 calls in a row"), "{}", outcome.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_of_all_legs_is_named() {
    let zoom = ZoomServer::start(vec![]).await;
    offer(&zoom, "20261102-aa", &["e1"]);
    offer(&zoom, "20261102-bb", &["e2"]);
    zoom.fault(Script::next(Route::HistoryDetail, Fault::status(403)).times(3));
    let workspace = with_history(&zoom);
    let outcome = workspace.run(&["--since", "1d"]).expect_code(6);
    assert!(outcome.stdout.contains("Zoom denies the legs of every call"), "{}", outcome.stdout);
    assert_eq!(json!(current(&workspace, "leg_id")), json!([["20261102-aa"], ["20261102-bb"]]));
    workspace.run(&["--since", "1d"]).expect_code(0);
    workspace.run(&["--since", "1d"]).expect_code(0);
    assert_eq!(json!(current(&workspace, "leg_id")), json!([["e1"], ["e2"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_missing_in_mid_listing_is_not_looked_for_in_the_call_logs() {
    let zoom = ZoomServer::start(vec![]).await;
    offer(&zoom, "20261102-aa", &["e1"]);
    zoom.history(|history| history.call_history[0]["of_user"] = json!("u1"));
    zoom.fault(Script::next(Route::History, Fault::status(404)).after(1).times(1));
    let mut workspace = with_history(&zoom);
    workspace.set("TRANSCRIBE__ZOOM__USERS", "[\"u1\", \"u2\"]");
    workspace.run(&["--since", "1d"]).expect_code(5);
    assert_eq!(json!(current(&workspace, "leg_id")), json!([["e1"]]));
    assert!(zoom.asked("call_logs").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_out_of_time_says_that_the_history_is_left() {
    let zoom = ZoomServer::start(vec![]).await;
    offer(&zoom, "20261102-aa", &["e1"]);
    let workspace = with_history(&zoom);
    let outcome = workspace.run(&["--since", "1d", "--max-time", "1ms"]).expect_code(5);
    assert!(outcome.stdout.contains("call history: the run was told to stop"), "{}", outcome.stdout);
    workspace.run(&["--since", "1d"]).expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_leg_is_waited_for_after_its_event() {
    let zoom = ZoomServer::start(vec![]).await;
    zoom.history(|history| drop(history.legs.insert("e1".into(), element("e1", 1))));
    zoom.fault(Script::next(Route::Leg, Fault::status(404)).times(2));
    let source = source(&ZoomConfig { history: true, ..zoom.config() });
    let calls = source.call_history().unwrap();
    let leg = calls.leg("e1").await.unwrap().unwrap();
    assert_eq!((leg.leg_id.as_str(), leg.talk_s), ("e1", Some(60)));
    assert_eq!(zoom.asked("call_element/e1").len(), 3);
    assert_eq!(calls.leg("e2").await.unwrap(), None);
    assert_eq!(zoom.asked("call_element/e2").len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_scope_is_named_and_the_recordings_are_published_all_the_same() {
    let zoom = ZoomServer::start(vec![clip("d1")]).await;
    offer(&zoom, "20261102-aa", &["e1"]);
    let scope = "phone:read:list_call_logs:admin";
    zoom.fault(Script::next(Route::History, Fault::missing_scope(scope)));
    let workspace = with_history(&zoom);
    let outcome = workspace.run(&["--since", "1d"]).expect_code(6);
    assert!(outcome.stdout.contains("1 transcribed and published"), "{}", outcome.stdout);
    assert!(
        outcome.stdout.contains(&format!("call history: the Zoom app lacks the scope {scope}")),
        "{}",
        outcome.stdout
    );
    let scope = "phone:read:call_log:admin";
    zoom.fault(Script::next(Route::HistoryDetail, Fault::missing_scope(scope)));
    let outcome = workspace.run(&["--since", "1d"]).expect_code(6);
    assert!(outcome.stdout.contains(scope), "{}", outcome.stdout);
    assert_eq!(json!(current(&workspace, "leg_id")), json!([["20261102-aa"]]), "what the list says is kept");
    workspace.run(&["--since", "1d"]).expect_code(0);
    assert_eq!(json!(current(&workspace, "leg_id")), json!([["e1"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_with_the_history_is_work_that_remains_and_no_recordings_trouble() {
    let zoom = ZoomServer::start(vec![clip("d2")]).await;
    offer(&zoom, "20261102-aa", &["e1"]);
    let workspace = with_history(&zoom);
    zoom.fault(Script::next(Route::HistoryDetail, Fault::daily_limit("2030-01-01T00:00:00Z")));
    let outcome = workspace.run(&["--since", "1d"]).expect_code(5);
    assert!(outcome.stdout.contains("1 transcribed and published"), "{}", outcome.stdout);
    assert!(!workspace.lake().join("call_history").exists(), "nothing is said of a call that was not asked for");
    // What may pass is tried twice.
    for (fault, times, code) in [(Fault::status(403), 1, 6), (Fault::status(503), 2, 5), (Fault::status(400), 1, 5)] {
        zoom.fault(Script::next(Route::History, fault).times(times));
        let outcome = workspace.run(&["--since", "1d"]).expect_code(code);
        assert!(outcome.stdout.contains("stopped early: call history: "), "{}", outcome.stdout);
    }
    workspace.run(&["--since", "1d"]).expect_code(0);
    assert_eq!(json!(current(&workspace, "leg_id")), json!([["e1"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_is_asked_for_in_months_with_an_overlap_and_six_months_back_at_most() {
    let zoom = ZoomServer::start(vec![]).await;
    let workspace = with_history(&zoom);
    workspace.run(&["--since", "26h"]).expect_code(0);
    let bound = |seen: &crate::support::Seen, key: &str| seen.query[key].parse::<Timestamp>().unwrap();
    let nightly = zoom.asked("call_history");
    let hours = bound(&nightly[0], "to").duration_since(bound(&nightly[0], "from")).as_hours();
    assert_eq!((nightly.len(), hours), (1, 26 + 48));
    assert_eq!(nightly[0].query["page_size"], "300");
    workspace.run(&["--since", "400d"]).expect_code(0);
    let long = zoom.asked("call_history").split_off(1);
    let slices: Vec<_> = long.iter().map(|seen| (bound(seen, "from"), bound(seen, "to"))).collect();
    assert!((7..=8).contains(&slices.len()));
    assert!(slices.iter().all(|(from, to)| to.duration_since(*from).as_hours() <= 28 * 24));
    assert!(slices.windows(2).all(|pair| pair[0].1 == pair[1].0));
}

#[tokio::test(flavor = "multi_thread")]
async fn chosen_users_have_lists_of_their_own_and_a_call_of_both_is_one() {
    let zoom = ZoomServer::start(vec![]).await;
    offer(&zoom, "20261102-aa", &["e1"]);
    offer(&zoom, "20261102-bb", &["e2"]);
    offer(&zoom, "20261102-cc", &["e3"]);
    zoom.history(|history| {
        let mut shared = history.call_history[0].clone();
        shared["of_user"] = json!("u2");
        history.call_history[0]["of_user"] = json!("u1");
        history.call_history[1]["of_user"] = json!("u2");
        history.call_history.push(shared);
    });
    let mut workspace = with_history(&zoom);
    workspace.set("TRANSCRIBE__ZOOM__USERS", "[\"u1\", \"u2\"]");
    workspace.run(&["--since", "1d"]).expect_code(0);
    assert_eq!(json!(current(&workspace, "leg_id")), json!([["e1"], ["e2"]]));
    assert_eq!((zoom.asked("users/u1/call_history").len(), zoom.asked("users/u2/call_history").len()), (1, 1));
    assert_eq!(zoom.asked("call_history/20261102-aa").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_signed_in_has_a_list_under_me() {
    let zoom = ZoomServer::start(vec![]).await;
    offer(&zoom, "20261102-aa", &["e1"]);
    offer(&zoom, "20261102-bb", &["e2"]);
    zoom.history(|history| {
        history.call_history[0]["of_user"] = json!("u-1");
        history.call_history[1]["of_user"] = json!("u-2");
    });
    let mut workspace = with_history(&zoom);
    workspace.unset("ZOOM_ACCOUNT_ID");
    workspace.set("TRANSCRIBE__ZOOM__MODE", "user");
    workspace.set("ZOOM_REFRESH_TOKEN", zoom.refresh_token_of("u-1"));
    workspace.run(&["--since", "1d"]).expect_code(0);
    assert_eq!(zoom.asked("users/me/call_history").len(), 1);
    assert_eq!(json!(current(&workspace, "leg_id")), json!([["e1"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_is_written_although_the_listing_fails() {
    let zoom = ZoomServer::start(vec![]).await;
    let workspace = with_history(&zoom);
    workspace.run(&["--since", "1d"]).expect_code(0);
    offer(&zoom, "20261102-aa", &["e1", "e2"]);
    let ledger = rusqlite::Connection::open(workspace.path().join("state/ledger.sqlite")).unwrap();
    let crash = "CREATE TRIGGER crash BEFORE UPDATE ON outbox BEGIN SELECT raise(ABORT, 'crash'); END";
    ledger.execute_batch(crash).unwrap();
    workspace.run(&["--since", "1d"]).expect_code(1);
    ledger.execute_batch("DROP TRIGGER crash").unwrap();
    zoom.fault(Script::next(Route::List, Fault::status(503)).times(2));
    workspace.run(&["--since", "1d"]).expect_code(5);
    assert_eq!(workspace.query(ALL), [[json!(2)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_a_put_and_its_confirmation_repeats_no_row() {
    let zoom = ZoomServer::start(vec![]).await;
    let workspace = with_history(&zoom);
    workspace.run(&["--since", "1d"]).expect_code(0);
    offer(&zoom, "20261102-aa", &["e1", "e2"]);
    let ledger = rusqlite::Connection::open(workspace.path().join("state/ledger.sqlite")).unwrap();
    let crash = "CREATE TRIGGER crash BEFORE DELETE ON outbox BEGIN SELECT raise(ABORT, 'crash'); END";
    ledger.execute_batch(crash).unwrap();
    workspace.run(&["--since", "1d"]).expect_code(1);
    assert_eq!(workspace.query(ALL), [[json!(2)]], "the rows were put");
    ledger.execute_batch("DROP TRIGGER crash").unwrap();
    offer(&zoom, "20261102-bb", &["e3"]);
    workspace.run(&["--since", "1d"]).expect_code(0);
    assert_eq!(workspace.query(ALL), [[json!(3)]]);
    let left: i64 = ledger.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_ledger_repeats_no_leg() {
    let zoom = ZoomServer::start(vec![clip("e9").with("call_element_id", json!("e1"))]).await;
    offer(&zoom, "20261102-aa", &["e1", "e2"]);
    let workspace = with_history(&zoom);
    workspace.run(&["--since", "1d"]).expect_code(0);
    std::fs::remove_dir_all(workspace.path().join("state")).unwrap();
    let outcome = workspace.run(&["--since", "1d"]).expect_code(0);
    assert!(outcome.stdout.contains("0 legs new or changed"), "{}", outcome.stdout);
    assert_eq!(workspace.query(ALL), [[json!(2)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_for_that_is_not_wanted() {
    let zoom = ZoomServer::start(vec![]).await;
    offer(&zoom, "20261102-aa", &["e1"]);
    let mut workspace = with_history(&zoom);
    workspace.set("TRANSCRIBE__ZOOM__HISTORY", "false");
    let outcome = workspace.run(&["--since", "1d"]).expect_code(0);
    assert!(!outcome.stdout.contains("call history"), "{}", outcome.stdout);
    assert!(zoom.asked("call_history").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_personal_of_a_call_stands_in_statistics_or_in_the_log() {
    const PRIVATE: [&str; 4] = ["+81355500777", "Example Caller", "Sato Hanako", "ext803"];
    let zoom = ZoomServer::start(vec![]).await;
    offer(&zoom, "20261102-aa", &["e1"]);
    zoom.history(|history| history.call_history.push(json!({"caller_name": "Example Caller"})));
    zoom.fault(Script::next(Route::HistoryDetail, Fault::html()));
    let workspace = with_history(&zoom);
    let outcome = workspace.run(&["--since", "1d", "-vv"]).expect_code(0);
    assert!(outcome.stderr.contains("listed calls without an id"), "{}", outcome.stderr);
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    let pattern = workspace.lake().join("call_history/*/*.parquet").display().to_string();
    let file = std::fs::read(glob::glob(&pattern).unwrap().next().unwrap().unwrap()).unwrap();
    let beside = bytes_beside_the_pages(&file);
    for private in PRIVATE {
        assert!(!said.contains(private), "{private} was printed: {said}");
        assert!(!holds(&beside, private), "{private} stands beside the pages");
    }
    assert!(holds(&beside, "20261102-aa"), "the check can fail");
}
