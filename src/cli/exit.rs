//! What is printed on the way out when the program cannot go on, and with which exit code.

use std::io::Write;
use std::path::PathBuf;

use super::auth;
use super::bench::NotMeasurable;
use super::purge::NotConfirmed;
use super::serve::CannotListen;
use super::transcript::NoTranscript;
use crate::config::layers::ConfigError;
use crate::config::secrets::SecretError;
use crate::pipeline::{ExitCode, RunError};
use crate::source::zoom::auth::login::LoginError;
use crate::stt::models::{ModelError, ModelErrorKind};
use crate::stt::whisper_cpp::processor::ProcessorTooOld;
use crate::trigger::BindError;
use crate::trigger::calls::CallsError;
use crate::trigger::calls::FollowError;
use crate::trigger::websocket::WebSocketError;

/// A file that the user named, or that lies on the search path, cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the configuration file {} cannot be read", path.display())]
pub(super) struct Unreadable {
    pub(super) path: PathBuf,
    #[source]
    pub(super) source: std::io::Error,
}

/// A file that the user named cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be written", path.display())]
pub(super) struct Unwritable {
    pub(super) path: PathBuf,
    #[source]
    pub(super) source: std::io::Error,
}

/// An argument that clap cannot judge.
#[derive(Debug, thiserror::Error)]
#[error("{argument} {value}: {expected}")]
pub(super) struct BadArgument {
    pub(super) argument: &'static str,
    pub(super) value: String,
    pub(super) expected: &'static str,
}

/// Prints what clap has to say; help and version are no errors.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    let _closed_pipe = error.print();
    if error.use_stderr() { ExitCode::Usage } else { ExitCode::Done }
}

/// Prints `error:`, the chain of causes and a `hint:`, and picks the code.
pub(super) fn report(error: &anyhow::Error) -> ExitCode {
    let (code, hint) = classify(error);
    let mut chain: Vec<String> = Vec::new();
    for cause in error.chain().map(|cause| cause.to_string().replace('\n', " ")) {
        // Some libraries print their causes themselves.
        if !chain.last().is_some_and(|printed| printed.contains(&cause)) {
            chain.push(cause);
        }
    }
    let mut stderr = std::io::stderr().lock();
    let _closed_pipe = writeln!(stderr, "error: {}", chain.join(": "));
    if let Some(hint) = hint {
        let _closed_pipe = writeln!(stderr, "hint: {hint}");
    }
    code
}

fn classify(error: &anyhow::Error) -> (ExitCode, Option<String>) {
    for cause in error.chain() {
        if cause.is::<ConfigError>() || cause.is::<Unreadable>() {
            return (ExitCode::Configuration, Some("`transcribe config show` prints every key and its value".into()));
        }
        if let Some(error) = cause.downcast_ref::<SecretError>() {
            let hint = "set it in the environment, or name a file that holds it in the variable with _FILE appended";
            let is_of_zoom = error.variable().starts_with("ZOOM_");
            let place = "; the values are on the page of your app in the Zoom App Marketplace";
            return (ExitCode::Configuration, Some(format!("{hint}{}", if is_of_zoom { place } else { "" })));
        }
        if cause.is::<ProcessorTooOld>() {
            let hint = "take the build for any x86-64-v2 processor, or build the program on this machine";
            return (ExitCode::Configuration, Some(hint.into()));
        }
        if cause.is::<BindError>() || cause.is::<WebSocketError>() || cause.is::<CallsError>() {
            return (ExitCode::Configuration, None);
        }
        #[cfg(feature = "otlp")]
        if cause.is::<crate::telemetry::TracesError>() {
            return (ExitCode::Configuration, None);
        }
        if cause.is::<CannotListen>() {
            let hint = "is another `transcribe serve` or `transcribe worker` running? Set that key to a free address of \
                        this machine, or to \"off\"";
            return (ExitCode::Configuration, Some(hint.into()));
        }
        if cause.is::<BadArgument>()
            || cause.is::<NotMeasurable>()
            || cause.is::<Unwritable>()
            || cause.is::<NotConfirmed>()
        {
            return (ExitCode::Usage, None);
        }
        if let Some(error) = cause.downcast_ref::<NoTranscript>() {
            return (error.exit_code(), error.hint());
        }
        if let Some(error) = cause.downcast_ref::<ModelError>() {
            return (model_exit_code(error.kind()), None);
        }
        if let Some(error) = cause.downcast_ref::<LoginError>() {
            return auth::classify(error);
        }
        if cause.is::<FollowError>() {
            return (ExitCode::WorkRemains, None);
        }
        if let Some(error) = cause.downcast_ref::<RunError>() {
            return (error.exit_code(), error.hint());
        }
        if let Some(error) = cause.downcast_ref::<std::io::Error>()
            && error.kind() == std::io::ErrorKind::BrokenPipe
        {
            return (ExitCode::Done, None);
        }
    }
    (ExitCode::Bug, Some("this is a bug in transcribe; run again with -v and report what it prints".into()))
}

pub(super) const fn model_exit_code(kind: ModelErrorKind) -> ExitCode {
    match kind {
        ModelErrorKind::Usage => ExitCode::Usage,
        ModelErrorKind::Configuration => ExitCode::Configuration,
        ModelErrorKind::Unavailable => ExitCode::WorkRemains,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_secret_is_a_matter_of_configuration() {
        let error = anyhow::Error::from(SecretError::Missing { name: "ZOOM_CLIENT_ID" }).context("sign-in");
        assert_eq!(classify(&error).0, ExitCode::Configuration);
        assert_eq!(classify(&anyhow::anyhow!("what?")).0, ExitCode::Bug);
    }
}
