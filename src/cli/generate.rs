//! `transcribe generate FOLDER`: shell completions and man pages, for those who make packages.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate_to};

use super::ExitCode;
use super::args::Cli;
use super::exit::Unwritable;

#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// Made where it is missing; files of the same names in it are replaced.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub(super) fn run(arguments: &GenerateArgs) -> anyhow::Result<ExitCode> {
    let folder = &arguments.folder;
    let unwritable = |source| Unwritable { path: folder.clone(), source };
    std::fs::create_dir_all(folder).map_err(unwritable)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut Cli::command(), "transcribe", folder).map_err(unwritable)?;
    }
    clap_mangen::generate_to(Cli::command(), folder).map_err(unwritable)?;
    Ok(ExitCode::Done)
}
