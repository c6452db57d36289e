//! `transcribe serve`: everything that the service is made of, wired up; from a signal to its end.

mod gauges;
mod reload;
mod signals;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use tokio::sync::watch;

use self::gauges::Gauges;
use self::reload::Reloadable;
use super::{ExitCode, Session, run};
use crate::pipeline::{Bell, RunError, Service, Stop, Tunables};
use crate::queue::Inbox;
use crate::queue::sqlite::{SqliteQueue, SqliteSettings};
use crate::telemetry::{Health, Metrics, Ops, Reporter};

/// An address that was asked for cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {address} cannot be listened on")]
pub(super) struct CannotListen {
    key: &'static str,
    address: SocketAddr,
    #[source]
    source: std::io::Error,
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
    let source = run::source(session)?;
    let model = run::model(session)?;
    let settings = SqliteSettings { lease: config.queue.lease, max_attempts: config.queue.max_attempts };
    crate::pipeline::prepare_state(&config.paths)?;
    let ledger = Arc::new(SqliteQueue::open(&config.queue.ledger, settings).map_err(RunError::from)?);
    let (stop, bell, health) = (Stop::default(), Arc::new(Bell::default()), Arc::new(Health::default()));
    let (tune, tunables) = watch::channel(Tunables::from(config));
    signals::listen(&stop, config.trigger.drain, Reloadable { tune, layering: session.layering.clone() })
        .context("signals cannot be listened for")?;
    let end = stop.drained();
    let _end_with_us = end.clone().drop_guard();

    if let Some(address) = config.telemetry.metrics_listen {
        let key = "telemetry.metrics_listen";
        let listener = Ops::bind(address).await.map_err(|source| CannotListen { key, address, source })?;
        let gauges = Gauges {
            insight: Arc::clone(&ledger) as _,
            inbox: Arc::clone(&ledger) as _,
            health: Arc::clone(&health),
            spool: config.paths.spool_dir(),
        };
        tracing::info!(address = %listener.local_addr().unwrap_or(address), "health and metrics are served");
        let ops = Ops { health: Arc::clone(&health), metrics, refresh: gauges.refresh() };
        tokio::spawn(ops.serve(listener, end.clone()));
    }
    let inbox: Arc<dyn Inbox> = ledger;
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
    let manager = signals::tell_the_service_manager(&stop, health);
    Box::pin(service.run(&model)).await?;
    manager.abort();
    Ok(if stop.is_interrupted() { ExitCode::Interrupted } else { ExitCode::Done })
}
