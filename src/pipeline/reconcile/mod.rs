//! The completeness proof: what Zoom lists against what the lake holds, with a reason for every difference.
//!
//! * `listed` keeps of the listing what is needed, and what the ledger says of each recording.
//! * `lake_day` judges the rows of one partition by themselves: is anything there twice, or in part?
//! * `compare` puts the two together; `coverage` is what came of it.
//!
//! The listing comes first, then the ledger, then the lake, and nobody publishes while the lake is read: a recording
//! that another process publishes meanwhile is found, and never taken for lost.

mod compare;
mod coverage;
mod lake_day;
mod listed;
mod packed_id;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;

pub use self::coverage::{Coverage, DayCoverage, Tally, Trace, Unexplained};

use self::compare::{Comparison, Scope};
use self::lake_day::LakeDay;
use self::listed::{Entry, Listed, Standing};
use self::packed_id::PackedId;
use super::item::whole_millis;
use super::pages::each_page;
use super::sweep::{make_private, random_word};
use super::{RunError, Stop, publisher};
use crate::config::{Config, ZoomMode};
use crate::domain::{Difference, Recording, RecordingId, RunId, Tombstone};
use crate::lake::{Lake, RunRow, Table};
use crate::queue::sqlite::{SqliteQueue, SqliteSettings};
use crate::queue::{JobQueue, JobState};
use crate::source::{RecordingSource, SourceError, TimeWindow};
use crate::telemetry::{Event, Reporter};

/// Tables whose partitions are gone through.
const TABLES: [Table; 4] = [Table::Recordings, Table::Segments, Table::Words, Table::Quarantine];

/// Compares what `source` lists in `window` with the lake, and writes the result to the tables `coverage` and `runs`.
/// Changes nothing else.
///
/// # Errors
/// When anything cannot be listed or read: half a comparison is none, and nothing is written.
pub async fn reconcile(
    config: &Config,
    source: &dyn RecordingSource,
    reporter: &Reporter,
    stop: &Stop,
    window: TimeWindow,
) -> Result<Coverage, RunError> {
    let started_at = whole_millis(Timestamp::now());
    let run_id = RunId::new(started_at, &random_word());
    let lake = Lake::open(&config.lake).await?;
    let settings = SqliteSettings::from(&config.queue);
    let path = &config.queue.ledger;
    let ledger = if path.exists() { Some(SqliteQueue::open(path, settings)?) } else { None };
    let ledger = ledger.as_ref().map(|ledger| ledger as &dyn JobQueue);
    let mut reconciliation =
        Reconciliation { config, source, reporter, stop, ledger, purged: purged(&lake).await?, lake, now: started_at };

    let mut notes = Vec::new();
    let (listed, window) = reconciliation.list(window, &mut notes).await?;
    let state_dir = &config.paths.state_dir;
    make_private(state_dir).map_err(|source| RunError::State { path: state_dir.clone(), source })?;
    let _nobody_publishes = publisher::lock(state_dir, &reconciliation.lake).await?;
    let scope = Scope { window, listed_at: started_at, owners: owners(config) };
    let mut coverage = reconciliation.compare(listed, scope, run_id).await?;
    coverage.notes.append(&mut notes);

    let lake = &reconciliation.lake;
    let ended_at = whole_millis(Timestamp::now());
    lake.write_coverage(coverage.rows(ended_at)).await?;
    lake.write_run(&run_row(&coverage, started_at, ended_at)).await?;
    Ok(coverage)
}

/// Whose recordings are listed; `None` = the whole account's.
fn owners(config: &Config) -> Option<BTreeSet<String>> {
    match config.zoom.mode {
        ZoomMode::User => Some(BTreeSet::from(["me".to_owned()])),
        ZoomMode::Account => {
            Some(config.zoom.users.iter().cloned().collect()).filter(|users: &BTreeSet<_>| !users.is_empty())
        }
    }
}

/// The recordings that have tombstones in the lake.
async fn purged(lake: &Lake) -> Result<BTreeSet<RecordingId>, RunError> {
    let files = lake.tombstones_beside(&BTreeSet::new()).await?;
    let stones = files.iter().flat_map(|(_file, stones)| stones);
    Ok(stones.filter_map(Tombstone::recording).cloned().collect())
}

struct Reconciliation<'a> {
    config: &'a Config,
    source: &'a dyn RecordingSource,
    reporter: &'a Reporter,
    stop: &'a Stop,
    /// Absent when it was lost, or when nothing was ever transcribed.
    ledger: Option<&'a dyn JobQueue>,
    lake: Lake,
    /// What was purged, as the lake remembers it.
    purged: BTreeSet<RecordingId>,
    now: Timestamp,
}

impl Reconciliation<'_> {
    /// Lists the window. Returns what is listed, and the time that was listed: users' lists reach further and less far
    /// back than what was asked for.
    async fn list(&mut self, window: TimeWindow, notes: &mut Vec<String>) -> Result<(Listed, TimeWindow), RunError> {
        self.reporter.emit(Event::Listing { source: self.config.source.as_str() });
        let mut listed = Listed::new();
        let mut unusable = 0;
        let slices = self.source.slices(Some(window));
        let parts = slices.len();
        for (part, slice) in slices.iter().enumerate() {
            let met = each_page(self.source, slice, self.stop, async |page| {
                self.take(page, &mut listed).await?;
                let found = u64::try_from(listed.len()).unwrap_or(u64::MAX);
                self.reporter.emit(Event::ListingOn { found, part: part + 1, parts });
                Ok(())
            });
            unusable += met.await?.unusable;
        }
        if unusable > 0 {
            notes.push(format!("{unusable} listed items have no id or no audio and were left out"));
        }
        if let Some(reach) = self.source.reaches_back_to().filter(|reach| window.since < *reach) {
            let day = reach.strftime("%Y-%m-%d");
            notes.push(format!("Zoom lists a user's recordings of six months only: none before {day} were compared"));
        }
        let windows = || slices.iter().filter_map(|slice| slice.window);
        let since = windows().map(|window| window.since).min().unwrap_or(window.until);
        let until = windows().map(|window| window.until).max().unwrap_or(window.until);
        Ok((listed, TimeWindow { since, until }))
    }

    async fn take(&self, page: Vec<Recording>, listed: &mut Listed) -> Result<(), RunError> {
        let ids: Vec<RecordingId> = page.iter().map(|recording| recording.id.clone()).collect();
        let records = match self.ledger {
            Some(ledger) => ledger.records(&ids).await?,
            None => Vec::new(),
        };
        let records: BTreeMap<_, _> = records.iter().map(|record| (&record.id, record)).collect();
        for recording in page {
            let mut entry = Entry::new(
                &recording,
                self.day(recording.start(self.now)),
                records.get(&recording.id).copied(),
                self.now,
            );
            if self.purged.contains(&recording.id) {
                entry.standing = Standing::Purged;
            }
            // Slices share a second, and users may share a recording.
            listed.entry(PackedId::of(&recording.id)).or_insert(entry);
        }
        Ok(())
    }

    /// Reads the lake, one partition at a time.
    async fn compare(&self, listed: Listed, scope: Scope, run_id: RunId) -> Result<Coverage, RunError> {
        let partition = |day: Date| self.lake.partition_of(day);
        let mut days: BTreeSet<Date> = listed.values().map(|entry| partition(entry.day)).collect();
        let (first, last) = (partition(self.day(scope.window.since)), partition(self.day(scope.window.until)));
        let knows_all = !listed.values().any(|entry| matches!(entry.standing, Standing::Unknown { .. }));
        let held = self.lake.days(&TABLES).await?;
        days.extend(held.iter().filter(|day| (first..=last).contains(*day)));
        let mut comparison = Comparison::new(listed, scope);
        for day in days.intersection(&held) {
            if self.stop.is_aborting() {
                return Err(SourceError::Stopped.into());
            }
            let dt = day.to_string();
            let mut lake_day = LakeDay::new(self.lake.held(&dt).await?);
            for table in [Table::Segments, Table::Words] {
                self.lake.each_row(table, &dt, |id, fingerprint| lake_day.count(table, id, fingerprint)).await?;
            }
            comparison.lake_day(*day, lake_day, |row| self.day(row.started_at));
            if !knows_all {
                for (id, reason) in self.lake.quarantined(&dt).await? {
                    comparison.quarantined(&id, reason);
                }
            }
        }
        let unfinished = self.unfinished(comparison.unexplained()).await?;
        Ok(comparison.finish(&unfinished, run_id))
    }

    /// Those of these recordings that a run will finish: one beside this took them up after they were listed, or a batch
    /// that a crash cut short has put some of its objects.
    async fn unfinished(&self, ids: impl Iterator<Item = String>) -> Result<BTreeSet<RecordingId>, RunError> {
        let Some(ledger) = self.ledger else { return Ok(BTreeSet::new()) };
        // What is no id is nothing that a run finishes.
        let ids: Vec<RecordingId> = ids.filter_map(|id| RecordingId::parse(&id).ok()).collect();
        let records = ledger.records(&ids).await?;
        let is_open = |state: JobState| !matches!(state, JobState::Published | JobState::Dead);
        Ok(records.into_iter().filter(|record| is_open(record.state)).map(|record| record.id).collect())
    }

    fn day(&self, at: Timestamp) -> Date {
        at.to_zoned(self.config.lake.partition_timezone.clone()).date()
    }
}

/// The row of the table `runs`: what is in the lake needed no work, what is not yet waits.
fn run_row(coverage: &Coverage, started_at: Timestamp, ended_at: Timestamp) -> RunRow {
    let total = coverage.total();
    RunRow {
        run_id: coverage.run_id.clone(),
        command: "reconcile".into(),
        trigger: "reconcile".into(),
        started_at,
        ended_at,
        exit_code: i32::from(coverage.exit_code().number()),
        listed: total.zoom.recordings,
        done: 0,
        skipped: total.lake.recordings,
        failed: 0,
        waiting: coverage.count(Difference::NotYet),
        audio_ms: 0,
        program_version: env!("CARGO_PKG_VERSION").into(),
    }
}
