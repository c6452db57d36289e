//! Our own engine beside whisper.cpp on the same windows of 28 s: audio seconds per CPU second, one thread each, greedy,
//! the decoding alone (no voice activity, no guard), and how many tokens of text they agree on.
//!
//! `cargo bench --bench native -- MODEL.bin AUDIO…`; without arguments `base` and the spoken samples in `.cache`.
//! `benches/faster_whisper.py` does the same with faster-whisper.

#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::path::{Path, PathBuf};

use transcribe::decode::AudioStream;
use transcribe::domain::Language;
use transcribe::stt::native::{Isa, Model};
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters};

const WINDOW: usize = 28 * 16_000;
/// Tokens of text have ids below this in every model.
const TEXT: usize = 50_256;

fn main() {
    // Cargo adds flags of its own.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).map(PathBuf::from);
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache");
    let model = arguments.next().unwrap_or_else(|| cache.join("models/base.bin"));
    let mut files: Vec<PathBuf> = arguments.collect();
    if files.is_empty() {
        files = ["en_counting", "en_hello_world", "en_quick_brown_fox"]
            .map(|name| cache.join(format!("fixtures/speech/{name}.mp3")))
            .into();
    }
    let windows: Vec<Vec<f32>> = files.iter().flat_map(|file| cut(file)).collect();
    let audio_s = windows.iter().map(Vec::len).sum::<usize>() as f64 / 16_000.0;
    println!("{}: {audio_s:.0} s of audio in {} windows", model.display(), windows.len());

    let (reference, cpu_s) = by_whisper_cpp(&model, &windows);
    println!("whisper.cpp {}: {}", whisper_rs::WHISPER_CPP_VERSION, rate(audio_s, cpu_s));
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let engine = Model::load(&model, isa).expect("a Whisper model");
        let began = cpu_seconds();
        let found: Vec<Vec<usize>> = windows.iter().map(|window| text_of(&engine, window)).collect();
        let cpu_s = cpu_seconds() - began;
        let edits: usize = found.iter().zip(&reference).map(|(found, reference)| distance(found, reference)).sum();
        let tokens: usize = reference.iter().map(Vec::len).sum();
        let apart = 100.0 * edits as f64 / tokens as f64;
        let line = rate(audio_s, cpu_s);
        println!("native {}: {line}; {apart:.2} % of {tokens} tokens differ from whisper.cpp's", isa.as_str());
    }
}

fn rate(audio_s: f64, cpu_s: f64) -> String {
    format!("{cpu_s:.2} CPU s, {:.1} audio seconds per CPU second", audio_s / cpu_s)
}

fn cut(file: &Path) -> Vec<Vec<f32>> {
    let mut stream = AudioStream::open(file).expect("a recording");
    let mut samples = Vec::new();
    while let Some(channels) = stream.next_block().expect("a whole recording") {
        samples.extend_from_slice(&channels[0]);
    }
    samples.chunks(WINDOW).map(<[f32]>::to_vec).collect()
}

fn text_of(engine: &Model, window: &[f32]) -> Vec<usize> {
    let tokens = engine.decode(window, &Language("en".into())).expect("a language that every model knows");
    tokens.into_iter().map(|token| token.id).filter(|id| *id < TEXT).collect()
}

fn by_whisper_cpp(model: &Path, windows: &[Vec<f32>]) -> (Vec<Vec<usize>>, f64) {
    whisper_rs::install_logging_hooks();
    let mut parameters = WhisperContextParameters::new();
    parameters.flash_attn(true);
    let context = WhisperContext::new_with_params(model, parameters).expect("a Whisper model");
    let mut state = context.create_state().expect("memory");
    let began = cpu_seconds();
    let mut found = Vec::new();
    for window in windows {
        let mut params = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
        params.set_n_threads(1);
        params.set_language(Some("en"));
        params.set_no_context(true);
        params.set_suppress_nst(true);
        params.set_temperature_inc(0.0);
        params.set_print_progress(false);
        state.full(params, window).expect("text");
        let segments = state.as_iter().flat_map(|segment| {
            (0..segment.n_tokens())
                .filter_map(|at| segment.get_token(at))
                .map(|token| token.token_id())
                .collect::<Vec<_>>()
        });
        found.push(segments.filter_map(|id| usize::try_from(id).ok()).filter(|id| *id < TEXT).collect());
    }
    (found, cpu_seconds() - began)
}

/// How many tokens must be put, taken or changed to make one of the other.
fn distance(found: &[usize], reference: &[usize]) -> usize {
    let mut row: Vec<usize> = (0..=reference.len()).collect();
    for (at, token) in found.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, expected) in reference.iter().enumerate() {
            let cost = (diagonal + usize::from(token != expected)).min(row[column] + 1).min(row[column + 1] + 1);
            diagonal = std::mem::replace(&mut row[column + 1], cost);
        }
    }
    row[reference.len()]
}

/// CPU seconds of this process, user and system.
fn cpu_seconds() -> f64 {
    const TICKS_PER_S: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    // The name of the process, in brackets, may hold spaces.
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().expect("a number"));
    ticks.sum::<f64>() / TICKS_PER_S
}
