//! The ways in which Zoom's events arrive, and what they are kept by.

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cli::Session;
use crate::config::secrets::{SecretError, webhook_secret};
use crate::pipeline::Bell;
use crate::queue::Via;
use crate::source::zoom::auth::Authenticator;
use crate::telemetry::{Health, Need};
use crate::trigger::websocket::{Outlets, State};
use crate::trigger::{Intake, Told, WebSocketClient, Webhook, event};

/// Listens where Zoom delivers. `None` = the configuration wants no webhook, or there is no secret and nobody asked.
pub(super) async fn webhook(session: &Session, intake: &Intake) -> anyhow::Result<Option<Webhook>> {
    let config = &session.config.trigger.webhook;
    if config.listen.is_none() && config.unix_socket.is_none() {
        return Ok(None);
    }
    let Some(secret) = webhook_secret(&session.environment)? else {
        if config.is_asked_for || config.unix_socket.is_some() {
            return Err(SecretError::Missing { name: "ZOOM_WEBHOOK_SECRET_TOKEN" }.into());
        }
        tracing::info!("no webhook, since ZOOM_WEBHOOK_SECRET_TOKEN is not set");
        return Ok(None);
    };
    let webhook = Webhook::bind(config, secret, intake.clone()).await?;
    if let Some(address) = webhook.address() {
        tracing::info!(%address, path = config.path, "waiting for Zoom's events");
    }
    if let Some(path) = &config.unix_socket {
        tracing::info!(socket = %path.display(), path = config.path, "waiting for Zoom's events");
    }
    Ok(Some(webhook))
}

/// Connects to Zoom until `end`. `None` = the configuration does not want it.
pub(super) fn websocket(
    session: &Session,
    auth: &Arc<Authenticator>,
    intake: &Intake,
    bell: &Arc<Bell>,
    health: &Arc<Health>,
    end: &CancellationToken,
) -> anyhow::Result<Option<JoinHandle<()>>> {
    let config = &session.config.trigger.websocket;
    if !config.enabled {
        return Ok(None);
    }
    let bell = Arc::clone(bell);
    let outlets = Outlets {
        intake: intake.clone(),
        read: Box::new(|bytes, received_at| match event::read(bytes, Via::Websocket, received_at) {
            Ok(Told::Notices(notices)) => notices,
            Ok(Told::Challenge { .. } | Told::Ignored(_)) => Vec::new(),
            Err(error) => {
                metrics::counter!("transcribe_websocket_events_unreadable_total").increment(1);
                tracing::warn!(%error, "Zoom's WebSocket brought an event that cannot be read");
                Vec::new()
            }
        }),
        gap: Box::new(move |gap| bell.events_were_missed(gap.since)),
    };
    let random = SmallRng::from_rng(&mut rand::rng());
    let client = WebSocketClient::new(config, &session.config.paths.state_dir, auth, outlets, random)?;
    tokio::spawn(watch_over(client.state(), Arc::clone(health), end.clone()));
    Ok(Some(tokio::spawn(client.run(end.clone()))))
}

async fn watch_over(mut state: watch::Receiver<State>, health: Arc<Health>, end: CancellationToken) {
    loop {
        match *state.borrow_and_update() {
            // Another process of this machine listens for both.
            State::Standby | State::Connected => health.met(Need::Websocket),
            State::Connecting => health.missed(Need::Websocket, "there is no connection to Zoom's WebSocket"),
        }
        if state.changed().await.is_err() {
            if !end.is_cancelled() {
                tracing::error!("the WebSocket client ended unexpectedly; sweeps go on");
                health.missed(Need::Websocket, "the WebSocket client ended unexpectedly");
            }
            return;
        }
    }
}
