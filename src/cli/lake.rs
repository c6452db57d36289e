//! `transcribe lake init`: what readers of the lake start from.

use std::io::Write;

use clap::Subcommand;

use super::{ExitCode, Session};
use crate::lake::{Lake, Prepared, Table};
use crate::pipeline::RunError;

#[derive(Debug, Subcommand)]
pub(crate) enum LakeCommand {
    /// Writes beside the tables what readers start from.
    ///
    /// DuckDB views (views.sql) and queries over them (queries.sql), tables and views for Athena (glue.sql), sources for
    /// dbt (sources.yml), how to read with PyArrow and with Spark, and a recipe for DuckLake. Files of an older version
    /// are replaced.
    Init,
}

pub(super) fn run(session: &Session, command: &LakeCommand) -> anyhow::Result<ExitCode> {
    match command {
        LakeCommand::Init => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let prepared = runtime.block_on(async {
                let lake = Lake::open(&session.config.lake).await?;
                lake.init().await
            });
            let prepared = prepared.map_err(RunError::from)?;
            writeln!(std::io::stdout().lock(), "{}", told(&prepared))?;
        }
    }
    Ok(ExitCode::Done)
}

/// What was written, and what to do with it.
fn told(prepared: &Prepared) -> String {
    let Prepared { url, in_folder, files, empty } = prepared;
    let mut lines = vec![format!("written to {url}: {}", files.join(", "))];
    if *in_folder {
        lines.push(format!("DuckDB: duckdb -init '{url}/views.sql', then: FROM calls;"));
        lines.push("Athena: copy the lake to S3, put its address into glue.sql, and run its statements".to_owned());
    } else {
        lines.push("DuckDB: copy views.sql here, duckdb -init views.sql, then: FROM calls;".to_owned());
        lines.push("Athena: run the statements of glue.sql".to_owned());
    }
    lines.push("twelve questions to begin with are in queries.sql".to_owned());
    if !empty.is_empty() {
        let names: Vec<&str> = empty.iter().copied().map(Table::as_str).collect();
        lines.push(format!(
            "no file yet: {}; run `transcribe lake init` again when there is one, until then they are empty in views.sql",
            names.join(", ")
        ));
    }
    lines.join("\n")
}
