//! Engines on the same windows, one engine a process, so that CPU time and memory are those of one engine. The script
//! `benches/engines.py` (`make bench-stt`) starts it and faster-whisper, and prints the table.
//!
//! * `windows FOLDER AUDIO…` cuts recordings into windows of speech, as the program does: `FOLDER/windows.jsonl` has a
//!   line for each, to which a `language` may be added, `FOLDER/<number>.f32` its samples.
//! * `run ENGINE MODEL.bin FOLDER THREADS` decodes them greedily, without the guard, and prints a line of JSON for each
//!   and one with the time that took. `ENGINE` is `whisper.cpp` or an instruction set of our own.

#![expect(clippy::print_stdout, reason = "the figures are the output")]

#[path = "support/cpu.rs"]
mod cpu;

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use transcribe::decode::AudioStream;
use transcribe::domain::{Channel, Language};
use transcribe::stt::native::{Isa, Model, Token};
use transcribe::stt::windows::{Cut, Cutter};
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters};

/// Tokens of text have ids below this in every model.
const TEXT: usize = 50_256;

fn main() {
    // Cargo adds a flag of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["windows", folder, files @ ..] => cut(Path::new(folder), files),
        ["run", engine, model, folder, threads] => {
            let windows = windows(Path::new(folder));
            let threads = threads.parse().expect("a number of threads");
            match *engine {
                "whisper.cpp" => by_whisper_cpp(model, &windows, threads),
                name => match Isa::ALL.into_iter().find(|isa| isa.as_str() == name && isa.is_available()) {
                    Some(isa) => by_our_own(model, isa, &windows, usize::try_from(threads).expect("some threads")),
                    None => println!("{}", json!({"missing": name})),
                },
            }
        }
        // As one of all benches it has nothing to do: it is part of `make bench-stt`.
        _ => println!("engines: make bench-stt"),
    }
}

fn cut(folder: &Path, files: &[&str]) {
    let mut lines = Vec::new();
    for file in files {
        let mut stream = AudioStream::open(Path::new(file)).expect("a recording");
        let mut samples: Vec<Vec<f32>> = Vec::new();
        while let Some(channels) = stream.next_block().expect("a whole recording") {
            samples.resize(channels.len(), Vec::new());
            samples.iter_mut().zip(channels).for_each(|(all, block)| all.extend_from_slice(block));
        }
        for (channel, samples) in samples.iter().enumerate() {
            let mut cutter = Cutter::new(Channel::Mono, 0.5);
            let mut cuts = Vec::new();
            cutter.push(samples, &mut cuts);
            cutter.finish(&mut cuts);
            for window in
                cuts.into_iter().filter_map(|cut| if let Cut::Speech(window) = cut { Some(window) } else { None })
            {
                let bytes: Vec<u8> = window.samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
                fs::write(folder.join(format!("{}.f32", lines.len())), bytes).expect("room");
                let (start, end) = (window.span.start, window.span.end);
                lines.push(json!({"file": file, "channel": channel, "start": start, "end": end}).to_string());
            }
        }
    }
    fs::write(folder.join("windows.jsonl"), lines.join("\n")).expect("room");
}

/// The language of each window, English where nothing else is said, and its samples.
fn windows(folder: &Path) -> Vec<(Language, Vec<f32>)> {
    let lines = fs::read_to_string(folder.join("windows.jsonl")).expect("windows");
    let window = |(number, line): (usize, &str)| {
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        let bytes = fs::read(folder.join(format!("{number}.f32"))).expect("samples");
        let samples = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        (Language(line["language"].as_str().unwrap_or("en").to_owned()), samples)
    };
    lines.lines().enumerate().map(window).collect()
}

/// Prints what `decode` gives, text and tokens of each window, and what it took.
fn time(decode: impl FnOnce() -> Vec<(String, Vec<usize>)>) {
    let (cpu_s, began) = (cpu::seconds("self"), Instant::now());
    let found = decode();
    let (cpu_s, wall_s) = (cpu::seconds("self") - cpu_s, began.elapsed().as_secs_f64());
    for (text, tokens) in found {
        let tokens: Vec<Value> = tokens.into_iter().filter(|id| *id < TEXT).map(Value::from).collect();
        println!("{}", json!({"text": text, "tokens": tokens}));
    }
    println!("{}", json!({"cpu_s": cpu_s, "wall_s": wall_s}));
}

fn by_our_own(model: &str, isa: Isa, windows: &[(Language, Vec<f32>)], threads: usize) {
    let model = Model::load(Path::new(model), isa).expect("a Whisper model");
    let text = |tokens: Vec<Token>| (model.text(&tokens), tokens.iter().map(|token| token.id).collect());
    time(|| {
        let found = model.decode_all(windows, threads).expect("languages that the model knows, and numbers");
        found.into_iter().map(text).collect()
    });
}

fn by_whisper_cpp(model: &str, windows: &[(Language, Vec<f32>)], threads: i32) {
    whisper_rs::install_logging_hooks();
    let mut parameters = WhisperContextParameters::new();
    parameters.flash_attn(true);
    let context = WhisperContext::new_with_params(model, parameters).expect("a Whisper model");
    let mut state = context.create_state().expect("memory");
    let hear = |(language, window): &(Language, Vec<f32>)| {
        let mut params = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
        params.set_n_threads(threads);
        params.set_language(Some(language.as_str()));
        params.set_no_context(true);
        params.set_suppress_nst(true);
        params.set_temperature_inc(0.0);
        // Nothing is dropped: the guard, which would judge that, is off on both sides.
        params.set_no_speech_thold(2.0);
        params.set_print_progress(false);
        state.full(params, window).expect("text");
        let segments: Vec<_> = state.as_iter().collect();
        let text = segments.iter().filter_map(|segment| segment.to_str_lossy().ok()).collect::<String>();
        let tokens = segments.iter().flat_map(|segment| (0..segment.n_tokens()).filter_map(|at| segment.get_token(at)));
        (text, tokens.filter_map(|token| usize::try_from(token.token_id()).ok()).collect())
    };
    time(|| windows.iter().map(hear).collect());
}
