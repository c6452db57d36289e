//! The run after a crash is killed as well, at the boundaries that only such a run passes and at the usual ones.

use std::fs;

use super::scene::{
    RUN, assert_nothing_is_left_over, assert_same_rows, finish, good_clips, workspace, zoom_with_everything,
};
use crate::support::ZoomServer;
use crate::workspace::Workspace;

/// What happens to a workspace between the two deaths.
#[derive(Debug)]
enum Mishap {
    Nothing,
    /// The ledger is lost; what is staged is not.
    LedgerLost,
    /// A finished transcript is lost.
    TranscriptLost(&'static str),
}

/// Where the first run dies after how many passages, what happens then, and where the next run dies.
const SECOND_DEATHS: &[(&str, usize, Mishap, &[&str])] = &[
    ("claimed", 1, Mishap::Nothing, &["taken-back", "fetched"]),
    ("staged", 1, Mishap::Nothing, &["staged-adopted", "settled"]),
    ("settled", 2, Mishap::Nothing, &["batch-recorded"]),
    ("object-put", 1, Mishap::Nothing, &["leftovers-removed", "object-put", "batch-put", "batch-closed"]),
    ("batch-put", 0, Mishap::Nothing, &["whole-batch-closed"]),
    ("batch-closed", 0, Mishap::Nothing, &["unwanted-removed"]),
    ("quarantine-put", 0, Mishap::Nothing, &["quarantine-put", "dead-reported"]),
    ("legs-posted", 0, Mishap::Nothing, &["parcel-put", "parcels-delivered"]),
    ("batch-put", 0, Mishap::LedgerLost, &["unwanted-removed", "staged-adopted"]),
    // The fifth object is the second one of the only batch with two recordings.
    ("object-put", 4, Mishap::TranscriptLost("a2"), &["started-over", "batch-removed"]),
];

impl Mishap {
    fn strike(&self, workspace: &Workspace) {
        let (folder, prefix) = match self {
            Self::Nothing => return,
            Self::LedgerLost => ("state", "ledger.sqlite".to_owned()),
            Self::TranscriptLost(id) => ("state/staged", format!("{id}.")),
        };
        let mut struck = 0;
        for entry in fs::read_dir(workspace.path().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with(&prefix) {
                fs::remove_file(path).unwrap();
                struck += 1;
            }
        }
        assert!(struck > 0, "there is no {prefix}* in {folder}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_while_it_takes_up_what_a_killed_run_left_leaves_the_rows_of_an_undisturbed_one() {
    let zoom = zoom_with_everything().await;
    let undisturbed = workspace(&zoom);
    undisturbed.run(&RUN).expect_code(4);
    let mut disturbed = Vec::new();
    for (first, passed, mishap, seconds) in SECOND_DEATHS {
        let killed = workspace(&zoom);
        assert!(killed.dies_at(&RUN, first, *passed), "no run passes {first} {passed} times");
        mishap.strike(&killed);
        for second in *seconds {
            let what = format!("{first}, {mishap:?}, {second}");
            let workspace = killed.copy();
            assert!(workspace.dies_at(&RUN, second, 0), "a run after {first} and {mishap:?} does not pass {second}");
            finish(&workspace);
            assert_nothing_is_left_over(&workspace, &what);
            disturbed.push((what, workspace));
        }
    }
    assert_same_rows(&undisturbed, &disturbed);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_ledgers_and_one_lake_leave_the_rows_of_one_ledger_even_when_a_run_is_killed() {
    let zoom = ZoomServer::start(good_clips()).await;
    let undisturbed = workspace(&zoom);
    undisturbed.run(&RUN).expect_code(0);
    let disturbed = workspace(&zoom);
    assert!(disturbed.dies_at(&RUN, "settled", 3));
    let mut other = workspace(&zoom);
    other.set("TRANSCRIBE__LAKE__URL", disturbed.lake().display().to_string());
    other.run(&RUN).expect_code(0);
    assert!(disturbed.dies_at(&RUN, "found-published", 0), "the other's rows were not found");
    finish(&disturbed);
    assert_nothing_is_left_over(&disturbed, "two ledgers");
    assert_same_rows(&undisturbed, &[("two ledgers".to_owned(), disturbed)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_which_another_ledger_published_a_part_meanwhile_puts_the_rest_only() {
    let zoom = ZoomServer::start(good_clips()).await;
    let undisturbed = workspace(&zoom);
    undisturbed.run(&RUN).expect_code(0);
    let mut finished = Vec::new();
    // The second batch is that of the day with two recordings.
    for (boundary, passed) in [("batch-recorded", 1), ("object-put", 3)] {
        let disturbed = workspace(&zoom);
        assert!(disturbed.dies_at(&RUN, boundary, passed), "{boundary}");
        let mut other = workspace(&zoom);
        other.set("TRANSCRIBE__LAKE__URL", disturbed.lake().display().to_string());
        other.run(&["--since", "7d", "--recording", "a2"]).expect_code(0);
        finish(&disturbed);
        assert_nothing_is_left_over(&disturbed, boundary);
        finished.push((boundary.to_owned(), disturbed));
    }
    assert_same_rows(&undisturbed, &finished);
}
