//! `transcribe serve`: everything that the service is made of, wired up; from a signal to its end.

mod gauges;
mod listeners;
mod reload;
mod signals;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(super) use self::signals::{listen_to_stop, tell_the_service_manager};

use self::gauges::Gauges;
use self::reload::Reloadable;
use super::fleet::link;
use super::{ExitCode, Session, run};
use crate::domain::SourceKind;
use crate::fleet::FleetError;
use crate::lake::Lake;
use crate::pipeline::{Bell, Hands, Lead, RunError, Service, Stop, Tunables};
use crate::queue::Inbox;
use crate::queue::sqlite::{SqliteQueue, SqliteSettings};
use crate::source::RecordingSource;
use crate::telemetry::{Health, Metrics, Need, Ops, Reporter};
use crate::trigger::{Calls, Intake};

/// An address that was asked for cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {address} cannot be listened on")]
pub(super) struct CannotListen {
    key: &'static str,
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

/// Serves health and metrics until `end`.
pub(super) async fn offer(ops: Ops, address: SocketAddr, end: CancellationToken) -> Result<(), CannotListen> {
    let key = "telemetry.metrics_listen";
    let listener = Ops::bind(address).await.map_err(|source| CannotListen { key, address, source })?;
    tracing::info!(address = %listener.local_addr().unwrap_or(address), "health and metrics are served");
    tokio::spawn(ops.serve(listener, end));
    Ok(())
}

pub(super) fn run(session: &Session) -> anyhow::Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("threads cannot be started")?;
    let code = runtime.block_on(serve(session));
    // Blocking work that was cancelled ends by itself; nobody waits for it.
    runtime.shutdown_background();
    code
}

async fn serve(session: &Session) -> anyhow::Result<ExitCode> {
    let config = &session.config;
    let metrics = Metrics::install().context("metrics cannot be kept")?;
    tokio::spawn(metrics.clone().keep_up());
    let zoom = match config.source {
        SourceKind::Zoom => Some(Arc::new(run::zoom_source(session)?)),
        SourceKind::Folder => None,
    };
    let auth = zoom.as_ref().map(|zoom| Arc::clone(zoom.auth()));
    let source = match zoom {
        Some(zoom) => zoom as Arc<dyn RecordingSource>,
        None => run::source(session)?,
    };
    let models = if config.fleet().is_none() { Some(run::models(session)?) } else { None };
    let settings = SqliteSettings { lease: config.queue.lease, max_attempts: config.queue.max_attempts };
    crate::pipeline::prepare_state(&config.paths)?;
    let ledger = Arc::new(SqliteQueue::open(&config.queue.ledger, settings).map_err(RunError::from)?);
    let (stop, bell, health) = (Stop::default(), Arc::new(Bell::default()), Arc::new(Health::default()));
    health.missed(Need::Model, "the model is being loaded");
    let (tune, tunables) = watch::channel(Tunables::from(config));
    let end = stop.drained();
    let _end_with_us = end.clone().drop_guard();

    if let Some(address) = config.telemetry.metrics_listen {
        // A connection of its own: questions keep no event waiting.
        let asked = Arc::new(SqliteQueue::open(&config.queue.ledger, settings).map_err(RunError::from)?);
        let gauges = Gauges {
            queue: Arc::clone(&asked) as _,
            inbox: asked,
            source: config.source,
            health: Arc::clone(&health),
            auth: auth.clone(),
            spool: config.paths.spool_dir(),
        };
        let ops = Ops { health: Arc::clone(&health), metrics, refresh: gauges.refresh() };
        offer(ops, address, end.clone()).await?;
    }
    let inbox: Arc<dyn Inbox> = ledger;
    let lake = Lake::open(&config.lake).await.map_err(RunError::from)?;
    let calls = Calls::start(&config.hooks, lake, &config.paths.state_dir, end.clone()).await?;
    let intake = {
        let (calls, bell) = (calls.clone(), Arc::clone(&bell));
        Intake::start(Arc::clone(&inbox), move |notices| {
            calls.offer(notices);
            bell.notices_came();
        })
    };
    let mut handle = None;
    let (mut answering, mut connected) = (None, None);
    if let Some(auth) = &auth {
        if let Some(webhook) = listeners::webhook(session, &intake).await? {
            handle = Some(webhook.handle());
            answering = Some(tokio::spawn(webhook.serve(end.clone())));
        }
        connected = listeners::websocket(session, auth, &intake, &bell, &health, &end)?;
    }
    let reloadable = Reloadable { tune, webhook: handle, layering: session.layering.clone() };
    signals::listen(&stop, config.trigger.drain, Arc::clone(&health), reloadable)
        .context("signals cannot be listened for")?;
    let service = Service {
        config,
        source,
        inbox,
        reporter: Arc::new(Reporter::new(None)),
        stop: stop.clone(),
        bell,
        health: Arc::clone(&health),
        tunables,
    };
    let manager = tell_the_service_manager(&stop, health);
    let mut leads = true;
    let hands = match models {
        Some(models) => Some(Hands::Here(models)),
        None => lead(session, &stop, &service.health).await?.map(Hands::Fleet),
    };
    let ran = match hands {
        Some(hands) => {
            let ran = Box::pin(service.run(&hands)).await;
            if let Hands::Fleet(lead) = hands {
                leads = lead.end().await;
            }
            ran
        }
        None => Ok(()),
    };
    ran?;
    manager.abort();
    if let Some(answering) = answering {
        answering.await.context("the webhook ended unexpectedly")?;
    }
    if let Some(connected) = connected {
        connected.await.context("the WebSocket client ended unexpectedly")?;
    }
    calls.ended().await;
    Ok(match (stop.is_interrupted(), leads) {
        (true, _) => ExitCode::Interrupted,
        // Another coordinator leads: whoever starts this one again has it stand by.
        (false, false) => ExitCode::WorkRemains,
        (false, true) => ExitCode::Done,
    })
}

/// Takes the lead of the fleet, and stands by while another has it or the message server is away; `None` when told to stop.
async fn lead(session: &Session, stop: &Stop, health: &Health) -> anyhow::Result<Option<Lead>> {
    let link = link(session).await?;
    let mut told = false;
    loop {
        let why = match Lead::take(&session.config, link.clone(), stop).await {
            Ok(lead) => return Ok(Some(lead)),
            Err(RunError::Fleet(why @ (FleetError::Led { .. } | FleetError::Unreachable { .. }))) => why,
            Err(error) => return Err(error.into()),
        };
        health.missed(Need::Work, why.to_string());
        if !std::mem::replace(&mut told, true) {
            tracing::info!("{why}; standing by");
        }
        tokio::select! {
            () = tokio::time::sleep(session.config.queue.lease / 3) => {}
            () = stop.draining() => return Ok(None),
        }
    }
}
