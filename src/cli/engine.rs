//! `transcribe engine`: the child process in which a run's speech-to-text engine works.

use std::io;

use indicatif::MultiProgress;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use super::{ExitCode, exit};
use crate::stt::engines;
use crate::stt::process::{self, ProtocolError};
use crate::telemetry::init_logs;

/// How far the engine stands back for others, of 19.
const NICENESS: i32 = 5;

/// Serves the parent until it closes our stdin.
pub(super) fn run(screen: &MultiProgress) -> ExitCode {
    let _ignored = match ignore_signals() {
        Ok(ignored) => ignored,
        Err(error) => return exit::report(&anyhow::Error::new(error).context("signals cannot be listened for")),
    };
    // Listeners and everything else of this machine come first.
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "the engine keeps its priority");
    }
    let screen = screen.clone();
    let served = process::serve(io::stdin().lock(), io::stdout(), move |settings| {
        init_logs(settings.logs, &screen, None);
        engines::load(settings)
    });
    match served {
        // The parent is gone, in the middle of a sentence or between two.
        Ok(()) | Err(ProtocolError::Pipe(_)) => ExitCode::Done,
        Err(error) => exit::report(&error.into()),
    }
}

/// A service manager that stops the program signals every process of it. When to end is the parent's decision: a child that
/// went first would look like an engine that a recording killed.
fn ignore_signals() -> io::Result<Runtime> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let entered = runtime.enter();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        // Being listened for takes the place of ending the process, also when nobody listens any more.
        let _listener = signal(kind)?;
    }
    drop(entered);
    Ok(runtime)
}
