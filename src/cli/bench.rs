//! `transcribe bench`: how much speech this machine turns into text, and with how many workers it does most.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::args::OutputFormat;
use super::{ExitCode, Session, run};
use crate::config::SttConfig;
use crate::decode::AudioStream;
use crate::domain::{ChannelMode, SAMPLE_RATE_HZ};
use crate::pipeline::RunError;
use crate::stt::native::known_sound;
use crate::stt::{EngineError, ModelFiles, SpeechToText, SttError};

/// What is taken of each recording: its first ten minutes.
const LONGEST: usize = 600 * 16_000;
/// How often it is looked whether the time is up.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Samples that are handed over at once.
const BLOCK: usize = 16_000;

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// Recordings to measure with, best some of your own: how much is said decides how long it takes. Without any, a
    /// sound like a voice.
    #[arg(value_name = "RECORDING")]
    recordings: Vec<PathBuf>,
    /// How long each division of the cores is measured, at least: longer where a window takes longer.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    seconds: u16,
}

/// A file that the user named holds no sound, or nobody speaks in it.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be measured with: {why}", path.display())]
pub(super) struct NotMeasurable {
    path: PathBuf,
    why: String,
}

/// A recording that the machine is measured with.
struct Sound {
    mode: ChannelMode,
    /// Samples of each channel.
    channels: Vec<Vec<f32>>,
}

/// Cores as workers and threads of each, and what came of it.
struct Measured {
    workers: usize,
    threads: usize,
    windows: u64,
    audio_s: f64,
    took: Duration,
}

impl Measured {
    /// Seconds of audio that the machine turns into text in a second.
    fn rate(&self) -> f64 {
        self.audio_s / self.took.as_secs_f64()
    }
}

/// All that is printed.
struct Report {
    model: String,
    second_model: Option<String>,
    engine: String,
    cores: usize,
    /// Seconds of audio that one core decodes and resamples in a second.
    decoding: Option<f64>,
    measured: Vec<Measured>,
}

pub(super) fn run(session: &Session, arguments: &BenchArgs, format: OutputFormat) -> anyhow::Result<ExitCode> {
    let stt = &session.config.stt;
    let model = ModelFiles { first: run::model(session, &stt.model)?, second: None };
    let (sounds, decoding) = sounds(&arguments.recordings)?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut divided = SttConfig { second_model: None, ..stt.clone() };
    if arguments.recordings.is_empty() {
        // Nobody says anything in it, which another attempt would not change.
        divided.guard.temperatures.truncate(1);
    }
    let mut report = Report {
        model: model.first.name.clone(),
        second_model: stt.second_model.clone(),
        engine: String::new(),
        cores,
        decoding,
        measured: Vec::new(),
    };
    let mut failed = None;
    for (workers, threads) in divisions(cores) {
        tracing::info!(workers, threads, "measuring");
        (divided.workers, divided.threads) = (Some(workers), Some(threads));
        let limit = Duration::from_secs(arguments.seconds.into());
        let loaded = SpeechToText::load(&divided, &model);
        let found = loaded.and_then(|speech| {
            let identity = speech.identity();
            report.engine = format!("{} {}", identity.engine, identity.engine_version);
            measure(&speech, &sounds, (workers, threads), limit)
        });
        match found {
            Ok(measured) if measured.windows == 0 => {
                let path = arguments.recordings.first().cloned().unwrap_or_default();
                return Err(NotMeasurable { path, why: "nobody speaks in it".to_owned() }.into());
            }
            Ok(measured) => report.measured.push(measured),
            Err(error) => {
                // Another division may need less memory.
                tracing::warn!(workers, threads, %error, "not measured");
                failed = Some(error);
            }
        }
    }
    let rate = |one: &&Measured, other: &&Measured| one.rate().total_cmp(&other.rate());
    let Some(best) = report.measured.iter().max_by(rate) else {
        return Err(failed.map_or_else(|| anyhow::anyhow!("no cores"), |error| RunError::from(error).into()));
    };
    match format {
        OutputFormat::Human => print_human(&report, best)?,
        OutputFormat::Json => print_json(&report, best)?,
    }
    Ok(ExitCode::Done)
}

/// One thread for each worker, two, or one worker with all.
fn divisions(cores: usize) -> Vec<(usize, usize)> {
    let mut found = vec![(cores, 1), (cores / 2, 2), (1, cores)];
    found.retain(|(workers, threads)| workers * threads == cores);
    found.dedup();
    found
}

/// What to measure with, and how many seconds of it were decoded in a second.
fn sounds(recordings: &[PathBuf]) -> Result<(Vec<Sound>, Option<f64>), NotMeasurable> {
    if recordings.is_empty() {
        let pause = vec![0.0; BLOCK];
        let channel = [known_sound(), pause].concat().repeat(7);
        return Ok((vec![Sound { mode: ChannelMode::Mono, channels: vec![channel] }], None));
    }
    let began = Instant::now();
    let read = |path: &PathBuf| Sound::read(path).map_err(|why| NotMeasurable { path: path.clone(), why });
    let sounds = recordings.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let audio_s: f64 = sounds.iter().map(|sound| seconds(sound.length())).sum();
    Ok((sounds, Some(audio_s / began.elapsed().as_secs_f64())))
}

impl Sound {
    fn read(path: &Path) -> Result<Self, String> {
        let mut stream = AudioStream::open(path).map_err(|error| error.to_string())?;
        let mode = stream.channel_mode();
        let mut sound = Self { mode, channels: vec![Vec::new(); mode.channels().len()] };
        while sound.length() < LONGEST
            && let Some(blocks) = stream.next_block().map_err(|error| error.to_string())?
        {
            sound.channels.iter_mut().zip(blocks).for_each(|(channel, block)| channel.extend_from_slice(block));
        }
        if sound.length() > 0 { Ok(sound) } else { Err("there is no sound in it".to_owned()) }
    }

    fn length(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }
}

/// Transcribes the sounds again and again, as many at the same time as keep the engine busy, until the time is up and
/// every worker has done some windows. What is done by then counts.
fn measure(
    speech: &SpeechToText,
    sounds: &[Sound],
    (workers, threads): (usize, usize),
    limit: Duration,
) -> Result<Measured, SttError> {
    let (cancel, next, rounds) = (CancellationToken::new(), AtomicUsize::new(0), AtomicUsize::new(0));
    let progress: Mutex<Vec<Arc<AtomicU64>>> = Mutex::default();
    let began = Instant::now();
    let transcribe = || -> Result<(), SttError> {
        // Who ends, for whatever reason, ends the others.
        let _end = cancel.clone().drop_guard();
        loop {
            let sound = &sounds[next.fetch_add(1, Ordering::Relaxed) % sounds.len()];
            let mut session = speech.session(sound.mode, None, &cancel);
            progress.lock().unwrap_or_else(PoisonError::into_inner).push(session.progress());
            for first in (0..sound.length()).step_by(BLOCK) {
                let end = (first + BLOCK).min(sound.length());
                let block = |channel: &Vec<f32>| channel[first..end].to_vec();
                session.push(&sound.channels.iter().map(block).collect::<Vec<_>>())?;
            }
            session.finish()?;
            rounds.fetch_add(1, Ordering::Relaxed);
        }
    };
    let windows = || speech.effort().0.windows;
    let (ended, has_ended) = sync_channel(speech.lanes() + 1);
    let session = || {
        let outcome = transcribe();
        let _room_for_each = ended.try_send(());
        outcome
    };
    let is_enough = || windows() >= 2 * speech.lanes() as u64 || (windows() == 0 && rounds.load(Ordering::Relaxed) > 0);
    std::thread::scope(|scope| {
        let sessions: Vec<_> = (0..=speech.lanes()).map(|_| scope.spawn(session)).collect();
        while !cancel.is_cancelled() && (began.elapsed() < limit || !is_enough()) {
            let _nobody_ended = has_ended.recv_timeout(LOOK_EVERY);
        }
        let done = progress.lock().unwrap_or_else(PoisonError::into_inner);
        let done_ms: u64 = done.iter().map(|done| done.load(Ordering::Relaxed)).sum();
        drop(done);
        let (windows, took) = (windows(), began.elapsed());
        let was_cancelled = cancel.is_cancelled();
        cancel.cancel();
        for session in sessions {
            let ended = session.join().map_err(|_panic| EngineError::Panicked)?;
            if was_cancelled && !matches!(ended, Err(SttError::Engine(EngineError::Cancelled))) {
                ended?;
            }
        }
        Ok(Measured { workers, threads, windows, audio_s: Duration::from_millis(done_ms).as_secs_f64(), took })
    })
}

fn seconds(samples: usize) -> f64 {
    samples as f64 / f64::from(SAMPLE_RATE_HZ)
}

fn print_human(report: &Report, best: &Measured) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Report { model, second_model, engine, cores, decoding, measured } = report;
    writeln!(out, "model {model}, {engine}, {cores} cores")?;
    if let Some(decoding) = decoding {
        writeln!(out, "decoding: {decoding:.0} seconds of audio in a second, on one core")?;
    }
    for one in measured {
        let Measured { workers, threads, windows, took, .. } = one;
        let (rate, took_s) = (one.rate(), took.as_secs_f64());
        writeln!(
            out,
            "stt.workers = {workers}, stt.threads = {threads}: {rate:.1} seconds of audio in a second ({windows} windows in {took_s:.0} s)"
        )?;
    }
    let Measured { workers, threads, .. } = best;
    let hours = 24.0 * best.rate();
    writeln!(
        out,
        "best: stt.workers = {workers}, stt.threads = {threads}; about {hours:.0} hours of recordings in a day"
    )?;
    if let Some(second) = second_model {
        writeln!(out, "note: what {second} hears again is not in it")?;
    }
    if decoding.is_none() {
        writeln!(out, "note: measured with a made-up sound; with recordings of your own it is a figure to plan with")?;
    }
    Ok(())
}

fn print_json(report: &Report, best: &Measured) -> io::Result<()> {
    let Report { model, second_model, engine, cores, decoding, measured } = report;
    let measured: Vec<_> = measured.iter().map(as_json).collect();
    let document = json!({
        "model": model, "second_model": second_model, "engine": engine, "cores": cores, "decode_audio_s_per_s": decoding,
        "measured": measured, "best": as_json(best),
    });
    writeln!(io::stdout().lock(), "{document}")
}

fn as_json(measured: &Measured) -> serde_json::Value {
    json!({
        "workers": measured.workers, "threads": measured.threads, "windows": measured.windows,
        "audio_s": measured.audio_s, "took_s": measured.took.as_secs_f64(), "audio_s_per_s": measured.rate(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_core_is_used_in_each_division_and_none_is_measured_twice() {
        assert_eq!(divisions(1), [(1, 1)]);
        assert_eq!(divisions(2), [(2, 1), (1, 2)]);
        assert_eq!(divisions(3), [(3, 1), (1, 3)]);
        assert_eq!(divisions(8), [(8, 1), (4, 2), (1, 8)]);
    }
}
