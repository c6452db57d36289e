//! The process is killed at every boundary between two stages, and the runs after it finish the work.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::scene::{
    HELLO, RUN, assert_nothing_is_left_over, assert_same_rows, clip, finish, workspace, zoom_with_everything,
};
use crate::support::ZoomServer;
use crate::workspace::project;

const LISTING: &[&str] = &["taken-back", "leftovers-removed", "enqueued", "slice-listed", "listed"];
const WORK: &[&str] = &["claimed", "fetched", "decoding", "decoded", "transcribed", "staged", "settled"];
const PUBLISHING: &[&str] = &["batch-recorded", "object-put", "batch-put", "batch-closed", "staged-removed"];
const BESIDE: &[&str] = &[
    "quarantine-put",
    "dead-reported",
    "legs-adopted",
    "legs-posted",
    "transcript-noted",
    "parcel-put",
    "parcels-delivered",
    "summed-up",
    "run-put",
];
/// What only a run after a crash passes.
const TAKING_UP: &[&str] = &[
    "staged-adopted",
    "unwanted-removed",
    "whole-batch-closed",
    "batch-removed",
    "started-over",
    "found-published",
    "found-in-lake",
];

/// What only the service passes; `serve::storm` kills it there.
pub(crate) const SERVICE: &[&str] = &["events-acted-upon"];

/// What putting one object in the place of others passes; `compact` is killed there.
pub(crate) const COMPACTING: &[&str] = &["swap-announced", "swap-put", "swap-decided", "object-removed"];

/// What putting a large object into a bucket passes; `s3` is killed there.
pub(crate) const UPLOADING: &[&str] = &["upload-noted", "upload-parts-put"];

/// What a coordinator passes with a report, and a worker with a job; `fleet` kills them there.
pub(crate) const LEADING: &[&str] = &["taken-over", "report-settled"];
pub(crate) const HIRED: &[&str] = &["taken", "handed-over", "reported"];

/// What a purge passes; `purge` is killed there.
pub(crate) const PURGING: &[&str] = &[
    "purge-begun",
    "purge-entombed",
    "purge-rewritten",
    "purge-erased",
    "purge-unspooled",
    "purge-forgotten",
    "purge-scrubbed",
];

/// A boundary that a run passes more often is not killed at more often.
const MOST_PASSAGES: usize = 3;

/// Kills a run at the first, second and third passage of each boundary, and lets the next run finish.
async fn killed_at_each_of(boundaries: &[&str]) {
    let zoom = zoom_with_everything().await;
    let undisturbed = workspace(&zoom);
    undisturbed.run(&RUN).expect_code(4);
    let mut disturbed = Vec::new();
    for boundary in boundaries {
        for passed in 0..MOST_PASSAGES {
            let workspace = workspace(&zoom);
            let is_killed = workspace.dies_at(&RUN, boundary, passed);
            assert!(is_killed || passed > 0, "no run passes {boundary}");
            if !is_killed {
                break;
            }
            finish(&workspace);
            let what = format!("{boundary} was passed {passed} times");
            assert_nothing_is_left_over(&workspace, &what);
            disturbed.push((what, workspace));
        }
    }
    assert_same_rows(&undisturbed, &disturbed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_at_any_boundary_of_its_listing_leaves_the_rows_of_an_undisturbed_one() {
    killed_at_each_of(LISTING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_at_any_boundary_of_its_work_leaves_the_rows_of_an_undisturbed_one() {
    killed_at_each_of(WORK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_at_any_boundary_of_its_publishing_leaves_the_rows_of_an_undisturbed_one() {
    killed_at_each_of(PUBLISHING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_at_any_boundary_beside_its_recordings_leaves_the_rows_of_an_undisturbed_one() {
    killed_at_each_of(BESIDE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_said_to_be_transcribed_only_when_its_claim_is_settled() {
    let zoom = ZoomServer::start(vec![clip("k000", 0, HELLO)]).await;
    for (boundary, is_said) in [("staged", false), ("summed-up", true)] {
        let mut workspace = workspace(&zoom);
        workspace.failpoint(&format!("{boundary}=return"));
        let said = workspace.run(&[RUN[0], RUN[1], "-vv"]).expect_code(-1).stderr;
        assert_eq!(said.contains("transcribed audio_ms="), is_said, "{boundary}: {said}");
    }
}

/// The names in `failpoint::pass("…")` below a folder.
fn boundaries_in(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            boundaries_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            let after = source.split("failpoint::pass(\"").skip(1);
            found.extend(after.map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
}

#[test]
fn every_boundary_in_the_program_is_one_that_a_run_is_killed_at() {
    let mut in_program = BTreeSet::new();
    boundaries_in(&project().join("src"), &mut in_program);
    let runs = [LISTING, WORK, PUBLISHING, BESIDE, TAKING_UP, SERVICE].concat();
    let others = [COMPACTING, UPLOADING, PURGING, LEADING, HIRED].concat();
    assert_eq!(in_program, runs.into_iter().chain(others).map(str::to_owned).collect());
}
