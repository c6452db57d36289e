//! `transcribe lake init`: what readers of the lake start from.

use std::io::Write;

use clap::Subcommand;

use super::{ExitCode, Session};
use crate::lake::Lake;
use crate::pipeline::RunError;

#[derive(Debug, Subcommand)]
pub(crate) enum LakeCommand {
    /// Writes views.sql beside the tables: DuckDB views that show one result per recording.
    Init,
}

pub(super) fn run(session: &Session, command: &LakeCommand) -> anyhow::Result<ExitCode> {
    match command {
        LakeCommand::Init => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let path = runtime.block_on(async {
                let lake = Lake::open(&session.config.lake).await?;
                lake.write_views().await
            });
            let path = path.map_err(RunError::from)?;
            writeln!(std::io::stdout().lock(), "written: {0}\nread it with: duckdb -init {0}", path.display())?;
        }
    }
    Ok(ExitCode::Done)
}
