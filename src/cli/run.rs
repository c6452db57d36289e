//! The main job: from arguments to one sweep, and from its summary to stdout.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::args::{OutputFormat, RunArgs};
use super::exit::BadArgument;
use super::fleet::link;
use super::{ExitCode, Session, window};
use crate::config::secrets::ZoomSecrets;
use crate::config::units::parse_duration;
use crate::domain::{Reason, RecordingId, SourceKind};
use crate::pipeline::{Hands, Lead, RedoOrder, RunError, Stop, Summary, Sweep, Window, plan, run_sweep};
use crate::queue::{JobRecord, JobState};
use crate::source::folder::FolderSource;
use crate::source::zoom::ZoomSource;
use crate::source::zoom::auth::Credentials;
use crate::source::{RecordingSource, TimeWindow};
use crate::stt::models as stored;
use crate::stt::{ModelFiles, ModelPath};
use crate::telemetry::{Bars, Reporter};

/// The window of a run that names none: a nightly cron job with two hours of overlap.
const DEFAULT_SINCE: SignedDuration = SignedDuration::from_hours(26);

/// Recordings of a summary that are read from the ledger at once.
const PAGE: u32 = 500;

pub(super) fn run(session: &Session, args: &RunArgs, format: OutputFormat) -> anyhow::Result<ExitCode> {
    let sweep = sweep_of(session, args)?;
    let max_time = args.max_time.as_deref().map(|text| duration("--max-time", text)).transpose()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("threads cannot be started")?;
    let code = runtime.block_on(async {
        let stop = Stop::default();
        stop.on_signals().context("signals cannot be listened for")?;
        let source = source(session)?;
        if args.plan {
            let model = if sweep.redo == RedoOrder::Changed { Some(models(session)?) } else { None };
            let plan = plan(&session.config, source, model.as_ref(), &stop, &sweep).await?;
            super::plan::print(session, &plan, format)?;
            return Ok(ExitCode::Done);
        }
        let hands = hands(session, &stop).await?;
        if let Some(max_time) = max_time {
            stop.drain_after(max_time);
        }
        let reporter = Arc::new(Reporter::new(session.show_bars.then(|| Bars::on(&session.screen))));
        let summary = run_sweep(&session.config, source, &hands, Arc::clone(&reporter), stop, sweep).await;
        if let Hands::Fleet(lead) = hands {
            lead.end().await;
        }
        reporter.finish();
        let summary = summary?;
        let printed = match format {
            OutputFormat::Human => print_human(&summary, session).await,
            OutputFormat::Json => print_json(&summary).await,
        };
        match printed {
            // Whoever reads stdout has seen enough; the work is done and its exit code stands.
            Err(error) if is_broken_pipe(&error) => {}
            printed => printed?,
        }
        Ok::<_, anyhow::Error>(summary.exit_code)
    });
    // Blocking work that was cancelled ends by itself; nobody waits for it.
    runtime.shutdown_background();
    code
}

pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn sweep_of(session: &Session, args: &RunArgs) -> anyhow::Result<Sweep> {
    let span = |since: Option<&str>| {
        window::span(since, args.until.as_deref(), DEFAULT_SINCE, &session.config.lake.partition_timezone)
    };
    let window = match (args.since.as_deref(), session.config.source, &args.until) {
        (None, SourceKind::Folder, None) => Window::Everything,
        (None, SourceKind::Folder, Some(_)) => {
            Window::Span(TimeWindow { since: Timestamp::MIN, until: span(None)?.until })
        }
        (since, ..) => Window::Span(span(since)?),
    };
    let recordings = parse_ids("--recording", &args.recording)?;
    Ok(Sweep {
        window,
        recordings,
        limit: args.limit,
        redo: args.redo.map_or(RedoOrder::Nothing, Into::into),
        trigger: "sweep",
    })
}

/// Ids of recordings in any of their forms.
pub(super) fn parse_ids(argument: &'static str, ids: &[String]) -> Result<BTreeSet<RecordingId>, BadArgument> {
    let parse = |raw: &String| {
        let expected = "it must be the id of a recording";
        RecordingId::parse(raw).map_err(|_invalid| BadArgument { argument, value: raw.clone(), expected })
    };
    ids.iter().map(parse).collect()
}

fn duration(argument: &'static str, text: &str) -> Result<Duration, BadArgument> {
    let expected = "it must be a duration such as 30m or 5h";
    parse_duration(text).ok_or_else(|| BadArgument { argument, value: text.to_owned(), expected })
}

pub(super) fn source(session: &Session) -> anyhow::Result<Arc<dyn RecordingSource>> {
    Ok(match session.config.source {
        SourceKind::Zoom => Arc::new(zoom_source(session)?),
        SourceKind::Folder => Arc::new(FolderSource::new(&session.config.folder).map_err(RunError::from)?),
    })
}

pub(super) fn zoom_source(session: &Session) -> anyhow::Result<ZoomSource> {
    let secrets = ZoomSecrets::read(&session.environment, session.config.zoom.mode)?;
    let credentials = Credentials::new(secrets, &session.config.paths.state_dir);
    Ok(ZoomSource::new(&session.config.zoom, credentials).map_err(RunError::from)?)
}

/// Who does the work: this process with its models, or the fleet that `queue.url` names.
async fn hands(session: &Session, stop: &Stop) -> anyhow::Result<Hands> {
    if session.config.fleet().is_none() {
        return Ok(Hands::Here(models(session)?));
    }
    Ok(Hands::Fleet(Lead::take(&session.config, link(session).await?, stop).await?))
}

pub(super) fn models(session: &Session) -> anyhow::Result<ModelFiles> {
    let stt = &session.config.stt;
    let second = stt.second_model.as_deref().map(|name| model(session, name)).transpose()?;
    Ok(ModelFiles { first: model(session, &stt.model)?, second })
}

pub(super) fn model(session: &Session, name: &str) -> anyhow::Result<ModelPath> {
    let model = stored::resolve(&session.config.paths.models_dir, name)?;
    Ok(ModelPath { path: model.path, name: model.name, sha256: model.sha256 })
}

async fn print_human(summary: &Summary, session: &Session) -> anyhow::Result<()> {
    let failed = failures(summary).await?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} listed · {} transcribed and published · {} already done · {} failed · {} waiting",
        summary.listed,
        summary.done,
        summary.skipped - summary.dead_before,
        summary.failed,
        summary.waiting
    )?;
    if summary.audio_ms > 0 {
        let audio_s = u64::try_from(summary.audio_ms / 1000).unwrap_or(0);
        let elapsed = summary.elapsed.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "seconds of audio stay far below 2^52")]
        let speed = audio_s as f64 / elapsed.max(0.001);
        let took = clock(summary.elapsed.as_secs());
        writeln!(out, "{} of audio in {took} ({speed:.1}× real time)", clock(audio_s))?;
    }
    for job in &failed {
        let word = job.reason.as_deref().unwrap_or("unknown");
        let words = Reason::parse(word).map_or("", Reason::in_words);
        writeln!(out, "failed: {} after {} attempts: {word}: {words}", job.id, job.attempt)?;
    }
    let unnamed = summary.failed.saturating_sub(failed.len() as u64);
    if unnamed > 0 {
        writeln!(out, "failed: {unnamed} more; --format json names them all")?;
    }
    if summary.left_out > 0 {
        writeln!(out, "{} more are new and were left for a later run because of --limit", summary.left_out)?;
    }
    if summary.dead_before > 0 {
        writeln!(out, "{} of the window failed in an earlier run and are in quarantine", summary.dead_before)?;
    }
    if summary.unusable > 0 {
        writeln!(out, "{} listed items have no id or no audio and were left out", summary.unusable)?;
    }
    for id in &summary.not_found {
        writeln!(out, "not found: {id} is neither known here nor listed in the window; widen it with --since")?;
    }
    for trouble in &summary.troubles {
        writeln!(out, "stopped early: {trouble}")?;
    }
    for note in &summary.notes {
        writeln!(out, "note: {note}")?;
    }
    if let Some(resume_at) = summary.resume_at {
        let zone = session.config.lake.partition_timezone.clone();
        writeln!(out, "run again after {}", resume_at.to_zoned(zone).strftime("%Y-%m-%d %H:%M %Z"))?;
    }
    if summary.waiting > 0 {
        writeln!(out, "{} recordings wait for the next run; nothing is lost", summary.waiting)?;
    }
    writeln!(out, "lake: {}", session.config.lake.place)?;
    Ok(())
}

/// The recordings that died in this run, at most a screenful.
async fn failures(summary: &Summary) -> anyhow::Result<Vec<JobRecord>> {
    const MOST: usize = 20;
    let mut failed = Vec::new();
    let mut after = None;
    while summary.failed > 0 && failed.len() < MOST {
        let page = summary.recordings(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        failed.extend(page.into_iter().filter(|job| job.state == JobState::Dead));
    }
    failed.truncate(MOST);
    Ok(failed)
}

/// One object; the recordings are streamed from the ledger page by page.
async fn print_json(summary: &Summary) -> anyhow::Result<()> {
    let mut head = json!({
        "run_id": summary.run_id.0,
        "listed": summary.listed,
        "done": summary.done,
        "skipped": summary.skipped,
        "failed": summary.failed,
        "waiting": summary.waiting,
        "audio_seconds": seconds(summary.audio_ms),
        "elapsed_seconds": summary.elapsed.as_secs_f64(),
        "exit_code": summary.exit_code.number(),
        "troubles": summary.troubles,
        "notes": summary.notes,
        "resume_at": summary.resume_at.map(|at| at.to_string()),
    })
    .to_string();
    head.pop();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    write!(out, "{head},\"recordings\":[")?;
    let mut after: Option<RecordingId> = None;
    let mut separator = "";
    loop {
        let page = summary.recordings(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        for job in page {
            let status = match job.state {
                JobState::Published => "done",
                JobState::Dead => "failed",
                JobState::Seen | JobState::Claimed | JobState::Waiting | JobState::Staged => "waiting",
            };
            let audio_seconds = job.audio_ms.map(seconds);
            let object = json!({"id": job.id.as_str(), "status": status, "reason": job.reason,
                                "audio_seconds": audio_seconds, "attempt": job.attempt});
            write!(out, "{separator}{object}")?;
            separator = ",";
        }
    }
    for id in &summary.not_found {
        let object = json!({"id": id.as_str(), "status": "failed", "reason": "not_listed",
                            "audio_seconds": null, "attempt": 0});
        write!(out, "{separator}{object}")?;
        separator = ",";
    }
    writeln!(out, "]}}")?;
    out.flush()?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of audio stay far below 2^52")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

pub(super) fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours}:{minutes:02}:{seconds:02}")
}
