//! A full disk, wherever it is: the run ends with 5, says which disk and what to do, and the next one loses nothing.

use serde_json::{Value, json};

use crate::small_disk::SmallDisk;
use crate::support::{Clip, ZoomServer};
use crate::workspace::{Outcome, Workspace};

const EACH: &str = "select recording_id, count(*) from read_parquet('recordings/**/*.parquet') group by 1 order by 1";

fn once(ids: &[String]) -> Vec<Vec<Value>> {
    ids.iter().map(|id| vec![json!(id), json!(1)]).collect()
}

/// Expects a run that was stopped by a full disk below `place`.
#[track_caller]
fn says_which_disk(disk: &SmallDisk, outcome: Outcome, place: &str) {
    let outcome = outcome.expect_code(5);
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(!said.contains("panicked"), "{said}");
    if disk.is_mounted() {
        assert!(said.contains("full"), "{said}");
        assert!(said.contains(place), "{place} is missing: {said}");
        assert!(said.contains("free space on that disk and run again: nothing is lost"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_the_ledger_stops_for_lack_of_space_the_next_run_goes_on() {
    let ids: Vec<String> = (0..4).map(|number| format!("a{number}")).collect();
    let zoom = ZoomServer::start(ids.iter().map(|id| Clip::silent(id, 20)).collect()).await;
    let mut stopped = 0;
    // From no room for the ledger at all to room for most of a run.
    for kibibytes in [4, 40, 120, 250, 400, 600] {
        let workspace = Workspace::against(zoom.environment());
        let mut disk = SmallDisk::at(&workspace.path().join("state"), kibibytes);
        let first = disk.run(&workspace, &["--since", "7d"]);
        if first.code != 0 {
            stopped += 1;
            says_which_disk(&disk, first, "state");
        }
        disk.make_room();
        disk.run(&workspace, &["--since", "7d"]).expect_code(0);
        assert_eq!(workspace.query(EACH), once(&ids), "{kibibytes} KiB");
        for id in ids.iter().filter(|_| disk.is_mounted()) {
            let life = disk.run(&workspace, &["status", "--recording", id]).expect_code(0).stdout;
            assert!(!life.contains("crashed"), "a full disk is not the recording's fault ({kibibytes} KiB): {life}");
        }
    }
    assert!(stopped >= 3, "the disk was large enough {} times", 6 - stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_without_room_for_a_long_call_keeps_it_for_the_next_run() {
    // Ten megabytes of silence.
    let zoom = ZoomServer::start(vec![Clip::silent("long", 17_500), Clip::silent("short", 20)]).await;
    let workspace = Workspace::against(zoom.environment());
    let mut disk = SmallDisk::at(&workspace.path().join("state/spool"), 2_048);
    says_which_disk(&disk, disk.run(&workspace, &["--since", "7d"]), "state");
    disk.make_room();
    let second = disk.run(&workspace, &["--since", "7d", "--format", "json"]).expect_code(0).json();
    assert_eq!((&second["failed"], &second["waiting"]), (&json!(0), &json!(0)));
    assert_eq!(workspace.query(EACH), once(&["long".into(), "short".into()]));
    let attempts = workspace.query("select max(attempt) from read_parquet('recordings/**/*.parquet')");
    assert_eq!(attempts, [[json!(1)]], "the recording is innocent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staging_folder_without_room_costs_the_recording_no_attempt() {
    let zoom = ZoomServer::start(vec![Clip::silent("a1", 20)]).await;
    let workspace = Workspace::against(zoom.environment());
    // One page: it is the folder's own.
    let mut disk = SmallDisk::at(&workspace.path().join("state/staged"), 1);
    let filler = workspace.path().join("filler");
    std::fs::write(&filler, vec![0; 4_096]).unwrap();
    if disk.is_mounted() {
        disk.copy(&filler, &workspace.path().join("state/staged/filler"));
    }
    says_which_disk(&disk, disk.run(&workspace, &["--since", "7d"]), "state");
    disk.make_room();
    disk.run(&workspace, &["--since", "7d"]).expect_code(0);
    assert_eq!(workspace.query(EACH), once(&["a1".into()]));
    let attempts = workspace.query("select max(attempt) from read_parquet('recordings/**/*.parquet')");
    assert_eq!(attempts, [[json!(1)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_lake_keeps_the_transcripts_and_the_next_run_publishes_them_without_a_download() {
    let ids: Vec<String> = (0..3).map(|number| format!("a{number}")).collect();
    let zoom = ZoomServer::start(ids.iter().map(|id| Clip::silent(id, 20)).collect()).await;
    let mut workspace = Workspace::against(zoom.environment());
    workspace.set("TRANSCRIBE__LAKE__URL", "small/lake");
    let mut disk = SmallDisk::at(&workspace.path().join("small"), 8);
    let first = disk.run(&workspace, &["--since", "7d"]);
    says_which_disk(&disk, first, "small/lake");
    let downloads = || ids.iter().map(|id| zoom.downloads_of(id)).sum::<usize>();
    let before = downloads();
    disk.make_room();
    disk.run(&workspace, &["--since", "7d"]).expect_code(0);
    if disk.is_mounted() {
        assert_eq!((before, downloads()), (3, 3), "what was transcribed is downloaded again");
    }
    disk.copy(&workspace.path().join("small/lake"), &workspace.lake());
    assert_eq!(workspace.query(EACH), once(&ids));
}
