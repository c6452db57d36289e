//! From a listing to jobs of the ledger.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use super::RunError;
use super::sweep::{Sweep, Window};
use crate::domain::{Fingerprint, Recording, RecordingId};
use crate::lake::Lake;
use crate::queue::{Enqueued, JobQueue, JobRecord, NewJob};
use crate::source::{Listed, RecordingSource, SourceError, TimeWindow};

/// Pages that wait for the ledger.
const PAGES_AHEAD: usize = 2;

/// How far back a recording that the ledger does not know is looked for.
const UNKNOWN_ID_WINDOW: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Which recordings of a listing become jobs.
pub(super) struct Discovery<'a> {
    pub(super) source: &'a dyn RecordingSource,
    pub(super) queue: &'a dyn JobQueue,
    pub(super) lake: &'a Lake,
    pub(super) window: Option<TimeWindow>,
    /// `None` = all that are listed.
    pub(super) only: Option<&'a BTreeSet<RecordingId>>,
    /// How many new jobs may be added.
    pub(super) room: u64,
    pub(super) now: Timestamp,
}

/// What a listing brought.
#[derive(Debug, Default)]
pub(super) struct Discovered {
    pub(super) listed: Listed,
    /// Listed recordings in scope.
    pub(super) found: u64,
    pub(super) new: u64,
    /// Not taken up because of the limit.
    pub(super) left_out: u64,
    pub(super) done_before: u64,
    pub(super) dead_before: u64,
    /// Of the recordings that were asked for by id, those that were listed.
    pub(super) matched: BTreeSet<RecordingId>,
    /// Why the listing ended early, if it did. What came before counts.
    pub(super) failure: Option<SourceError>,
}

impl Discovered {
    /// Adds what a further window brought.
    pub(super) fn merge(&mut self, other: Self) {
        self.listed.recordings += other.listed.recordings;
        self.listed.unusable += other.listed.unusable;
        self.listed.repeated += other.listed.repeated;
        self.found += other.found;
        self.new += other.new;
        self.left_out += other.left_out;
        self.done_before += other.done_before;
        self.dead_before += other.dead_before;
        self.matched.extend(other.matched);
        self.failure = self.failure.take().or(other.failure);
    }
}

impl Discovery<'_> {
    /// Lists and enqueues page by page; memory holds a few pages, however long the listing is.
    pub(super) async fn run(mut self) -> Result<Discovered, RunError> {
        let (pages, mut incoming) = mpsc::channel::<Vec<Recording>>(PAGES_AHEAD);
        let source = self.source;
        let listing = source.list(self.window, pages);
        let enqueue = async move {
            let mut discovered = Discovered::default();
            let mut in_lake = LakeMemory::default();
            // An error drops the receiver, so that a listing in flight ends as well.
            while let Some(page) = incoming.recv().await {
                self.take(page, &mut in_lake, &mut discovered).await?;
            }
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

    async fn take(
        &mut self,
        page: Vec<Recording>,
        in_lake: &mut LakeMemory,
        discovered: &mut Discovered,
    ) -> Result<(), RunError> {
        let mut jobs = Vec::with_capacity(page.len());
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
            if self.queue.record(&job.recording.id).await?.is_none()
                && let Some(fingerprint) = in_lake.fingerprint_of(self.lake, &job).await?
            {
                self.queue.adopt(job, fingerprint, self.now).await?;
                discovered.done_before += 1;
                continue;
            }
            jobs.push(job);
        }
        let Enqueued { new, open: _, done, dead, left_out } = self.queue.enqueue(jobs, self.room, self.now).await?;
        self.room = self.room.saturating_sub(new.len() as u64);
        discovered.new += new.len() as u64;
        discovered.left_out += left_out;
        discovered.done_before += done.len() as u64;
        discovered.dead_before += dead.len() as u64;
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
                windows.push(Some(TimeWindow { since: moved(started_at, -day), until: moved(started_at, day) }));
            }
            None => any_unknown = true,
        }
    }
    if any_unknown {
        let since = asked.since.min(moved(asked.until, -UNKNOWN_ID_WINDOW));
        windows.push(Some(TimeWindow { since, until: asked.until }));
    }
    windows.dedup();
    Ok(windows)
}

/// What the lake holds of the days that were asked about, read once a day.
#[derive(Debug, Default)]
struct LakeMemory {
    days: BTreeMap<String, BTreeMap<RecordingId, Fingerprint>>,
}

impl LakeMemory {
    async fn fingerprint_of(&mut self, lake: &Lake, job: &NewJob) -> Result<Option<Fingerprint>, RunError> {
        if !self.days.contains_key(&job.dt) {
            let rows = lake.published_ids(std::slice::from_ref(&job.dt)).await?;
            let day = rows.into_iter().map(|row| (row.recording_id, row.fingerprint)).collect();
            self.days.insert(job.dt.clone(), day);
        }
        Ok(self.days.get(&job.dt).and_then(|day| day.get(&job.recording.id)).cloned())
    }
}
