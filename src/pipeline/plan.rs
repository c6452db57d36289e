//! `--plan`: lists and counts; nothing is downloaded and nothing is written.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::discover::windows;
use super::pages::each_page;
use super::shop::{load_engine, recipe};
use super::sweep::{RedoOrder, Sweep};
use super::{RunError, Stop};
use crate::config::Config;
use crate::domain::{Recording, short_digest};
use crate::queue::sqlite::{SqliteQueue, SqliteSettings};
use crate::queue::{JobQueue, Redo, Scope};
use crate::source::RecordingSource;
use crate::stt::ModelFiles;

/// What one day of the window holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DayPlan {
    pub recordings: u64,
    /// Published already, or dead.
    pub settled: u64,
    /// Recordings that a run would transcribe, and their listed length in seconds as far as it is known.
    pub to_do: u64,
    pub audio_s: u64,
    /// Recordings to do of unknown length.
    pub unknown_length: u64,
}

/// What a run would do, by day of the recording's start (`dt`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Recordings of earlier runs that are not finished, inside and outside the window; a run takes them up first.
    pub unfinished: u64,
    pub days: BTreeMap<String, DayPlan>,
    /// Pages that were listed; a run lists them again.
    pub pages: u64,
}

impl Plan {
    #[must_use]
    pub fn total(&self) -> DayPlan {
        self.days.values().fold(DayPlan::default(), |sum, day| DayPlan {
            recordings: sum.recordings + day.recordings,
            settled: sum.settled + day.settled,
            to_do: sum.to_do + day.to_do,
            audio_s: sum.audio_s + day.audio_s,
            unknown_length: sum.unknown_length + day.unknown_length,
        })
    }
}

/// Lists the window and compares it with the ledger, if there is one. `model` is needed for one question only: what it
/// would change.
///
/// # Errors
/// When the source cannot be listed, the ledger cannot be read or the model cannot be loaded.
pub async fn plan(
    config: &Config,
    source: Arc<dyn RecordingSource>,
    model: Option<&ModelFiles>,
    stop: &Stop,
    sweep: &Sweep,
) -> Result<Plan, RunError> {
    let redo = match (sweep.redo, model) {
        (RedoOrder::Changed, Some(model)) => {
            Redo::Changed(recipe(&load_engine(config, model).await?, config.privacy.redactor.as_ref()))
        }
        (RedoOrder::Nothing | RedoOrder::Changed, _) => Redo::Nothing,
        (RedoOrder::Failed, _) => Redo::Failed,
        (RedoOrder::All, _) => Redo::All,
    };
    let settings = SqliteSettings::from(&config.queue);
    let ledger = &config.queue.ledger;
    let queue = if ledger.exists() { Some(SqliteQueue::open(ledger, settings)?) } else { None };
    let queue = queue.as_ref().map(|queue| queue as &dyn JobQueue);
    let mut plan = Plan::default();
    let mut room = sweep.limit.unwrap_or(u64::MAX);
    if let Some(queue) = queue {
        let only = (!sweep.recordings.is_empty()).then(|| sweep.recordings.clone());
        plan.unfinished = queue.counts(&Scope { source: config.source, only }).await?.unfinished();
        room = room.saturating_sub(plan.unfinished);
    }
    let windows = windows(sweep, queue).await?;
    // Neighbouring slices share a second, and users may share a recording.
    let mut counted = HashSet::new();
    for slice in windows.into_iter().flat_map(|window| source.slices(window)) {
        let taking = each_page(source.as_ref(), &slice, stop, async |page| {
            plan.pages += 1;
            for recording in page {
                let is_asked_for = sweep.recordings.is_empty() || sweep.recordings.contains(&recording.id);
                if is_asked_for && counted.insert(short_digest(recording.id.as_str())) {
                    let record = match queue {
                        Some(queue) => queue.record(&recording.id).await?,
                        None => None,
                    };
                    let start = recording.start(Timestamp::now()).to_zoned(config.lake.partition_timezone.clone());
                    let day = plan.days.entry(start.date().to_string()).or_default();
                    let purged = match queue {
                        Some(queue) => !queue.purged(std::slice::from_ref(&recording.id)).await?.is_empty(),
                        None => false,
                    };
                    let settled =
                        purged || record.as_ref().is_some_and(|job| job.state.is_settled() && !redo.wants(job));
                    let open = record.is_some_and(|job| !job.state.is_settled());
                    count(day, &recording, settled, open, &mut room);
                }
            }
            Ok(())
        });
        taking.await?;
    }
    Ok(plan)
}

/// A recording that the ledger knows as unfinished is to be done whatever room there is: it is counted in it already.
fn count(day: &mut DayPlan, recording: &Recording, is_settled: bool, is_open: bool, room: &mut u64) {
    day.recordings += 1;
    if is_settled {
        day.settled += 1;
        return;
    }
    if !is_open {
        if *room == 0 {
            return;
        }
        *room -= 1;
    }
    day.to_do += 1;
    match recording.duration_s.and_then(|seconds| u64::try_from(seconds).ok()) {
        Some(seconds) => day.audio_s += seconds,
        None => day.unknown_length += 1,
    }
}
