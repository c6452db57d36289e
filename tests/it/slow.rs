//! Tests that take minutes: `make test-slow`.

use std::io::{BufRead, BufReader};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::support::{Clip, ZoomServer};
use crate::workspace::{Workspace, cached};

/// What a run logs at the end of each of its stages, in order.
const STAGES: [&str; 6] =
    ["recordings listed", "model loaded", "recording claimed", "audio fetched", "transcribed", "published"];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "kills and restarts the program dozens of times: make test-slow"]
async fn whatever_stage_a_run_is_killed_in_every_recording_has_one_row_in_the_end() {
    let fixtures = ["speech/en_hello_world.mp3", "speech/en_quick_brown_fox.mp3", "edge/stereo_two_speakers.mp3"];
    for (round, stage) in STAGES.iter().enumerate() {
        // Three days, so that publishing has three batches to be killed between.
        let clips = (0_i64..).zip(fixtures).map(|(day, fixture)| {
            let started_at = Timestamp::now() - SignedDuration::from_hours(24 * day + 2);
            Clip::new(&format!("{round}{day}aa"), cached("fixtures").join(fixture)).started_at(started_at)
        });
        let zoom = ZoomServer::start(clips.collect()).await;
        let mut workspace = Workspace::against(zoom.environment());
        workspace.set("TRANSCRIBE__QUEUE__MAX_ATTEMPTS", "50");
        let mut kills = 0;
        // Killed at the first, second … appearance of the line, until a run gets past all of them.
        for appearance in 1.. {
            let mut child = workspace.command(&["--since", "7d", "-v"]).spawn().unwrap();
            let lines = BufReader::new(child.stderr.take().unwrap()).lines();
            let appeared = lines.map_while(Result::ok).filter(|line| line.contains(stage)).nth(appearance - 1);
            if appeared.is_none() {
                assert!(child.wait().unwrap().success(), "the run that was left alone failed");
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
        }
        assert!(kills > 0, "{stage:?} was never logged");
        workspace.run(&["--since", "7d"]).expect_code(0);
        let rows = workspace
            .query("select count(*), count(distinct recording_id) from read_parquet('recordings/**/*.parquet')");
        assert_eq!(rows, [[json!(3), json!(3)]], "after {kills} kills at {stage:?}");
        let orphans = workspace.query(
            "select count(*) from read_parquet('segments/**/*.parquet') s
             anti join read_parquet('recordings/**/*.parquet') r on s.fingerprint = r.fingerprint",
        );
        assert_eq!(orphans, [[json!(0)]], "after {kills} kills at {stage:?}");
        let proof = workspace.run(&["reconcile", "--since", "7d"]).expect_code(0).stdout;
        assert!(proof.ends_with("lost: 0, double: 0\n"), "after {kills} kills at {stage:?}: {proof}");
    }
}
