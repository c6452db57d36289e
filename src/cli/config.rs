//! `transcribe config show`: every key, its value, and which layer said it.

use std::io::Write;

use clap::Subcommand;

use super::{ExitCode, Session};
use crate::config::layers::{Layered, shown};

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Prints every key with its effective value and where it comes from. Secrets are not part of it; of addresses that
    /// may hold a token, only scheme and host are.
    Show,
}

pub(super) fn run(session: &Session, command: &ConfigCommand) -> anyhow::Result<ExitCode> {
    match command {
        ConfigCommand::Show => {
            let mut stdout = std::io::stdout().lock();
            for (key, Layered { value, layer }) in session.merged.iter() {
                writeln!(stdout, "{key} = {}  # {layer}", shown(key, value))?;
            }
        }
    }
    Ok(ExitCode::Done)
}
