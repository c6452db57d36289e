//! The life of a job: every state, and every step between two states. Every engine of the queue goes by it.
//!
//! ```text
//!  Seen ─ Claim ─► Claimed ─ Stage ─► Staged ─ Publish ─► Published
//!   ▲ ▲              │ │ │              │                     │
//!   │ │              │ │ └─ Bury ─► Dead (Crash, Expire: when it was one too many)
//!   │ │              │ │
//!   │ └── Due ── Waiting ◄─ Retry, Postpone (attempt given back)
//!   │                │
//!   ├─ Release (attempt given back), Crash, Expire ◄── Claimed
//!   ├─ StartOver: the transcript is lost ◄──────────── Staged, Published
//!   ├─ Revive: somebody asked for another try ◄─────── Dead, Waiting
//!   └─ Redo: somebody asked for it anew ◄───────────── Dead, Published
//!
//!  Adopt: a durable transcript was found ── Seen, Waiting, Dead ─► Staged
//! ```
//!
//! Whoever dies with jobs in flight leaves it open which of them killed it. So such a death gives the attempt back, and
//! after two of them a job is claimed alone: only a death while alone counts, and innocent neighbours are never blamed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{Failure, Fingerprint};

/// After so many deaths of its process a job is claimed alone.
pub const DEATHS_IN_COMPANY: i32 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobState {
    Seen,
    Claimed,
    Waiting,
    Staged,
    Published,
    Dead,
}

impl JobState {
    pub const ALL: [Self; 6] = [Self::Seen, Self::Claimed, Self::Waiting, Self::Staged, Self::Published, Self::Dead];

    /// The word in the ledger and in `--format json`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Claimed => "claimed",
            Self::Waiting => "waiting",
            Self::Staged => "staged",
            Self::Published => "published",
            Self::Dead => "dead",
        }
    }

    /// Whether nothing more happens to such a job by itself.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Published | Self::Dead)
    }

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// What can happen to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Somebody takes it; `alone` = with nothing else in flight until it is settled.
    Claim { alone: bool },
    /// Its transcript is durable.
    Stage,
    /// The try failed; there will be another.
    Retry,
    /// Likewise, but nothing that counts against the job happened.
    Postpone,
    /// Given back untouched.
    Release,
    /// The try failed for good.
    Bury,
    /// Its holder, or the engine's process, died with it in flight.
    Crash,
    /// Its holder lives but showed no progress until the lease ran out.
    Expire,
    /// Its wait is over.
    Due,
    /// A durable transcript of it was found that nobody knew of.
    Adopt,
    /// Its rows are in the lake.
    Publish,
    /// Its durable transcript is lost or damaged; or its rows are gone from the lake and somebody asked for it.
    StartOver,
    /// Somebody asked for another try.
    Revive,
    /// Somebody asked for it to be done anew.
    Redo,
}

impl Step {
    /// The word in the job's history.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claim { alone: false } => "claimed",
            Self::Claim { alone: true } => "claimed_alone",
            Self::Stage => "staged",
            Self::Retry => "failed",
            Self::Postpone => "postponed",
            Self::Release => "given_back",
            Self::Bury => "dead",
            Self::Crash => "crashed",
            Self::Expire => "lease_expired",
            Self::Due => "due",
            Self::Adopt => "adopted",
            Self::Publish => "published",
            Self::StartOver => "started_over",
            Self::Revive => "revived",
            Self::Redo => "redo",
        }
    }
}

/// A step that the state machine does not draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {} job cannot be {}", state.as_str(), step.as_str())]
pub struct Refused {
    pub state: JobState,
    pub step: Step,
}

/// The part of a job that its steps change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    pub state: JobState,
    /// Tries that count, the one at work included.
    pub attempt: i32,
    /// Claims ever: the fencing token. It never goes back, unlike `attempt`, so that no two claims share one.
    pub fence: i64,
    /// Deaths with it in flight since it last succeeded.
    pub deaths: i32,
    /// Whether the last claim was alone.
    pub alone: bool,
    /// How often it was asked to be done anew; part of the fingerprint.
    pub redo: u32,
}

impl Life {
    /// Just seen for the first time.
    pub const NEW: Self = Self { state: JobState::Seen, attempt: 0, fence: 0, deaths: 0, alone: false, redo: 0 };

    /// Whether it may only be claimed alone.
    #[must_use]
    pub const fn is_suspect(&self) -> bool {
        self.deaths >= DEATHS_IN_COMPANY
    }

    /// The job after `step`. `max_attempts` is how many tries it has in all.
    ///
    /// # Errors
    /// [`Refused`] for a step that does not lead out of this state.
    pub const fn after(self, step: Step, max_attempts: i32) -> Result<Self, Refused> {
        use JobState::{Claimed, Dead, Published, Seen, Staged, Waiting};
        let used_up = self.attempt >= max_attempts;
        let next = match (self.state, step) {
            (Seen, Step::Claim { alone }) if alone || !self.is_suspect() => {
                Self { state: Claimed, attempt: self.attempt + 1, fence: self.fence + 1, alone, ..self }
            }
            (Claimed, Step::Stage) => Self { state: Staged, deaths: 0, ..self },
            (Claimed, Step::Retry) => Self { state: Waiting, ..self },
            (Claimed, Step::Postpone) => Self { state: Waiting, attempt: self.attempt - 1, ..self },
            (Claimed, Step::Release) => Self { state: Seen, attempt: self.attempt - 1, ..self },
            (Claimed, Step::Crash) if self.alone && used_up => Self { state: Dead, deaths: self.deaths + 1, ..self },
            (Claimed, Step::Crash) if self.alone => Self { state: Seen, deaths: self.deaths + 1, ..self },
            (Claimed, Step::Crash) => Self { state: Seen, attempt: self.attempt - 1, deaths: self.deaths + 1, ..self },
            (Claimed, Step::Expire) if used_up => Self { state: Dead, ..self },
            (Claimed, Step::Expire) => Self { state: Seen, ..self },
            (Claimed, Step::Bury) => Self { state: Dead, ..self },
            (Waiting, Step::Due) => Self { state: Seen, ..self },
            (Seen | Waiting | Dead, Step::Adopt) => Self { state: Staged, deaths: 0, ..self },
            (Staged, Step::Publish) => Self { state: Published, ..self },
            (Staged | Published, Step::StartOver) => Self { state: Seen, attempt: 0, ..self },
            (Dead | Waiting, Step::Revive) => Self { state: Seen, attempt: 0, deaths: 0, ..self },
            // What is not in the lake has used no fingerprint up.
            (Dead, Step::Redo) => Self { state: Seen, attempt: 0, deaths: 0, ..self },
            (Published, Step::Redo) => Self { state: Seen, attempt: 0, deaths: 0, redo: self.redo + 1, ..self },
            (state, step) => return Err(Refused { state, step }),
        };
        Ok(next)
    }
}

/// How a claim ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settlement {
    /// The transcript is durable in the staging folder.
    Staged { fingerprint: Fingerprint, audio_sha256: String, bytes: u64, audio_ms: i64 },
    /// Try again, not before the given time.
    Retry { failure: Failure, not_before: Timestamp },
    /// Try again, not before the given time; nothing that counts against the recording happened.
    Postponed { failure: Failure, not_before: Timestamp },
    /// The engine's process died with it in flight: the state machine decides what that means.
    Crashed { failure: Failure },
    /// Never again without being asked.
    Dead { failure: Failure },
    /// Given back untouched, attempt included.
    Released,
}

impl Settlement {
    #[must_use]
    pub const fn step(&self) -> Step {
        match self {
            Self::Staged { .. } => Step::Stage,
            Self::Retry { .. } => Step::Retry,
            Self::Postponed { .. } => Step::Postpone,
            Self::Crashed { .. } => Step::Crash,
            Self::Dead { .. } => Step::Bury,
            Self::Released => Step::Release,
        }
    }

    /// What went wrong, where something did.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Retry { failure, .. }
            | Self::Postponed { failure, .. }
            | Self::Crashed { failure }
            | Self::Dead { failure } => Some(failure),
            Self::Staged { .. } | Self::Released => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_ATTEMPTS: i32 = 3;

    const STEPS: [Step; 15] = [
        Step::Claim { alone: false },
        Step::Claim { alone: true },
        Step::Stage,
        Step::Retry,
        Step::Postpone,
        Step::Release,
        Step::Bury,
        Step::Crash,
        Step::Expire,
        Step::Due,
        Step::Adopt,
        Step::Publish,
        Step::StartOver,
        Step::Revive,
        Step::Redo,
    ];

    fn in_state(state: JobState) -> Life {
        Life { state, attempt: 1, fence: 1, ..Life::NEW }
    }

    fn go(life: Life, steps: &[Step]) -> Life {
        steps.iter().fold(life, |life, step| life.after(*step, MAX_ATTEMPTS).unwrap())
    }

    #[test]
    fn only_the_drawn_steps_are_allowed() {
        use JobState::{Claimed, Dead, Published, Seen, Staged, Waiting};
        let drawn = |state, step| match step {
            Step::Claim { .. } => state == Seen,
            Step::Stage | Step::Retry | Step::Postpone | Step::Release | Step::Bury | Step::Crash | Step::Expire => {
                state == Claimed
            }
            Step::Due => state == Waiting,
            Step::Adopt => matches!(state, Seen | Waiting | Dead),
            Step::Publish => state == Staged,
            Step::StartOver => matches!(state, Staged | Published),
            Step::Revive => matches!(state, Dead | Waiting),
            Step::Redo => matches!(state, Dead | Published),
        };
        for state in JobState::ALL {
            for step in STEPS {
                let next = in_state(state).after(step, MAX_ATTEMPTS);
                assert_eq!(next.is_ok(), drawn(state, step), "{state:?} {step:?}");
            }
        }
    }

    #[test]
    fn two_claims_never_share_a_fencing_token_even_when_the_attempt_was_given_back() {
        let claim = Step::Claim { alone: false };
        for end in [Step::Release, Step::Crash, Step::Expire] {
            let first = go(Life::NEW, &[claim]);
            let second = go(first, &[end, claim]);
            assert!(second.fence > first.fence, "{end:?}");
        }
    }

    #[test]
    fn a_neighbour_of_any_number_of_crashes_is_never_dead() {
        let (claim, alone) = (Step::Claim { alone: false }, Step::Claim { alone: true });
        let suspect = go(Life::NEW, &[claim, Step::Crash, claim, Step::Crash]);
        assert_eq!((suspect.state, suspect.attempt), (JobState::Seen, 0));
        assert!(suspect.after(claim, MAX_ATTEMPTS).is_err(), "after two deaths it is claimed alone only");
        let innocent = go(suspect, &[alone, Step::Stage]);
        assert_eq!((innocent.state, innocent.attempt, innocent.deaths), (JobState::Staged, 1, 0));
    }

    #[test]
    fn the_one_to_blame_is_dead_after_max_attempts_deaths_alone() {
        let (claim, alone) = (Step::Claim { alone: false }, Step::Claim { alone: true });
        let suspect = go(Life::NEW, &[claim, Step::Crash, claim, Step::Crash]);
        let twice = go(suspect, &[alone, Step::Crash, alone, Step::Crash]);
        assert_eq!((twice.state, twice.attempt), (JobState::Seen, 2));
        assert_eq!(go(twice, &[alone, Step::Crash]).state, JobState::Dead);
    }

    #[test]
    fn a_lease_that_runs_out_again_and_again_is_the_end() {
        let claim = Step::Claim { alone: false };
        let twice = go(Life::NEW, &[claim, Step::Expire, claim, Step::Expire]);
        assert_eq!(twice.state, JobState::Seen);
        assert_eq!(go(twice, &[claim, Step::Expire]).state, JobState::Dead);
    }

    #[test]
    fn only_what_was_published_gets_another_fingerprint() {
        assert_eq!(go(in_state(JobState::Published), &[Step::Redo]).redo, 1);
        assert_eq!(go(in_state(JobState::Dead), &[Step::Redo]).redo, 0);
    }

    #[test]
    fn every_state_has_a_word_that_reads_back() {
        for state in JobState::ALL {
            assert_eq!(JobState::parse(state.as_str()), Some(state));
        }
        assert_eq!(JobState::parse("lost"), None);
    }
}
