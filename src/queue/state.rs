//! The life of a job: every state, and every step between two states.
//!
//! ```text
//!            ┌────────────── Released (attempt given back) ─────────────┐
//!            ▼                                                          │
//!  Seen ──► Claimed ──► Staged ──► Published     Staged ──► Seen: its file is lost or damaged
//!            │  ▲
//!            │  └── due ── Waiting ◄── Retry
//!            └──► Dead
//! ```
//! `Published` goes back to `Seen` when its row is gone from the lake and somebody asks for the recording by its id.
//! A claim that is never settled (crash, lost lease) returns to `Seen` with its attempt counted.

use jiff::Timestamp;

use crate::domain::{Failure, Fingerprint};

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

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether a job may go from this state to `next` in one step.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Seen | Self::Waiting => matches!(next, Self::Claimed),
            Self::Claimed => matches!(next, Self::Staged | Self::Waiting | Self::Dead | Self::Seen),
            Self::Staged => matches!(next, Self::Published | Self::Seen),
            Self::Published => matches!(next, Self::Seen),
            Self::Dead => false,
        }
    }
}

/// How a claim ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The transcript is durable in the staging folder.
    Staged { fingerprint: Fingerprint, bytes: u64, audio_ms: i64 },
    /// Try again, not before the given time.
    Retry { failure: Failure, not_before: Timestamp },
    /// Try again, not before the given time; nothing that counts against the recording happened.
    Postponed { failure: Failure, not_before: Timestamp },
    /// Never again without being asked.
    Dead { failure: Failure },
    /// Given back untouched, attempt included.
    Released,
}

impl Settlement {
    #[must_use]
    pub const fn next_state(&self) -> JobState {
        match self {
            Self::Staged { .. } => JobState::Staged,
            Self::Retry { .. } | Self::Postponed { .. } => JobState::Waiting,
            Self::Dead { .. } => JobState::Dead,
            Self::Released => JobState::Seen,
        }
    }

    /// Whether the attempt that was counted at claim is given back.
    #[must_use]
    pub const fn refunds_attempt(&self) -> bool {
        matches!(self, Self::Released | Self::Postponed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_drawn_steps_are_allowed() {
        use JobState::{Claimed, Dead, Published, Seen, Staged, Waiting};
        let drawn = [
            (Seen, Claimed),
            (Waiting, Claimed),
            (Claimed, Staged),
            (Claimed, Waiting),
            (Claimed, Dead),
            (Claimed, Seen),
            (Staged, Published),
            (Staged, Seen),
            (Published, Seen),
        ];
        for from in JobState::ALL {
            for to in JobState::ALL {
                assert_eq!(from.may_become(to), drawn.contains(&(from, to)), "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn every_state_has_a_word_that_reads_back() {
        for state in JobState::ALL {
            assert_eq!(JobState::parse(state.as_str()), Some(state));
        }
        assert_eq!(JobState::parse("lost"), None);
    }
}
