//! The service: the same stages as one run, for as long as the process lives.
//!
//! * `worker` claims and works; the engine stays loaded. Its `press` publishes.
//! * `sweeper` lists now and then, and whenever events may have been missed.
//! * `night` compacts the lake.
//! * `clerk` acts upon what events told.
//! * [`Bell`] is what they wake each other with.
//!
//! None of them ends because of trouble: each says what is wrong in [`Health`], waits, and tries again.

mod bell;
mod clerk;
mod night;
mod press;
mod shift;
mod sweeper;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::clerk::Clerk;
use self::sweeper::Sweeper;
use self::worker::Worker;
use super::lead::Hands;
use super::sweep::Run;
use super::{RedoOrder, RunError, Stop, Sweep, Window};
use crate::config::Config;
use crate::queue::Inbox;
use crate::source::RecordingSource;
use crate::telemetry::{Health, Need, Reporter};

pub use bell::Bell;

/// After trouble of this machine or of the other side.
const PAUSE: Duration = Duration::from_secs(30);

/// What may change while the service runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunables {
    pub sweep_every: Duration,
    pub overlap: Duration,
    pub fresh_every: Duration,
    pub flush_every: Duration,
}

impl From<&Config> for Tunables {
    fn from(config: &Config) -> Self {
        Self {
            sweep_every: config.trigger.sweep_every,
            overlap: config.trigger.overlap,
            fresh_every: config.lake.fresh_every,
            flush_every: config.lake.flush_every,
        }
    }
}

/// What the service is made of; everything of it is shared with whoever started it.
pub struct Service<'a> {
    pub config: &'a Config,
    pub source: Arc<dyn RecordingSource>,
    pub inbox: Arc<dyn Inbox>,
    pub reporter: Arc<Reporter>,
    pub stop: Stop,
    pub bell: Arc<Bell>,
    pub health: Arc<Health>,
    pub tunables: watch::Receiver<Tunables>,
}

impl Service<'_> {
    /// Works until it is told to stop; what is in work then is finished, or given back when the stop is an abort.
    ///
    /// # Errors
    /// What keeps it from starting: state folder, ledger, lake or model cannot be used.
    pub async fn run(self, hands: &Hands) -> Result<(), RunError> {
        let mut run = self.open("events").await?;
        run.hold_what_is_out().await?;
        run.take_back().await?;
        run.tidy_up().await?;
        let hired = run.hire(hands).await?;
        self.health.met(Need::Model);
        self.health.met(Need::Ledger);
        self.health.met(Need::Lake);
        let clerk = Clerk::new(&self).await?;
        let sweeper = Sweeper::new(&self);
        tokio::join!(Worker::new(&self, run, hired).work(), sweeper.watch(), clerk.serve(), self.keep_night());
        Ok(())
    }

    /// Ledger, lake and staging for one of the parts.
    async fn open(&self, trigger: &'static str) -> Result<Run<'_>, RunError> {
        let sweep = Sweep {
            window: Window::Everything,
            recordings: std::collections::BTreeSet::new(),
            limit: None,
            redo: RedoOrder::Nothing,
            trigger,
        };
        Run::open(self.config, Arc::clone(&self.source), Arc::clone(&self.reporter), self.stop.clone(), sweep).await
    }
}

/// Waits, or less when the service is told to stop.
async fn pause(stop: &Stop, duration: Duration) {
    tokio::select! {
        () = tokio::time::sleep(duration) => {}
        () = stop.draining() => {}
    }
}

/// Ends when the task does; never without one.
pub(super) async fn joined<T>(task: Option<&mut JoinHandle<Result<T, RunError>>>) -> Result<T, RunError> {
    match task {
        Some(task) => task.await.map_err(RunError::Stage)?,
        None => std::future::pending().await,
    }
}
