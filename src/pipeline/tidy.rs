//! What a run left behind when it was cut short: finished transcripts that the ledger does not know of are taken up, and
//! files that nobody refers to are removed. Runs before the listing, while no other process publishes.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::RunError;
use super::publisher::{Publisher, plan_of};
use crate::domain::{Fingerprint, FinishedTranscript, Recipe};
use crate::failpoint;
use crate::lake::{SCHEMA_VERSION, StagedRef, StagingError};
use crate::queue::{FoundStaged, JobQueue, JobRecord, JobState, NewJob};

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tidied {
    /// Transcripts that are published after all.
    pub(super) adopted: usize,
    /// Files in the lake and in the staging folder.
    pub(super) removed: usize,
}

/// What becomes of a staged file.
enum Fate {
    /// Somebody knows of it, or will soon.
    Stays,
    Adopted(Box<FoundStaged>),
    /// Its rows are in the lake, or another result took its place.
    Removed,
}

impl Publisher {
    pub(super) async fn tidy_up(&self, queue: &dyn JobQueue) -> Result<Tidied, RunError> {
        let only_publisher = self.lock().await?;
        let mut tidied = Tidied::default();
        let open = self.batches.open_batches().await?;
        let in_work = open.iter().map(plan_of).collect::<Result<Vec<_>, _>>()?;
        tidied.removed += self.lake.remove_leftovers(&in_work, &only_publisher.lake).await?;
        failpoint::pass("leftovers-removed");
        // A lost ledger leaves many of them: each day of the lake is read once.
        let mut in_lake = BTreeMap::new();
        for staged in self.all_staged().await? {
            match self.fate(queue, &staged, &mut in_lake).await? {
                Fate::Stays => {}
                Fate::Adopted(found) => {
                    let id = found.job.recording.id.clone();
                    if queue.adopt_staged(*found, Timestamp::now()).await? {
                        failpoint::pass("staged-adopted");
                        tracing::info!(recording_id = %id, "took up a finished transcript that nobody knew of");
                        tidied.adopted += 1;
                    }
                }
                Fate::Removed => {
                    self.remove_file(staged).await?;
                    failpoint::pass("unwanted-removed");
                    tidied.removed += 1;
                }
            }
        }
        Ok(tidied)
    }

    async fn all_staged(&self) -> Result<Vec<StagedRef>, RunError> {
        let staging = self.staging.clone();
        let listed = tokio::task::spawn_blocking(move || staging.list()).await.map_err(RunError::Stage)?;
        listed.map_err(|source| StagingError::Io { name: "of the folder".into(), source }.into())
    }

    async fn remove_file(&self, staged: StagedRef) -> Result<(), RunError> {
        let staging = self.staging.clone();
        let removing = tokio::task::spawn_blocking(move || {
            let name = staged.name().to_owned();
            staging.remove(&staged).map_err(|source| StagingError::Io { name, source })
        });
        Ok(removing.await.map_err(RunError::Stage)??)
    }

    async fn fate(
        &self,
        queue: &dyn JobQueue,
        staged: &StagedRef,
        in_lake: &mut BTreeMap<String, BTreeSet<Fingerprint>>,
    ) -> Result<Fate, RunError> {
        let (staging, staged) = (self.staging.clone(), staged.clone());
        let loaded = tokio::task::spawn_blocking(move || {
            let loaded = staging.load(&staged);
            (loaded, staged.bytes())
        });
        let finished = match loaded.await.map_err(RunError::Stage)? {
            (Ok(finished), bytes) => (finished, bytes),
            // Published meanwhile; or of a version that can still publish it; or damaged, which whoever needs it will
            // find out and start over.
            (Err(StagingError::Missing { .. } | StagingError::Newer { .. } | StagingError::Corrupt { .. }), _) => {
                return Ok(Fate::Stays);
            }
            (Err(error), _) => return Err(error.into()),
        };
        let (finished, bytes) = finished;
        // After the file: whoever wrote it holds its claim, or has settled it, by now.
        let Some(known) = queue.record(&finished.recording.id).await? else {
            if !queue.purged(std::slice::from_ref(&finished.recording.id)).await?.is_empty() {
                return Ok(Fate::Removed);
            }
            let day = match in_lake.entry(finished.dt.clone()) {
                Entry::Occupied(day) => day.into_mut(),
                Entry::Vacant(day) => day.insert(self.fingerprints(&finished.dt).await?),
            };
            return Ok(if day.contains(&finished.fingerprint) { Fate::Removed } else { adopted(finished, bytes) });
        };
        Ok(match known.state {
            JobState::Claimed => Fate::Stays,
            JobState::Staged if known.fingerprint.as_ref() == Some(&finished.fingerprint) => Fate::Stays,
            JobState::Staged | JobState::Published => Fate::Removed,
            JobState::Seen | JobState::Waiting | JobState::Dead if is_wanted(&finished, &known) => {
                adopted(finished, bytes)
            }
            JobState::Seen | JobState::Waiting | JobState::Dead => Fate::Removed,
        })
    }
}

/// Whether it answers the last order to do the recording anew, in today's format.
fn is_wanted(finished: &FinishedTranscript, known: &JobRecord) -> bool {
    let recipe = Recipe {
        engine: finished.engine.clone(),
        settings_sha256: finished.settings_sha256.clone(),
        schema_version: SCHEMA_VERSION,
    };
    let id = &finished.recording.id;
    finished.fingerprint == Fingerprint::compute(id, &finished.audio.sha256, &recipe, known.redo)
}

fn adopted(finished: FinishedTranscript, bytes: u64) -> Fate {
    let FinishedTranscript { recording, started_at, dt, audio, fingerprint, transcribed_at, .. } = finished;
    Fate::Adopted(Box::new(FoundStaged {
        job: NewJob { recording, started_at, dt },
        fingerprint,
        audio_sha256: audio.sha256,
        bytes,
        audio_ms: audio.audio_ms,
        transcribed_at,
    }))
}
