//! What is not counted but looked at: how much there is of everything, when somebody asks.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::domain::SourceKind;
use crate::fetch::slot::Spool;
use crate::queue::{Counts, Inbox, JobQueue, JobState, QueueError, Scope};
use crate::source::zoom::auth::Authenticator;
use crate::telemetry::{Health, Need, Refresh};

/// Whoever asks more often gets the same answer.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Where to look.
pub(super) struct Gauges {
    pub(super) queue: Arc<dyn JobQueue>,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) source: SourceKind,
    pub(super) health: Arc<Health>,
    /// Zoom's, where recordings come from there.
    pub(super) auth: Option<Arc<Authenticator>>,
    pub(super) spool: PathBuf,
}

impl Gauges {
    pub(super) fn refresh(self) -> Refresh {
        let gauges = Arc::new((self, Mutex::new(None::<Instant>)));
        Arc::new(move || {
            let gauges = Arc::clone(&gauges);
            Box::pin(async move {
                let (gauges, looked_at) = gauges.as_ref();
                let mut looked_at = looked_at.lock().await;
                if looked_at.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
                    return;
                }
                match gauges.of_ledger().await {
                    Ok(()) => gauges.health.met(Need::Ledger),
                    Err(error) => gauges.health.missed(Need::Ledger, error.to_string()),
                }
                gauges.of_machine().await;
                *looked_at = Some(Instant::now());
            })
        })
    }

    async fn of_ledger(&self) -> Result<(), QueueError> {
        // Nothing, but committed: the ledger can be written.
        self.inbox.receive(Vec::new()).await?;
        let scope = Scope { source: self.source, only: None };
        let Counts { seen, claimed, waiting, staged, published, dead, .. } = self.queue.counts(&scope).await?;
        let jobs = [
            (JobState::Seen, seen),
            (JobState::Claimed, claimed),
            (JobState::Waiting, waiting),
            (JobState::Staged, staged),
            (JobState::Published, published),
            (JobState::Dead, dead),
        ];
        for (state, jobs) in jobs {
            metrics::gauge!("transcribe_jobs", "state" => state.as_str()).set(float(jobs));
        }
        // What a fleet's workers could do now.
        metrics::gauge!("transcribe_queue_open").set(float(seen + claimed));
        let oldest = self.queue.oldest_seen(&scope).await?;
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
