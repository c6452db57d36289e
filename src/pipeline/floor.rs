//! The recordings in work: how many there may be at once, and which of them must be alone.

use std::sync::Arc;

use tokio::task::JoinSet;
use tracing::Instrument;

use super::RunError;
use super::item::{ItemOutcome, Shop};
use crate::domain::{Failure, Lease, RunId};
use crate::queue::{Claimed, Company};

/// One recording whose work ended.
pub(super) struct Ended {
    /// The run that claimed it.
    pub(super) run: RunId,
    /// Its claim, which is still open where the outcome is an error.
    pub(super) lease: Lease,
    pub(super) outcome: Result<ItemOutcome, RunError>,
}

/// One recording more than there are decoders is in work, so that the next one is fetched while they decode.
pub(super) struct Floor {
    shop: Arc<Shop>,
    in_work: JoinSet<Ended>,
    /// The one in work may be the death of the engine.
    one_is_alone: bool,
    /// Nothing more is begun before the engine was examined.
    engine_died: bool,
}

impl Floor {
    pub(super) fn new(shop: Arc<Shop>) -> Self {
        Self { shop, in_work: JoinSet::new(), one_is_alone: false, engine_died: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_work.is_empty()
    }

    /// Whether another recording may be begun now.
    pub(super) fn has_room(&self) -> bool {
        !self.engine_died && !self.one_is_alone && self.in_work.len() < self.shop.speech.workers() + 1
    }

    /// Whether work stands still until the engine was examined.
    pub(super) const fn awaits_examination(&self) -> bool {
        self.engine_died
    }

    /// What the next one would find beside it.
    pub(super) fn company(&self) -> Company {
        if self.in_work.is_empty() { Company::Nobody } else { Company::Others }
    }

    pub(super) fn begin(&mut self, claimed: Claimed, run: RunId) {
        self.one_is_alone = claimed.alone;
        let Lease { id, attempt, fence } = &claimed.lease;
        let lease = Lease { id: id.clone(), attempt: *attempt, fence: *fence };
        let shop = Arc::clone(&self.shop);
        // Every line about a recording gets these fields, and none of its own for them.
        let span = tracing::info_span!(parent: None, "recording", recording_id = %id, attempt, run_id = %run);
        let work = async move {
            let outcome = shop.work_on(claimed, &run).await;
            Ended { run, lease, outcome }
        };
        self.in_work.spawn(work.instrument(span));
    }

    /// The next one whose work ends; `None` when none is in work.
    pub(super) async fn next(&mut self) -> Option<Result<Ended, RunError>> {
        let ended = self.in_work.join_next().await?.map_err(RunError::Stage);
        if self.in_work.is_empty() {
            self.one_is_alone = false;
        }
        if let Ok(Ended { outcome: Ok(ItemOutcome::Crashed), .. }) = &ended {
            self.engine_died = true;
        }
        Some(ended)
    }

    /// Before anything else is thrown at an engine that died, and with nothing in work: does it survive what no
    /// recording is to blame for? What is wrong with this machine if not.
    pub(super) async fn examine(&mut self) -> Option<Failure> {
        if std::mem::take(&mut self.engine_died) { self.shop.examine_engine().await } else { None }
    }
}
