//! Signals, and what the service manager is told.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::reload::Reloadable;
use crate::pipeline::Stop;
use crate::telemetry::{Health, Need};

/// The first interrupt or termination lets what is in work be finished within `drain`; the second gives it back at
/// once; the third ends the process. A hang-up reads the configuration again.
pub(super) fn listen(
    stop: &Stop,
    drain: Duration,
    health: Arc<Health>,
    mut reloadable: Reloadable,
) -> std::io::Result<()> {
    listen_to_stop(stop, drain)?;
    let mut hangup = signal(SignalKind::hangup())?;
    let stop = stop.clone();
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            tell(&[NotifyState::Reloading]);
            reloadable.reload();
            if health.is_met(Need::Model) && !stop.is_draining() {
                tell(&[NotifyState::Ready]);
            }
        }
    });
    Ok(())
}

/// As [`listen`], without a configuration to read again.
pub(crate) fn listen_to_stop(stop: &Stop, drain: Duration) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if stop.is_interrupted() {
                std::process::exit(130);
            }
            if stop.is_draining() {
                tracing::warn!("told to stop again: what is in work is given back");
                stop.interrupt();
                continue;
            }
            tracing::info!(within_s = drain.as_secs(), "told to stop: finishing what is in work");
            tell(&[NotifyState::Stopping]);
            stop.drain();
            stop.abort_after(drain);
        }
    });
    Ok(())
}

/// Says `READY=1` once the model is loaded, and feeds the watchdog for as long as this task gets its turns.
pub(crate) fn tell_the_service_manager(stop: &Stop, health: Arc<Health>) -> JoinHandle<()> {
    let stop = stop.clone();
    // Twice as often as it is asked for.
    let feed = sd_notify::watchdog_enabled().map_or(Duration::from_secs(1), |limit| limit / 2);
    let has_watchdog = sd_notify::watchdog_enabled().is_some();
    tokio::spawn(async move {
        let mut is_ready = false;
        let mut turn = tokio::time::interval(feed.min(Duration::from_secs(1)));
        while !stop.is_aborting() {
            turn.tick().await;
            if !is_ready && health.is_met(Need::Model) {
                is_ready = true;
                tell(&[NotifyState::Ready]);
            }
            if has_watchdog {
                tell(&[NotifyState::Watchdog]);
            }
        }
    })
}

/// Does nothing where no service manager listens.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager was not told");
    }
}
