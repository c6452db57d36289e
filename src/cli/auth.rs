//! `transcribe auth login|keep-alive`: a user's sign-in.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::Context;
use clap::Subcommand;
use jiff::Timestamp;
use url::Url;

use super::{ExitCode, Session};
use crate::config::ZoomMode;
use crate::config::secrets::ZoomSecrets;
use crate::pipeline::RunError;
use crate::source::zoom::ZoomSource;
use crate::source::zoom::auth::Credentials;
use crate::source::zoom::auth::keep_alive::{KeptAlive, keep_alive};
use crate::source::zoom::auth::login::{Login, LoginError};
use crate::source::zoom::error::ZoomError;

#[derive(Debug, Subcommand)]
pub(crate) enum AuthCommand {
    /// Signs a user in through the browser and keeps the sign-in in paths.state_dir.
    ///
    /// For zoom.mode = "user". The app's redirect URL at Zoom must be http://127.0.0.1:PORT/callback.
    Login {
        /// The port of 127.0.0.1 that the browser comes back to; 0 is any that is free.
        #[arg(long, value_name = "N", default_value_t = 53_682)]
        port: u16,
        /// Only print the address, do not open it.
        #[arg(long)]
        no_browser: bool,
    },
    /// Renews the user's sign-in when it is older than 7 days; unused, it would die after about 90.
    KeepAlive {
        /// Renew it whatever its age.
        #[arg(long)]
        force: bool,
    },
}

pub(super) fn run(session: &Session, command: &AuthCommand) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        match command {
            AuthCommand::Login { port, no_browser } => login(session, *port, !no_browser).await,
            AuthCommand::KeepAlive { force } => renew(session, *force).await,
        }
    });
    runtime.shutdown_background();
    done.map(|()| ExitCode::Done)
}

async fn login(session: &Session, port: u16, opens_browser: bool) -> anyhow::Result<()> {
    let (zoom, state_dir) = (&session.config.zoom, &session.config.paths.state_dir);
    let secrets = ZoomSecrets::read(&session.environment, ZoomMode::User)?;
    let login = Login::begin(zoom, secrets, state_dir, port).await?;
    let address = login.authorize_url();
    tell("open this address in a browser and allow the app; waiting for five minutes:")?;
    print(address.as_str())?;
    if opens_browser {
        open(address);
    }
    let path = login.finish(zoom).await?;
    print(&format!("signed in; the sign-in is kept in {}", path.display()))?;
    let next = match zoom.mode {
        ZoomMode::User => "next: transcribe check",
        ZoomMode::Account => "next: set zoom.mode = \"user\", so that the sign-in is used; then transcribe check",
    };
    print(next)
}

async fn renew(session: &Session, force: bool) -> anyhow::Result<()> {
    let zoom = &session.config.zoom;
    let secrets = ZoomSecrets::read(&session.environment, zoom.mode)?;
    let credentials = Credentials::new(secrets, &session.config.paths.state_dir);
    let source = ZoomSource::new(zoom, credentials).map_err(RunError::from)?;
    let kept = keep_alive(source.client(), Timestamp::now(), force).await;
    let day = |time: Timestamp| time.strftime("%Y-%m-%d").to_string();
    print(&match kept.map_err(ZoomError::into_source_error).map_err(RunError::from)? {
        KeptAlive::NotNeeded => {
            "nothing to do: zoom.mode is \"account\", which has no sign-in to keep alive".to_owned()
        }
        KeptAlive::Fresh { renewed_at, holds_until } => {
            format!("nothing to do: renewed on {}, holds until about {}", day(renewed_at), day(holds_until))
        }
        KeptAlive::Renewed { holds_until } => format!("renewed; holds until about {}", day(holds_until)),
    })
}

/// A result, on stdout.
fn print(line: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).context("stdout cannot be written")
}

/// Words for the person, on stderr.
fn tell(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stderr().lock(), "{line}").context("stderr cannot be written")
}

/// Asks the desktop to show the address. Where there is none, the person opens it by hand.
fn open(address: &Url) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(opener);
    command.arg(address.as_str()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if command.spawn().is_err() {
        tracing::debug!(opener, "no browser could be opened");
    }
}

/// The exit code of a sign-in that came to nothing, and what to do.
pub(super) fn classify(error: &LoginError) -> (ExitCode, Option<String>) {
    let (code, hint) = match error {
        LoginError::Listen { .. } => (ExitCode::Configuration, "choose another port with --port, also at Zoom"),
        LoginError::OauthUrl | LoginError::Random(_) | LoginError::Tls(_) => return (ExitCode::Configuration, None),
        LoginError::TimedOut | LoginError::Callback(_) => (ExitCode::WorkRemains, "run `transcribe auth login` again"),
        LoginError::Denied => (ExitCode::CredentialsRefused, "run `transcribe auth login` again and allow the app"),
        LoginError::Refused { .. } | LoginError::NoRefreshToken => {
            (ExitCode::CredentialsRefused, "docs/zoom.md says how the app must be made")
        }
        LoginError::Zoom(error) => {
            let error = RunError::from(error.clone().into_source_error());
            return (error.exit_code(), error.hint());
        }
    };
    (code, Some(hint.to_owned()))
}
