//! The engine in a process of its own: what its crashes, its hangs and its parent's death do to a run.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use transcribe::config::settings::{EngineChoice, GuardConfig};
use transcribe::domain::{Channel, Language, Span, Treatment};
use transcribe::stt::process::{Ending, EngineProgram, Host, Refusal, Settings};
use transcribe::stt::{EngineError, Hints, ModelFiles, ModelPath, SpeechToText, SpeechWindow, Transcriber, Watch};
use transcribe::telemetry::LogSettings;

use crate::workspace::{Workspace, cached, children_of, scripted_engine};

/// Longer than anything here may take, however busy the machine: only a test that fails waits for it.
const AT_LAST: Duration = Duration::from_secs(120);
const EVERY_LENGTH: &str = "0..60000";
const TEXTS: &str = "select recording_id, text, engine from read_parquet('recordings/**/*.parquet') order by 1";

/// Three recordings, of which each is one window of another length.
fn workspace(script: &[(&str, &str)]) -> Workspace {
    let mut workspace = Workspace::new();
    workspace.with_scripted_engine(script);
    workspace
        .folder_of("calls", &["speech/en_hello_world.mp3", "speech/en_quick_brown_fox.mp3", "speech/en_counting.mp3"]);
    workspace
}

const RUN: [&str; 4] = ["--dir", "calls", "--format", "json"];

fn texts(workspace: &Workspace) -> Vec<Vec<Value>> {
    workspace.query(TEXTS)
}

/// The length in milliseconds of the window of each recording, as the scripted engine saw it.
fn window_lengths(workspace: &Workspace) -> Vec<u64> {
    let length = |row: &Vec<Value>| row[1].as_str().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    texts(workspace).iter().map(length).collect()
}

/// Lines of a program's stderr, until one contains `text`.
fn wait_for(stderr: &mut BufReader<ChildStderr>, text: &str) {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "{text:?} was never said");
    }
}

/// What else a run and its engine say on stderr. Each of the two holds an end of that pipe, so this ends when both are
/// gone; it panics when they do not go.
fn said_until_both_are_gone(mut stderr: BufReader<ChildStderr>) -> String {
    let (tell, told) = sync_channel(1);
    std::thread::spawn(move || {
        let mut said = String::new();
        let read = stderr.read_to_string(&mut said);
        tell.send(read.map(|_bytes| said)).unwrap();
    });
    told.recv_timeout(AT_LAST).expect("the run or its engine lives on").unwrap()
}

fn kill(process: u32) {
    assert!(Command::new("kill").args(["-9", &process.to_string()]).status().unwrap().success());
}

/// Starts a run whose engine hangs on its first window, and waits until it does.
fn hanging(workspace: &Workspace) -> (Child, BufReader<ChildStderr>, u32) {
    let mut run = workspace.command(&RUN).spawn().unwrap();
    let mut stderr = BufReader::new(run.stderr.take().unwrap());
    wait_for(&mut stderr, "scripted engine hangs");
    let children = children_of(run.id());
    assert_eq!(children.len(), 1, "one engine for all workers");
    (run, stderr, children[0])
}

#[test]
fn a_run_with_the_engine_in_its_own_process_gives_rows() {
    let mut workspace = workspace(&[]);
    workspace.set("TRANSCRIBE__STT__WORKERS", "3");
    let summary = workspace.run(&RUN).expect_code(0).json();
    assert_eq!((&summary["done"], &summary["failed"]), (&json!(3), &json!(0)));
    for row in texts(&workspace) {
        assert!(row[1].as_str().unwrap().starts_with("scripted "), "{row:?}");
        assert_eq!(row[2], json!("scripted"));
    }
    let words = workspace.query("select count(*) from read_parquet('words/**/*.parquet')");
    assert_eq!(words, [[json!(12)]]);
}

#[test]
fn an_engine_that_is_killed_does_not_end_the_run() {
    let mut workspace = workspace(&[("SCRIPTED_HANG_MS", EVERY_LENGTH)]);
    let misbehave = workspace.path().join("misbehave");
    std::fs::write(&misbehave, "").unwrap();
    workspace.set("SCRIPTED_WHILE", misbehave.display().to_string());
    let (run, stderr, engine) = hanging(&workspace);
    std::fs::remove_file(&misbehave).unwrap();
    kill(engine);
    let said = said_until_both_are_gone(stderr);
    assert_eq!(run.wait_with_output().unwrap().status.code(), Some(0), "{said}");
    assert!(said.contains("signal=9"), "{said}");
    assert_eq!(texts(&workspace).len(), 3);
}

#[test]
fn a_recording_that_always_crashes_the_engine_fails_as_that_and_the_others_are_done() {
    let lengths = {
        let all_good = workspace(&[]);
        all_good.run(&RUN).expect_code(0);
        window_lengths(&all_good)
    };
    let poisonous = lengths.iter().max().unwrap();
    let range = format!("{poisonous}..{}", poisonous + 1);
    let workspace = workspace(&[("SCRIPTED_CRASH_MS", &range)]);
    let summary = workspace.run(&RUN).expect_code(4).json();
    assert_eq!((&summary["done"], &summary["failed"]), (&json!(2), &json!(1)), "{summary}");
    let reasons: Vec<_> =
        summary["recordings"].as_array().unwrap().iter().filter_map(|job| job["reason"].as_str()).collect();
    assert_eq!(reasons, ["engine_crash"]);
    let left = window_lengths(&workspace);
    assert!(left.len() == 2 && !left.contains(poisonous), "{left:?}");
}

#[test]
fn an_engine_that_hangs_is_noticed_and_only_its_window_pays() {
    let lengths = {
        let all_good = workspace(&[]);
        all_good.run(&RUN).expect_code(0);
        window_lengths(&all_good)
    };
    let stuck = lengths.iter().max().unwrap();
    let mut workspace = workspace(&[("SCRIPTED_HANG_MS", &format!("{stuck}..{}", stuck + 1))]);
    workspace.failpoint("engine-silence-ms=return(500)").set("TRANSCRIBE__STT__WORKERS", "2");
    let summary = workspace.run(&RUN).expect_code(4).json();
    assert_eq!((&summary["done"], &summary["failed"]), (&json!(2), &json!(1)), "{summary}");
    let quarantine = workspace.query("select reason, detail, attempts from read_parquet('quarantine/**/*.parquet')");
    assert_eq!(quarantine, [[json!("timed_out"), json!("no_sign_of_life_s=0"), json!(3)]]);
    assert!(!window_lengths(&workspace).contains(stuck));
}

#[test]
fn when_the_parent_is_killed_the_engine_ends_in_the_middle_of_a_window() {
    let workspace = workspace(&[("SCRIPTED_HANG_MS", EVERY_LENGTH)]);
    let (mut run, stderr, engine) = hanging(&workspace);
    assert!(std::fs::exists(format!("/proc/{engine}")).unwrap());
    run.kill().unwrap();
    run.wait().unwrap();
    said_until_both_are_gone(stderr);
}

#[test]
fn the_engine_s_environment_holds_no_secret() {
    let mut workspace = workspace(&[("SCRIPTED_HANG_MS", EVERY_LENGTH)]);
    workspace.set("ZOOM_CLIENT_SECRET", "very-secret").set("AWS_SECRET_ACCESS_KEY", "very-secret");
    let (mut run, _stderr, engine) = hanging(&workspace);
    let environment = std::fs::read(format!("/proc/{engine}/environ")).unwrap();
    let environment = String::from_utf8_lossy(&environment);
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(environment.contains("SCRIPTED_HANG_MS"), "{environment}");
    assert!(!environment.contains("very-secret"), "{environment}");
}

#[test]
fn an_interrupt_of_the_whole_foreground_is_for_the_parent_to_act_on() {
    let workspace = workspace(&[("SCRIPTED_HANG_MS", EVERY_LENGTH)]);
    let (run, stderr, engine) = hanging(&workspace);
    let group = std::fs::read_to_string(format!("/proc/{engine}/stat")).unwrap();
    let group = group.rsplit(") ").next().unwrap().split(' ').nth(2).unwrap().to_owned();
    assert_eq!(group, engine.to_string(), "a process group of its own");
    assert!(Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap().success());
    let said = said_until_both_are_gone(stderr);
    assert_eq!(run.wait_with_output().unwrap().status.code(), Some(130), "{said}");
}

fn settings(workers: usize) -> Settings {
    Settings {
        model: "none".into(),
        model_sha256: String::new(),
        engine: EngineChoice::Auto,
        isa: None,
        flash_attention: false,
        beam_size: 1,
        words: true,
        threads: 1,
        workers,
        guard: guard(),
        alive_every: Duration::from_millis(200),
        logs: LogSettings::in_use(),
    }
}

fn guard() -> GuardConfig {
    GuardConfig { temperatures: vec![0.0], ..GuardConfig::default() }
}

/// A window of silence of this length.
fn window(length_ms: u32) -> SpeechWindow {
    let samples = vec![0.0; 16 * usize::try_from(length_ms).unwrap()];
    let span = Span { start: 16, end: 16 + samples.len() as u64 };
    SpeechWindow::voiced(Channel::Left, span, samples)
}

fn ask(engine: &mut dyn Transcriber, length_ms: u32, cancel: &CancellationToken) -> Result<String, EngineError> {
    let hints = Hints::of(Language("en".into()));
    let mut texts = engine.transcribe(&[window(length_ms)], &hints, &Watch::new(cancel))?;
    Ok(texts.pop().unwrap().segments.pop().unwrap().text)
}

fn host(workers: usize, program: EngineProgram) -> Arc<Host> {
    Arc::new(Host::start(program, settings(workers)).map_err(|refusal| format!("{refusal:?}")).unwrap())
}

#[test]
fn a_window_that_was_beside_a_stuck_one_is_decoded_all_the_same() {
    let program = EngineProgram::at(scripted_engine())
        .with_variable("SCRIPTED_HANG_MS", "1000..1001")
        .with_variable("SCRIPTED_SLOW_MS", "2000..2001")
        .silent_for_at_most(Duration::from_secs(2));
    let host = host(2, program);
    let (mut stuck, mut slow) = (host.engine(), host.engine());
    // The slow one shows signs of life for twice as long as the limit: alone and again after the other was killed.
    let beside = std::thread::spawn(move || ask(&mut slow, 2_000, &CancellationToken::new()));
    let error = ask(&mut stuck, 1_000, &CancellationToken::new()).unwrap_err();
    assert_eq!(error, EngineError::TimedOut { no_sign_of_life_s: 2 });
    assert!(beside.join().unwrap().unwrap().starts_with("scripted 2000 ms"));
    assert!(ask(&mut stuck, 1_500, &CancellationToken::new()).unwrap().starts_with("scripted 1500 ms"));
}

#[test]
fn a_cancelled_window_ends_and_its_engine_goes_on() {
    let program = EngineProgram::at(scripted_engine()).with_variable("SCRIPTED_SLOW_MS", "2000..2001");
    let host = host(1, program);
    let mut engine = host.engine();
    let cancel = CancellationToken::new();
    let canceller = cancel.clone();
    let asked = std::thread::spawn(move || {
        let outcome = ask(&mut engine, 2_000, &cancel);
        (outcome, ask(&mut engine, 1_000, &CancellationToken::new()))
    });
    canceller.cancel();
    let (cancelled, next) = asked.join().unwrap();
    assert_eq!(cancelled.unwrap_err(), EngineError::Cancelled);
    assert!(next.unwrap().starts_with("scripted 1000 ms"));
}

#[test]
fn a_crash_fails_what_is_in_flight_and_the_next_window_gets_a_new_engine() {
    let program = EngineProgram::at(scripted_engine()).with_variable("SCRIPTED_CRASH_MS", "1000..1001");
    let host = host(2, program);
    let mut engine = host.engine();
    for _ in 0..3 {
        let error = ask(&mut engine, 1_000, &CancellationToken::new()).unwrap_err();
        assert_eq!(error, EngineError::Died { ending: Ending::Signal(6) });
        assert!(ask(&mut engine, 2_000, &CancellationToken::new()).is_ok());
    }
    let watch = Watch::new(&CancellationToken::new());
    let probabilities = engine.detect_language(&[0.0; 16_000], &[Language("ja".into())], &watch).unwrap();
    assert_eq!(probabilities, [(Language("ja".into()), 0.9)]);
}

#[test]
fn a_program_that_is_no_engine_is_this_machine_s_fault() {
    for (program, expected) in [("false", "exit=1"), ("/no/such/program", "io_error=2"), ("yes", "garbled")] {
        let refusal = Host::start(EngineProgram::at(program), settings(1)).err().unwrap();
        assert_eq!(refusal, Refusal::Engine(EngineError::NotStarted { why: expected.into() }));
    }
}

#[test]
fn a_window_that_no_process_takes_is_refused_and_the_next_one_is_decoded() {
    let host = host(1, EngineProgram::at(scripted_engine()));
    let mut engine = host.engine();
    assert_eq!(ask(&mut engine, 60_001, &CancellationToken::new()).unwrap_err(), EngineError::WindowTooLong);
    assert!(ask(&mut engine, 60_000, &CancellationToken::new()).is_ok());
}

fn speech(program: EngineProgram) -> SpeechToText {
    let config = transcribe::config::SttConfig {
        model: "none".into(),
        languages: Vec::new(),
        workers: Some(2),
        threads: Some(1),
        guard: guard(),
        ..transcribe::config::SttConfig::default()
    };
    let first = ModelPath { path: cached("models/tiny.en.bin"), name: "tiny.en".into(), sha256: String::new() };
    SpeechToText::load_in(&program, &config, &ModelFiles { first, second: None }).unwrap()
}

#[test]
fn health_is_proved_by_a_machine_that_works_and_not_by_a_broken_one() {
    speech(EngineProgram::at(env!("CARGO_BIN_EXE_transcribe"))).prove_healthy().unwrap();
    let poisoned = EngineProgram::at(scripted_engine()).with_variable("SCRIPTED_CRASH_MS", "0..1999");
    speech(poisoned).prove_healthy().unwrap();
    let broken = EngineProgram::at(scripted_engine()).with_variable("SCRIPTED_CRASH_ALWAYS", "1");
    let failure = speech(broken).prove_healthy().unwrap_err().failure();
    assert_eq!((failure.treatment, failure.detail.as_str()), (Treatment::Crashed, "signal=6"));
}
