//! What it costs to run the engine in a process of its own: the same windows in this process and in the child, in turns.
//!
//! `cargo bench --bench engine_process -- [FILE [ROUNDS]]`; model and samples come from `.cache` (`make models fixtures`).
//! CPU seconds are those of all threads of both processes, so that a busy machine disturbs them less than wall time.

#![expect(clippy::print_stdout, reason = "a program that prints what it measured")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use transcribe::config::settings::{EngineChoice, GuardConfig};
use transcribe::decode::AudioStream;
use transcribe::domain::{Channel, Language};
use transcribe::stt::process::{EngineProgram, Host, Settings};
use transcribe::stt::windows::{Cut, Cutter};
use transcribe::stt::{Hints, SpeechWindow, Transcriber, Watch, WindowTranscript, whisper_cpp};
use transcribe::telemetry::LogSettings;

/// How the names of the threads start on which the engine works, in the child.
const WORKER: &str = "stt-0";

fn cached(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache").join(path)
}

fn windows_of(file: &Path) -> Vec<SpeechWindow> {
    let mut stream = AudioStream::open(file).expect("the fixture is there: run make bench");
    let mut cutter = Cutter::new(Channel::Mono, 0.5);
    let mut cuts = Vec::new();
    while let Some(blocks) = stream.next_block().expect("the fixture decodes") {
        cutter.push(&blocks[0], &mut cuts);
    }
    cutter.finish(&mut cuts);
    let speech = |cut| match cut {
        Cut::Speech(window) => Some(window),
        Cut::NonSpeech(_) => None,
    };
    cuts.into_iter().filter_map(speech).collect()
}

/// CPU seconds of the threads of a process that live and whose name is `counted`.
fn cpu_seconds(process: &str, counted: fn(&str) -> bool) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("the process lives");
    let nanoseconds = |task: std::io::Result<std::fs::DirEntry>| {
        let task = task.ok()?.path();
        let name = std::fs::read_to_string(task.join("comm")).ok()?;
        let stat = std::fs::read_to_string(task.join("schedstat")).ok()?;
        if counted(&name) { stat.split(' ').next()?.parse::<f64>().ok() } else { None }
    };
    tasks.filter_map(nanoseconds).sum::<f64>() / 1e9
}

/// Resident memory of a process in MiB.
fn resident_mib(process: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    let kib: f64 = line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number");
    kib / 1024.0
}

/// The one child of this process.
fn child() -> String {
    let tasks = std::fs::read_dir("/proc/self/task").expect("this process lives");
    let children =
        |task: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.ok()?.path().join("children")).ok();
    tasks.filter_map(children).collect::<String>().trim().to_owned()
}

fn decode(engine: &mut dyn Transcriber, windows: &[SpeechWindow]) -> Vec<WindowTranscript> {
    let watch = Watch::new(&CancellationToken::new());
    engine.transcribe(windows, &Hints::of(Language("en".into())), &watch).expect("the engine works")
}

fn any(_: &str) -> bool {
    true
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

fn main() {
    let given: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let file = given.first().map_or_else(|| cached("fixtures/long/one_minute.mp3"), PathBuf::from);
    let rounds: usize = given.get(1).map_or(5, |rounds| rounds.parse().expect("a number of rounds"));
    let windows = windows_of(&file);
    let settings = Settings {
        model: cached("models/tiny.en.bin").into_os_string(),
        model_sha256: String::new(),
        engine: EngineChoice::WhisperCpp,
        isa: None,
        flash_attention: false,
        beam_size: 1,
        words: true,
        threads: 1,
        workers: 1,
        guard: GuardConfig { temperatures: vec![0.0], ..GuardConfig::default() },
        alive_every: Duration::from_secs(2),
        logs: LogSettings::in_use(),
    };
    let bare = resident_mib("self");
    let began = Instant::now();
    let host = Host::start(EngineProgram::at(env!("CARGO_BIN_EXE_transcribe")), settings.clone()).expect("it starts");
    let host = Arc::new(host);
    let start_child = began.elapsed();
    let child = child();
    let beside = resident_mib("self") - bare;
    println!("idle, in the child: {:.1} MiB in the child, {beside:.1} MiB more in the parent", resident_mib(&child));
    let before = resident_mib("self");
    let began = Instant::now();
    let loaded = whisper_cpp::load(&settings).expect("the model is there: run make models");
    let mut here = (loaded.make)().expect("there is memory");
    let start_here = began.elapsed();
    println!("idle, in this process: {:.1} MiB more", resident_mib("self") - before);
    println!("ready after: {} ms in the child, {} ms in this process", start_child.as_millis(), start_here.as_millis());

    let mut there = host.engine();
    assert_eq!(decode(here.as_mut(), &windows), decode(&mut there, &windows), "the same text, bit for bit");
    let (mut cpu_here, mut cpu_there, mut wall_here, mut wall_there) = (vec![], vec![], vec![], vec![]);
    let mut around = Vec::new();
    for _ in 0..rounds {
        let (began, cpu) = (Instant::now(), cpu_seconds("self", any));
        decode(here.as_mut(), &windows);
        cpu_here.push(cpu_seconds("self", any) - cpu);
        wall_here.push(began.elapsed().as_secs_f64());

        let both = || cpu_seconds("self", any) + cpu_seconds(&child, any);
        let pipes = || cpu_seconds("self", any) + cpu_seconds(&child, |name| !name.starts_with(WORKER));
        let (began, cpu, carried) = (Instant::now(), both(), pipes());
        decode(&mut there, &windows);
        cpu_there.push(both() - cpu);
        around.push(pipes() - carried);
        wall_there.push(began.elapsed().as_secs_f64());
    }
    let (here, there) = (median(cpu_here), median(cpu_there));
    println!("{} windows, medians of {rounds} rounds in turns:", windows.len());
    println!("CPU s: {here:.3} in this process, {there:.3} in the child, ratio {:.4}", there / here);
    println!("wall s: {:.3} in this process, {:.3} in the child", median(wall_here), median(wall_there));
    let around = median(around);
    println!("of that outside the engine's worker: {:.2} ms, {:.3} %", around * 1e3, 100.0 * around / there);
}
