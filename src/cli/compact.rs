//! `transcribe compact`: one file for each table and closed day.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::args::OutputFormat;
use super::{ExitCode, Session};
use crate::config::units::format_size;
use crate::lake::Compacted;
use crate::pipeline::compact;
use crate::telemetry::Reporter;

#[derive(Debug, Args)]
pub(crate) struct CompactArgs {
    /// Writes files of older versions anew as well, with every column of today.
    #[arg(long)]
    rewrite_schema: bool,
}

/// What was done to all of them.
#[derive(Debug, Default)]
struct Total {
    days: BTreeSet<String>,
    files_before: usize,
    files_after: usize,
    bytes_before: u64,
    bytes_after: u64,
    rows: u64,
}

impl Total {
    fn add(&mut self, done: &Compacted) {
        self.days.insert(done.dt.clone());
        self.files_before += done.files;
        self.files_after += 1;
        self.bytes_before += done.bytes_before;
        self.bytes_after += done.bytes_after;
        self.rows += done.rows;
    }
}

pub(super) fn run(session: &Session, args: &CompactArgs, format: OutputFormat) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut total = Total::default();
    let told = |done: &Compacted| {
        total.add(done);
        tracing::debug!(table = done.table.as_str(), dt = done.dt, files = done.files, rows = done.rows, "compacted");
    };
    runtime.block_on(compact(&session.config, Arc::new(Reporter::new(None)), args.rewrite_schema, told))?;
    let Total { days, files_before, files_after, bytes_before, bytes_after, rows } = total;
    let mut out = std::io::stdout().lock();
    match format {
        OutputFormat::Human if days.is_empty() => writeln!(out, "nothing to do: no closed day has several files")?,
        OutputFormat::Human => writeln!(
            out,
            "{} days: {files_before} files became {files_after}, {} became {}, {rows} rows kept",
            days.len(),
            format_size(bytes_before),
            format_size(bytes_after),
        )?,
        OutputFormat::Json => {
            let total = json!({"days": days, "files_before": files_before, "files_after": files_after,
                               "bytes_before": bytes_before, "bytes_after": bytes_after, "rows": rows});
            writeln!(out, "{total}")?;
        }
    }
    Ok(ExitCode::Done)
}
