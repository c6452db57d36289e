//! The fuzz targets of `tests/fuzz`, for which `make fuzz` needs a nightly compiler, run here over their corpus and over
//! seeded changes of it: none may panic.

use std::fs;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use crate::workspace::cached;

#[path = "../fuzz/recording.rs"]
mod recording;
#[path = "../fuzz/webhook.rs"]
mod webhook;
#[path = "../fuzz/wire.rs"]
mod wire;

const SEED: u64 = 20_261_123;

/// What readers of JSON and of headers stumble over.
const WORDS: [&[u8]; 12] = [
    b"null",
    b"[]",
    b"{}",
    b"\"\"",
    b"-1",
    b"1e400",
    b"99999999999999999999",
    b"\"\\ud800\"",
    b"true",
    b"\xff\xfe",
    b"[[[[[[[[",
    b"\n",
];

#[test]
fn answers_of_zoom_of_any_kind_are_refused_or_kept() {
    assert!(run_changed(&corpus("wire"), 2_000, wire::run) > 10_000);
}

#[test]
fn deliveries_of_any_kind_are_refused_and_harm_nothing() {
    assert!(run_changed(&corpus("webhook"), 2_000, webhook::run) > 10_000);
}

#[test]
fn recordings_of_any_kind_are_refused_or_decoded() {
    assert!(run_changed(&cached("fixtures/edge"), 60, recording::run) > 1_000);
}

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target)
}

/// Runs each file of a folder as it is and changed so many times; how many runs there were.
fn run_changed(folder: &Path, times: usize, run: fn(&[u8])) -> usize {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut random = StdRng::seed_from_u64(SEED);
    let mut runs = 0;
    for path in paths.iter().filter(|path| path.is_file()) {
        let whole = fs::read(path).unwrap();
        run(&whole);
        for _ in 0..times {
            run(&changed(&whole, &mut random));
        }
        runs += 1 + times;
    }
    runs
}

/// One to four changes: other bytes, a word in the middle, a part that is missing or comes twice, an end that is missing.
fn changed(whole: &[u8], random: &mut StdRng) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for _ in 0..random.random_range(1..=4) {
        let from = random.random_range(0..=bytes.len());
        let to = random.random_range(from..=bytes.len().min(from + 64));
        match random.random_range(0..5) {
            0 => random.fill_bytes(&mut bytes[from..to]),
            1 => drop(bytes.splice(from..to, WORDS[random.random_range(0..WORDS.len())].iter().copied())),
            2 => drop(bytes.drain(from..to)),
            3 => {
                let again = bytes[from..to].to_vec();
                drop(bytes.splice(from..from, again));
            }
            _ => bytes.truncate(from),
        }
    }
    bytes
}
