//! `transcribe bench`: how much speech this machine turns into text, with how many workers it does most, and which model
//! keeps up with so many hours a day.

mod measure;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) use self::measure::NotMeasurable;
use self::measure::{Measured, Sound, divisions, measure, sounds};
use super::args::OutputFormat;
use super::speeds::{Speed, Speeds};
use super::{ExitCode, Session, run};
use crate::config::SttConfig;
use crate::pipeline::RunError;
use crate::stt::models::{self, Manifest};
use crate::stt::{ModelFiles, ModelPath, SpeechToText};

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// Recordings to measure with, best some of your own: how much is said decides how long it takes. Without any, a
    /// sound like a voice.
    #[arg(value_name = "RECORDING")]
    recordings: Vec<PathBuf>,
    /// How long each division of the cores is measured, at least: longer where a window takes longer.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    seconds: u16,
    /// Hours of recordings in a day that the machine is to keep up with: every model in paths.models_dir is measured then,
    /// and one is proposed.
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(1..))]
    hours: Option<u32>,
    /// What an hour of this machine costs, in any currency: an hour of recordings has a price then.
    #[arg(long, value_name = "PRICE", value_parser = price)]
    price: Option<f64>,
}

fn price(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|price: &f64| price.is_finite() && *price >= 0.0)
        .ok_or_else(|| "it must be a number".into())
}

/// All that is printed.
struct Report {
    cores: usize,
    /// Seconds of audio that one core decodes and resamples in a second.
    decoding: Option<f64>,
    /// The divisions of the cores with the configured model.
    measured: Vec<Measured>,
    /// Models by name, the configured one first, and the bytes of their files.
    speeds: Vec<(String, u64, Speed)>,
    second_model: Option<String>,
    /// Hours a day, and the largest model that keeps up with them.
    proposal: Option<(u32, Option<String>)>,
    /// What an hour of this machine costs.
    price: Option<f64>,
}

pub(super) fn run(session: &Session, arguments: &BenchArgs, format: OutputFormat) -> anyhow::Result<ExitCode> {
    let configured = run::model(session, &session.config.stt.model)?;
    let (sounds, decoding) = sounds(&arguments.recordings)?;
    let mut bench = Bench {
        stt: SttConfig { second_model: None, ..session.config.stt.clone() },
        sounds,
        limit: Duration::from_secs(arguments.seconds.into()),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    };
    if arguments.recordings.is_empty() {
        // Nobody says anything in it, which another attempt would not change.
        bench.stt.guard.temperatures.truncate(1);
    }
    let (measured, best) = bench.divide(&configured)?;
    let division = (best.workers, best.threads);
    let mut speeds = vec![(configured.name.clone(), bytes_of(&configured), best)];
    if arguments.hours.is_some() {
        for model in installed(session)?.into_iter().filter(|model| model.name != configured.name) {
            match bench.measure(&model, division) {
                Ok((_, speed)) => speeds.push((model.name.clone(), bytes_of(&model), speed)),
                Err(error) => {
                    let error = format!("{:#}", anyhow::Error::from(error));
                    tracing::warn!(model = model.name, error, "not measured");
                }
            }
        }
    }
    if !arguments.recordings.is_empty() {
        keep(session, &speeds);
    }
    let report = Report {
        cores: bench.cores,
        decoding,
        measured,
        proposal: arguments.hours.map(|hours| (hours, largest_that_keeps_up(&speeds, hours))),
        speeds,
        second_model: session.config.stt.second_model.clone(),
        price: arguments.price,
    };
    match format {
        OutputFormat::Human => print_human(&report)?,
        OutputFormat::Json => print_json(&report)?,
    }
    Ok(ExitCode::Done)
}

/// What every measurement has in common.
struct Bench {
    stt: SttConfig,
    sounds: Vec<Sound>,
    limit: Duration,
    cores: usize,
}

impl Bench {
    /// Measures a model with the cores divided in every way; the last is the fastest.
    fn divide(&mut self, model: &ModelPath) -> anyhow::Result<(Vec<Measured>, Speed)> {
        let (mut measured, mut best, mut failed) = (Vec::new(), None::<Speed>, None);
        for division in divisions(self.cores) {
            let (one, speed) = match self.measure(model, division) {
                Ok(found) => found,
                Err(error) => {
                    // Another division may need less memory.
                    let (workers, threads) = division;
                    let error = anyhow::Error::from(error);
                    tracing::warn!(workers, threads, error = format!("{error:#}"), "not measured");
                    failed = Some(error);
                    continue;
                }
            };
            if one.windows == 0 {
                return Err(NotMeasurable::NoVoice.into());
            }
            measured.push(one);
            if best.as_ref().is_none_or(|best| best.audio_s_per_s < speed.audio_s_per_s) {
                best = Some(speed);
            }
        }
        match (best, failed) {
            (Some(best), _) => Ok((measured, best)),
            (None, Some(error)) => Err(error),
            (None, None) => Err(anyhow::anyhow!("no cores")),
        }
    }

    fn measure(&mut self, model: &ModelPath, division: (usize, usize)) -> Result<(Measured, Speed), RunError> {
        let (workers, threads) = division;
        tracing::info!(model = model.name, workers, threads, "measuring");
        (self.stt.workers, self.stt.threads) = (Some(workers), Some(threads));
        let speech = SpeechToText::load(&self.stt, &ModelFiles { first: model.clone(), second: None })?;
        let measured = measure(&speech, &self.sounds, division, self.limit)?;
        let identity = speech.identity();
        let speed = Speed {
            engine: format!("{} {}", identity.engine, identity.engine_version),
            workers,
            threads,
            cores: self.cores,
            audio_s_per_s: measured.rate(),
            measured_at: Timestamp::now(),
        };
        Ok((measured, speed))
    }
}

/// The models in the folder that can be used.
fn installed(session: &Session) -> anyhow::Result<Vec<ModelPath>> {
    let listed = models::list(&session.config.paths.models_dir, &Manifest::embedded())?;
    let usable = listed.into_iter().filter_map(|listed| listed.installed?.ok());
    Ok(usable.map(|model| ModelPath { path: model.path, name: model.name, sha256: model.sha256 }).collect())
}

fn bytes_of(model: &ModelPath) -> u64 {
    std::fs::metadata(&model.path).map_or(0, |metadata| metadata.len())
}

/// A larger model makes fewer mistakes.
fn largest_that_keeps_up(speeds: &[(String, u64, Speed)], hours: u32) -> Option<String> {
    let keeps_up = speeds.iter().filter(|(_, _, speed)| speed.hours_a_day() >= hours.into());
    keeps_up.max_by_key(|(_, bytes, _)| *bytes).map(|(name, _, _)| name.clone())
}

/// For plans. That it cannot be kept spoils nothing else.
fn keep(session: &Session, speeds: &[(String, u64, Speed)]) {
    let state_dir = &session.config.paths.state_dir;
    let mut known = Speeds::read(state_dir);
    known.0.extend(speeds.iter().map(|(name, _, speed)| (name.clone(), speed.clone())));
    if let Err(error) = known.keep(state_dir) {
        tracing::warn!(%error, folder = %state_dir.display(), "what was measured is not kept for --plan");
    }
}

fn print_human(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Report { cores, decoding, measured, speeds, second_model, proposal, price } = report;
    let [(model, _, best), others @ ..] = speeds.as_slice() else { return Ok(()) };
    writeln!(out, "model {model}, {}, {cores} cores", best.engine)?;
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
    writeln!(out, "best: stt.workers = {}, stt.threads = {}; {}", best.workers, best.threads, worth(best, *price))?;
    for (model, _, speed) in others {
        writeln!(out, "model {model}, {}: {}", speed.engine, worth(speed, *price))?;
    }
    match proposal {
        Some((hours, Some(model))) => {
            writeln!(out, "for {hours} hours a day: stt.model = \"{model}\" is the largest here that keeps up")?;
        }
        Some((hours, None)) => {
            writeln!(out, "for {hours} hours a day: no model here keeps up; it takes more cores, or a smaller model")?;
        }
        None => {}
    }
    if let Some(second) = second_model {
        writeln!(out, "note: what {second} hears again is not in it")?;
    }
    if decoding.is_none() {
        writeln!(out, "note: measured with a made-up sound; with recordings of your own it is a figure to plan with")?;
    }
    Ok(())
}

/// What a speed comes to in a day, and what an hour costs.
fn worth(speed: &Speed, price: Option<f64>) -> String {
    let (hours, cost) = (speed.hours_a_day(), speed.core_hours());
    let price = price.map(|price| format!(", or for {:.4} in money", price / speed.audio_s_per_s)).unwrap_or_default();
    format!("about {hours:.0} hours of recordings in a day, each for {cost:.2} hours of one core{price}")
}

fn print_json(report: &Report) -> io::Result<()> {
    let Report { cores, decoding, measured, speeds, second_model, proposal, price } = report;
    let measured: Vec<_> = measured.iter().map(as_json).collect();
    let models: Vec<Value> = speeds.iter().map(|(model, _, speed)| speed_as_json(model, speed)).collect();
    let document = json!({
        "model": speeds.first().map(|(model, _, _)| model), "second_model": second_model, "cores": cores,
        "decode_audio_s_per_s": decoding, "measured": measured, "best": models.first(), "models": models,
        "price_of_an_audio_hour": speeds.first().zip(*price).map(|((_, _, best), price)| price / best.audio_s_per_s),
        "proposal": proposal.as_ref().map(|(hours, model)| json!({"hours_a_day": hours, "model": model})),
    });
    writeln!(io::stdout().lock(), "{document}")
}

fn as_json(measured: &Measured) -> Value {
    json!({
        "workers": measured.workers, "threads": measured.threads, "windows": measured.windows,
        "audio_s": measured.audio_s, "took_s": measured.took.as_secs_f64(), "audio_s_per_s": measured.rate(),
    })
}

fn speed_as_json(model: &str, speed: &Speed) -> Value {
    json!({
        "model": model, "engine": speed.engine, "workers": speed.workers, "threads": speed.threads,
        "audio_s_per_s": speed.audio_s_per_s, "audio_hours_a_day": speed.hours_a_day(),
        "core_hours_per_audio_hour": speed.core_hours(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speed(audio_s_per_s: f64) -> Speed {
        let (engine, measured_at) = (String::new(), Timestamp::UNIX_EPOCH);
        Speed { engine, workers: 2, threads: 1, cores: 2, audio_s_per_s, measured_at }
    }

    #[test]
    fn the_largest_model_that_keeps_up_is_proposed() {
        let speeds = [("small", 400, 5.0), ("tiny", 70, 50.0), ("base", 140, 20.0)];
        let speeds = speeds.map(|(name, bytes, rate)| (name.to_owned(), bytes, speed(rate)));
        for (hours, expected) in [(120, Some("small")), (121, Some("base")), (1_200, Some("tiny")), (1_201, None)] {
            assert_eq!(largest_that_keeps_up(&speeds, hours).as_deref(), expected, "{hours}");
        }
        assert!((speed(20.0).core_hours() - 0.1).abs() < 1e-9);
    }
}
