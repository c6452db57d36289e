//! Log lines on stderr, above the bars where there are any.

use std::io;
use std::sync::OnceLock;

use indicatif::MultiProgress;
use serde::{Deserialize, Serialize};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

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

/// What else sees the spans of this process.
pub type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging for the process, with `spans` besides. Later calls change nothing.
pub fn init_logs(settings: LogSettings, screen: &MultiProgress, spans: Option<SpanLayer>) {
    let LogSettings { format, verbosity } = *IN_USE.get_or_init(|| settings);
    let lines =
        fmt::layer().with_writer(AboveBars { screen: screen.clone() }).with_target(verbosity >= Verbosity::Debug);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(console_colours()).boxed(),
        LogFormat::Json => lines.json().with_ansi(false).boxed(),
    };
    // Spans are kept however little is logged: a line has their fields.
    let kept = EnvFilter::new(verbosity.filter()).or(filter_fn(is_own_span));
    let installed = tracing_subscriber::registry().with(spans).with(lines.with_filter(kept)).try_init();
    if let Err(error) = installed {
        tracing::debug!(%error, "logging was started before");
    }
}

/// Whether it is a span of this program, which says on what it works.
pub(super) fn is_own_span(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= Level::INFO && metadata.target().starts_with(env!("CARGO_CRATE_NAME"))
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
