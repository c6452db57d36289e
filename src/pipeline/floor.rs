//! The recordings in work: how many there may be at once, and which of them must be alone.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::task::{Id, JoinSet};
use tracing::Instrument;

use super::RunError;
use super::item::ItemOutcome;
use crate::domain::{Failure, Lease, RunId};
use crate::queue::{Claimed, Company};

/// Who works on what is claimed: this process, or a fleet.
#[async_trait]
pub(super) trait Crew: Send + Sync {
    /// Works on one recording for `run` while extending its lease, and settles the claim.
    async fn work_on(self: Arc<Self>, claimed: Claimed, run: &RunId) -> Result<ItemOutcome, RunError>;

    /// How many recordings it takes at once.
    fn places(&self) -> usize;

    /// Whether all that it works on is in flight in one process, so that one may have to be alone.
    fn is_one_process(&self) -> bool;

    /// Has the engine decode something harmless; what is wrong with this machine if it does not survive that.
    async fn examine_engine(self: Arc<Self>) -> Option<Failure>;
}

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

/// As many recordings as the crew takes are in work.
pub(super) struct Floor {
    crew: Arc<dyn Crew>,
    tasks: JoinSet<Result<ItemOutcome, RunError>>,
    /// What each of the tasks works on, so that one that panics is told of as well.
    in_work: HashMap<Id, InWork>,
    /// The one in work may be the death of the engine.
    one_is_alone: bool,
    /// Nothing more is begun before the engine was examined.
    engine_died: bool,
}

impl Floor {
    pub(super) fn new(crew: Arc<dyn Crew>) -> Self {
        Self { crew, tasks: JoinSet::new(), in_work: HashMap::new(), one_is_alone: false, engine_died: false }
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
        !self.engine_died && !self.one_is_alone && self.in_work.len() < self.crew.places()
    }

    /// Whether work stands still until the engine was examined.
    pub(super) const fn awaits_examination(&self) -> bool {
        self.engine_died
    }

    /// What the next one would find beside it.
    pub(super) fn company(&self) -> Company {
        if self.in_work.is_empty() || !self.crew.is_one_process() { Company::Nobody } else { Company::Others }
    }

    pub(super) fn begin(&mut self, claimed: Claimed, run: RunId) {
        self.one_is_alone = claimed.alone && self.crew.is_one_process();
        let lease = claimed.lease.twin();
        // Every line about a recording gets these fields, and none of its own for them.
        let Lease { id, attempt, .. } = &lease;
        let span = tracing::info_span!(parent: None, "recording", recording_id = %id, attempt, run_id = %run);
        let in_work = InWork { run: run.clone(), lease, call_ended_at: claimed.recording.end() };
        let crew = Arc::clone(&self.crew);
        let work = async move { crew.work_on(claimed, &run).await };
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
        if std::mem::take(&mut self.engine_died) { Arc::clone(&self.crew).examine_engine().await } else { None }
    }
}
