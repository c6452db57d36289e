//! Forgetting recordings and calls everywhere: lake, staged transcripts, audio, ledger.
//!
//! Tombstones come first, in the ledger and in the lake, and are marked as ended last. Whatever a crash interrupts is
//! ended by the next run from the ids on them; a number is nowhere written down, so only the same command ends the masking
//! of a number that others mention.

mod order;
mod retention;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

pub use self::order::PurgeOrder;

use super::RunError;
use super::item::whole_millis;
use super::publisher::{OnlyPublisher, Publisher};
use super::sweep::prepare_state;
use crate::config::Config;
use crate::domain::{Departed, PurgeReason, RecordingId, Tombstone};
use crate::failpoint;
use crate::lake::{Erased, Erasure, Quarry, StagedRef, StagingError};
use crate::privacy::WantedNumber;
use crate::queue::sqlite::{SqliteQueue, SqliteSettings};
use crate::telemetry::Reporter;

/// What a purge removed, or would remove.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PurgeCount {
    pub recordings: u64,
    /// Ids of calls and legs.
    pub calls: u64,
    /// In the lake.
    pub erased: Erased,
    /// Staged transcripts, and files with audio.
    pub state_files: u64,
    /// Rows on their way into the lake, and notices.
    pub messages: u64,
}

/// Purges what the order names.
///
/// # Errors
/// When lake or ledger cannot be used, or something is left in the lake. What was begun is ended by the next run.
pub async fn purge(config: &Config, reporter: Arc<Reporter>, order: &PurgeOrder) -> Result<PurgeCount, RunError> {
    open(config, reporter).await?.purge(order).await
}

/// Counts what [`purge`] would remove. Finished transcripts are published first; nothing else changes.
///
/// # Errors
/// When lake or ledger cannot be used.
pub async fn plan_purge(config: &Config, reporter: Arc<Reporter>, order: &PurgeOrder) -> Result<PurgeCount, RunError> {
    let publisher = open(config, reporter).await?;
    let _only_publisher = publisher.alone_with_everything_published().await?;
    let erasure = publisher.resolve(order).await?;
    let erased = publisher.lake.count_erasure(&erasure).await?;
    Ok(PurgeCount { erased, ..count_of(&erasure) })
}

async fn open(config: &Config, reporter: Arc<Reporter>) -> Result<Publisher, RunError> {
    prepare_state(&config.paths)?;
    let ledger = Arc::new(SqliteQueue::open(&config.queue.ledger, SqliteSettings::from(&config.queue))?);
    Publisher::open(config, ledger, reporter).await
}

fn count_of(erasure: &Erasure) -> PurgeCount {
    let (recordings, calls) = (erasure.recordings.len() as u64, erasure.calls.len() as u64);
    PurgeCount { recordings, calls, ..PurgeCount::default() }
}

impl Publisher {
    /// As [`purge`].
    pub(super) async fn purge(&self, order: &PurgeOrder) -> Result<PurgeCount, RunError> {
        let only_publisher = self.alone_with_everything_published().await?;
        self.take_over_tombstones().await?;
        let mut erasure = self.resolve(order).await?;
        let now = whole_millis(Timestamp::now());
        let mut stones = stones_of(&erasure, order.reason, now)?;
        // What an earlier purge did not end goes with this one.
        let unended = self.graves.unended().await?;
        for stone in unended {
            match &stone.of {
                Departed::Recording(id) => erasure.recordings.insert(id.as_str().to_owned()),
                Departed::Call(id) => erasure.calls.insert(id.clone()),
            };
            stones.retain(|new| new.of != stone.of);
            stones.push(stone);
        }
        self.graves.entomb(stones.clone()).await?;
        // What was listed in the meantime goes as well; what is listed from now on meets its tombstone.
        while self.track_in_ledger(order, &order.quarry(), &mut erasure).await? {
            let known: BTreeSet<Departed> = stones.iter().map(|stone| stone.of.clone()).collect();
            let later = stones_of(&erasure, order.reason, now)?;
            stones.extend(later.into_iter().filter(|stone| !known.contains(&stone.of)));
            self.graves.entomb(stones.clone()).await?;
        }
        failpoint::pass("purge-begun");
        self.carry_out(&erasure, stones, &only_publisher).await
    }

    /// Ends purges that a crash interrupted, and those of which the lake told. Cheap when there is none.
    pub(super) async fn end_purges(&self) -> Result<(), RunError> {
        let stones = self.graves.unended().await?;
        if stones.is_empty() {
            return Ok(());
        }
        if stones.iter().any(|stone| stone.reason == PurgeReason::Phone) {
            tracing::warn!(
                "a purge by number was interrupted, or begun elsewhere: give the same command here, so that the number is \
                 masked in the texts of others"
            );
        }
        let nothing_else = PurgeOrder { reason: PurgeReason::Recording, ..PurgeOrder::default() };
        let count = self.purge(&nothing_else).await?;
        tracing::info!(
            recordings = count.recordings,
            rows = count.erased.rows,
            "ended a purge that had not ended here"
        );
        Ok(())
    }

    /// Learns from the lake what was purged, where the ledger does not know it: it was lost, or another one purged.
    pub(super) async fn take_over_tombstones(&self) -> Result<(), RunError> {
        let known = self.graves.tombstone_files().await?;
        for (file, stones) in self.lake.tombstones_beside(&known).await? {
            self.graves.adopt_tombstones(&file, stones).await?;
        }
        Ok(())
    }

    /// Nobody else publishes, and everything that was finished is in the lake.
    async fn alone_with_everything_published(&self) -> Result<OnlyPublisher, RunError> {
        let only_publisher = self.lock().await?;
        self.publish_alone(|_dt, _day| true, &only_publisher).await?;
        self.deliver_alone().await?;
        self.lake.remove_leftovers(&[], &only_publisher.lake).await?;
        Ok(only_publisher)
    }

    /// Which recordings and calls an order means, as far as lake and ledger know.
    async fn resolve(&self, order: &PurgeOrder) -> Result<Erasure, RunError> {
        let quarry = order.quarry();
        let mut known = quarry.erasure();
        loop {
            let mut is_news = self.lake.track(&quarry, &mut known).await?;
            is_news |= self.track_in_ledger(order, &quarry, &mut known).await?;
            if !is_news {
                return Ok(known);
            }
        }
    }

    /// Learns from the ledger what an order means; says whether that was news.
    async fn track_in_ledger(
        &self,
        order: &PurgeOrder,
        quarry: &Quarry,
        known: &mut Erasure,
    ) -> Result<bool, RunError> {
        let mut is_news = false;
        for trace in self.graves.traces().await? {
            let is_old = order.before.is_some_and(|before| trace.at.is_some_and(|at| at < before));
            // Who mentions a number has not taken part in its calls.
            let is_one = |text: &String| order.numbers.iter().any(|number| number.is(text));
            let is_meant = is_old || trace.texts.iter().any(is_one);
            let recordings: Vec<&str> = trace.recordings.iter().map(String::as_str).collect();
            let calls: Vec<&str> = trace.calls.iter().map(String::as_str).collect();
            is_news |= quarry.learn(known, &recordings, &calls, is_meant);
        }
        Ok(is_news)
    }

    async fn carry_out(
        &self,
        erasure: &Erasure,
        stones: Vec<Tombstone>,
        only_publisher: &OnlyPublisher,
    ) -> Result<PurgeCount, RunError> {
        let mut count = count_of(erasure);
        self.lake.write_tombstones(stones.clone()).await?;
        failpoint::pass("purge-entombed");
        count.erased = self.lake.erase(erasure, &only_publisher.lake).await?;
        failpoint::pass("purge-erased");
        let ids: BTreeSet<RecordingId> = stones.iter().filter_map(Tombstone::recording).cloned().collect();
        count.state_files = self.remove_files(ids, erasure.numbers.clone()).await?;
        failpoint::pass("purge-unspooled");
        let numbers = erasure.numbers.clone();
        let mentions = Box::new(move |text: &str| mentions(&numbers, text));
        let (recordings, calls) = (erasure.recordings.clone(), erasure.calls.clone());
        count.messages = self.graves.forget_messages(recordings, calls, erasure.before, mentions).await?;
        failpoint::pass("purge-forgotten");
        self.graves.scrub().await?;
        failpoint::pass("purge-scrubbed");
        self.graves.end_purge(stones).await?;
        Ok(count)
    }

    /// Removes staged transcripts and audio of these recordings, and staged transcripts that hold one of the numbers.
    async fn remove_files(&self, ids: BTreeSet<RecordingId>, numbers: Vec<WantedNumber>) -> Result<u64, RunError> {
        for id in &ids {
            // One that comes later finds no claim, and goes.
            if let Some(shared) = &self.shared {
                shared.remove_all_of(id).await?;
            }
        }
        let (staging, state_dir) = (self.staging.clone(), self.state_dir.clone());
        let (spool_dir, audio) = (self.spool_dir.clone(), self.kept_audio.clone());
        let removing = tokio::task::spawn_blocking(move || -> Result<u64, RunError> {
            let mut removed = 0;
            let unusable = |source| RunError::State { path: state_dir.clone(), source };
            // Whoever writes one just now fails, and does it again.
            staging.remove_unfinished().map_err(unusable)?;
            for staged in staging.list().map_err(unusable)? {
                let goes = match staging.load(&staged) {
                    Ok(finished) => {
                        let holds = |text: &str| mentions(&numbers, text);
                        ids.contains(&finished.recording.id)
                            || (!numbers.is_empty()
                                && serde_json::to_value(&finished).is_ok_and(|value| any_text(&value, &holds)))
                    }
                    // Nobody can tell what is in it, and it is transcribed again where it is wanted.
                    Err(StagingError::Corrupt { .. }) => true,
                    Err(_gone_or_newer) => is_of(&staged, &ids),
                };
                if goes {
                    staging.remove(&staged).map_err(unusable)?;
                    removed += 1;
                }
            }
            for id in &ids {
                removed += audio.remove_of(id).map_err(unusable)?;
                removed += remove_spooled(&spool_dir, id).map_err(unusable)?;
            }
            Ok(removed)
        });
        removing.await.map_err(RunError::Stage)?
    }
}

fn mentions(numbers: &[WantedNumber], text: &str) -> bool {
    numbers.iter().any(|number| number.is(text) || number.is_in(text))
}

fn any_text(value: &serde_json::Value, holds: &impl Fn(&str) -> bool) -> bool {
    match value {
        serde_json::Value::String(text) => holds(text),
        serde_json::Value::Array(items) => items.iter().any(|item| any_text(item, holds)),
        serde_json::Value::Object(fields) => fields.values().any(|field| any_text(field, holds)),
        _ => false,
    }
}

fn is_of(staged: &StagedRef, ids: &BTreeSet<RecordingId>) -> bool {
    ids.iter().any(|id| staged.name().starts_with(&format!("{}.", id.file_stem())))
}

/// Removes what any process has spooled of a recording: whoever works on it has lost its claim.
fn remove_spooled(spool_dir: &Path, id: &RecordingId) -> std::io::Result<u64> {
    let stem = format!("{}.", id.file_stem());
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let of_it = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&stem));
    let mut removed = 0;
    for file in entries(spool_dir).flat_map(|owner| entries(&owner).filter(of_it).collect::<Vec<_>>()) {
        match std::fs::remove_file(file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => removed += 1,
        }
    }
    Ok(removed)
}

fn stones_of(erasure: &Erasure, reason: PurgeReason, purged_at: Timestamp) -> Result<Vec<Tombstone>, RunError> {
    let corrupt = |_invalid| crate::queue::QueueError::Corrupt { what: "the id of a recording".into() };
    let stone = |of| Tombstone { of, purged_at, reason };
    let mut stones = Vec::new();
    for id in &erasure.recordings {
        stones.push(stone(Departed::Recording(RecordingId::parse(id).map_err(corrupt)?)));
    }
    stones.extend(erasure.calls.iter().map(|id| stone(Departed::Call(id.clone()))));
    Ok(stones)
}

impl PurgeOrder {
    fn quarry(&self) -> Quarry {
        Quarry {
            recordings: self.recordings.iter().map(|id| id.as_str().to_owned()).collect(),
            calls: self.calls.clone(),
            numbers: self.numbers.clone(),
            before: self.before,
            whole_calls: !self.calls.is_empty() || !self.numbers.is_empty(),
        }
    }
}
