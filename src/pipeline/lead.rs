//! Who works for a run: this process, or a fleet that it leads.

use std::sync::Arc;

use jiff::Timestamp;
use rand::RngExt;

use super::dispatch::{Desks, Dispatch};
use super::floor::Crew;
use super::item::Shop;
use super::shop::Premises;
use super::sweep::{Run, prepare_state, random_word};
use super::{RunError, Stop};
use crate::config::Config;
use crate::domain::RunId;
use crate::fleet::wire::LeaderCard;
use crate::fleet::{FleetError, HOLDER, Leadership, Link};
use crate::lake::durable;
use crate::queue::Claimed;
use crate::queue::instance::{Instance, is_alive};
use crate::stt::ModelFiles;

/// Who does the work of a run.
pub enum Hands {
    /// This process, with these models.
    Here(ModelFiles),
    /// The workers of a fleet.
    Fleet(Lead),
}

impl Hands {
    /// The models, where this process works itself.
    #[must_use]
    pub const fn models(&self) -> Option<&ModelFiles> {
        match self {
            Self::Here(models) => Some(models),
            Self::Fleet(_) => None,
        }
    }
}

/// The lead of a fleet.
pub struct Lead {
    link: Link,
    leadership: Leadership,
    /// As long as its file is locked, nobody else on this machine takes the lead over.
    _instance: Instance,
}

impl Lead {
    /// Takes the lead. When another coordinator takes it later, `stop` drains.
    ///
    /// # Errors
    /// [`FleetError::Led`] by another one; [`RunError::State`].
    pub async fn take(config: &Config, link: Link, stop: &Stop) -> Result<Self, RunError> {
        prepare_state(&config.paths)?;
        let state_dir = &config.paths.state_dir;
        let unusable = |source| RunError::State { path: state_dir.clone(), source };
        let instance = Instance::register(state_dir, random_word()).map_err(unusable)?;
        let card = LeaderCard {
            host: host(),
            pid: std::process::id(),
            instance: instance.id().to_owned(),
            ledger: word_of(config).map_err(unusable)?,
            since: Timestamp::now(),
        };
        let leadership = Leadership::take(&link, &card, |instance| !is_alive(state_dir, instance)).await?;
        let (lost, stop) = (leadership.lost(), stop.clone());
        tokio::spawn(async move {
            lost.cancelled().await;
            stop.drain();
        });
        Ok(Self { link, leadership, _instance: instance })
    }

    /// Lets the next one lead at once; false when another one led already.
    pub async fn end(self) -> bool {
        let led = !self.leadership.lost().is_cancelled();
        self.leadership.end().await;
        self.link.flush().await;
        led
    }
}

/// A crew, and the shop where it is this process.
pub(super) struct Hired {
    pub(super) crew: Arc<dyn Crew>,
    pub(super) shop: Option<Arc<Shop>>,
    /// What an earlier coordinator handed out.
    pub(super) out: Vec<(Claimed, RunId)>,
}

impl Run<'_> {
    /// Opens what the work itself needs.
    pub(super) async fn hire(&self, hands: &Hands) -> Result<Hired, RunError> {
        match hands {
            Hands::Here(models) => {
                let premises = Premises {
                    config: self.config,
                    instance: self.instance.id(),
                    desk: Arc::clone(&self.queue) as _,
                    source: Arc::clone(&self.source),
                    staging: self.publisher.staging.clone(),
                    reporter: Arc::clone(&self.reporter),
                    stop: self.stop.clone(),
                    keeps_audio: true,
                };
                let shop = Shop::open(premises, models).await?;
                Ok(Hired { crew: Arc::clone(&shop) as _, shop: Some(shop), out: Vec::new() })
            }
            Hands::Fleet(lead) => {
                let desks = Desks {
                    queue: Arc::clone(&self.queue),
                    staging: self.publisher.staging.clone(),
                    shared: self.publisher.shared.clone().ok_or(FleetError::NotConfigured)?,
                    reporter: Arc::clone(&self.reporter),
                    stop: self.stop.clone(),
                    lease: self.config.queue.lease,
                };
                let (crew, out) = Dispatch::open(&lead.link, desks).await?;
                Ok(Hired { crew, shop: None, out })
            }
        }
    }

    /// What is out with a fleet stays out until it is reported, whoever led when it was handed out: before anything is
    /// taken back. The floor holds it from then on.
    pub(super) async fn hold_what_is_out(&self) -> Result<(), RunError> {
        if self.config.fleet().is_some() {
            for (claimed, _run) in self.queue.held_by(HOLDER).await? {
                self.queue.heartbeat(&claimed.lease, Timestamp::now()).await?;
            }
        }
        Ok(())
    }

    /// Who holds what this run claims.
    pub(super) fn holder(&self) -> &str {
        if self.config.fleet().is_some() { HOLDER } else { self.instance.id() }
    }
}

/// A word that lies in this state folder and in no other.
fn word_of(config: &Config) -> std::io::Result<String> {
    let path = config.paths.state_dir.join("fleet-ledger");
    if let Ok(word) = std::fs::read_to_string(&path) {
        return Ok(word);
    }
    let word = format!("{:032x}", rand::rng().random::<u128>());
    durable::replace(&path, word.as_bytes(), 0o600)?;
    Ok(word)
}

/// The name of this machine.
pub(super) fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".into())
}
