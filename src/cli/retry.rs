//! `transcribe retry`: gives recordings that failed for good another chance.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::args::OutputFormat;
use super::exit::BadArgument;
use super::run::parse_ids;
use super::{ExitCode, Session, ledger};
use crate::config::units::parse_duration;
use crate::domain::{Reason, RecordingId};
use crate::queue::{Desk, JobQueue, Selection};

/// At least one of these must be given; of several, all must hold.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct RetryArgs {
    /// These recordings; also those that only wait for their next try.
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Those that failed for this reason, as `status` prints it; may be repeated.
    #[arg(long, value_name = "REASON")]
    reason: Vec<String>,
    /// Those that failed longer ago than this, e.g. 2d.
    #[arg(long, value_name = "DURATION")]
    older_than: Option<String>,
    /// Those that failed within this time, e.g. 26h.
    #[arg(long, value_name = "DURATION")]
    newer_than: Option<String>,
    /// All that failed.
    #[arg(long)]
    all: bool,
}

pub(super) fn run(session: &Session, args: &RetryArgs, format: OutputFormat) -> anyhow::Result<ExitCode> {
    let selection = selection(args)?;
    let named: Vec<RecordingId> = selection.ids.iter().flatten().cloned().collect();
    // Without a ledger nothing was ever tried.
    let (known, purged, revived) = match ledger::open(session)? {
        Some(queue) => ledger::ask(async {
            let (known, purged) = (queue.known(&named).await?, queue.purged(&named).await?);
            Ok((known, purged, queue.revive(&selection, Timestamp::now()).await?))
        })?,
        None => (BTreeSet::new(), BTreeMap::new(), 0),
    };
    let is_unknown = |id: &&RecordingId| !known.contains(*id) && !purged.contains_key(*id);
    let unknown: Vec<&RecordingId> = named.iter().filter(is_unknown).collect();
    let mut out = std::io::stdout().lock();
    match format {
        OutputFormat::Human => {
            for id in &unknown {
                writeln!(out, "not found: {id} is not known here")?;
            }
            for (id, reason) in &purged {
                writeln!(out, "purged: {id} ({}): it is not taken up again", reason.as_str())?;
            }
            match revived {
                0 => writeln!(out, "nothing to try again")?,
                1 => writeln!(out, "1 recording will be tried again by the next run")?,
                many => writeln!(out, "{many} recordings will be tried again by the next run")?,
            }
        }
        OutputFormat::Json => {
            let unknown: Vec<&str> = unknown.iter().map(|id| id.as_str()).collect();
            let purged: Vec<&str> = purged.keys().map(RecordingId::as_str).collect();
            writeln!(out, "{}", json!({"revived": revived, "not_found": unknown, "purged": purged}))?;
        }
    }
    Ok(if unknown.is_empty() && purged.is_empty() { ExitCode::Done } else { ExitCode::RecordingsFailed })
}

fn selection(args: &RetryArgs) -> Result<Selection, BadArgument> {
    let now = Timestamp::now();
    let ago = |argument: &'static str, text: &Option<String>| {
        let Some(text) = text else { return Ok(None) };
        let expected = "it must be a duration such as 26h or 2d";
        let duration = parse_duration(text).and_then(|duration| SignedDuration::try_from(duration).ok());
        let moment = duration.and_then(|duration| now.checked_sub(duration).ok());
        moment.map(Some).ok_or_else(|| BadArgument { argument, value: text.clone(), expected })
    };
    let ids = parse_ids("ID", &args.ids)?;
    let reasons = args.reason.iter().map(|word| {
        let expected = "it must be a reason as `transcribe status` prints it, such as not_found or engine_crash";
        Reason::parse(word).ok_or_else(|| BadArgument { argument: "--reason", value: word.clone(), expected })
    });
    let reasons = reasons.collect::<Result<BTreeSet<_>, _>>()?;
    Ok(Selection {
        ids: (!ids.is_empty()).then_some(ids),
        reasons: (!reasons.is_empty()).then_some(reasons),
        before: ago("--older-than", &args.older_than)?,
        since: ago("--newer-than", &args.newer_than)?,
    })
}
