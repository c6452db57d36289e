//! SIGHUP: the configuration is read again. What can change while the service runs changes; the rest is named.

use tokio::sync::watch;

use crate::cli::Layering;
use crate::config::layers::Merged;
use crate::config::secrets::webhook_secret;
use crate::pipeline::Tunables;
use crate::trigger::webhook::Handle;

/// Keys that a running service takes up.
const LIVE: [&str; 5] =
    ["lake.flush_every", "lake.fresh_every", "trigger.overlap", "trigger.sweep_every", "trigger.webhook.max_skew"];

/// What can be read again, and who is told.
pub(super) struct Reloadable {
    pub(super) tune: watch::Sender<Tunables>,
    pub(super) webhook: Option<Handle>,
    pub(super) layering: Layering,
}

impl Reloadable {
    /// Reads the configuration again. A configuration with a mistake changes nothing.
    pub(super) fn reload(&mut self) {
        let loaded = match self.layering.load() {
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the configuration was not reloaded: it has a mistake");
                return;
            }
        };
        if let Some(webhook) = &self.webhook {
            // Also where the secret's file holds another one now.
            match webhook_secret(&self.layering.environment) {
                Ok(Some(secret)) => {
                    if webhook.replace(secret, loaded.config.trigger.webhook.max_skew) {
                        tracing::info!("webhook secret reloaded");
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%error, "the configuration was not reloaded");
                    return;
                }
            }
        }
        self.tune.send_replace(Tunables::from(&loaded.config));
        for key in changed(&self.layering.merged, &loaded.merged) {
            if LIVE.contains(&key.as_str()) {
                tracing::info!(key, "reloaded");
            } else {
                tracing::warn!(key, "changed, but only a restart takes it up");
            }
        }
        self.layering.merged = loaded.merged;
    }
}

/// The keys whose values differ.
fn changed(before: &Merged, after: &Merged) -> Vec<String> {
    let after: std::collections::BTreeMap<_, _> = after.iter().collect();
    let differs = |key: &str, value| after.get(key).is_none_or(|now| now.value != value);
    before.iter().filter(|(key, old)| differs(key, old.value.clone())).map(|(key, _)| key.to_owned()).collect()
}
