//! `transcribe search`: where words were said, with what was said before and after.

mod human;
mod json;

use std::io::{IsTerminal, Write};

use clap::Args;
use jiff::SignedDuration;

use super::args::OutputFormat;
use super::exit::BadArgument;
use super::lines::plain;
use super::{ExitCode, Session, window};
use crate::lake::Lake;
use crate::lake::search::{Found, Query, Search, last_moment};
use crate::pipeline::RunError;

const DEFAULT_SINCE: SignedDuration = SignedDuration::from_hours(30 * 24);

#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// What to look for: words, or phrases in quotation marks.
    #[arg(value_name = "WORDS", required = true)]
    words: Vec<String>,
    /// Calls from when on: a duration before now (26h, 7d), a date, or RFC 3339 [default: 30d].
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    since: Option<String>,
    /// Calls until when, in the same forms [default: now].
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    until: Option<String>,
    /// Show at most this many hits.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    limit: u16,
    /// Show this many segments of the call before and after each hit.
    #[arg(long, value_name = "N", default_value_t = 1)]
    context: u8,
}

/// What was asked and what was found.
struct Answer {
    query: Query,
    found: Found,
    /// What was asked for, in words: `from 2026-10-23 to 2026-11-22`.
    window: String,
}

pub(super) fn run(session: &Session, args: &SearchArgs, format: OutputFormat) -> anyhow::Result<ExitCode> {
    let zone = &session.config.lake.partition_timezone;
    let expected = "there must be a letter or a digit to look for, and no more than 64 words";
    let bad = || BadArgument { argument: "WORDS", value: plain(&args.words.join(" ")), expected };
    let query = Query::parse(&args.words).ok_or_else(bad)?;
    let span = window::span(args.since.as_deref(), args.until.as_deref(), DEFAULT_SINCE, zone)?;
    let day = |at: jiff::Timestamp| at.to_zoned(zone.clone()).date();
    let window = format!("from {} to {}", day(span.since), day(last_moment(span.until)));
    let search = Search {
        query: query.clone(),
        since: span.since,
        until: span.until,
        limit: args.limit.into(),
        context: args.context.into(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let found = runtime.block_on(async {
        match Lake::open_to_read(&session.config.lake).await? {
            Some(lake) => lake.search(search).await,
            None => Ok(Found { hits: Vec::new(), has_more: false, days: Vec::new() }),
        }
    });
    // What was begun for days that nobody asks for any more need not end.
    runtime.shutdown_background();
    let answer = Answer { query, found: found.map_err(RunError::from)?, window };
    let text = match format {
        OutputFormat::Human => {
            let stdout_takes_colours = std::io::stdout().is_terminal() && !session.environment.contains_key("NO_COLOR");
            human::text(&answer, zone, stdout_takes_colours)
        }
        OutputFormat::Json => json::text(&answer),
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(ExitCode::Done)
}
