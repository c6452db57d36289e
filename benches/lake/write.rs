//! 1,000,000 segments written by one thread: rows per second of its CPU time, and bytes per row beside DuckDB's.

use std::path::Path;
use std::process::Command;

use transcribe::domain::FinishedTranscript;
use transcribe::lake::LakeError;
use transcribe::lake::write::{Encoded, Encoder};

use crate::SEED;
use crate::calls::Calls;
use crate::cpu;

const CALLS: usize = 25_000;
const SEGMENTS: usize = 40;

/// Of `words` and `recordings`, fewer.
const CALLS_WITH_WORDS: usize = 2_500;

/// Rows per second and core, at least.
const RATE_GOAL: f64 = 500_000.0;

/// How often each table is written; the median counts.
const TIMES: usize = 5;

pub(crate) fn run() {
    let encoder = Encoder::new(3).expect("a good level");
    let calls = Calls::new(SEED).day("2026-09-01", CALLS, SEGMENTS, false);
    let segments = measure("segments", encoder, &calls, Encoder::segments, Some(RATE_GOAL));
    drop(calls);
    let calls = Calls::new(SEED).day("2026-09-01", CALLS_WITH_WORDS, SEGMENTS, true);
    measure("words", encoder, &calls, Encoder::words, None);
    measure("recordings", encoder, &calls, Encoder::recordings, None);
    compare(&segments);
}

fn measure(
    name: &str,
    encoder: Encoder,
    calls: &[FinishedTranscript],
    encode: fn(Encoder, &[FinishedTranscript]) -> Result<Option<Encoded>, LakeError>,
    goal: Option<f64>,
) -> Encoded {
    let mut seconds = Vec::new();
    let mut last = None;
    for _ in 0..TIMES {
        let began = cpu::seconds("thread-self");
        last = encode(encoder, calls).expect("good calls");
        seconds.push(cpu::seconds("thread-self") - began);
    }
    let encoded = last.expect("some rows");
    seconds.sort_by(f64::total_cmp);
    let (rows, rate) = (encoded.rows as f64, encoded.rows as f64 / seconds[TIMES / 2]);
    let goal = goal.map(|goal| format!(" (goal: {goal:.0}: {})", met(rate >= goal))).unwrap_or_default();
    println!(
        "write {name}: {rows:.0} rows, {:.2} CPU s, {rate:.0} rows per second and core{goal}, {:.1} bytes per row",
        seconds[TIMES / 2],
        encoded.bytes.len() as f64 / rows
    );
    encoded
}

/// The same rows in the same order, written by DuckDB.
fn compare(segments: &Encoded) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("segments.parquet");
    std::fs::write(&file, &segments.bytes).expect("written");
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut python = Command::new(project.join(".venv/bin/python"));
    let status = python.arg(project.join("benches/size.py")).arg(&file).status();
    assert!(status.is_ok_and(|status| status.success()), "benches/size.py failed: was `make setup` run?");
}

pub(crate) const fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "MISSED" }
}
