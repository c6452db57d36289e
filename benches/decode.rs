//! Decoding and resampling, in seconds of audio per second: an item is one second of audio.
//!
//! Files come from the folder in `TRANSCRIBE_FIXTURES`, else from `.cache/fixtures` (`make fixtures`).

use std::path::{Path, PathBuf};

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use transcribe::decode::{AudioStream, To16k};

fn main() {
    divan::main();
}

fn fixture(name: &str) -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/fixtures");
    let root = std::env::var_os("TRANSCRIBE_FIXTURES").map_or_else(default, PathBuf::from);
    root.join("edge").join(name)
}

/// Decodes the whole file and returns its length in samples at 16 kHz.
fn decode(path: &Path) -> u64 {
    let mut stream = AudioStream::open(path).expect("the fixture is there: run `make fixtures`");
    while let Some(block) = stream.next_block().expect("the fixture decodes") {
        black_box(block);
    }
    stream.summary().samples
}

#[divan::bench(args = ["clean.mp3", "speech_44100_stereo.mp3", "stereo_same.mp3", "speech.flac", "speech.m4a"])]
fn file_to_16k(bencher: Bencher<'_, '_>, name: &str) {
    let path = fixture(name);
    let seconds = decode(&path) / 16_000;
    bencher.counter(ItemsCount::new(seconds)).bench(|| decode(&path));
}

#[divan::bench(args = [8_000, 44_100, 48_000])]
fn resample_to_16k(bencher: Bencher<'_, '_>, rate_hz: u32) {
    const SECONDS: u16 = 10;
    let second: Vec<f32> = (0..rate_hz).map(|index| if index % 97 < 48 { 0.3 } else { -0.3 }).collect();
    let chunk = [second];
    bencher.counter(ItemsCount::new(SECONDS)).bench_local(|| {
        let mut resampler = To16k::new(rate_hz, 1).expect("a common rate");
        let mut out = vec![Vec::new()];
        for _ in 0..SECONDS {
            resampler.push(&chunk, &mut out).expect("one channel in, one out");
            black_box(&out);
            out.iter_mut().for_each(Vec::clear);
        }
        resampler.finish(&mut out).expect("one channel in, one out")
    });
}
