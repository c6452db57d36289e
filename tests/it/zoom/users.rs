//! Recordings of single users, and windows that are longer than Zoom lists.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use transcribe::config::ZoomConfig;
use transcribe::source::{RecordingSource, TimeWindow};

use super::{clip, last_day, list_ids, source};
use crate::support::{Clip, Fault, Route, Script, ZoomServer};
use crate::workspace::{Workspace, cached};

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

#[tokio::test]
async fn users_have_lists_of_their_own_asked_for_by_start_and_a_day_more() {
    let server = ZoomServer::start(vec![
        clip("r1").of_user("tanaka@example.com"),
        clip("r2").of_user("u-2"),
        clip("r3").of_user("somebody-else"),
    ])
    .await;
    let users = vec!["tanaka@example.com".to_owned(), "u-2".to_owned()];
    let source = source(&ZoomConfig { users, ..server.config() });
    let window = last_day();
    assert_eq!(list_ids(&source, window).await, ["r1", "r2"]);
    let listings = server.listings();
    let paths: Vec<_> = listings.iter().map(|seen| seen.path.replace("%40", "@")).collect();
    assert_eq!(paths, ["/v2/phone/users/tanaka@example.com/recordings", "/v2/phone/users/u-2/recordings"]);
    for seen in &listings {
        assert!(!seen.query.contains_key("query_date_type"), "not a parameter of this endpoint");
        let from: Timestamp = seen.query["from"].parse().unwrap();
        assert_eq!(from, Timestamp::from_second((window.since - days(1)).as_second()).unwrap());
    }
}

#[tokio::test]
async fn a_users_list_is_never_asked_for_more_than_six_months() {
    let now = Timestamp::now();
    let server = ZoomServer::start(vec![
        clip("r1").of_user("u").started_at(now - days(170)),
        clip("r2").of_user("u").started_at(now - days(300)),
    ])
    .await;
    let source = source(&ZoomConfig { users: vec!["u".into()], ..server.config() });
    // The server refuses what is older.
    assert_eq!(list_ids(&source, TimeWindow { since: now - days(400), until: now }).await, ["r1"]);
    assert!(source.reaches_back_to().is_some_and(|reach| reach > now - days(185)));
}

fn against(zoom: &ZoomServer) -> Workspace {
    Workspace::against(zoom.environment())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_user_can_be_asked_for_at_the_prompt() {
    let silence = cached("fixtures/edge/silence_30s.mp3");
    let zoom = ZoomServer::start(vec![
        Clip::new("a1", silence.clone()).of_user("tanaka@example.com").duration_s(30),
        Clip::new("a2", silence).duration_s(30),
    ])
    .await;
    let workspace = against(&zoom);
    let summary = workspace.run(&["--user", "tanaka@example.com", "--format", "json"]).expect_code(0).json();
    assert_eq!((&summary["listed"], &summary["done"]), (&json!(1), &json!(1)));
    let years = workspace.run(&["--user", "tanaka@example.com", "--since", "400d"]).expect_code(0);
    assert!(years.stdout.contains("of six months only"), "{}", years.stdout);
    let me = workspace.run(&["--user", "me"]).expect_code(3);
    assert!(me.stderr.contains("zoom.mode"), "{}", me.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_that_was_interrupted_goes_on_slice_by_slice() {
    let silence = || cached("fixtures/edge/silence_30s.mp3");
    let now = Timestamp::now();
    let old = |id: &str, age: i64| Clip::new(id, silence()).duration_s(30).started_at(now - days(age));
    // In the first slice, whatever its length is today.
    let oldest = |id: &str| old(id, 720).started_at(now - days(720) + SignedDuration::from_mins(30));
    let zoom = ZoomServer::start(vec![oldest("b0"), old("b1", 680), old("b2", 300), old("b3", 20)]).await;
    // Years are 26 or 27 slices; Zoom goes away after the eleventh.
    zoom.fault(Script::next(Route::List, Fault::status(503)).after(11).times(2));
    let workspace = against(&zoom);
    let first = workspace.run(&["--since", "720d", "--format", "json"]).expect_code(5).json();
    assert_eq!((&first["listed"], &first["done"]), (&json!(2), &json!(2)), "what was listed is done all the same");
    let asked_before = zoom.listings().len();
    // Nor does a nightly run in between forget how far it came.
    workspace.run(&["--since", "26h"]).expect_code(0);
    let second = workspace.run(&["--since", "720d"]).expect_code(0);
    assert!(second.stdout.contains("went on where an earlier run broke off (11 slices"), "{}", second.stdout);
    let repeated = zoom.listings()[asked_before..].iter().any(|seen| {
        let from: Timestamp = seen.query["from"].parse().unwrap();
        from < now - days(600)
    });
    assert!(!repeated, "a slice that was done was listed again");
    assert_eq!(workspace.query("select count(*) from read_parquet('recordings/**/*.parquet')"), [[json!(4)]]);
    // A complete listing leaves no marks: the next one sees everything, late recordings too.
    zoom.add(oldest("b4"));
    let third = workspace.run(&["--since", "720d", "--format", "json"]).expect_code(0).json();
    assert_eq!((&third["listed"], &third["done"]), (&json!(5), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_run_of_a_signed_in_user_sees_that_user_only_and_says_nothing_secret() {
    let silence = cached("fixtures/edge/silence_30s.mp3");
    let zoom = ZoomServer::builder(vec![
        Clip::new("c1", silence.clone()).of_user("u-1").duration_s(30).with("caller_number", json!("+81355500777")),
        Clip::new("c2", silence).of_user("u-2").duration_s(30),
    ])
    .redirecting_downloads()
    .start()
    .await
    .unwrap();
    let mut workspace = against(&zoom);
    workspace.unset("ZOOM_ACCOUNT_ID");
    workspace.set("TRANSCRIBE__ZOOM__MODE", "user");
    workspace.set("TRANSCRIBE__ZOOM__HISTORY", "true");
    workspace.set("TRANSCRIBE__ZOOM__TRANSCRIPTS", "true");
    workspace.set("ZOOM_REFRESH_TOKEN", zoom.refresh_token_of("u-1"));
    let mut said = String::new();
    for _ in 0..2 {
        let outcome = workspace.run(&["--since", "7d", "-vv"]).expect_code(0);
        said.push_str(&outcome.stdout);
        said.push_str(&outcome.stderr);
    }
    assert_eq!(workspace.query("select recording_id from read_parquet('recordings/**/*.parquet')"), [[json!("c1")]]);
    let listed: Vec<String> = zoom.listings().into_iter().map(|seen| seen.path).collect();
    assert_eq!(listed, ["/v2/phone/users/me/recordings"; 2]);
    assert!(zoom.requests().iter().any(|seen| seen.path == "/v2/phone/users/me/call_history"));
    let secrets = zoom.secrets_handed_out().into_iter();
    for secret in secrets.chain(["demo-secret", "/download/key", "jwt", "+81355500777"].map(str::to_owned)) {
        assert!(!said.contains(&secret), "{secret} was printed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_gone_does_not_stop_the_others() {
    let silence = || cached("fixtures/edge/silence_30s.mp3");
    let of = |id: &str, user: &str| Clip::new(id, silence()).duration_s(30).of_user(user);
    let zoom = ZoomServer::start(vec![of("d1", "first"), of("d2", "third@example.com")]).await;
    let gone = Fault::json(404, &json!({ "code": 1001, "message": "User does not exist: gone@example.com." }));
    zoom.fault(Script::next(Route::List, gone).after(1));
    let mut workspace = against(&zoom);
    workspace.set("TRANSCRIBE__ZOOM__USERS", "first, gone@example.com, third@example.com");
    let outcome = workspace.run(&["--since", "7d", "-vv"]).expect_code(3);
    assert!(outcome.stdout.contains("number 2 of zoom.users"), "{}", outcome.stdout);
    assert!(!outcome.stderr.contains("gone@example.com"), "{}", outcome.stderr);
    let rows = workspace.query("select recording_id from read_parquet('recordings/**/*.parquet') order by 1");
    assert_eq!(rows, [[json!("d1")], [json!("d2")]]);
}
