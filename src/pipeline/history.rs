//! From listed calls to rows of `call_history`: the legs of each call that changed, joined to their recordings.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use super::beside::{Beside, MOST_TROUBLES, MOST_WAITING};
use super::item::whole_millis;
use super::publisher::Publisher;
use super::{RunError, Stop};
use crate::domain::{CallLeg, CallRecord, RunId};
use crate::failpoint;
use crate::queue::NewLegs;
use crate::source::{CallHistorySource, LegsAnswer, SourceError, TimeWindow};

/// Calls appear late: what is listed begins this much before the run's window.
const OVERLAP: SignedDuration = SignedDuration::from_hours(48);
/// Pages that wait for the ledger.
const PAGES_AHEAD: usize = 2;
/// Calls whose legs are asked for at the same time, within the rate limit.
const AT_ONCE: usize = 8;

/// What the summary calls it.
const WHAT: &str = "call history";

/// Lists the calls of `window` and keeps those that changed.
pub(super) async fn keep(
    source: &dyn CallHistorySource,
    publisher: &Publisher,
    window: TimeWindow,
    run: &RunId,
    stop: &Stop,
    beside: &mut Beside,
) -> Result<(), RunError> {
    if stop.is_draining() {
        beside.note_stop(WHAT);
        return Ok(());
    }
    let since = window.since.checked_sub(OVERLAP).unwrap_or(window.since);
    let (pages, mut incoming) = mpsc::channel(PAGES_AHEAD);
    let listing = source.calls(TimeWindow { since, ..window }, pages);
    let keeping = async move {
        let mut keeper = Keeper::new(source, publisher, run);
        // Ending here drops the receiver, so that a listing in flight ends as well.
        loop {
            let page = tokio::select! {
                biased;
                page = incoming.recv() => page,
                () = stop.draining() => Some(Vec::new()),
            };
            let Some(page) = page else { break };
            if stop.is_draining() {
                keeper.was_cut_short = true;
                break;
            }
            keeper.take(page).await?;
            if keeper.cannot_go_on() {
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
    beside.lines.push(format!("{WHAT}: {} calls, {} legs new or changed", keeper.calls, keeper.legs));
    if keeper.was_cut_short {
        beside.note_stop(WHAT);
    }
    let refusal = keeper.refusal();
    for failure in listed.err().into_iter().chain(keeper.failure).chain(refusal) {
        beside.note_failure(WHAT, &failure);
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
    /// Calls whose legs were asked for, and those of them whose legs were denied.
    asked: u64,
    forbidden: u64,
    /// Calls in a row at whose legs the other side failed.
    in_a_row: u32,
    was_cut_short: bool,
    /// Why legs are not asked for any more.
    failure: Option<SourceError>,
}

impl<'a> Keeper<'a> {
    const fn new(source: &'a dyn CallHistorySource, publisher: &'a Publisher, run: &'a RunId) -> Self {
        Self {
            source,
            publisher,
            run,
            adopted: BTreeSet::new(),
            calls: 0,
            legs: 0,
            waiting: 0,
            delivered: 0,
            asked: 0,
            forbidden: 0,
            in_a_row: 0,
            was_cut_short: false,
            failure: None,
        }
    }

    /// When the legs of every call were denied.
    fn refusal(&self) -> Option<SourceError> {
        let explanation = "Zoom denies the legs of every call that was asked for (status 403): let the role of the user \
                           behind the app see the call history of Zoom Phone";
        (self.asked > 0 && self.forbidden == self.asked)
            .then(|| SourceError::Refused { explanation: explanation.to_owned() })
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
                let may_ask = may_ask.load(Ordering::Relaxed) && call.history_id.is_some();
                let legs = if may_ask { source.legs(&call).await.map(Some) } else { Ok(None) };
                (call, legs)
            })
            .buffer_unordered(AT_ONCE);
        let now = whole_millis(Timestamp::now());
        let mut known = Vec::new();
        while let Some((call, legs)) = answers.next().await {
            let legs = match legs {
                Ok(answer) => answer.and_then(|answer| self.legs_of(answer)),
                Err(error) => {
                    self.failure.get_or_insert(error);
                    if self.cannot_go_on() {
                        // A later run asks again; until then nothing is said of the calls that are left.
                        break;
                    }
                    None
                }
            };
            known.push(self.new_legs(call, legs, now));
            may_ask.store(self.failure.is_none(), Ordering::Relaxed);
            if self.cannot_go_on() {
                break;
            }
        }
        drop(answers);
        self.learn_from_lake(&known).await?;
        let posted = self.publisher.outbox.post_legs(known, now, self.run).await?;
        failpoint::pass("legs-posted");
        self.legs += posted;
        self.waiting += posted;
        if self.waiting >= MOST_WAITING {
            self.delivered += self.publisher.deliver().await?;
            self.waiting = 0;
        }
        Ok(())
    }

    /// The legs that were answered. Trouble with one call is that call's, until it is one call after the other's.
    fn legs_of(&mut self, answer: LegsAnswer) -> Option<Vec<CallLeg>> {
        self.asked += 1;
        self.forbidden += u64::from(answer == LegsAnswer::Forbidden);
        self.in_a_row = if answer == LegsAnswer::Failed { self.in_a_row + 1 } else { 0 };
        if self.in_a_row >= MOST_TROUBLES {
            let explanation = format!("Zoom failed at the legs of {MOST_TROUBLES} calls in a row");
            self.failure.get_or_insert(SourceError::Unavailable { explanation, source: None });
        }
        if let LegsAnswer::Legs(legs) = answer { Some(legs) } else { None }
    }

    /// Without legs the call itself is the only one: for good where it can have no others, else until they are known.
    /// Those of a fresh call may not be all yet.
    fn new_legs(&self, call: CallRecord, legs: Option<Vec<CallLeg>>, now: Timestamp) -> NewLegs {
        let is_complete = call.history_id.is_none() || (legs.is_some() && !call.is_fresh(now));
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
                failpoint::pass("legs-adopted");
                self.adopted.insert(dt);
            }
        }
        Ok(())
    }
}
