//! What is not counted but looked at: how much there is of everything, when somebody asks.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use crate::fetch::slot::Spool;
use crate::queue::{Inbox, Insight, JobState, QueueError};
use crate::source::zoom::auth::Authenticator;
use crate::telemetry::{Health, Need, Refresh};

/// Where to look.
pub(super) struct Gauges {
    pub(super) insight: Arc<dyn Insight>,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) health: Arc<Health>,
    /// Zoom's, where recordings come from there.
    pub(super) auth: Option<Arc<Authenticator>>,
    pub(super) spool: PathBuf,
}

impl Gauges {
    pub(super) fn refresh(self) -> Refresh {
        let gauges = Arc::new(self);
        Arc::new(move || {
            let gauges = Arc::clone(&gauges);
            Box::pin(async move {
                // A question to the ledger takes its write lock, so the answer says that it can be written.
                match gauges.of_ledger().await {
                    Ok(()) => gauges.health.met(Need::Ledger),
                    Err(error) => gauges.health.missed(Need::Ledger, error.to_string()),
                }
                gauges.of_machine().await;
            })
        })
    }

    async fn of_ledger(&self) -> Result<(), QueueError> {
        let lines = self.insight.overview().await?;
        for state in JobState::ALL {
            let jobs: u64 = lines.iter().filter(|line| line.state == state).map(|line| line.jobs).sum();
            metrics::gauge!("transcribe_jobs", "state" => state.as_str()).set(float(jobs));
        }
        let oldest = lines.iter().filter(|line| line.state == JobState::Seen).map(|line| line.oldest_change).min();
        let age = oldest.map_or(0.0, |oldest| Timestamp::now().duration_since(oldest).as_secs_f64().max(0.0));
        metrics::gauge!("transcribe_queue_age_seconds").set(age);
        metrics::gauge!("transcribe_inbox_events").set(float(self.inbox.waiting().await?));
        Ok(())
    }

    async fn of_machine(&self) {
        if let Some(age) = self.auth.as_ref().and_then(|auth| auth.token_age()) {
            metrics::gauge!("transcribe_token_age_seconds").set(age.as_secs_f64());
        }
        let spool = self.spool.clone();
        let bytes = tokio::task::spawn_blocking(move || (Spool::bytes_in(&spool), resident_bytes())).await;
        if let Ok((spool, resident)) = bytes {
            metrics::gauge!("transcribe_spool_bytes").set(float(spool));
            if let Some(resident) = resident {
                metrics::gauge!("process_resident_memory_bytes").set(float(resident));
            }
        }
    }
}

/// Resident memory of this process, where the system tells.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[expect(clippy::cast_precision_loss, reason = "a gauge: more than 2^53 of anything is not what operators have")]
const fn float(count: u64) -> f64 {
    count as f64
}
