//! Speech to text, in seconds of audio per second of one core: an item is one second of audio.
//!
//! Model and samples come from `.cache` (`make models fixtures`). One worker with one thread, so that elapsed time is
//! CPU time on an idle machine.

use std::path::{Path, PathBuf};

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use tokio_util::sync::CancellationToken;
use transcribe::config::settings::{GuardConfig, SttConfig};
use transcribe::decode::AudioStream;
use transcribe::domain::{Channel, ChannelMode, Transcript};
use transcribe::stt::process::EngineProgram;
use transcribe::stt::windows::Cutter;
use transcribe::stt::{ModelFiles, ModelPath, SpeechToText};

const SPOKEN: [&str; 3] = ["en_counting", "en_hello_world", "en_quick_brown_fox"];

fn main() {
    divan::main();
}

fn cached(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache").join(path)
}

/// The English samples twice over, half a second apart: about one full window.
fn speech() -> Vec<f32> {
    let mut samples = Vec::new();
    for name in SPOKEN.iter().chain(&SPOKEN) {
        let path = cached(&format!("fixtures/speech/{name}.mp3"));
        let mut stream = AudioStream::open(&path).expect("the fixture is there: run make fixtures");
        while let Some(blocks) = stream.next_block().expect("the fixture decodes") {
            samples.extend_from_slice(&blocks[0]);
        }
        samples.resize(samples.len() + 8_000, 0.0);
    }
    samples
}

fn load(beam_size: u32, flash_attention: bool) -> SpeechToText {
    let config = SttConfig {
        model: "tiny.en".into(),
        languages: Vec::new(),
        workers: Some(1),
        threads: Some(1),
        beam_size,
        flash_attention,
        guard: GuardConfig { temperatures: vec![0.0], ..GuardConfig::default() },
        ..SttConfig::default()
    };
    let path = cached("models/tiny.en.bin");
    let first = ModelPath { path, name: "tiny.en".into(), sha256: String::new() };
    let files = ModelFiles { first, second: None };
    SpeechToText::load_in(&EngineProgram::at(env!("CARGO_BIN_EXE_transcribe")), &config, &files)
        .expect("the model is there: run make models")
}

fn transcribed(speech: &SpeechToText, blocks: &[Vec<f32>]) -> Transcript {
    let mut session = speech.session(ChannelMode::Mono, None, &CancellationToken::new());
    for block in blocks {
        session.push(std::slice::from_ref(block)).expect("the engine works");
    }
    session.finish().expect("the engine works")
}

#[divan::bench(args = [(1, true), (1, false), (5, true)], sample_count = 3, sample_size = 1)]
fn tiny_en_by_beam_and_flash_attention(bencher: Bencher<'_, '_>, (beam_size, flash_attention): (u32, bool)) {
    let samples = speech();
    let blocks: Vec<Vec<f32>> = samples.chunks(4_096).map(<[f32]>::to_vec).collect();
    let engine = load(beam_size, flash_attention);
    let seconds = samples.len() / 16_000;
    bencher.counter(ItemsCount::new(seconds)).bench(|| black_box(transcribed(&engine, &blocks)));
}

#[divan::bench]
fn voice_activity_and_windows(bencher: Bencher<'_, '_>) {
    let samples = speech();
    bencher.counter(ItemsCount::new(samples.len() / 16_000)).bench(|| {
        let mut cutter = Cutter::new(Channel::Mono, 0.5);
        let mut cuts = Vec::new();
        cutter.push(&samples, &mut cuts);
        cutter.finish(&mut cuts);
        cuts
    });
}
