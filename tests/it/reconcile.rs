//! The completeness proof, end to end: the real binary, a real server that speaks Zoom, and DuckDB.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::{Clip, Fault, Route, Script, ZoomServer};
use crate::workspace::{Outcome, Workspace, cached};

const COVERAGE: &str = "select day, zoom_recordings, zoom_seconds, lake_recordings, lake_seconds, reason, recordings,
    seconds, dt = checked_at::date::varchar from read_parquet('coverage/**/*.parquet', hive_partitioning = true, hive_types = {'dt': VARCHAR})
    order by day, reason";

/// Ten seconds in which nobody speaks, an hour ago.
fn silent(id: &str) -> Clip {
    Clip::silent(id, 278)
}

/// The same, so many hours ago.
fn old(id: &str, hours: i64) -> Clip {
    silent(id).started_at(Timestamp::now() - SignedDuration::from_hours(hours))
}

fn hello(id: &str) -> Clip {
    Clip::new(id, cached("fixtures/speech/en_hello_world.mp3"))
}

fn against(zoom: &ZoomServer) -> Workspace {
    Workspace::against(zoom.environment())
}

#[track_caller]
fn reconcile(workspace: &Workspace, arguments: &[&str], code: i32) -> Value {
    let arguments = [&["reconcile", "--format", "json"], arguments].concat();
    let object = workspace.run(&arguments).expect_code(code).json();
    assert_eq!(object["exit_code"], json!(code));
    object
}

/// `[reason, recordings]` of all days together.
fn differences(object: &Value) -> Value {
    let differences = object["totals"]["differences"].as_array().unwrap();
    differences.iter().map(|difference| json!([difference["reason"], difference["recordings"]])).collect()
}

/// `[id, reason, table]` of everything that is unexplained.
fn unexplained(object: &Value) -> Value {
    let items = object["unexplained"].as_array().unwrap();
    items.iter().map(|item| json!([item["id"], item["reason"], item["table"]])).collect()
}

fn both_sides(object: &Value) -> (u64, u64) {
    let side = |key: &str| object["totals"][key].as_u64().unwrap();
    (side("zoom_recordings"), side("lake_recordings"))
}

/// The day of the first recording that is unexplained.
fn first_day(object: &Value) -> String {
    object["unexplained"][0]["day"].as_str().unwrap().to_owned()
}

/// The files of a table, oldest day first.
fn files(workspace: &Workspace, table: &str) -> Vec<PathBuf> {
    let pattern = format!("{}/{table}/*/*.parquet", workspace.lake().display());
    glob::glob(&pattern).unwrap().map(Result::unwrap).collect()
}

fn copy_of(file: &Path) -> PathBuf {
    let copy = file.with_file_name("part-copied-by-hand.parquet");
    std::fs::copy(file, &copy).unwrap();
    copy
}

fn forget_ledger(workspace: &Workspace) {
    std::fs::remove_dir_all(workspace.path().join("state")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nothing_is_missing_every_day_says_so_in_the_lake() {
    // Zoom writes an id with dashes and without; it is one recording.
    let zoom = ZoomServer::start(vec![old("AA-01", 100), old("aa01", 100), silent("aa02"), silent("aa03")]).await;
    let workspace = against(&zoom);
    workspace.run(&["--since", "7d"]).expect_code(0);
    let recordings = files(&workspace, "recordings");
    let outcome = workspace.run(&["reconcile"]).expect_code(0);
    assert!(outcome.stdout.ends_with("lost: 0, double: 0\n"), "{}", outcome.stdout);
    let rows = workspace.query(COVERAGE);
    assert_eq!(rows.len(), 2, "{rows:?}");
    let sums: Vec<Value> = rows.iter().map(|row| json!(row[1..])).collect();
    assert_eq!(json!(sums), json!([[1, 10, 1, 10, null, 0, 0, true], [2, 20, 2, 20, null, 0, 0, true]]));
    let run = workspace.query(
        "select c.run_id = r.run_id, r.listed, r.skipped, r.exit_code from read_parquet('runs/**/*.parquet') r,
         read_parquet('coverage/**/*.parquet') c where r.command = 'reconcile' limit 1",
    );
    assert_eq!(run, [[json!(true), json!(3), json!(3), json!(0)]]);
    assert_eq!(files(&workspace, "recordings"), recordings);

    // The lake alone says the same.
    forget_ledger(&workspace);
    let again = reconcile(&workspace, &["--since", "7d"], 0);
    assert_eq!((both_sides(&again), differences(&again)), ((3, 3), json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_explained_difference_has_its_reason_also_without_the_ledger() {
    let zoom =
        ZoomServer::start(vec![silent("b1"), silent("b2"), silent("b3").duration_s(1), silent("b4"), silent("b5")])
            .await;
    zoom.fault(Script::next(Route::Download, Fault::empty()).of("b3").always());
    zoom.fault(Script::next(Route::Download, Fault::html()).of("b4").always());
    let workspace = against(&zoom);
    workspace.run(&["--since", "7d"]).expect_code(4);
    zoom.delete("b2");
    zoom.add(silent("b6"));
    let expected = json!([["not_yet", 1], ["too_short", 1], ["quarantined", 1], ["deleted_in_zoom", 1]]);
    let object = reconcile(&workspace, &["--since", "7d"], 0);
    assert_eq!((both_sides(&object), differences(&object)), ((5, 3), expected.clone()));
    assert_eq!(unexplained(&object), json!([]));
    let reasons = workspace.query(
        "select reason, sum(recordings)::int, sum(seconds)::int from read_parquet('coverage/**/*.parquet')
         group by 1 order by 1",
    );
    let written = json!([["deleted_in_zoom", 1, 10], ["not_yet", 1, 10], ["quarantined", 1, 10], ["too_short", 1, 1]]);
    assert_eq!(json!(reasons), written);

    forget_ledger(&workspace);
    let without = reconcile(&workspace, &["--since", "7d"], 0);
    assert_eq!((both_sides(&without), differences(&without)), ((5, 3), expected));

    let told = workspace.run(&["reconcile", "--since", "7d"]).expect_code(0).stdout;
    for part in ["1 not yet", "1 too short", "1 quarantined", "1 deleted in Zoom", "lost: 0, double: 0"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_ledger_keeps_for_later_is_not_yet_there_however_old() {
    let zoom = ZoomServer::start(vec![old("c1", 100), old("c2", 101)]).await;
    zoom.fault(Script::next(Route::Download, Fault::status(503)).of("c1").always());
    let workspace = against(&zoom);
    workspace.run(&["--since", "7d"]).expect_code(5);
    let object = reconcile(&workspace, &["--since", "7d"], 0);
    assert_eq!(both_sides(&object).0, 2);
    assert_eq!(differences(&object)[0][0], json!("not_yet"), "{object}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_limit_left_out_is_not_yet_there_and_after_26_hours_it_is_lost() {
    let zoom = ZoomServer::start(vec![old("d1", 1), old("d2", 2), old("d3", 30)]).await;
    let workspace = against(&zoom);
    workspace.run(&["--since", "5h", "--limit", "1"]).expect_code(0);
    let object = reconcile(&workspace, &["--since", "7d"], 4);
    assert_eq!((both_sides(&object), differences(&object)), ((3, 1), json!([["not_yet", 1], ["lost", 1]])));
    assert_eq!(unexplained(&object), json!([["d3", "lost", "recordings"]]));
    let told = workspace.run(&["reconcile", "--since", "7d"]).expect_code(4).stdout;
    let since = first_day(&object);
    assert!(told.contains(&format!("no run has seen it: run `transcribe --since {since}`")), "{told}");
    workspace.run(&["--since", &since]).expect_code(0);
    assert_eq!(both_sides(&reconcile(&workspace, &["--since", "7d"], 0)), (3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_whose_rows_are_gone_is_lost_until_it_is_asked_for_again() {
    let zoom = ZoomServer::start(vec![old("e1", 100), silent("e2")]).await;
    let workspace = against(&zoom);
    workspace.run(&["--since", "7d"]).expect_code(0);
    for table in ["recordings", "segments"] {
        std::fs::remove_file(&files(&workspace, table)[0]).unwrap();
    }
    let object = reconcile(&workspace, &[], 4);
    assert_eq!((&object["lost"], &object["double"]), (&json!(1), &json!(0)));
    assert_eq!(unexplained(&object), json!([["e1", "lost", "recordings"]]));
    let lost = workspace.query(
        "select reason, recordings, lake_recordings from read_parquet('coverage/**/*.parquet') order by day limit 1",
    );
    assert_eq!(lost, [[json!("lost"), json!(1), json!(0)]]);
    let Outcome { stdout, .. } = workspace.run(&["reconcile"]).expect_code(4);
    assert!(stdout.contains("lost: 1, double: 0") && stdout.contains("`transcribe --recording e1`"), "{stdout}");

    workspace.run(&["--since", "7d"]).expect_code(0);
    reconcile(&workspace, &[], 4);
    workspace.run(&["--recording", "e1"]).expect_code(0);
    assert_eq!(both_sides(&reconcile(&workspace, &[], 0)), (2, 2));
    assert_eq!((zoom.downloads_of("e1"), zoom.downloads_of("e2")), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_there_twice_are_doubles_whatever_the_table() {
    let zoom = ZoomServer::start(vec![hello("f1")]).await;
    let workspace = against(&zoom);
    workspace.run(&["--since", "7d"]).expect_code(0);
    for table in ["recordings", "segments", "words"] {
        let copy = copy_of(&files(&workspace, table)[0]);
        let object = reconcile(&workspace, &[], 4);
        assert_eq!(unexplained(&object), json!([["f1", "double", table]]));
        assert_eq!((both_sides(&object), differences(&object)), ((1, 1), json!([["double", 1]])));
        std::fs::remove_file(copy).unwrap();
    }
    reconcile(&workspace, &[], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_recording_in_two_partitions_is_a_double() {
    let zoom = ZoomServer::start(vec![hello("g1").started_at(Timestamp::now() - SignedDuration::from_hours(72))]).await;
    let workspace = against(&zoom);
    workspace.run(&["--since", "7d"]).expect_code(0);
    let next_day = (Timestamp::now() - SignedDuration::from_hours(48)).strftime("dt=%Y-%m-%d").to_string();
    for table in ["recordings", "segments", "words"] {
        let file = &files(&workspace, table)[0];
        let folder = workspace.lake().join(table).join(&next_day);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(file, folder.join(file.file_name().unwrap())).unwrap();
    }
    let object = reconcile(&workspace, &[], 4);
    assert_eq!((unexplained(&object), both_sides(&object)), (json!([["g1", "double", "recordings"]]), (1, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_that_are_gone_are_lost_and_segments_alone_are_orphans() {
    let zoom = ZoomServer::start(vec![hello("h1")]).await;
    let workspace = against(&zoom);
    workspace.run(&["--since", "7d"]).expect_code(0);
    let aside = workspace.path().join("aside.parquet");
    let segments = &files(&workspace, "segments")[0];
    std::fs::rename(segments, &aside).unwrap();
    let object = reconcile(&workspace, &[], 4);
    assert_eq!((unexplained(&object), both_sides(&object)), (json!([["h1", "lost", "segments"]]), (1, 0)));
    std::fs::rename(&aside, segments).unwrap();
    reconcile(&workspace, &[], 0);

    std::fs::remove_file(&files(&workspace, "recordings")[0]).unwrap();
    assert_eq!(unexplained(&reconcile(&workspace, &[], 4)), json!([["h1", "lost", "recordings"]]));
    let told = workspace.run(&["reconcile"]).expect_code(4).stdout;
    assert!(told.contains("its segments are still there"), "{told}");
    zoom.delete("h1");
    assert_eq!(unexplained(&reconcile(&workspace, &[], 4)), json!([["h1", "orphaned", "segments"]]));
    let told = workspace.run(&["reconcile"]).expect_code(4).stdout;
    assert!(told.contains("lost: 0, double: 0, orphaned: 1"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_ends_of_the_window_nothing_is_taken_for_deleted() {
    let start = Timestamp::from_second(Timestamp::now().as_second()).unwrap() - SignedDuration::from_hours(50);
    let zoom = ZoomServer::start(vec![silent("k1").started_at(start)]).await;
    let workspace = against(&zoom);
    workspace.run(&["--since", "7d"]).expect_code(0);
    let seconds = |moved: i64| (start + SignedDuration::from_secs(moved)).to_string();
    let look = |since: i64, until: i64| {
        let object = reconcile(&workspace, &["--since", &seconds(since), "--until", &seconds(until)], 0);
        (both_sides(&object), differences(&object))
    };
    let (found, nothing) = (((1, 1), json!([])), ((0, 0), json!([])));
    // The account's list is asked for by end, so this one is listed although it began before.
    assert_eq!(look(5, 3_600), found);
    assert_eq!(look(-3_600, 10), found);
    assert_eq!(look(-3_600, 5), nothing, "it ended after the window");
    assert_eq!(look(11, 3_600), nothing, "it ended before the window");
    zoom.delete("k1");
    assert_eq!(look(5, 3_600), nothing);
    assert_eq!(look(-3_600, 10), nothing);
    assert_eq!(look(-3_600, 3_600), ((0, 1), json!([["deleted_in_zoom", 1]])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_list_says_nothing_of_other_peoples_recordings() {
    let of = |id: &str, user: &str| silent(id).of_user(user).with("owner", json!({"type": "user", "id": user}));
    let zoom = ZoomServer::start(vec![of("m1", "u-1"), of("m2", "u-1"), of("m3", "u-2")]).await;
    let workspace = against(&zoom);
    workspace.run(&["--since", "7d"]).expect_code(0);
    let one = reconcile(&workspace, &["--user", "u-1"], 0);
    assert_eq!((both_sides(&one), differences(&one)), ((2, 2), json!([])));
    zoom.delete("m2");
    zoom.delete("m3");
    let one = reconcile(&workspace, &["--user", "u-1"], 0);
    assert_eq!((both_sides(&one), differences(&one)), ((1, 2), json!([["deleted_in_zoom", 1]])));
    assert_eq!(one["notes"], json!([]));
    let all = reconcile(&workspace, &[], 0);
    assert_eq!((both_sides(&all), differences(&all)), ((1, 3), json!([["deleted_in_zoom", 2]])));
    // Nobody in the lake is known by an address.
    let by_address = of("m4", "u-3").of_user("tanaka@example.com");
    zoom.add(by_address);
    let one = reconcile(&workspace, &["--user", "tanaka@example.com"], 0);
    assert_eq!((both_sides(&one), differences(&one)), ((1, 0), json!([["not_yet", 1]])));
    assert!(one["notes"][0].as_str().unwrap().contains("may be somebody else's"), "{one}");
    let outcome = workspace.run(&["reconcile", "--user", "nobody@example.com", "-vv"]).expect_code(0);
    assert!(!outcome.stderr.contains("nobody@"), "{}", outcome.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_breaks_off_gives_no_verdict_and_writes_nothing() {
    let zoom = ZoomServer::start(vec![silent("n1"), silent("n2"), silent("n3")]).await;
    let mut workspace = against(&zoom);
    workspace.run(&["--since", "7d"]).expect_code(0);
    workspace.set("TRANSCRIBE__ZOOM__PAGE_SIZE", "1");
    let lake = workspace.snapshot();
    // The first page comes, the second does not, however often it is asked for.
    zoom.fault(Script::next(Route::List, Fault::status(503)).after(1).times(2));
    let outcome = workspace.run(&["reconcile", "--since", "7d"]).expect_code(5);
    assert!(outcome.stdout.is_empty() && outcome.stderr.contains("error:"), "{}", outcome.stderr);
    zoom.fault(Script::next(Route::List, Fault::missing_scope("phone:read:list_call_recordings:admin")));
    workspace.run(&["reconcile", "--since", "7d"]).expect_code(6);
    assert_eq!(workspace.snapshot(), lake);
    assert_eq!(both_sides(&reconcile(&workspace, &[], 0)), (3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_what_was_on_its_way_is_neither_lost_nor_double() {
    let zoom = ZoomServer::start(vec![old("q1", 50), old("q2", 75)]).await;
    let mut workspace = against(&zoom);
    // Ends when the first object of a batch is in the lake: segments whose recordings are not.
    workspace.set("FAILPOINTS", "object-put=return");
    assert_ne!(workspace.run(&["--since", "7d"]).code, 0);
    workspace.unset("FAILPOINTS");
    assert!(files(&workspace, "recordings").is_empty() && !files(&workspace, "segments").is_empty());
    let object = reconcile(&workspace, &["--since", "7d"], 0);
    assert_eq!((both_sides(&object), differences(&object)), ((2, 0), json!([["not_yet", 2]])));
    workspace.run(&["--since", "7d"]).expect_code(0);
    let object = reconcile(&workspace, &["--since", "7d"], 0);
    assert_eq!((both_sides(&object), differences(&object)), ((2, 2), json!([])));
    assert_eq!((&object["lost"], &object["double"]), (&json!(0), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_without_recordings_and_a_lake_that_was_never_begun_are_whole() {
    let zoom = ZoomServer::start(vec![]).await;
    let workspace = against(&zoom);
    let object = reconcile(&workspace, &[], 0);
    assert_eq!((both_sides(&object), &object["days"]), ((0, 0), &json!([])));
}

#[test]
fn a_folder_and_a_wrong_window_are_refused_in_one_sentence() {
    let workspace = Workspace::new();
    let folder = workspace.run(&["reconcile", "--set", "source.kind=folder"]).expect_code(2);
    assert!(folder.stderr.contains("source.kind folder: it must be zoom"), "{}", folder.stderr);
    let window = workspace.run(&["reconcile", "--since", "2h", "--until", "5h"]).expect_code(2);
    assert!(window.stderr.contains("--since 2h"), "{}", window.stderr);
    let misplaced = workspace.run(&["--since", "2h", "reconcile"]).expect_code(2);
    assert!(misplaced.stderr.contains("--since"), "{}", misplaced.stderr);
}
