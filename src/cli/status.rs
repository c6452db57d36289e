//! `transcribe status`: what the ledger says, of all recordings or of one.

use std::io::Write;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::args::OutputFormat;
use super::fleet::Fleet;
use super::run::{clock, parse_ids};
use super::{ExitCode, Session, ledger};
use crate::domain::Reason;
use crate::queue::{Insight, JobEvent, JobQueue, JobRecord, JobState, StateLine};

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The whole life of this recording.
    #[arg(long, value_name = "ID")]
    recording: Option<String>,
}

pub(super) fn run(session: &Session, args: &StatusArgs, format: OutputFormat) -> anyhow::Result<ExitCode> {
    let id = parse_ids("--recording", args.recording.as_slice())?.into_iter().next();
    let queue = ledger::open(session)?;
    let Some(id) = id else {
        let lines = match &queue {
            Some(queue) => ledger::ask(queue.overview())?,
            None => Vec::new(),
        };
        let fleet = Fleet::look(session)?;
        match format {
            OutputFormat::Human => {
                print_overview(session, &lines)?;
                if let Some(fleet) = fleet {
                    let waits = lines.iter().filter(|line| line.state == JobState::Seen);
                    let oldest = waits.map(|line| line.oldest_change).min();
                    fleet.print(&mut std::io::stdout().lock(), open_audio_s(&lines), oldest)?;
                }
            }
            OutputFormat::Json => print_overview_json(&lines, fleet.as_ref())?,
        }
        return Ok(ExitCode::Done);
    };
    let known = match &queue {
        Some(queue) => ledger::ask(async { Ok((queue.record(&id).await?, queue.life(&id).await?)) })?,
        None => (None, Vec::new()),
    };
    let (Some(record), life) = known else {
        let mut out = std::io::stdout().lock();
        match format {
            OutputFormat::Human => writeln!(out, "not found: {id} is not known here")?,
            OutputFormat::Json => writeln!(out, "{}", json!({"id": id.as_str(), "state": null}))?,
        }
        return Ok(ExitCode::RecordingsFailed);
    };
    match format {
        OutputFormat::Human => print_life(&session.config.lake.partition_timezone, &record, &life)?,
        OutputFormat::Json => print_life_json(&record, &life)?,
    }
    Ok(ExitCode::Done)
}

fn print_overview(session: &Session, lines: &[StateLine]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let path = session.config.queue.ledger.display();
    if lines.is_empty() {
        writeln!(out, "the ledger {path} knows no recordings yet")?;
        return Ok(());
    }
    let now = Timestamp::now();
    writeln!(out, "ledger: {path}")?;
    writeln!(out, "{:<30} {:>10} {:>10} {:>8} {:>8}", "state", "recordings", "audio", "oldest", "newest")?;
    for line in lines {
        let state = match &line.reason {
            Some(reason) => format!("{}: {reason}", line.state.as_str()),
            None => line.state.as_str().to_owned(),
        };
        let (oldest, newest) = (age(now, line.oldest_change), age(now, line.newest_change));
        write!(out, "{state:<30} {:>10} {:>10} {oldest:>8} {newest:>8}", line.jobs, clock(line.audio_s))?;
        match line.next_due {
            Some(due) if due > now => writeln!(out, "  next try in {}", age(due, now))?,
            Some(_) => writeln!(out, "  due now")?,
            None => writeln!(out)?,
        }
    }
    let dead: u64 = lines.iter().filter(|line| line.state == JobState::Dead).map(|line| line.jobs).sum();
    if dead > 0 {
        writeln!(out, "{dead} failed for good; `transcribe retry --reason REASON` gives them another chance")?;
    }
    Ok(())
}

/// Seconds of audio that are neither transcribed nor dead.
fn open_audio_s(lines: &[StateLine]) -> u64 {
    let is_open = |state| matches!(state, JobState::Seen | JobState::Claimed | JobState::Waiting);
    lines.iter().filter(|line| is_open(line.state)).map(|line| line.audio_s).sum()
}

fn print_overview_json(lines: &[StateLine], fleet: Option<&Fleet>) -> anyhow::Result<()> {
    let states: Vec<_> = lines
        .iter()
        .map(|line| {
            json!({"state": line.state.as_str(), "reason": line.reason, "recordings": line.jobs,
                   "audio_seconds": line.audio_s, "oldest_change": line.oldest_change.to_string(),
                   "newest_change": line.newest_change.to_string(),
                   "next_due": line.next_due.map(|due| due.to_string())})
        })
        .collect();
    let mut object = json!({ "states": states });
    if let Some(fleet) = fleet {
        object["fleet"] = fleet.json(open_audio_s(lines));
    }
    writeln!(std::io::stdout().lock(), "{object}")?;
    Ok(())
}

fn print_life(zone: &TimeZone, record: &JobRecord, life: &[JobEvent]) -> anyhow::Result<()> {
    let local = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string();
    let mut out = std::io::stdout().lock();
    writeln!(out, "recording   {}", record.id)?;
    writeln!(out, "state       {}, attempt {}", record.state.as_str(), record.attempt)?;
    writeln!(out, "started     {} (partition dt={})", local(record.started_at), record.dt)?;
    if let Some(fingerprint) = &record.fingerprint {
        writeln!(out, "fingerprint {}, done anew {} times", fingerprint.as_str(), record.redo)?;
    }
    if let Some(word) = &record.reason {
        writeln!(out, "trouble     {word}: {}", Reason::parse(word).map_or("", Reason::in_words))?;
    }
    writeln!(out)?;
    for event in life {
        let JobEvent { at, step, attempt, run_id, stage, reason, detail } = event;
        write!(out, "{}  {step:<14} attempt {attempt}", local(*at))?;
        if let (Some(stage), Some(reason)) = (stage, reason) {
            write!(out, "  {stage}: {reason}")?;
        }
        if let Some(detail) = detail.as_deref().filter(|detail| !detail.is_empty()) {
            write!(out, " ({detail})")?;
        }
        match run_id {
            Some(run_id) => writeln!(out, "  run {run_id}")?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}

fn print_life_json(record: &JobRecord, life: &[JobEvent]) -> anyhow::Result<()> {
    let events: Vec<_> = life
        .iter()
        .map(|event| {
            json!({"at": event.at.to_string(), "step": event.step, "attempt": event.attempt, "run_id": event.run_id,
                   "stage": event.stage, "reason": event.reason, "detail": event.detail})
        })
        .collect();
    let object = json!({
        "id": record.id.as_str(), "state": record.state.as_str(), "attempt": record.attempt,
        "started_at": record.started_at.to_string(), "dt": record.dt, "reason": record.reason,
        "fingerprint": record.fingerprint.as_ref().map(|fingerprint| fingerprint.as_str()), "redo": record.redo,
        "events": events,
    });
    writeln!(std::io::stdout().lock(), "{object}")?;
    Ok(())
}

/// How long before `now` something was, in its largest unit.
fn age(now: Timestamp, at: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_a_unit_that_says_something() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let ago = |seconds: i64| age(now, now - jiff::SignedDuration::from_secs(seconds));
        assert_eq!([ago(5), ago(600), ago(10_800), ago(864_000)], ["5 s", "10 min", "3 h", "10 d"]);
        assert_eq!(age(now, now + jiff::SignedDuration::from_secs(5)), "0 s");
    }
}
