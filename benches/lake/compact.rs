//! A month of 30 × 1,000 calls becomes one file of each table and day: wall time and peak memory of the real program.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::SEED;
use crate::calls::Calls;
use crate::folder::Folder;
use crate::write::met;

const CALLS_OF_A_DAY: usize = 1_000;
const SEGMENTS: usize = 40;

/// Files of a day before: one an hour.
const BATCHES: usize = 24;

const WALL_GOAL: Duration = Duration::from_secs(10);
const MEMORY_GOAL_MIB: u64 = 300;

pub(crate) fn run() {
    for with_words in [false, true] {
        measure(with_words);
    }
}

fn measure(with_words: bool) {
    let folder = Folder::new();
    let mut calls = Calls::new(SEED);
    for day in Folder::days() {
        for members in calls.day(&day, CALLS_OF_A_DAY, SEGMENTS, with_words).chunks(CALLS_OF_A_DAY.div_ceil(BATCHES)) {
            folder.publish(members);
        }
    }
    let began = Instant::now();
    let mut program = folder.command(&["compact", "--format", "json"]).spawn().expect("the program");
    let status = Path::new("/proc").join(program.id().to_string()).join("status");
    let mut peak_kib = 0;
    let ended = loop {
        // It only grows, and the end of the work needs no more than its middle.
        peak_kib = peak_kib.max(high_water_kib(&status));
        if let Some(ended) = program.try_wait().expect("a child") {
            break ended;
        }
        #[expect(clippy::disallowed_methods, reason = "the peak is gone with the process: it is read again and again")]
        std::thread::sleep(Duration::from_millis(5));
    };
    let wall = began.elapsed();
    let output = program.wait_with_output().expect("a child");
    assert!(ended.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let done = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let done: serde_json::Value = serde_json::from_str(&done).expect("one object");
    let tables = if with_words { "segments, words and recordings" } else { "segments and recordings" };
    println!(
        "compact a month, {tables}: {} files became {}, {} rows, {:.1} s (goal: 10: {}), {} MiB (goal: 300: {})",
        done["files_before"],
        done["files_after"],
        done["rows"],
        wall.as_secs_f64(),
        met(wall < WALL_GOAL),
        peak_kib / 1_024,
        met(peak_kib / 1_024 < MEMORY_GOAL_MIB),
    );
}

/// The most memory that a process had so far; nothing when it is gone.
fn high_water_kib(status: &Path) -> u64 {
    let status = std::fs::read_to_string(status).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
