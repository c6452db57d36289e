//! The recordings in work: how many there may be at once, and which of them must be alone.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::{Id, JoinSet};
use tracing::Instrument;

use super::RunError;
use super::item::{ItemOutcome, Shop};
use crate::domain::{Failure, Lease, RunId};
use crate::queue::{Claimed, Company};

/// One recording in work.
pub(super) struct InWork {
    /// The run that claimed it.
    pub(super) run: RunId,
    pub(super) lease: Lease,
    /// When its call ended, as far as the listing or the event says.
    pub(super) call_ended_at: Option<Timestamp>,
}

/// One recording whose work ended.
pub(super) struct Ended {
    /// Its claim is perhaps still open where the outcome is an error.
    pub(super) work: InWork,
    pub(super) outcome: Result<ItemOutcome, RunError>,
}

/// Two recordings for each decoder and one more are in work: the next ones are fetched while they decode, and a decoder that
/// takes several windows at a time finds some though each recording is short.
pub(super) struct Floor {
    shop: Arc<Shop>,
    tasks: JoinSet<Result<ItemOutcome, RunError>>,
    /// What each of the tasks works on, so that one that panics is told of as well.
    in_work: HashMap<Id, InWork>,
    /// The one in work may be the death of the engine.
    one_is_alone: bool,
    /// Nothing more is begun before the engine was examined.
    engine_died: bool,
}

impl Floor {
    pub(super) fn new(shop: Arc<Shop>) -> Self {
        Self { shop, tasks: JoinSet::new(), in_work: HashMap::new(), one_is_alone: false, engine_died: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_work.is_empty()
    }

    /// Everything that is in work.
    pub(super) fn in_work(&self) -> impl Iterator<Item = &InWork> {
        self.in_work.values()
    }

    /// Whether another recording may be begun now.
    pub(super) fn has_room(&self) -> bool {
        !self.engine_died && !self.one_is_alone && self.in_work.len() <= 2 * self.shop.speech.workers()
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
        let lease = claimed.lease.twin();
        // Every line about a recording gets these fields, and none of its own for them.
        let Lease { id, attempt, .. } = &lease;
        let span = tracing::info_span!(parent: None, "recording", recording_id = %id, attempt, run_id = %run);
        let in_work = InWork { run: run.clone(), lease, call_ended_at: claimed.recording.end() };
        let shop = Arc::clone(&self.shop);
        let work = async move { shop.work_on(claimed, &run).await };
        let task = self.tasks.spawn(work.instrument(span));
        self.in_work.insert(task.id(), in_work);
    }

    /// The next one whose work ends, also by a panic; `None` when none is in work.
    pub(super) async fn next(&mut self) -> Option<Ended> {
        let (task, outcome) = match self.tasks.join_next_with_id().await? {
            Ok(ended) => ended,
            Err(panic) => (panic.id(), Err(RunError::Stage(panic))),
        };
        let work = self.in_work.remove(&task).expect("what a task works on is known until it ends");
        if self.in_work.is_empty() {
            self.one_is_alone = false;
        }
        if let Ok(ItemOutcome::Crashed) = outcome {
            self.engine_died = true;
        }
        Some(Ended { work, outcome })
    }

    /// Before anything else is thrown at an engine that died, and with nothing in work: does it survive what no
    /// recording is to blame for? What is wrong with this machine if not.
    pub(super) async fn examine(&mut self) -> Option<Failure> {
        if std::mem::take(&mut self.engine_died) { self.shop.examine_engine().await } else { None }
    }
}
