//! What the crash tests share: a Zoom that offers a bit of everything, a workspace, and the comparison of lakes.

use std::fs::{self, File};
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::{Clip, ZoomServer};
use crate::workspace::{Workspace, cached, read_lake};

/// What every run here is asked to do.
pub(super) const RUN: [&str; 2] = ["--since", "7d"];
/// More runs than this are not needed by anybody.
const MOST_RUNS: usize = 3;

pub(super) const HELLO: &str = "speech/en_hello_world.mp3";
pub(super) const FOX: &str = "speech/en_quick_brown_fox.mp3";
pub(super) const COUNTING: &str = "speech/en_counting.mp3";
pub(super) const STEREO: &str = "edge/stereo_two_speakers.mp3";
pub(super) const SILENCE: &str = "edge/silence_30s.mp3";

/// A recording of so many days ago.
pub(super) fn clip(id: &str, days_ago: i64, fixture: &str) -> Clip {
    Clip::new(id, cached("fixtures").join(fixture)).started_at(began(days_ago))
}

fn began(days_ago: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(24 * days_ago + 2)
}

/// Four recordings on three days, one of them silent.
pub(super) fn good_clips() -> Vec<Clip> {
    vec![clip("a1", 0, HELLO), clip("a2", 1, FOX), clip("a3", 1, SILENCE), clip("a4", 2, STEREO)]
}

/// A Zoom that offers [`good_clips`] and one that is no audio, two calls with their legs, and transcripts of its own.
pub(super) async fn zoom_with_everything() -> ZoomServer {
    let mut clips = good_clips();
    clips.push(clip("bad", 0, "edge/html.mp3"));
    let zoom = ZoomServer::start(clips).await;
    for (number, days_ago) in [("1", 0), ("2", 2)] {
        let time = |seconds: i64| (began(days_ago) + SignedDuration::from_secs(seconds)).to_string();
        let call = json!({"call_history_uuid": format!("call{number}"), "call_id": format!("740{number}"),
                          "direction": "inbound", "call_result": "answered", "start_time": time(0), "end_time": time(90),
                          "duration": 90, "caller_name": "Example Caller"});
        let leg = |segment: i64| {
            json!({"call_element_id": format!("leg{number}{segment}"), "segment": segment, "node": 1, "result": "answered",
                   "start_time": time(0), "answer_time": time(10), "end_time": time(90), "wait_time": 10})
        };
        zoom.history(|history| {
            history.call_history.push(call);
            history.details.insert(format!("call{number}"), json!({"call_elements": [leg(1), leg(2)]}));
        });
    }
    for id in ["a1", "a4"] {
        let line = json!({"ts": "00:00:00.780", "end_ts": "00:00:02.580", "text": "Scripted.", "userId": "803"});
        let transcript = json!({"type": "zoom_transcript", "ver": 1, "timeline": [line]});
        zoom.set_transcript(id, transcript.to_string());
    }
    zoom
}

/// With the scripted engine, small pages, and all that is beside the recordings.
pub(super) fn workspace(zoom: &ZoomServer) -> Workspace {
    let mut workspace = Workspace::against(zoom.environment());
    workspace.with_scripted_engine(&[]);
    for (name, value) in [
        ("TRANSCRIBE__ZOOM__HISTORY", "true"),
        ("TRANSCRIBE__ZOOM__TRANSCRIPTS", "true"),
        ("TRANSCRIBE__ZOOM__PAGE_SIZE", "2"),
        ("TRANSCRIBE__ZOOM__PLAN", "business"),
        ("TRANSCRIBE__ZOOM__RATE_SHARE", "1"),
    ] {
        workspace.set(name, value);
    }
    workspace
}

/// Runs until no work remains.
#[track_caller]
pub(super) fn finish(workspace: &Workspace) {
    for _ in 0..MOST_RUNS {
        let outcome = workspace.run(&RUN);
        match outcome.code {
            0 | 4 => return,
            5 => {}
            code => panic!("{code}: {}{}", outcome.stdout, outcome.stderr),
        }
    }
    panic!("work remains after {MOST_RUNS} runs");
}

/// Ends the test unless each lake holds the rows that the undisturbed one holds, in every table but `runs`. A run that
/// was killed has no row there, so what can be said of `runs` is that no recording is counted twice.
#[track_caller]
pub(super) fn assert_same_rows(undisturbed: &Workspace, disturbed: &[(String, Workspace)]) {
    let all = || std::iter::once(undisturbed).chain(disturbed.iter().map(|(_, workspace)| workspace));
    let lakes: Vec<String> = all().map(|workspace| workspace.lake().display().to_string()).collect();
    let read = |what: &'static str| -> Vec<Value> {
        let arguments = std::iter::once(what).chain(lakes.iter().map(String::as_str));
        serde_json::from_value(read_lake(arguments)).unwrap()
    };
    let (rows, counted) = (read("rows"), read("counted"));
    assert_eq!(rows.len(), disturbed.len() + 1);
    for (index, (what, _)) in disturbed.iter().enumerate() {
        for (table, expected) in rows[0].as_object().unwrap() {
            assert_eq!(&rows[index + 1][table], expected, "{table} after {what}");
        }
        assert_eq!(rows[index + 1].as_object().unwrap().len(), rows[0].as_object().unwrap().len(), "after {what}");
        for (number, most) in counted[index + 1].as_array().unwrap().iter().zip(counted[0].as_array().unwrap()) {
            assert!(number.as_i64() <= most.as_i64(), "{:?} after {what}", counted[index + 1]);
        }
    }
}

/// Ends the test when anything of a run lies about: audio, transcripts, registrations, locks, open batches, claims.
#[track_caller]
pub(super) fn assert_nothing_is_left_over(workspace: &Workspace, what: &str) {
    for folder in ["state/staged", "state/spool", "state/instances"] {
        let entries = fs::read_dir(workspace.path().join(folder)).into_iter().flatten();
        // An unfinished file may be another process's work; it is removed when it is an hour old.
        let is_unfinished = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "tmp");
        let left: Vec<PathBuf> =
            entries.map(|entry| entry.unwrap().path()).filter(|path| !is_unfinished(path)).collect();
        assert!(left.is_empty(), "{left:?} after {what}");
    }
    for lock in ["state/publish.lock", "lake/_publish.lock"] {
        let held = File::open(workspace.path().join(lock)).unwrap().try_lock();
        assert!(held.is_ok(), "{lock} is held after {what}");
    }
    let unfinished: Vec<PathBuf> =
        workspace.snapshot().into_keys().filter(|path| path.to_string_lossy().contains('#')).collect();
    assert!(unfinished.is_empty(), "{unfinished:?} after {what}");
    let ledger = rusqlite::Connection::open(workspace.path().join("state/ledger.sqlite")).unwrap();
    for unsettled in [
        "SELECT count(*) FROM jobs WHERE state NOT IN ('published', 'dead')",
        "SELECT count(*) FROM jobs WHERE state = 'dead' AND reported = 0",
        "SELECT count(*) FROM batches",
        "SELECT count(*) FROM outbox",
    ] {
        let count: i64 = ledger.query_row(unsettled, [], |row| row.get(0)).unwrap();
        assert_eq!(count, 0, "{unsettled} after {what}");
    }
}
