//! `transcribe reconcile`: is everything there?

use std::fmt::Write as _;
use std::io::{self, Write};

use anyhow::Context;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::args::{OutputFormat, ReconcileArgs};
use super::exit::BadArgument;
use super::run::{clock, is_broken_pipe, source};
use super::{ExitCode, Session, window};
use crate::domain::{Difference, SourceKind};
use crate::lake::Table;
use crate::pipeline::{Coverage, DayCoverage, Stop, Tally, Trace, Unexplained, reconcile};
use crate::telemetry::{Bars, Reporter};

const DEFAULT_SINCE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Unexplained recordings that are named on the screen.
const MOST_NAMED: usize = 20;

pub(super) fn run(session: &Session, args: &ReconcileArgs, format: OutputFormat) -> anyhow::Result<ExitCode> {
    let config = &session.config;
    if config.source == SourceKind::Folder {
        let expected = "it must be zoom: reconcile compares the lake with what Zoom lists";
        return Err(BadArgument { argument: "source.kind", value: config.source.as_str().to_owned(), expected }.into());
    }
    let (since, until) = (args.since.as_deref(), args.until.as_deref());
    let window = window::span(since, until, DEFAULT_SINCE, &config.lake.partition_timezone)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("threads cannot be started")?;
    let coverage = runtime.block_on(async {
        let stop = Stop::default();
        stop.on_signals().context("signals cannot be listened for")?;
        let source = source(session)?;
        let reporter = Reporter::new(session.show_bars.then(|| Bars::on(&session.screen)));
        let coverage = reconcile(config, source.as_ref(), &reporter, &stop, window).await;
        reporter.finish();
        anyhow::Ok(coverage?)
    });
    runtime.shutdown_background();
    let coverage = coverage?;
    let printed = match format {
        OutputFormat::Human => print_human(&coverage),
        OutputFormat::Json => print_json(&coverage),
    };
    match printed.map_err(anyhow::Error::from) {
        // Whoever reads stdout has seen enough; the comparison stands.
        Err(error) if is_broken_pipe(&error) => {}
        printed => printed?,
    }
    Ok(coverage.exit_code())
}

fn print_human(coverage: &Coverage) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let total = coverage.total();
    writeln!(out, "{:<10} {:>19} {:>19}  difference", "day", "in Zoom", "in the lake")?;
    for (day, both) in &coverage.days {
        writeln!(out, "{}", line(&day.to_string(), both))?;
    }
    writeln!(out, "{}", line("total", &total))?;
    for reason in total.differences.keys().filter(|reason| reason.is_explained()) {
        writeln!(out, "{}: {}", words(*reason), reason.in_words())?;
    }
    let (lost, double) = (coverage.count(Difference::Lost), coverage.count(Difference::Double));
    let orphaned = match coverage.count(Difference::Orphaned) {
        0 => String::new(),
        orphaned => format!(", orphaned: {orphaned}"),
    };
    writeln!(out, "lost: {lost}, double: {double}{orphaned}")?;
    for item in coverage.unexplained.iter().take(MOST_NAMED) {
        writeln!(out, "{}: {} of {}: {}", words(item.reason), item.id, item.day, advice(item))?;
    }
    let unnamed = coverage.unexplained.len().saturating_sub(MOST_NAMED);
    if unnamed > 0 {
        writeln!(out, "{unnamed} more are lost, double or orphaned; --format json names them all")?;
    }
    for note in &coverage.notes {
        writeln!(out, "note: {note}")?;
    }
    out.flush()
}

fn line(name: &str, both: &DayCoverage) -> String {
    let side = |tally: Tally| format!("{:>8} {:>10}", tally.recordings, clock(tally.seconds()));
    let mut line = format!("{name:<10} {} {}  ", side(both.zoom), side(both.lake));
    let mut separator = "";
    for (reason, tally) in &both.differences {
        // Writing to a string does not fail.
        let _written = write!(line, "{separator}{} {}", tally.recordings, words(*reason));
        separator = ", ";
    }
    if both.differences.is_empty() {
        line.push('–');
    }
    line
}

fn words(reason: Difference) -> String {
    reason.as_str().replace('_', " ").replace("zoom", "Zoom")
}

/// What is wrong with a recording, and what to do about it.
fn advice(item: &Unexplained) -> String {
    let table = item.table.as_str();
    match (item.reason, item.table, item.trace) {
        (Difference::Lost, Table::Recordings, Trace::Nowhere) => {
            format!("no run has seen it: run `transcribe --since {}`", item.day)
        }
        (Difference::Lost, Table::Recordings, Trace::Ledger) => format!("run `transcribe --recording {}`", item.id),
        (Difference::Lost, Table::Recordings, Trace::Lake) => {
            "its segments are still there: restore that day's files of recordings from a backup".into()
        }
        (Difference::Lost, ..) => format!("rows of {table} are missing: restore that day's files from a backup"),
        (Difference::Double, ..) => {
            format!("its rows of {table} are there twice: remove the file that repeats another")
        }
        _orphaned => format!("its rows of {table} belong to no row of recordings"),
    }
}

/// One object; what is unexplained can be much, and is written one by one.
fn print_json(coverage: &Coverage) -> io::Result<()> {
    let days: Vec<Value> = coverage
        .days
        .iter()
        .map(|(day, both)| {
            let mut object = to_json(both);
            object["day"] = json!(day.to_string());
            object
        })
        .collect();
    let mut head = json!({
        "run_id": coverage.run_id.0,
        "days": days,
        "totals": to_json(&coverage.total()),
        "lost": coverage.count(Difference::Lost),
        "double": coverage.count(Difference::Double),
        "notes": coverage.notes,
        "exit_code": coverage.exit_code().number(),
    })
    .to_string();
    head.pop();
    let mut out = io::BufWriter::new(io::stdout().lock());
    write!(out, "{head},\"unexplained\":[")?;
    let mut separator = "";
    for item in &coverage.unexplained {
        let object = json!({"id": item.id, "day": item.day.to_string(), "reason": item.reason, "table": item.table});
        write!(out, "{separator}{object}")?;
        separator = ",";
    }
    writeln!(out, "]}}")?;
    out.flush()
}

fn to_json(both: &DayCoverage) -> Value {
    let differences: Vec<Value> = both
        .differences
        .iter()
        .map(|(reason, tally)| json!({"reason": reason, "recordings": tally.recordings, "seconds": tally.seconds()}))
        .collect();
    json!({"zoom_recordings": both.zoom.recordings, "zoom_seconds": both.zoom.seconds(),
           "lake_recordings": both.lake.recordings, "lake_seconds": both.lake.seconds(),
           "differences": differences})
}
