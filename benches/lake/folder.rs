//! A lake of made-up calls in a folder of its own, and the real program in it.

use std::process::{Command, Stdio};

use jiff::civil::Date;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use transcribe::config::{Config, LakeConfig, LakePlace};
use transcribe::domain::FinishedTranscript;
use transcribe::lake::Lake;

/// The first day of the month that is made up.
pub(crate) const FIRST_DAY: Date = Date::constant(2026, 9, 1);

pub(crate) const DAYS: usize = 30;

pub(crate) struct Folder {
    folder: TempDir,
    pub(crate) runtime: Runtime,
    pub(crate) lake: Lake,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let runtime = Runtime::new().expect("threads");
        let config = LakeConfig { place: LakePlace::Folder(folder.path().join("lake")), ..Config::default().lake };
        let lake = runtime.block_on(Lake::open(&config)).expect("a lake");
        Self { folder, runtime, lake }
    }

    /// The days of the month.
    pub(crate) fn days() -> impl Iterator<Item = String> {
        FIRST_DAY.series(jiff::Span::new().days(1)).take(DAYS).map(|day| day.to_string())
    }

    /// Puts a batch of calls of one day: one file of each table.
    pub(crate) fn publish(&self, members: &[FinishedTranscript]) {
        let fingerprints: Vec<_> = members.iter().map(|member| member.fingerprint.clone()).collect();
        let plan = Lake::plan_batch(&members[0].dt, &fingerprints);
        self.runtime.block_on(self.lake.publish(&plan, members.to_vec())).expect("published");
    }

    /// The program, as it is when nothing but this lake is configured.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_transcribe"));
        command.args(arguments).current_dir(self.folder.path()).env_clear().env("HOME", self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}
