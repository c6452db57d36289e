//! From listed calls to rows of `call_history`: the legs of each call that changed, joined to their recordings.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use super::beside::{Beside, MOST_WAITING};
use super::item::whole_millis;
use super::publisher::Publisher;
use super::{RunError, Stop};
use crate::domain::{CallLeg, CallRecord, RunId};
use crate::queue::NewLegs;
use crate::source::{CallHistorySource, SourceError, TimeWindow};

/// Calls appear late: what is listed begins this much before the run's window.
const OVERLAP: SignedDuration = SignedDuration::from_hours(48);
/// Pages that wait for the ledger.
const PAGES_AHEAD: usize = 2;
/// Calls whose legs are asked for at the same time, within the rate limit.
const AT_ONCE: usize = 8;

/// Lists the calls of `window` and keeps those that changed.
pub(super) async fn keep(
    source: &dyn CallHistorySource,
    publisher: &Publisher,
    window: TimeWindow,
    run: &RunId,
    stop: &Stop,
    beside: &mut Beside,
) -> Result<(), RunError> {
    let since = window.since.checked_sub(OVERLAP).unwrap_or(window.since);
    let (pages, mut incoming) = mpsc::channel(PAGES_AHEAD);
    let listing = source.calls(TimeWindow { since, ..window }, pages);
    let keeping = async move {
        let mut keeper = Keeper::new(source, publisher, run);
        // Ending here drops the receiver, so that a listing in flight ends as well.
        while let Some(page) = incoming.recv().await {
            keeper.take(page).await?;
            if stop.is_draining() || keeper.cannot_go_on() {
                break;
            }
        }
        Ok::<_, RunError>(keeper)
    };
    let kept = tokio::select! {
        kept = async { tokio::join!(listing, keeping) } => kept,
        () = stop.aborting() => return Ok(()),
    };
    let (listed, keeper) = kept;
    let keeper = keeper?;
    beside.rows += keeper.delivered + publisher.deliver().await?;
    beside.lines.push(format!("call history: {} calls, {} legs new or changed", keeper.calls, keeper.legs));
    for failure in listed.err().into_iter().chain(keeper.failure) {
        beside.note_failure("call history", &failure);
    }
    Ok(())
}

/// Keeps calls page by page.
struct Keeper<'a> {
    source: &'a dyn CallHistorySource,
    publisher: &'a Publisher,
    run: &'a RunId,
    /// The days of which the ledger has learnt what the lake holds.
    adopted: BTreeSet<String>,
    /// Calls listed.
    calls: u64,
    /// Legs new or changed.
    legs: u64,
    /// Legs that are in the outbox.
    waiting: u64,
    /// Rows that went into the lake.
    delivered: u64,
    /// Why legs are not asked for any more.
    failure: Option<SourceError>,
}

impl<'a> Keeper<'a> {
    const fn new(source: &'a dyn CallHistorySource, publisher: &'a Publisher, run: &'a RunId) -> Self {
        let adopted = BTreeSet::new();
        Self { source, publisher, run, adopted, calls: 0, legs: 0, waiting: 0, delivered: 0, failure: None }
    }

    /// A missing scope for legs leaves what the lists say; anything else is for a later run.
    const fn cannot_go_on(&self) -> bool {
        matches!(&self.failure, Some(failure) if !matches!(failure, SourceError::Refused { .. }))
    }

    async fn take(&mut self, page: Vec<CallRecord>) -> Result<(), RunError> {
        self.calls += page.len() as u64;
        let changed = self.publisher.outbox.changed_calls(page).await?;
        let source = self.source;
        let may_ask = &AtomicBool::new(self.failure.is_none());
        let mut answers = futures::stream::iter(changed)
            .map(|call| async move {
                let legs = if may_ask.load(Ordering::Relaxed) { source.legs(&call).await } else { Ok(None) };
                (call, legs)
            })
            .buffer_unordered(AT_ONCE);
        let now = whole_millis(Timestamp::now());
        let mut known = Vec::new();
        while let Some((call, legs)) = answers.next().await {
            let legs = match legs {
                Ok(legs) => legs,
                Err(error) => {
                    may_ask.store(false, Ordering::Relaxed);
                    self.failure.get_or_insert(error);
                    if self.cannot_go_on() {
                        // A later run asks again; until then nothing is said of the calls that are left.
                        break;
                    }
                    None
                }
            };
            known.push(self.new_legs(call, legs, now));
        }
        drop(answers);
        self.learn_from_lake(&known).await?;
        let posted = self.publisher.outbox.post_legs(known, now, self.run).await?;
        self.legs += posted;
        self.waiting += posted;
        if self.waiting >= MOST_WAITING {
            self.delivered += self.publisher.deliver().await?;
            self.waiting = 0;
        }
        Ok(())
    }

    /// Without legs the call itself is the only one: for good where it can have no others, else until they are known.
    fn new_legs(&self, call: CallRecord, legs: Option<Vec<CallLeg>>, now: Timestamp) -> NewLegs {
        let is_complete = legs.is_some() || call.history_id.is_none();
        let legs = legs.unwrap_or_else(|| vec![call.whole.clone()]);
        let placed = legs.into_iter().map(|leg| {
            let dt = self.publisher.lake.dt(leg.start(now));
            (leg, dt)
        });
        NewLegs { legs: placed.collect(), call, is_complete }
    }

    /// A lost ledger is not a lost lake: which form of a leg was written last stands there, too.
    async fn learn_from_lake(&mut self, calls: &[NewLegs]) -> Result<(), RunError> {
        let days: BTreeSet<String> = calls.iter().flat_map(|call| &call.legs).map(|(_leg, dt)| dt.clone()).collect();
        for dt in days {
            if !self.adopted.contains(&dt) {
                self.publisher.outbox.adopt_legs(self.publisher.lake.written_legs(&dt).await?).await?;
                self.adopted.insert(dt);
            }
        }
        Ok(())
    }
}
