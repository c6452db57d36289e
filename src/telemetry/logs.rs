//! Log lines on stderr, above the bars where there are any.

use std::io;
use std::sync::OnceLock;

use indicatif::MultiProgress;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::LogFormat;

/// How much is logged. Dependencies only speak from `Debug` on, and then only their warnings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verbosity {
    /// Errors.
    Quiet,
    /// What an operator wants to read.
    Normal,
    /// Every step of every recording.
    Debug,
    /// Everything.
    Trace,
}

impl Verbosity {
    fn filter(self) -> &'static str {
        match self {
            Self::Quiet => "error",
            Self::Normal => "error,transcribe=info",
            Self::Debug => "warn,transcribe=debug",
            Self::Trace => "info,transcribe=trace",
        }
    }
}

/// How this process logs, so that a child of it can do the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSettings {
    pub format: LogFormat,
    pub verbosity: Verbosity,
}

static IN_USE: OnceLock<LogSettings> = OnceLock::new();

impl LogSettings {
    /// As given to [`init_logs`]; errors as text where it was not called.
    #[must_use]
    pub fn in_use() -> Self {
        let unless_started = Self { format: LogFormat::Text, verbosity: Verbosity::Quiet };
        IN_USE.get().copied().unwrap_or(unless_started)
    }
}

/// Starts logging for the process. Later calls change nothing.
pub fn init_logs(settings: LogSettings, screen: &MultiProgress) {
    let LogSettings { format, verbosity } = *IN_USE.get_or_init(|| settings);
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(verbosity.filter()))
        .with_writer(AboveBars { screen: screen.clone() })
        .with_target(verbosity >= Verbosity::Debug);
    let installed = match format {
        LogFormat::Text => subscriber.with_ansi(console_colours()).try_init(),
        LogFormat::Json => subscriber.json().with_ansi(false).try_init(),
    };
    if let Err(error) = installed {
        tracing::debug!(%error, "logging was started before");
    }
}

fn console_colours() -> bool {
    use std::io::IsTerminal;
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

#[derive(Debug, Clone)]
struct AboveBars {
    screen: MultiProgress,
}

impl io::Write for AboveBars {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.screen.suspend(|| io::stderr().write_all(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
