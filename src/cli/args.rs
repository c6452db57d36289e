//! The arguments as they are typed.

use std::path::PathBuf;

use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum};

use super::auth::AuthCommand;
use super::bench::BenchArgs;
use super::compact::CompactArgs;
use super::config::ConfigCommand;
use super::events::EventsArgs;
use super::explain::ExplainArgs;
use super::export::ExportArgs;
use super::generate::GenerateArgs;
use super::lake::LakeCommand;
use super::models::ModelsArgs;
use super::purge::PurgeArgs;
use super::retry::RetryArgs;
use super::search::SearchArgs;
use super::status::StatusArgs;
use crate::pipeline::RedoOrder;
use crate::telemetry::Verbosity;

/// Turns Zoom Phone recordings into Parquet transcripts, on this machine.
///
/// Without a subcommand: one sweep. Takes up unfinished work, lists the recordings of the window, transcribes what is
/// new, publishes it, and exits.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) run: RunArgs,
    #[command(flatten)]
    pub(super) common: CommonArgs,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 bug, 2 usage, 3 configuration, 4 recordings failed for good in this run, or reconcile
found something unexplained, or there is no such transcript, 5 work remains (run again), 6 Zoom refused the
credentials, 130 interrupted.";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Says how the work stands, or what happened to one recording.
    Status(StatusArgs),
    /// Gives recordings that failed for good another chance.
    Retry(RetryArgs),
    /// Prepares the lake for its readers.
    #[command(subcommand)]
    Lake(LakeCommand),
    /// Makes one file of the many that a day was written in, for each table.
    ///
    /// Closed days only; rows are proven to be the same before an old file goes. Nothing is written twice, and readers
    /// who use the views see every row once all the time.
    Compact(CompactArgs),
    /// Forgets recordings, calls, a caller, or everything before a day: in the lake and in paths.state_dir.
    ///
    /// Reads everything again to prove it, and leaves tombstones without personal data, so that nothing comes back.
    Purge(PurgeArgs),
    /// Writes one transcript as subtitles, as JSON or as text.
    ///
    /// Reads the lake only, and takes the last result of the recording. Text that a guard suppressed is left out. Exit
    /// code 4 when there is no transcript.
    Export(ExportArgs),
    /// Says of each span of one recording why it was kept, suppressed or decoded again.
    ///
    /// Reads the lake only, and takes the last result of the recording. Exit code 4 when there is no transcript.
    Explain(ExplainArgs),
    /// Finds words in what was said, newest calls first.
    ///
    /// All words must be in one segment; several words in quotation marks are a phrase. Case, width (ＡＢＣ, ｶﾅ) and
    /// punctuation do not matter. A word is found where one begins with it (`invoice` finds "invoices"); in Japanese and
    /// other scripts without spaces it is found anywhere. Reads the lake only, and the last result of each recording.
    /// Text that a guard suppressed is not searched.
    Search(SearchArgs),
    /// Gets, checks, converts and quantises Whisper models.
    Models(ModelsArgs),
    /// Shows the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Says what is wrong, and how to mend it: configuration, sign-in at Zoom, clock, model, folders, disk, ledger, lake.
    ///
    /// Decodes three seconds of sound with the configured models, as a run would. Exit code 0 when nothing failed.
    Check,
    /// Proves that everything is there: what Zoom lists against what the lake holds.
    ///
    /// Compares recordings and seconds by day, with a reason for every difference. Prints a table, writes it to the
    /// table `coverage`, and changes nothing else. Exit code 4 when a recording is lost or there twice.
    Reconcile(ReconcileArgs),
    /// Measures how much speech this machine turns into text with the configured model, and says with how many workers
    /// and threads it does most.
    ///
    /// Takes about a minute, longer with a large model. Writes nothing to the lake.
    Bench(BenchArgs),
    /// Runs until it is stopped: transcribes calls as Zoom tells of them, and sweeps now and then for what it did not.
    ///
    /// SIGTERM or Ctrl-C finishes what is in work (trigger.drain), a second one gives it back. SIGHUP reads the
    /// configuration again.
    Serve,
    /// Takes jobs of a fleet until it is stopped: as many of these as there are machines, beside one `transcribe serve`.
    ///
    /// queue.url (nats://…) says where from. It keeps nothing: what it has in hand when it dies is another's. SIGTERM or
    /// Ctrl-C finishes what is in work (trigger.drain), a second one gives it back.
    Worker,
    /// Shows who is calling, as a running `transcribe serve` learns it.
    Events(EventsArgs),
    /// Signs a user in at Zoom and keeps the sign-in alive.
    #[command(subcommand)]
    Auth(AuthCommand),
    /// Writes shell completions and man pages into a folder.
    #[command(hide = true)]
    Generate(GenerateArgs),
    /// The speech-to-text engine of a run, started by the program itself.
    #[command(hide = true)]
    Engine,
}

impl Cli {
    /// The flags that are settings: `(key, value, as written)`.
    pub(super) fn settings(&self) -> impl Iterator<Item = (String, String, String)> {
        let user = match &self.command {
            Some(Command::Reconcile(arguments)) => arguments.user.as_deref(),
            _ => None,
        };
        self.common.settings().chain(self.run.settings()).chain(user.map(only_user))
    }

    /// Parses the process's arguments. The options of the main job do not go with a subcommand, whose own
    /// options stand after it.
    pub(super) fn parse_checked() -> Result<Self, clap::Error> {
        let cli = Self::try_parse()?;
        if cli.command.is_some() && cli.run.is_given() {
            let message = "--since, --until, --recording, --user, --limit, --redo, --plan, --dir and --max-time before a \
                           subcommand belong to the main job; a subcommand's own options stand after it";
            return Err(Self::command().error(clap::error::ErrorKind::ArgumentConflict, message));
        }
        Ok(cli)
    }
}

#[derive(Debug, Args, PartialEq, Eq, Default)]
pub(super) struct RunArgs {
    /// From when: a duration before now (26h, 7d), a date, or RFC 3339 [default: 26h].
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub(super) since: Option<String>,
    /// Until when, in the same forms [default: now].
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub(super) until: Option<String>,
    /// Only these recordings.
    #[arg(long, value_name = "ID", num_args = 1..)]
    pub(super) recording: Vec<String>,
    /// Only the recordings of this user (id or e-mail address; `me` in user mode).
    #[arg(long, value_name = "ID")]
    pub(super) user: Option<String>,
    /// Take up at most this many recordings.
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<u64>,
    /// Do finished recordings of the window anew: those that another model, other settings or another version made,
    /// those that failed, or all. Readers see the old rows until the new ones are there.
    #[arg(long, value_enum, value_name = "WHICH")]
    pub(super) redo: Option<RedoWhich>,
    /// List and count, change nothing.
    #[arg(long)]
    pub(super) plan: bool,
    /// Transcribe the files of this folder instead of Zoom's; takes everything unless --since is given.
    #[arg(long, value_name = "PATH")]
    pub(super) dir: Option<PathBuf>,
    /// Take up nothing new after this long, finish what is in work, and exit with 5 if anything is left.
    #[arg(long, value_name = "DURATION")]
    pub(super) max_time: Option<String>,
}

impl RunArgs {
    fn is_given(&self) -> bool {
        *self != Self::default()
    }

    /// The flags that are settings: `(key, value, as written)`.
    pub(super) fn settings(&self) -> impl Iterator<Item = (String, String, String)> {
        let dir = self.dir.iter().flat_map(|path| {
            let path = path.display().to_string();
            let written = format!("--dir {path}");
            let kind = ("source.kind".to_owned(), "folder".to_owned(), written.clone());
            [kind, ("folder.path".to_owned(), path, written)]
        });
        dir.chain(self.user.as_deref().map(only_user)).collect::<Vec<_>>().into_iter()
    }
}

/// `--user` as a setting.
fn only_user(user: &str) -> (String, String, String) {
    let list = serde_json::Value::from(vec![user]).to_string();
    // Without the value: an address names a person.
    ("zoom.users".to_owned(), list, "--user".to_owned())
}

#[derive(Debug, Args)]
pub(super) struct ReconcileArgs {
    /// From when: a duration before now (26h, 7d), a date, or RFC 3339 [default: 30d].
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub(super) since: Option<String>,
    /// Until when, in the same forms [default: now].
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub(super) until: Option<String>,
    /// Only the recordings of this user (id or e-mail address; `me` in user mode).
    #[arg(long, value_name = "ID")]
    pub(super) user: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RedoWhich {
    Changed,
    Failed,
    All,
}

impl From<RedoWhich> for RedoOrder {
    fn from(which: RedoWhich) -> Self {
        match which {
            RedoWhich::Changed => Self::Changed,
            RedoWhich::Failed => Self::Failed,
            RedoWhich::All => Self::All,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// A summary to read.
    Human,
    /// One JSON object on stdout.
    Json,
}

#[derive(Debug, Args)]
pub(super) struct CommonArgs {
    /// What stdout carries.
    #[arg(long, value_enum, default_value = "human", global = true)]
    pub(super) format: OutputFormat,
    /// The configuration file.
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) config: Option<PathBuf>,
    /// Sets one configuration key, e.g. --set stt.model=tiny.en.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, global = true)]
    pub(super) set: Vec<(String, String)>,
    /// Log more; twice for everything.
    #[arg(short, action = ArgAction::Count, global = true)]
    pub(super) verbose: u8,
    /// Log errors only.
    #[arg(short, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// No progress bars, also on a terminal.
    #[arg(long, global = true)]
    pub(super) no_progress: bool,
}

impl CommonArgs {
    pub(super) fn settings(&self) -> impl Iterator<Item = (String, String, String)> {
        // Without the value: it may be a secret in the wrong place.
        self.set.iter().map(|(key, value)| (key.clone(), value.clone(), format!("--set {key}")))
    }

    pub(super) const fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, 1) => Verbosity::Debug,
            (false, _) => Verbosity::Trace,
        }
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it must be section.key=value")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_main_job_needs_no_subcommand() {
        let cli = Cli::try_parse_from(["transcribe", "--since", "7d", "--limit", "3", "--plan"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!((cli.run.since.as_deref(), cli.run.limit, cli.run.plan), (Some("7d"), Some(3), true));
    }

    #[test]
    fn the_format_of_an_export_is_none_of_its_own_messages() {
        let cli = Cli::try_parse_from(["transcribe", "export", "aa", "--as", "json"]).unwrap();
        assert_eq!(cli.common.format, OutputFormat::Human);
    }

    #[test]
    fn a_folder_is_a_setting_of_the_source() {
        let cli = Cli::try_parse_from(["transcribe", "--dir", "calls"]).unwrap();
        let keys: Vec<(String, String)> = cli.run.settings().map(|(key, value, _)| (key, value)).collect();
        let expected = [("source.kind", "folder"), ("folder.path", "calls")];
        assert_eq!(keys, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
}
