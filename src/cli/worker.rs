//! `transcribe worker`: takes the jobs of a fleet until it is stopped.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use super::fleet::link;
use super::serve::{listen_to_stop, offer, tell_the_service_manager};
use super::{ExitCode, Session, run};
use crate::pipeline::{Hired, Stop, Worked};
use crate::telemetry::{Bars, Health, Metrics, Need, Ops, Reporter};

pub(super) fn run(session: &Session) -> anyhow::Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("threads cannot be started")?;
    let code = runtime.block_on(work(session));
    // Blocking work that was cancelled ends by itself; nobody waits for it.
    runtime.shutdown_background();
    code
}

async fn work(session: &Session) -> anyhow::Result<ExitCode> {
    let config = &session.config;
    let models = run::models(session)?;
    let (stop, health) = (Stop::default(), Arc::new(Health::default()));
    health.missed(Need::Model, "the model is being loaded");
    let end = stop.drained();
    let _end_with_us = end.clone().drop_guard();
    let metrics = Metrics::install().context("metrics cannot be kept")?;
    tokio::spawn(metrics.clone().keep_up());
    if let Some(address) = config.telemetry.metrics_listen {
        let ops = Ops { health: Arc::clone(&health), metrics, refresh: Arc::new(|| Box::pin(async {})) };
        offer(ops, address, end).await?;
    }
    listen_to_stop(&stop, config.trigger.drain).context("signals cannot be listened for")?;
    drain_on_hang_up(&stop, config.trigger.drain).context("signals cannot be listened for")?;
    let manager = tell_the_service_manager(&stop, Arc::clone(&health));
    let reporter = Arc::new(Reporter::new(session.show_bars.then(|| Bars::on(&session.screen))));
    let hired = Hired {
        config,
        link: link(session).await?,
        source: Arc::new(run::zoom_source(session)?),
        reporter: Arc::clone(&reporter),
        health,
        stop: stop.clone(),
    };
    let worked = Box::pin(hired.work(&models)).await;
    manager.abort();
    reporter.finish();
    let Worked { recordings, audio_ms } = worked?;
    tracing::info!(recordings, audio_s = audio_ms / 1000, "this worker has ended");
    Ok(if stop.is_interrupted() { ExitCode::Interrupted } else { ExitCode::Done })
}

/// The terminal that it was started from is closed.
fn drain_on_hang_up(stop: &Stop, drain: Duration) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let stop = stop.clone();
    tokio::spawn(async move {
        hangup.recv().await;
        stop.drain();
        stop.abort_after(drain);
    });
    Ok(())
}
