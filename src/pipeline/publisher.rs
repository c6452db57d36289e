//! From staged transcripts to tables: one batch a day, recorded in the ledger before its first object.
//!
//! A crash between any two steps leaves either staged jobs or an open batch; both are taken up by the next run and end
//! in the same bytes under the same keys.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::Instrument;

use super::RunError;
use super::item::before;
use crate::config::Config;
use crate::domain::{Fingerprint, FinishedTranscript, RunId};
use crate::failpoint;
use crate::fetch::kept::KeptAudio;
use crate::lake::{BatchPlan, Lake, LakeLock, QuarantineRow, RunRow, SharedStaging, Staging, StagingError};
use crate::privacy::Redactor;
use crate::queue::sqlite::SqliteQueue;
use crate::queue::{BatchLog, DeadJob, Graves, OpenBatch, Outbox, QueueError, StagedJob};
use crate::telemetry::{Event, Reporter};

pub(super) struct Publisher {
    pub(super) batches: Arc<dyn BatchLog>,
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) lake: Lake,
    pub(super) staging: Staging,
    /// Where the workers of a fleet put transcripts.
    pub(super) shared: Option<SharedStaging>,
    pub(super) reporter: Arc<Reporter>,
    /// Holds the file whose lock makes this process the only publisher.
    pub(super) state_dir: PathBuf,
    pub(super) flush_bytes: u64,
    pub(super) redactor: Option<Redactor>,
    pub(super) graves: Arc<dyn Graves>,
    pub(super) spool_dir: PathBuf,
    pub(super) kept_audio: KeptAudio,
    /// How long audio of finished recordings stays, and what was made of it; `None` = for ever.
    pub(super) audio_retention: Duration,
    pub(super) transcript_retention: Option<Duration>,
}

/// What publishing left in the lake.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PublishedCount {
    pub(super) recordings: u64,
    pub(super) audio_ms: i64,
    /// Staged transcripts whose day is not due.
    pub(super) left: u64,
}

impl Publisher {
    /// Opens lake and staging.
    pub(super) async fn open(
        config: &Config,
        ledger: Arc<SqliteQueue>,
        reporter: Arc<Reporter>,
    ) -> Result<Self, RunError> {
        let state_dir = config.paths.state_dir.clone();
        let unusable = |source| RunError::State { path: state_dir.clone(), source };
        Ok(Self {
            batches: Arc::clone(&ledger) as _,
            graves: Arc::clone(&ledger) as _,
            outbox: ledger,
            lake: Lake::open(&config.lake).await?,
            staging: Staging::open(config.paths.staging_dir()).map_err(unusable)?,
            shared: match config.fleet() {
                Some(_) => Some(SharedStaging::open(&config.lake.place).await?),
                None => None,
            },
            reporter,
            flush_bytes: config.lake.flush_bytes,
            redactor: config.privacy.redactor.clone(),
            spool_dir: config.paths.spool_dir(),
            kept_audio: KeptAudio::in_folder(config.paths.audio_dir()),
            audio_retention: config.privacy.audio_retention,
            transcript_retention: config.privacy.transcript_retention,
            state_dir,
        })
    }

    /// Writes what a crash interrupted, then all staged transcripts.
    pub(super) async fn publish_all(&self) -> Result<PublishedCount, RunError> {
        self.publish(|_dt, _day| true).await
    }

    /// Writes the days whose staged transcripts are large enough or have waited for `flush_every`, and the days of calls
    /// since `fresh_since` whatever there is of them.
    pub(super) async fn publish_due(
        &self,
        flush_every: Duration,
        fresh_since: Option<Timestamp>,
    ) -> Result<PublishedCount, RunError> {
        let old = before(Timestamp::now(), flush_every);
        let fresh = fresh_since.map(|since| self.lake.dt(since));
        self.publish(|dt, day| {
            let bytes: u64 = day.iter().map(|job| job.bytes).sum();
            let is_fresh = fresh.as_deref().is_some_and(|fresh| dt >= fresh);
            is_fresh || bytes >= self.flush_bytes || day.iter().any(|job| job.staged_at <= old)
        })
        .await
    }

    async fn publish(&self, is_due: impl Fn(&str, &[StagedJob]) -> bool) -> Result<PublishedCount, RunError> {
        let only_publisher = self.lock().await?;
        self.publish_alone(is_due, &only_publisher).await
    }

    /// As [`Publisher::publish_due`], by whoever holds the lock.
    pub(super) async fn publish_alone(
        &self,
        is_due: impl Fn(&str, &[StagedJob]) -> bool,
        only_publisher: &OnlyPublisher,
    ) -> Result<PublishedCount, RunError> {
        let mut count = PublishedCount::default();
        for batch in self.batches.open_batches().await? {
            self.reporter.emit(Event::BatchResumed { dt: &batch.dt, recordings: batch.members.len() });
            self.resume(batch, &mut count, only_publisher).await?;
        }
        let mut days: BTreeMap<String, Vec<StagedJob>> = BTreeMap::new();
        for job in self.batches.staged().await? {
            days.entry(job.dt.clone()).or_default().push(job);
        }
        for (dt, day) in days {
            if !is_due(&dt, &day) {
                count.left += day.len() as u64;
                continue;
            }
            let day = self.unpublished(&dt, day).await?;
            for members in split(day, self.flush_bytes) {
                let (members, transcripts) = self.load(members).await?;
                if !members.is_empty() {
                    let batch = self.begin(&dt, members).await?;
                    self.write(batch, transcripts, &mut count).await?;
                }
            }
        }
        Ok(count)
    }

    /// Leaves out the results that the lake holds already: one fingerprint is published at most once, whichever ledger
    /// it was transcribed for.
    async fn unpublished(&self, dt: &str, day: Vec<StagedJob>) -> Result<Vec<StagedJob>, RunError> {
        let in_lake = self.fingerprints(dt).await?;
        let (published, staged): (Vec<_>, Vec<_>) = day.into_iter().partition(|job| in_lake.contains(&job.fingerprint));
        if !published.is_empty() {
            let ids: Vec<_> = published.iter().map(|job| job.id.clone()).collect();
            self.batches.mark_published(&ids, Timestamp::now()).await?;
            failpoint::pass("found-published");
            self.remove_staged(&published).await?;
        }
        Ok(staged)
    }

    pub(super) async fn fingerprints(&self, dt: &str) -> Result<BTreeSet<Fingerprint>, RunError> {
        let rows = self.lake.published_ids(&[dt.to_owned()]).await?;
        Ok(rows.into_iter().map(|row| row.fingerprint).collect())
    }

    /// Records the intent before the first object is put.
    async fn begin(&self, dt: &str, members: Vec<StagedJob>) -> Result<OpenBatch, RunError> {
        let fingerprints: Vec<_> = members.iter().map(|job| job.fingerprint.clone()).collect();
        let plan = Lake::plan_batch(dt, &fingerprints);
        let batch = OpenBatch {
            batch_id: plan.hash.clone(),
            dt: dt.to_owned(),
            plan: serde_json::to_string(&plan).expect("a plan is plain strings"),
            members,
        };
        self.batches.open_batch(&batch, Timestamp::now()).await?;
        failpoint::pass("batch-recorded");
        Ok(batch)
    }

    /// Writes an interrupted batch again, if all of its members can still be read and none is in the lake. Its own
    /// `recordings` object holds all of them or is not there: where some are in the lake, another ledger's run put them,
    /// and where one cannot be read, it starts over. Then what was put of the batch is removed, and its other members go
    /// into a new one.
    async fn resume(
        &self,
        batch: OpenBatch,
        count: &mut PublishedCount,
        only_publisher: &OnlyPublisher,
    ) -> Result<(), RunError> {
        let plan = plan_of(&batch)?;
        let in_lake = self.fingerprints(&batch.dt).await?;
        // The plan, not the members: a run that was killed here may have begun to start some of them over.
        let published = plan.fingerprints.iter().filter(|fingerprint| in_lake.contains(fingerprint)).count();
        if published == plan.fingerprints.len() {
            self.batches.close_batch(&batch.batch_id, Timestamp::now()).await?;
            failpoint::pass("whole-batch-closed");
            return self.remove_staged(&batch.members).await;
        }
        if published == 0 {
            let (readable, transcripts) = self.load(batch.members.clone()).await?;
            if readable.len() == plan.fingerprints.len() {
                return self.write(batch, transcripts, count).await;
            }
        }
        self.lake.remove_batch(&plan, &only_publisher.lake).await?;
        failpoint::pass("batch-removed");
        Ok(self.batches.abandon_batch(&batch.batch_id).await?)
    }

    async fn write(
        &self,
        batch: OpenBatch,
        transcripts: Vec<FinishedTranscript>,
        count: &mut PublishedCount,
    ) -> Result<(), RunError> {
        let span = tracing::info_span!("publication", dt = batch.dt, recordings = batch.members.len());
        let writing = async {
            let published = self.lake.publish(&plan_of(&batch)?, transcripts).await?;
            failpoint::pass("batch-put");
            self.batches.close_batch(&batch.batch_id, Timestamp::now()).await?;
            failpoint::pass("batch-closed");
            self.remove_staged(&batch.members).await?;
            failpoint::pass("staged-removed");
            Ok::<_, RunError>(published)
        };
        let published = writing.instrument(span).await?;
        count.recordings += batch.members.len() as u64;
        count.audio_ms += batch.members.iter().map(|job| job.audio_ms).sum::<i64>();
        self.reporter.emit(Event::Published {
            dt: &batch.dt,
            recordings: batch.members.len(),
            files: published.objects.len(),
        });
        Ok(())
    }

    /// Reads transcripts back from staging. A recording whose file is lost or damaged starts over and is left out.
    async fn load(&self, members: Vec<StagedJob>) -> Result<(Vec<StagedJob>, Vec<FinishedTranscript>), RunError> {
        let staging = self.staging.clone();
        let read = move |job: &StagedJob| {
            let missing = || StagingError::Missing { name: job.id.file_stem() };
            let found = staging.find(&job.id, &job.fingerprint);
            let staged = found.map_err(|source| StagingError::Io { name: job.id.file_stem(), source })?;
            staging.load(&staged.ok_or_else(missing)?)
        };
        let all =
            tokio::task::spawn_blocking(move || members.into_iter().map(|job| (read(&job), job)).collect::<Vec<_>>());
        let (mut readable, mut transcripts) = (Vec::new(), Vec::new());
        for (transcript, job) in all.await.map_err(RunError::Stage)? {
            match transcript {
                Ok(transcript) => {
                    readable.push(job);
                    transcripts.push(transcript);
                }
                Err(error @ (StagingError::Missing { .. } | StagingError::Corrupt { .. })) => {
                    tracing::error!(recording_id = %job.id, %error, "finished transcript is lost; starting over");
                    self.batches.start_over(&job.id, Timestamp::now()).await?;
                    failpoint::pass("started-over");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok((readable, transcripts))
    }

    /// Their rows are in the lake: the files have done their work.
    async fn remove_staged(&self, members: &[StagedJob]) -> Result<(), RunError> {
        let (staging, members) = (self.staging.clone(), members.to_vec());
        let removed = tokio::task::spawn_blocking(move || {
            for job in &members {
                let removed = staging.find(&job.id, &job.fingerprint).and_then(|found| match found {
                    Some(staged) => staging.remove(&staged),
                    None => Ok(()),
                });
                if let Err(error) = removed {
                    tracing::warn!(recording_id = %job.id, %error, "staged transcript could not be removed");
                }
            }
        });
        removed.await.map_err(RunError::Stage)
    }

    /// Writes the quarantine rows of recordings that died in runs that are `over`, one object a run and day, then marks
    /// them as told. Nobody dies any more in a run that is over, so a crash in between puts the same objects again.
    pub(super) async fn report_dead(&self, over: impl Fn(&RunId) -> bool) -> Result<u64, RunError> {
        let _only_publisher = self.lock().await?;
        let mut runs: BTreeMap<RunId, Vec<DeadJob>> = BTreeMap::new();
        for job in self.batches.unreported_dead().await? {
            runs.entry(job.run_id.clone()).or_default().push(job);
        }
        let mut told = 0;
        for (_run, dead) in runs.into_iter().filter(|(run, _dead)| over(run)) {
            let rows: Vec<QuarantineRow> = dead.iter().map(quarantine_row).collect();
            self.lake.write_quarantine(&rows).await?;
            failpoint::pass("quarantine-put");
            let ids: Vec<_> = dead.into_iter().map(|job| job.id).collect();
            self.batches.mark_reported(&ids).await?;
            failpoint::pass("dead-reported");
            told += ids.len() as u64;
        }
        Ok(told)
    }

    /// Writes the row of a run.
    pub(super) async fn write_run(&self, row: &RunRow) -> Result<(), RunError> {
        let _only_publisher = self.lock().await?;
        self.lake.write_run(row).await?;
        Ok(())
    }

    /// As [`lock`].
    pub(super) async fn lock(&self) -> Result<OnlyPublisher, RunError> {
        lock(&self.state_dir, &self.lake).await
    }
}

/// Nobody else publishes from this ledger or writes to this lake until this is dropped.
pub(super) struct OnlyPublisher {
    pub(super) lake: LakeLock,
    _ledger: File,
}

/// One publisher of a state folder, and one writer of a lake, at a time: waits for both locks, which the kernel frees when
/// their holder ends, however it ends.
pub(super) async fn lock(state_dir: &Path, lake: &Lake) -> Result<OnlyPublisher, RunError> {
    let path = state_dir.join("publish.lock");
    let locked = tokio::task::spawn_blocking(move || lock_file(&path).map_err(|error| (path, error)));
    let ledger = locked.await.map_err(RunError::Stage)?;
    let ledger = ledger.map_err(|(path, source)| RunError::State { path, source })?;
    Ok(OnlyPublisher { lake: lake.lock().await?, _ledger: ledger })
}

/// The lake's plan for a batch.
pub(super) fn plan_of(batch: &OpenBatch) -> Result<BatchPlan, QueueError> {
    serde_json::from_str(&batch.plan).map_err(|_parse| QueueError::Corrupt { what: "a batch's plan".into() })
}

fn lock_file(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            tracing::info!("another process publishes; waiting for it");
            file.lock()?;
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    Ok(file)
}

/// Batches of at most `most_bytes`, at least one member each: memory holds one batch.
fn split(day: Vec<StagedJob>, most_bytes: u64) -> Vec<Vec<StagedJob>> {
    let mut batches: Vec<Vec<StagedJob>> = Vec::new();
    let mut bytes = 0;
    for job in day {
        bytes += job.bytes;
        match batches.last_mut() {
            Some(batch) if bytes <= most_bytes => batch.push(job),
            _ => {
                bytes = job.bytes;
                batches.push(vec![job]);
            }
        }
    }
    batches
}

fn quarantine_row(job: &DeadJob) -> QuarantineRow {
    QuarantineRow {
        recording_id: job.id.clone(),
        call_id: job.call_id.clone(),
        started_at: Some(job.started_at),
        stage: job.failure.stage,
        reason: job.failure.reason,
        detail: job.failure.detail.clone(),
        attempts: job.attempts,
        first_seen_at: job.first_seen_at,
        last_tried_at: job.last_tried_at,
        run_id: job.run_id.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RecordingId;

    fn job(number: u64, bytes: u64) -> StagedJob {
        StagedJob {
            id: RecordingId::parse(&format!("r{number}")).unwrap(),
            dt: "2026-11-10".into(),
            fingerprint: Fingerprint::from_hex(format!("{number:064x}")).unwrap(),
            bytes,
            staged_at: Timestamp::UNIX_EPOCH,
            audio_ms: 0,
        }
    }

    #[test]
    fn a_large_day_becomes_several_batches_and_a_huge_member_one_of_its_own() {
        let day = vec![job(1, 40), job(2, 60), job(3, 1), job(4, 500), job(5, 10)];
        let sizes: Vec<Vec<u64>> =
            split(day, 100).iter().map(|batch| batch.iter().map(|job| job.bytes).collect()).collect();
        assert_eq!(sizes, [vec![40, 60], vec![1], vec![500], vec![10]]);
    }
}
