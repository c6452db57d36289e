//! Two thousand recordings in one run: what it holds does not grow with what it has done.

use std::fs;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::scene::{HELLO, RUN, assert_nothing_is_left_over, clip, workspace};
use crate::started::Started;
use crate::support::ZoomServer;
use crate::workspace::children_of;

const RECORDINGS: usize = 2_000;
/// By now every part has been at work; from here on nothing may grow.
const WARM: usize = 200;
const EVERY: usize = 50;
/// What allocators and caches may differ by from one moment to another.
const MARGIN_KIB: u64 = 24 * 1024;
/// Downloads, connections and the ledger's files come and go.
const MARGIN_FILES: usize = 8;

/// The run and its engine at one moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    resident_kib: u64,
    open_files: usize,
}

fn resident_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}

fn sample(run: u32) -> Sample {
    let processes = || std::iter::once(run).chain(children_of(run));
    let open_files = |process: u32| fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count);
    Sample { resident_kib: processes().map(resident_kib).sum(), open_files: processes().map(open_files).sum() }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "two thousand recordings take minutes: make test-slow"]
async fn two_thousand_recordings_in_one_run_leave_memory_and_open_files_flat() {
    let clips = (0..RECORDINGS).map(|number| {
        let days_ago = i64::try_from(number % 5).unwrap();
        clip(&format!("s{number:04}"), days_ago, HELLO)
    });
    let zoom = ZoomServer::start(clips.collect()).await;
    let mut workspace = workspace(&zoom);
    // Batches of a few dozen, so that publishing takes part; pages as in earnest.
    workspace.set("TRANSCRIBE__LAKE__FLUSH_BYTES", "64KiB").set("TRANSCRIBE__ZOOM__PAGE_SIZE", "300");
    let (run_id, downloads) = (Arc::new(AtomicU32::new(0)), AtomicUsize::new(0));
    let samples = Arc::new(Mutex::new(Vec::new()));
    let (observed, noted) = (Arc::clone(&run_id), Arc::clone(&samples));
    zoom.observe(move |seen| {
        if seen.path.contains("/recording/download/") {
            let so_far = downloads.fetch_add(1, Ordering::Relaxed) + 1;
            if so_far >= WARM && so_far.is_multiple_of(EVERY) {
                noted.lock().unwrap().push(sample(observed.load(Ordering::Relaxed)));
            }
        }
    });
    let run = Started::run(&workspace, &RUN);
    run_id.store(run.id(), Ordering::Relaxed);
    let ended = run.end();
    assert_eq!(ended.code, Some(0));

    let samples = samples.lock().unwrap().clone();
    assert_eq!(samples.len(), (RECORDINGS - WARM) / EVERY + 1);
    let (early, late) = (&samples[..samples.len() / 4], &samples[samples.len() / 4..]);
    let most_kib = |samples: &[Sample]| samples.iter().map(|sample| sample.resident_kib).max().unwrap();
    let most_files = |samples: &[Sample]| samples.iter().map(|sample| sample.open_files).max().unwrap();
    eprintln!("resident: {} KiB, then {} KiB at most", most_kib(early), most_kib(late));
    eprintln!("open files: {}, then {} at most", most_files(early), most_files(late));
    assert!(most_kib(early) > 1024 && most_files(early) > 10, "nothing was measured: {early:?}");
    assert!(most_kib(late) <= most_kib(early) + MARGIN_KIB, "memory grows: {samples:?}");
    assert!(most_files(late) <= most_files(early) + MARGIN_FILES, "open files grow: {samples:?}");
    let rows = workspace.query(
        "select count(*), count(distinct recording_id), count(distinct text) from read_parquet('recordings/**/*.parquet')",
    );
    assert_eq!(rows, [[json!(RECORDINGS), json!(RECORDINGS), json!(1)]]);
    assert_nothing_is_left_over(&workspace, "two thousand recordings");
}
