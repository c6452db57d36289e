//! The command line: arguments, one file per subcommand, and the exit code.

mod args;
mod auth;
mod bench;
mod check;
mod compact;
mod config;
mod engine;
mod events;
mod exit;
mod explain;
mod export;
mod fleet;
mod generate;
mod lake;
mod ledger;
mod lines;
mod models;
mod plan;
mod purge;
mod reconcile;
mod retry;
mod run;
mod sample;
mod search;
mod serve;
mod speeds;
mod status;
mod transcript;
mod window;
mod worker;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Context;
use indicatif::MultiProgress;

use self::args::{Cli, Command};
use crate::config::layers::{Layers, Merged};
use crate::config::secrets::Environment;
use crate::config::{Config, LogFormat};
use crate::stt::whisper_cpp::processor;
#[cfg(feature = "otlp")]
use crate::telemetry::Traces;
use crate::telemetry::{LogSettings, Verbosity, init_logs};

pub use crate::pipeline::ExitCode;

/// What every subcommand gets: the resolved configuration and the process's surroundings, read once.
pub(crate) struct Session {
    pub(crate) config: Config,
    pub(crate) merged: Merged,
    /// The configuration file that was read, if there is one.
    pub(crate) file: Option<PathBuf>,
    pub(crate) environment: Environment,
    pub(crate) screen: MultiProgress,
    pub(crate) show_bars: bool,
    pub(crate) layering: Layering,
}

/// Where the configuration comes from, so that it can be read again.
#[derive(Clone)]
pub(crate) struct Layering {
    /// The file that was asked for.
    named: Option<PathBuf>,
    pub(crate) environment: Environment,
    flags: Vec<(String, String, String)>,
    working_dir: PathBuf,
    /// What was read last.
    pub(crate) merged: Merged,
}

/// A configuration as it was read.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) merged: Merged,
    /// The file that was read, if there is one.
    file: Option<PathBuf>,
}

impl Layering {
    /// Reads everything again.
    pub(crate) fn load(&self) -> anyhow::Result<Loaded> {
        load(self.named.as_deref(), &self.environment, &self.flags, &self.working_dir)
    }
}

fn load(
    named: Option<&Path>,
    environment: &Environment,
    flags: &[(String, String, String)],
    working_dir: &Path,
) -> anyhow::Result<Loaded> {
    let file = configuration_file(named, environment, working_dir)?;
    let merged = Merged::from_layers(&Layers {
        file: file.as_ref().map(|(path, text)| (path.as_path(), text.as_str())),
        environment,
        flags,
        working_dir,
    })?;
    let config = Config::resolve(&merged)?;
    Ok(Loaded { config, merged, file: file.map(|(path, _)| path) })
}

/// Runs the program and returns its exit code. Everything that goes wrong is printed here, once.
#[must_use]
pub fn main() -> ExitCode {
    // Before anything of whisper.cpp runs.
    if let Err(too_old) = processor::check() {
        return exit::report(&too_old.into());
    }
    // Does nothing unless failpoints were built in, which is so for tests only.
    let _failpoints = fail::FailScenario::setup();
    let cli = match Cli::parse_checked() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    let screen = MultiProgress::new();
    if let Some(Command::Engine) = cli.command {
        // It has no configuration of its own: everything comes through its stdin.
        return engine::run(&screen);
    }
    if let Some(Command::Generate(arguments)) = &cli.command {
        return generate::run(arguments).unwrap_or_else(|error| exit::report(&error));
    }
    match start(cli, screen.clone()) {
        Ok(code) => code,
        Err(error) => {
            let _cleared = screen.clear();
            exit::report(&error)
        }
    }
}

fn start(cli: Cli, screen: MultiProgress) -> anyhow::Result<ExitCode> {
    // One provider for every TLS connection, chosen before the first: two in one process make rustls panic.
    let _chosen_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let environment: Environment =
        std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
    let working_dir = std::env::current_dir().context("the working directory cannot be read")?;
    let flags = cli.settings().collect::<Vec<_>>();
    let named = cli.common.config.clone();
    let Loaded { config, merged, file } = load(named.as_deref(), &environment, &flags, &working_dir)?;
    let logs = LogSettings { format: config.telemetry.log_format, verbosity: cli.common.verbosity() };
    #[cfg(feature = "otlp")]
    let traces = config.telemetry.otlp_endpoint.as_ref().map(Traces::start).transpose()?;
    #[cfg(feature = "otlp")]
    let spans = traces.as_ref().map(Traces::layer);
    #[cfg(not(feature = "otlp"))]
    let spans = None;
    init_logs(logs, &screen, spans);
    let show_bars = std::io::stderr().is_terminal()
        && !cli.common.no_progress
        && cli.common.verbosity() == Verbosity::Normal
        && config.telemetry.log_format == LogFormat::Text;
    let layering = Layering { named, environment: environment.clone(), flags, working_dir, merged: merged.clone() };
    let session = Session { config, merged, file, environment, screen, show_bars, layering };
    match cli.command {
        None => run::run(&session, &cli.run, cli.common.format),
        Some(Command::Models(arguments)) => run_models(&session, &arguments),
        Some(Command::Config(command)) => config::run(&session, &command),
        Some(Command::Status(arguments)) => status::run(&session, &arguments, cli.common.format),
        Some(Command::Retry(arguments)) => retry::run(&session, &arguments, cli.common.format),
        Some(Command::Lake(command)) => lake::run(&session, &command),
        Some(Command::Compact(arguments)) => compact::run(&session, &arguments, cli.common.format),
        Some(Command::Purge(arguments)) => purge::run(&session, &arguments, cli.common.format),
        Some(Command::Reconcile(arguments)) => reconcile::run(&session, &arguments, cli.common.format),
        Some(Command::Export(arguments)) => export::run(&session, &arguments),
        Some(Command::Explain(arguments)) => explain::run(&session, &arguments, cli.common.format),
        Some(Command::Search(arguments)) => search::run(&session, &arguments, cli.common.format),
        Some(Command::Bench(arguments)) => bench::run(&session, &arguments, cli.common.format),
        Some(Command::Check) => check::run(&session, cli.common.format),
        Some(Command::Serve) => serve::run(&session),
        Some(Command::Worker) => worker::run(&session),
        Some(Command::Events(_)) => events::run(&session, cli.common.format),
        Some(Command::Auth(command)) => auth::run(&session, &command),
        Some(Command::Engine | Command::Generate(_)) => unreachable!("served before the configuration was read"),
    }
}

fn run_models(session: &Session, arguments: &models::ModelsArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut samples = sample::Samples::new(&session.config.stt);
    let mut transcribe = |model: &Path, audio: &Path| samples.transcribe(model, audio);
    let mut stdout = std::io::stdout();
    runtime.block_on(models::run(arguments, &session.config.paths.models_dir, &mut stdout, &mut transcribe))?;
    Ok(ExitCode::Done)
}

/// The first configuration file of the search path, or the one that was asked for.
fn configuration_file(
    named: Option<&Path>,
    environment: &Environment,
    working_dir: &Path,
) -> anyhow::Result<Option<(PathBuf, String)>> {
    if let Some(path) = named {
        let text =
            std::fs::read_to_string(path).map_err(|source| exit::Unreadable { path: path.to_owned(), source })?;
        return Ok(Some((working_dir.join(path), text)));
    }
    let user = match (environment.get("XDG_CONFIG_HOME"), environment.get("HOME")) {
        (Some(folder), _) if !folder.is_empty() => Some(PathBuf::from(folder)),
        (_, Some(home)) => Some(Path::new(home).join(".config")),
        _ => None,
    };
    let candidates = [
        Some(working_dir.join("pipeline.toml")),
        user.map(|folder| folder.join("transcribe/pipeline.toml")),
        Some(PathBuf::from("/etc/transcribe/pipeline.toml")),
    ];
    for path in candidates.into_iter().flatten() {
        match std::fs::read_to_string(&path) {
            Ok(text) => return Ok(Some((path, text))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(exit::Unreadable { path, source }.into()),
        }
    }
    Ok(None)
}
