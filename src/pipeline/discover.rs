//! From a listing to jobs of the ledger.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use super::RunError;
use super::sweep::{Sweep, Window};
use crate::domain::{Reason, Recording, RecordingId};
use crate::failpoint;
use crate::lake::{Lake, PublishedId};
use crate::queue::{Enqueued, JobQueue, JobRecord, JobState, ListingMarks, NewJob, PublishedBefore, Redo};
use crate::source::{Listed, RecordingSource, Slice, SourceError, TimeWindow};
use crate::telemetry::{Event, Reporter};

/// Pages that wait for the ledger.
const PAGES_AHEAD: usize = 2;

/// How far back a recording that the ledger does not know is looked for.
const UNKNOWN_ID_WINDOW: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Which recordings of a listing become jobs.
pub(super) struct Discovery<'a> {
    pub(super) source: &'a dyn RecordingSource,
    pub(super) queue: &'a dyn JobQueue,
    pub(super) marks: &'a dyn ListingMarks,
    pub(super) lake: &'a Lake,
    pub(super) reporter: &'a Reporter,
    pub(super) window: Option<TimeWindow>,
    /// `None` = all that are listed.
    pub(super) only: Option<&'a BTreeSet<RecordingId>>,
    /// How many new jobs may be added.
    pub(super) room: u64,
    /// What is done anew.
    pub(super) redo: &'a Redo,
    pub(super) now: Timestamp,
}

/// How far a listing is when a slice begins.
#[derive(Debug, Clone, Copy)]
struct Place {
    found: u64,
    part: usize,
    parts: usize,
}

/// What a listing brought.
#[derive(Debug, Default)]
pub(super) struct Discovered {
    pub(super) listed: Listed,
    /// Listed recordings in scope.
    pub(super) found: u64,
    pub(super) new: u64,
    /// Finished ones that are done anew.
    pub(super) redone: u64,
    /// Not taken up because of the limit.
    pub(super) left_out: u64,
    pub(super) done_before: u64,
    pub(super) dead_before: u64,
    /// Purged, and left where they are.
    pub(super) purged: u64,
    /// Slices that an interrupted run had listed.
    pub(super) resumed_slices: u64,
    /// Of the recordings that were asked for by id, those that were listed.
    pub(super) matched: BTreeSet<RecordingId>,
    /// Why the listing ended early, if it did. What came before counts.
    pub(super) failure: Option<SourceError>,
    /// Owners that there are not; the others were listed.
    pub(super) unknown_owners: Vec<SourceError>,
}

impl Discovered {
    /// Adds what a further window brought.
    pub(super) fn merge(&mut self, other: Self) {
        self.listed.recordings += other.listed.recordings;
        self.listed.unusable += other.listed.unusable;
        self.listed.repeated += other.listed.repeated;
        self.found += other.found;
        self.new += other.new;
        self.redone += other.redone;
        self.left_out += other.left_out;
        self.done_before += other.done_before;
        self.dead_before += other.dead_before;
        self.purged += other.purged;
        self.resumed_slices += other.resumed_slices;
        self.matched.extend(other.matched);
        self.failure = self.failure.take().or(other.failure);
        self.unknown_owners.extend(other.unknown_owners);
    }
}

impl Discovery<'_> {
    /// Lists and enqueues slice by slice and page by page; memory holds a few pages, however long the listing is. What
    /// an interrupted listing of the same time had done is not listed again.
    pub(super) async fn run(mut self) -> Result<Discovered, RunError> {
        let mut all = Discovered::default();
        let marks = self.marks.listed_slices().await?;
        let mut in_lake = LakeMemory::default();
        let mut at_the_edge = BTreeSet::new();
        let mut unknown = BTreeSet::new();
        let slices = self.source.slices(self.window);
        let bounds = (slices.first().and_then(|slice| slice.window), slices.last().and_then(|slice| slice.window));
        let parts = slices.len();
        for (part, slice) in slices.into_iter().enumerate() {
            let place = Place { found: all.found, part: part + 1, parts };
            if unknown.contains(&slice.owner) {
                continue;
            }
            if self.may_skip_slices() && marks.iter().any(|mark| mark.covers(&slice, self.now)) {
                all.resumed_slices += 1;
                continue;
            }
            let mut found = self.slice(&slice, place, &mut in_lake, &mut at_the_edge).await?;
            if let Some(SourceError::UnknownOwner { .. }) = &found.failure {
                unknown.insert(slice.owner.clone());
                all.unknown_owners.extend(found.failure.take());
                continue;
            }
            let is_whole = found.failure.is_none() && found.left_out == 0;
            all.merge(found);
            if all.failure.is_some() {
                return Ok(all);
            }
            if is_whole && self.takes_all() {
                self.marks.mark_listed(&slice, self.now).await?;
                failpoint::pass("slice-listed");
            }
        }
        if let (Some(first), Some(last)) = bounds
            && self.takes_all()
            && all.left_out == 0
        {
            let whole = TimeWindow { since: first.since, until: last.until };
            self.marks.forget_listed(whole, self.now).await?;
        }
        Ok(all)
    }

    /// Whether a slice that was listed before need not be listed again.
    fn may_skip_slices(&self) -> bool {
        self.takes_all() && *self.redo == Redo::Nothing
    }

    /// Whether every recording of a slice becomes a job.
    fn takes_all(&self) -> bool {
        self.only.is_none()
    }

    async fn slice(
        &mut self,
        slice: &Slice,
        place: Place,
        in_lake: &mut LakeMemory,
        at_the_edge: &mut BTreeSet<RecordingId>,
    ) -> Result<Discovered, RunError> {
        let (pages, mut incoming) = mpsc::channel::<Vec<Recording>>(PAGES_AHEAD);
        let source = self.source;
        let listing = source.list(slice, pages);
        let edge = slice.window.map(|window| window.until);
        let enqueue = async move {
            let mut discovered = Discovered::default();
            let mut next_edge = BTreeSet::new();
            // An error drops the receiver, so that a listing in flight ends as well.
            while let Some(mut page) = incoming.recv().await {
                // Neighbouring slices share the second between them.
                page.retain(|recording| !at_the_edge.contains(&recording.id));
                let on_edge = page.iter().filter(|recording| edge.is_some_and(|edge| recording.is_near(edge)));
                next_edge.extend(on_edge.map(|recording| recording.id.clone()));
                self.take(page, Some(in_lake), &mut discovered).await?;
                let found = place.found + discovered.found;
                self.reporter.emit(Event::ListingOn { found, part: place.part, parts: place.parts });
            }
            *at_the_edge = next_edge;
            Ok::<_, RunError>(discovered)
        };
        let (listed, discovered) = tokio::join!(listing, enqueue);
        let mut discovered = discovered?;
        match listed {
            Ok(listed) => discovered.listed = listed,
            Err(error) => discovered.failure = Some(error),
        }
        Ok(discovered)
    }

    /// Enqueues recordings that were not listed but told of. With `knows_lake` the ledger is taken for one that was
    /// not lost: what it does not know is not looked for in the lake.
    pub(super) async fn enqueue(mut self, found: Vec<Recording>, knows_lake: bool) -> Result<Discovered, RunError> {
        let mut discovered = Discovered::default();
        let mut in_lake = if knows_lake { None } else { Some(LakeMemory::default()) };
        self.take(found, in_lake.as_mut(), &mut discovered).await?;
        Ok(discovered)
    }

    async fn take(
        &mut self,
        page: Vec<Recording>,
        mut in_lake: Option<&mut LakeMemory>,
        discovered: &mut Discovered,
    ) -> Result<(), RunError> {
        let mut jobs = Vec::with_capacity(page.len());
        let ids: Vec<RecordingId> = page.iter().map(|recording| recording.id.clone()).collect();
        let known = self.queue.known(&ids).await?;
        for recording in page {
            if self.only.is_some_and(|only| !only.contains(&recording.id)) {
                continue;
            }
            if self.only.is_some() {
                discovered.matched.insert(recording.id.clone());
            }
            discovered.found += 1;
            let started_at = recording.start(self.now);
            let dt = self.lake.dt(started_at);
            let job = NewJob { recording, started_at, dt };
            // A lost ledger is not a lost lake: what is new here may stand there.
            if !known.contains(&job.recording.id)
                && let Some(in_lake) = in_lake.as_deref_mut()
                && let Some(fate) = in_lake.fate_of(self.lake, &job).await?
            {
                match fate {
                    Fate::Published(result) => self.queue.adopt_published(job.clone(), result, self.now).await?,
                    Fate::Dead(reason) => self.queue.adopt_dead(job.clone(), reason, self.now).await?,
                }
                failpoint::pass("found-in-lake");
            }
            if self.only.is_some() && known.contains(&job.recording.id) {
                self.reopen_if_gone(&job).await?;
            }
            jobs.push(job);
        }
        let enqueued = self.queue.enqueue(jobs, self.room, self.redo, self.now).await?;
        failpoint::pass("enqueued");
        let Enqueued { new, open: _, done, dead, redone, purged, left_out } = enqueued;
        self.room = self.room.saturating_sub((new.len() + redone.len()) as u64);
        discovered.new += new.len() as u64;
        discovered.redone += redone.len() as u64;
        discovered.left_out += left_out;
        discovered.done_before += done.len() as u64;
        discovered.dead_before += dead.len() as u64;
        discovered.purged += purged.len() as u64;
        Ok(())
    }

    /// What is asked for by its id and is published as far as the ledger knows is transcribed again if the lake has
    /// lost it. A whole window is not looked through for such: `transcribe reconcile` names them.
    async fn reopen_if_gone(&self, job: &NewJob) -> Result<(), RunError> {
        let Some(record) = self.queue.record(&job.recording.id).await? else { return Ok(()) };
        if record.state == JobState::Published {
            let held = self.lake.published_ids(&[record.dt]).await?;
            if held.iter().all(|row| row.recording_id != record.id) {
                self.queue.reopen(job.clone(), self.now).await?;
            }
        }
        Ok(())
    }
}

/// What must be listed: the window; or for recordings asked for by id the days of those that the ledger knows, and for
/// the others the window, at least 30 days of it.
pub(super) async fn windows(sweep: &Sweep, queue: Option<&dyn JobQueue>) -> Result<Vec<Option<TimeWindow>>, RunError> {
    let Window::Span(asked) = sweep.window else { return Ok(vec![None]) };
    if sweep.recordings.is_empty() {
        return Ok(vec![Some(asked)]);
    }
    let day = SignedDuration::from_hours(24);
    let moved = |at: Timestamp, by: SignedDuration| at.checked_add(by).unwrap_or(at);
    let mut windows = Vec::new();
    let mut any_unknown = false;
    for id in &sweep.recordings {
        let record = match queue {
            Some(queue) => queue.record(id).await?,
            None => None,
        };
        match record {
            Some(JobRecord { started_at, .. }) => {
                windows.push(TimeWindow { since: moved(started_at, -day), until: moved(started_at, day) });
            }
            None => any_unknown = true,
        }
    }
    if any_unknown {
        let since = asked.since.min(moved(asked.until, -UNKNOWN_ID_WINDOW));
        windows.push(TimeWindow { since, until: asked.until });
    }
    Ok(merged(windows))
}

/// The same time in windows that do not overlap.
fn merged(mut windows: Vec<TimeWindow>) -> Vec<Option<TimeWindow>> {
    windows.sort_by_key(|window| window.since);
    let mut apart: Vec<TimeWindow> = Vec::new();
    for window in windows {
        match apart.last_mut().filter(|last| window.since <= last.until) {
            Some(last) => last.until = last.until.max(window.until),
            None => apart.push(window),
        }
    }
    apart.into_iter().map(Some).collect()
}

/// Days of the lake that are remembered at a time: more than a slice has.
const DAYS_REMEMBERED: usize = 40;

/// What became of a recording as far as the lake knows.
#[derive(Debug, Clone)]
enum Fate {
    Published(PublishedBefore),
    /// It is in quarantine and nowhere else.
    Dead(Option<Reason>),
}

/// What the lake holds of the days that were asked about last, read once a day.
#[derive(Debug, Default)]
struct LakeMemory {
    days: BTreeMap<String, BTreeMap<RecordingId, Fate>>,
}

impl LakeMemory {
    async fn fate_of(&mut self, lake: &Lake, job: &NewJob) -> Result<Option<Fate>, RunError> {
        if !self.days.contains_key(&job.dt) {
            if self.days.len() >= DAYS_REMEMBERED {
                self.days.clear();
            }
            let mut published: BTreeMap<RecordingId, PublishedBefore> = BTreeMap::new();
            for row in lake.published_ids(std::slice::from_ref(&job.dt)).await? {
                let PublishedId { recording_id, fingerprint, audio_sha256, .. } = row;
                // Each earlier result but the first may have come of an order to do it anew, so their number is enough.
                let redo = published.get(&recording_id).map_or(0, |earlier| earlier.redo + 1);
                published.insert(recording_id, PublishedBefore { fingerprint, audio_sha256, redo });
            }
            let dead = lake.quarantined(&job.dt).await?.into_iter().map(|(id, reason)| (id, Fate::Dead(reason)));
            let mut day: BTreeMap<RecordingId, Fate> = dead.collect();
            day.extend(published.into_iter().map(|(id, result)| (id, Fate::Published(result))));
            self.days.insert(job.dt.clone(), day);
        }
        Ok(self.days.get(&job.dt).and_then(|day| day.get(&job.recording.id)).cloned())
    }
}
