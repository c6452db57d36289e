//! `transcribe engine`: the child process in which a run's speech-to-text engine works.

use std::io;

use indicatif::MultiProgress;

use super::{ExitCode, exit};
use crate::stt::{process, whisper_cpp};
use crate::telemetry::init_logs;

/// Serves the parent until it closes our stdin.
pub(super) fn run(screen: &MultiProgress) -> ExitCode {
    let screen = screen.clone();
    let served = process::serve(io::stdin().lock(), io::stdout(), move |settings| {
        init_logs(settings.logs, &screen);
        whisper_cpp::load(settings)
    });
    match served {
        Ok(()) => ExitCode::Done,
        Err(error) => exit::report(&error.into()),
    }
}
