//! A worker's side: it takes jobs, keeps them, and reports.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::{AckKind, Message};

use super::wire::{Job, Report};
use super::{FleetError, Link};
use crate::domain::{Failure, Lease, Reason, RecordingId, RunId, Stage, Treatment};
use crate::queue::{Claimed, Company, Fenced, Settlement};

/// How long the server keeps a request for a job open.
const WAIT: Duration = Duration::from_secs(2);
/// How old what is known of jobs that must be worked on alone may be.
const LOOK_FOR_ALONE_EVERY: Duration = Duration::from_secs(5);
/// How long a report is tried to be sent, with pauses.
const SEND_FOR: Duration = Duration::from_secs(600);
const SEND_PAUSE: Duration = Duration::from_secs(1);

/// A job in this worker's hands, and the run of the coordinator that claimed it.
pub type Taken = (Claimed, RunId);

/// A job's message while it is kept.
#[derive(Debug)]
struct Kept {
    message: Message,
    /// When the server was last told that it is.
    told_at: Instant,
}

/// One worker process of a fleet.
#[derive(Debug)]
pub struct Hand {
    link: Link,
    any: PullConsumer,
    alone: PullConsumer,
    name: String,
    kept: Mutex<HashMap<(RecordingId, i64), Kept>>,
    /// When jobs were last seen that wait for a worker with empty hands, and when it was looked for them.
    alone_waits: Mutex<(bool, Option<Instant>)>,
}

impl Hand {
    /// `name` stands in reports, for people.
    ///
    /// # Errors
    /// [`FleetError`].
    pub async fn open(link: &Link, name: String) -> Result<Self, FleetError> {
        let (any, alone) = (link.jobs_to_take(false).await?, link.jobs_to_take(true).await?);
        let (kept, alone_waits) = (Mutex::default(), Mutex::new((false, None)));
        Ok(Self { link: link.clone(), any, alone, name, kept, alone_waits })
    }

    /// The next job, if one comes within a moment. With company none is taken while one waits that must be alone: so its
    /// turn comes, however long the backlog. Must not be dropped while it waits: what comes then would count as lost.
    ///
    /// # Errors
    /// [`FleetError::Unreachable`].
    pub async fn take(&self, company: Company) -> Result<Option<Taken>, FleetError> {
        match company {
            Company::Nobody => {
                if let Some(taken) = self.take_from(&self.alone, None).await? {
                    return Ok(Some(taken));
                }
            }
            Company::Others if self.alone_waits().await? => {
                tokio::time::sleep(WAIT).await;
                return Ok(None);
            }
            Company::Others => {}
        }
        self.take_from(&self.any, Some(WAIT)).await
    }

    async fn alone_waits(&self) -> Result<bool, FleetError> {
        let (waits, looked_at) = *self.alone_waits.lock().unwrap_or_else(PoisonError::into_inner);
        if looked_at.is_some_and(|at| at.elapsed() < LOOK_FOR_ALONE_EVERY) {
            return Ok(waits);
        }
        let info = self.alone.get_info().await.map_err(|error| self.link.unreachable(error))?;
        let waits = info.num_pending > 0;
        if !waits && info.num_ack_pending > 0 {
            // Only one whose worker was lost can come, and is reported lost; one that is new is for empty hands.
            if let Some((claimed, _run)) = self.take_from(&self.alone, None).await? {
                self.report(&claimed.lease, Settlement::Released).await?;
            }
        }
        *self.alone_waits.lock().unwrap_or_else(PoisonError::into_inner) = (waits, Some(Instant::now()));
        Ok(waits)
    }

    async fn take_from(&self, jobs: &PullConsumer, wait: Option<Duration>) -> Result<Option<Taken>, FleetError> {
        let batch = match wait {
            Some(wait) => jobs.batch().max_messages(1).expires(wait).messages().await,
            None => jobs.fetch().max_messages(1).messages().await,
        };
        let mut batch = batch.map_err(|error| self.link.unreachable(error))?;
        let Some(message) = self.link.next_of(&mut batch, wait.unwrap_or_default()).await? else { return Ok(None) };
        let Ok(job) = serde_json::from_slice::<Job>(&message.payload) else {
            tracing::error!("a job cannot be read and is left out");
            let _comes_again = message.ack_with(AckKind::Term).await;
            return Ok(None);
        };
        let lease = job.lease();
        if let Some(kept) = self.kept().get_mut(&(lease.id.clone(), lease.fence)) {
            // Our own: the server was away for longer than a lease.
            *kept = Kept { message, told_at: Instant::now() };
            return Ok(None);
        }
        if message.info().is_ok_and(|info| info.delivered > 1) {
            // Who had it is dead, or stood still for a lease. The ledger decides what that means.
            let failure = Failure::new(Stage::Stt, Reason::EngineCrash, Treatment::Crashed, "worker_lost");
            tracing::warn!(recording_id = %lease.id, attempt = lease.attempt, "its worker was lost");
            self.send(&lease, Settlement::Crashed { failure }).await?;
            let _comes_again = message.double_ack().await;
            return Ok(None);
        }
        let kept = Kept { message, told_at: Instant::now() };
        self.kept().insert((lease.id, lease.fence), kept);
        Ok(Some(job.claimed()))
    }

    /// Tells the server that the job is kept. Lost when it was not told for a lease: another may have it by now.
    ///
    /// # Errors
    /// [`FleetError::Unreachable`].
    pub async fn keep(&self, lease: &Lease) -> Result<Fenced, FleetError> {
        let key = (lease.id.clone(), lease.fence);
        let message = {
            let mut all = self.kept();
            let Some(kept) = all.get_mut(&key) else { return Ok(Fenced::Lost) };
            if kept.told_at.elapsed() >= self.link.kept.lease {
                all.remove(&key);
                return Ok(Fenced::Lost);
            }
            kept.message.clone()
        };
        // Answered, not only sent: while the server is away nobody knows that it is kept.
        message.double_ack_with(AckKind::Progress).await.map_err(|error| self.link.unreachable(error))?;
        if let Some(kept) = self.kept().get_mut(&key) {
            kept.told_at = Instant::now();
        }
        Ok(Fenced::Held)
    }

    /// Makes again what a server may have lost.
    pub async fn mend(&self) {
        self.link.mend().await;
    }

    /// Reports how the job ended, and lets go of it. Tries for a while; lost when another may have it by now.
    ///
    /// # Errors
    /// [`FleetError::Unreachable`].
    pub async fn report(&self, lease: &Lease, settlement: Settlement) -> Result<Fenced, FleetError> {
        let until = Instant::now() + SEND_FOR;
        loop {
            // A server that lost the job may take the report all the same: the ledger decides.
            if matches!(self.keep(lease).await, Ok(Fenced::Lost)) {
                return Ok(Fenced::Lost);
            }
            match self.send(lease, settlement.clone()).await {
                Ok(()) => break,
                Err(error) if Instant::now() >= until => return Err(error),
                Err(error) => tracing::warn!(%error, "the coordinator could not be told; trying again"),
            }
            tokio::time::sleep(SEND_PAUSE).await;
        }
        let kept = self.kept().remove(&(lease.id.clone(), lease.fence));
        if let Some(Kept { message, .. }) = kept {
            // Where this is lost, the next one to get it reports a claim that is settled.
            let _comes_again = message.double_ack().await;
        }
        Ok(Fenced::Held)
    }

    async fn send(&self, lease: &Lease, settlement: Settlement) -> Result<(), FleetError> {
        let report = Report {
            id: lease.id.clone(),
            attempt: lease.attempt,
            fence: lease.fence,
            settlement,
            worker: self.name.clone(),
        };
        let payload = serde_json::to_vec(&report).expect("a report is plain text");
        let sent = self.link.kept.jetstream.publish(self.link.report_subject(), payload.into()).await;
        let sent = sent.map_err(|error| self.link.unreachable(error))?;
        sent.await.map(drop).map_err(|error| self.link.unreachable(error))
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<(RecordingId, i64), Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
