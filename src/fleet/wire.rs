//! What coordinator and workers say to each other, as JSON. Another form of it gets another [`VERSION`], and with that
//! streams of its own, so that nobody reads what it does not understand.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{Lease, Recording, RecordingId, RunId};
use crate::queue::{Claimed, Settlement};

/// Part of the names of the streams.
pub const VERSION: u32 = 1;

/// One claim that is handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub recording: Recording,
    pub started_at: Timestamp,
    pub dt: String,
    pub attempt: i32,
    /// The fencing token of the claim.
    pub fence: i64,
    /// Nothing else may be in flight in the process that works on it.
    pub alone: bool,
    pub redo: u32,
    /// The run of the coordinator that claimed it; it stands in the rows that come of it.
    pub run: RunId,
}

impl Job {
    #[must_use]
    pub fn of(claimed: &Claimed, run: &RunId) -> Self {
        Self {
            recording: claimed.recording.clone(),
            started_at: claimed.started_at,
            dt: claimed.dt.clone(),
            attempt: claimed.lease.attempt,
            fence: claimed.lease.fence,
            alone: claimed.alone,
            redo: claimed.redo,
            run: run.clone(),
        }
    }

    pub fn lease(&self) -> Lease {
        Lease { id: self.recording.id.clone(), attempt: self.attempt, fence: self.fence }
    }

    /// The claim as a worker holds it.
    #[must_use]
    pub fn claimed(self) -> (Claimed, RunId) {
        let lease = self.lease();
        let Self { recording, started_at, dt, alone, redo, run, .. } = self;
        (Claimed { lease, recording, started_at, dt, alone, redo }, run)
    }
}

/// How a claim ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub id: RecordingId,
    pub attempt: i32,
    pub fence: i64,
    pub settlement: Settlement,
    /// Who says so: `host/process`.
    pub worker: String,
}

impl Report {
    pub fn lease(&self) -> Lease {
        Lease { id: self.id.clone(), attempt: self.attempt, fence: self.fence }
    }
}

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderCard {
    pub host: String,
    pub pid: u32,
    /// As it is registered in its state folder.
    pub instance: String,
    /// A word that lies in that folder and in no other.
    pub ledger: String,
    pub since: Timestamp,
}

impl LeaderCard {
    /// For people.
    #[must_use]
    pub fn name(&self) -> String {
        format!("process {} on {}, since {}", self.pid, self.host, self.since.strftime("%Y-%m-%d %H:%M UTC"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Failure, Fingerprint, Reason, Stage, Treatment};

    #[test]
    fn a_report_comes_back_as_it_was_said() {
        let failure = Failure::new(Stage::Fetch, Reason::NotFound, Treatment::TooEarly, "status=404");
        let not_before = "2026-11-21T10:00:00Z".parse().unwrap();
        let fingerprint: Fingerprint = serde_json::from_value("ab".repeat(32).into()).unwrap();
        let endings = [
            Settlement::Staged { fingerprint, audio_sha256: "a".into(), bytes: 7, audio_ms: 700 },
            Settlement::Retry { failure: failure.clone(), not_before },
            Settlement::Postponed { failure: failure.clone(), not_before },
            Settlement::Crashed { failure: failure.clone() },
            Settlement::Dead { failure },
            Settlement::Released,
        ];
        for settlement in endings {
            let id = RecordingId::parse("aa").unwrap();
            let report = Report { id, attempt: 2, fence: 9, settlement, worker: "h/1".into() };
            let said = serde_json::to_vec(&report).unwrap();
            assert_eq!(serde_json::from_slice::<Report>(&said).unwrap(), report);
        }
    }
}
