//! How fast a day is written: 1,000 recordings of 100 segments and 1,000 words each, as rows per second.
//!
//! `cargo bench --bench lake`

#[path = "../tests/support/transcripts.rs"]
mod transcripts;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use transcribe::domain::FinishedTranscript;
use transcribe::lake::LakeError;
use transcribe::lake::write::{Encoded, Encoder};

const RECORDINGS: usize = 1_000;
const SEGMENTS: usize = 100;
const WORDS_OF_A_SEGMENT: usize = 10;

fn main() {
    divan::main();
}

/// Words drawn with a fixed seed from a vocabulary of a few thousand, so that compression has real work.
fn day() -> Vec<FinishedTranscript> {
    let mut random = SmallRng::seed_from_u64(7);
    let mut sentence = || -> String {
        let words: Vec<String> =
            (0..WORDS_OF_A_SEGMENT).map(|_| format!("{:x}", random.random_range(0..4_096))).collect();
        words.join(" ")
    };
    let mut recording = |number: usize| {
        let segments = (0_i64..).take(SEGMENTS).map(|index| transcripts::segment(index * 1_000, &sentence())).collect();
        transcripts::finished(&format!("{number:032x}"), segments)
    };
    (0..RECORDINGS).map(&mut recording).collect()
}

fn write(bencher: Bencher<'_, '_>, encode: fn(Encoder, &[FinishedTranscript]) -> Result<Option<Encoded>, LakeError>) {
    let members = day();
    let encoder = Encoder::new(3).expect("a good level");
    let sample = encode(encoder, &members).expect("a good day").expect("some rows");
    bencher
        .counter(ItemsCount::new(sample.rows))
        .counter(BytesCount::new(sample.bytes.len()))
        .bench_local(|| encode(encoder, &members));
}

#[divan::bench(sample_count = 10)]
fn recordings(bencher: Bencher<'_, '_>) {
    write(bencher, Encoder::recordings);
}

#[divan::bench(sample_count = 10)]
fn segments(bencher: Bencher<'_, '_>) {
    write(bencher, Encoder::segments);
}

#[divan::bench(sample_count = 10)]
fn words(bencher: Bencher<'_, '_>) {
    write(bencher, Encoder::words);
}
