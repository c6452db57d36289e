//! Which finished jobs a run does anew.

use super::{JobRecord, JobState};
use crate::domain::{Fingerprint, Recipe};

/// What is to be done although it is finished.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Redo {
    #[default]
    Nothing,
    /// What is dead.
    Failed,
    /// Everything.
    All,
    /// What another recipe than this one made.
    Changed(Recipe),
}

impl Redo {
    /// Whether a job is among it.
    #[must_use]
    pub fn wants(&self, job: &JobRecord) -> bool {
        match (self, job.state) {
            (Self::Failed | Self::All, JobState::Dead) | (Self::All, JobState::Published) => true,
            (Self::Changed(recipe), JobState::Published) => !was_made_by(job, recipe),
            _ => false,
        }
    }
}

/// Whether the job's last result would have the same fingerprint again, whichever of its orders to redo it answered.
fn was_made_by(job: &JobRecord, recipe: &Recipe) -> bool {
    let (Some(fingerprint), Some(audio_sha256)) = (&job.fingerprint, &job.audio_sha256) else { return false };
    (0..=job.redo).any(|redo| *fingerprint == Fingerprint::compute(&job.id, audio_sha256, recipe, redo))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EngineIdentity, RecordingId};

    fn recipe(model_sha256: &str) -> Recipe {
        let engine = EngineIdentity {
            engine: "whisper.cpp".into(),
            engine_version: "1".into(),
            model: "base".into(),
            model_sha256: model_sha256.into(),
        };
        Recipe { engine, settings_sha256: "s".into(), schema_version: 1 }
    }

    fn job(state: JobState, redo: u32, made_at: u32) -> JobRecord {
        let id = RecordingId::parse("aa").unwrap();
        JobRecord {
            state,
            attempt: 1,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            dt: "1970-01-01".into(),
            reason: None,
            detail: None,
            audio_ms: None,
            fingerprint: Some(Fingerprint::compute(&id, "audio", &recipe("m1"), made_at)),
            audio_sha256: Some("audio".into()),
            redo,
            id,
        }
    }

    #[test]
    fn changed_means_any_part_but_the_audio_and_the_number_of_redos() {
        let same = Redo::Changed(recipe("m1"));
        assert!(!same.wants(&job(JobState::Published, 0, 0)));
        assert!(!same.wants(&job(JobState::Published, 3, 2)));
        assert!(Redo::Changed(recipe("m2")).wants(&job(JobState::Published, 0, 0)));
        let unknown = JobRecord { audio_sha256: None, ..job(JobState::Published, 0, 0) };
        assert!(same.wants(&unknown), "what cannot be compared is done anew");
    }

    #[test]
    fn only_finished_jobs_are_done_anew() {
        for state in JobState::ALL {
            let job = job(state, 0, 0);
            assert!(!Redo::Nothing.wants(&job));
            assert_eq!(Redo::Failed.wants(&job), state == JobState::Dead);
            assert_eq!(Redo::All.wants(&job), matches!(state, JobState::Dead | JobState::Published));
            assert_eq!(Redo::Changed(recipe("m2")).wants(&job), state == JobState::Published);
        }
    }
}
