//! `transcribe purge`: forgets recordings, calls, a caller or everything before a day.

use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::args::OutputFormat;
use super::exit::BadArgument;
use super::run::parse_ids;
use super::{ExitCode, Session};
use crate::config::units::parse_moment;
use crate::domain::PurgeReason;
use crate::pipeline::{PurgeCount, PurgeOrder, plan_purge, purge};
use crate::privacy::WantedNumber;
use crate::telemetry::Reporter;

#[derive(Debug, Args)]
pub(crate) struct PurgeArgs {
    #[command(flatten)]
    what: What,
    /// Counts, and changes nothing of it.
    #[arg(long)]
    plan: bool,
    /// Does not ask.
    #[arg(long)]
    yes: bool,
}

/// One of these must be given.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// These recordings, and the rows of their calls.
    #[arg(long, value_name = "ID", num_args = 1..)]
    recording: Vec<String>,
    /// These calls with all of their recordings, by any of Zoom's ids.
    #[arg(long, value_name = "ID", num_args = 1..)]
    call: Vec<String>,
    /// All calls in which these numbers took part, written in any way; privacy.region says whose national numbers are
    /// meant.
    #[arg(long, value_name = "NUMBER", num_args = 1..)]
    phone: Vec<String>,
    /// Everything that began before: a date, RFC 3339, or an age such as 400d.
    #[arg(long, value_name = "WHEN")]
    before: Option<String>,
}

/// There is nobody to ask.
#[derive(Debug, thiserror::Error)]
#[error("what is purged is gone for good: say --yes, or --plan to see how much it is")]
pub(super) struct NotConfirmed;

pub(super) fn run(session: &Session, args: &PurgeArgs, format: OutputFormat) -> anyhow::Result<ExitCode> {
    let order = order(session, &args.what)?;
    let can_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !args.plan && !args.yes && !can_ask {
        return Err(NotConfirmed.into());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let reporter = Arc::new(Reporter::new(None));
    if args.plan || !args.yes {
        let planned = runtime.block_on(plan_purge(&session.config, Arc::clone(&reporter), &order))?;
        if args.plan {
            tell(&planned, "would go", format)?;
            return Ok(ExitCode::Done);
        }
        if !confirm(&planned)? {
            return Ok(ExitCode::Interrupted);
        }
    }
    let done = runtime.block_on(purge(&session.config, reporter, &order))?;
    tell(&done, "are gone", format)?;
    Ok(ExitCode::Done)
}

fn order(session: &Session, args: &What) -> Result<PurgeOrder, BadArgument> {
    let region = session.config.privacy.region;
    // The number itself stays out of the message: messages end up in logs.
    let number = |written: &String| {
        let expected =
            "it must be a whole telephone number: with + and the country's code, or as dialled in privacy.region";
        let bad = || BadArgument { argument: "--phone", value: "…".into(), expected };
        WantedNumber::parse(written, region).ok_or_else(bad)
    };
    let before = args.before.as_ref().map(|text| {
        let expected = "it must be a date (2026-11-01), RFC 3339, or an age such as 400d";
        let moment = parse_moment(text, Timestamp::now(), &session.config.lake.partition_timezone);
        moment.ok_or_else(|| BadArgument { argument: "--before", value: text.clone(), expected })
    });
    let calls: BTreeSet<String> = args.call.iter().map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()).collect();
    let reason = match (&args.before, args.phone.is_empty(), args.call.is_empty()) {
        (Some(_), ..) => PurgeReason::Before,
        (None, false, _) => PurgeReason::Phone,
        (None, true, false) => PurgeReason::Call,
        (None, true, true) => PurgeReason::Recording,
    };
    Ok(PurgeOrder {
        recordings: parse_ids("--recording", &args.recording)?,
        calls,
        numbers: args.phone.iter().map(number).collect::<Result<_, _>>()?,
        before: before.transpose()?,
        reason,
    })
}

fn confirm(planned: &PurgeCount) -> std::io::Result<bool> {
    let mut screen = std::io::stderr().lock();
    write!(screen, "{} would go for good. Type yes to purge: ", in_words(planned))?;
    screen.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

fn in_words(count: &PurgeCount) -> String {
    let PurgeCount { recordings, calls, erased, .. } = count;
    format!("{recordings} recordings, {calls} ids of calls, {} rows of {} files", erased.rows, erased.files)
}

fn tell(count: &PurgeCount, what: &str, format: OutputFormat) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match format {
        OutputFormat::Human => {
            writeln!(out, "{} {what}", in_words(count))?;
            if count.erased.masked > 0 {
                writeln!(out, "{} rows of others mention the number, which is masked in them", count.erased.masked)?;
            }
            Ok(())
        }
        OutputFormat::Json => writeln!(out, "{}", as_json(count)),
    }
}

fn as_json(count: &PurgeCount) -> Value {
    let PurgeCount { recordings, calls, erased, state_files, messages } = count;
    json!({"recordings": recordings, "calls": calls, "rows": erased.rows, "files": erased.files,
           "masked_rows": erased.masked, "state_files": state_files, "messages": messages})
}
