//! The work on recordings: claims, and what each outcome means for the run.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::error::MAKE_ROOM;
use super::floor::Floor;
use super::item::ItemOutcome;
use super::sweep::{Run, WAIT_FOR_RETRIES};
use super::{ExitCode, RunError};
use crate::domain::{Reason, RecordingId, Treatment};
use crate::queue::{Claimant, Claimed, Company, Scope};
use crate::telemetry::Event;

/// How long what is due to be published may go unnoticed.
const MOST_BETWEEN_LOOKS: Duration = Duration::from_secs(15);

impl Run<'_> {
    /// Claims and works until nothing is due.
    pub(super) async fn process(&mut self, scope: &Scope, floor: &mut Floor) -> Result<(), RunError> {
        let mut taken = BTreeSet::new();
        let mut halted = false;
        let mut taken_back = Instant::now();
        loop {
            if floor.is_empty()
                && let Some(broken) = floor.examine().await
            {
                halted |= self.digest(ItemOutcome::Halt(broken)).await?;
            }
            if taken_back.elapsed() >= self.config.queue.lease {
                // A process beside this one may have died meanwhile.
                self.take_back().await?;
                taken_back = Instant::now();
            }
            let may_claim = !halted && !floor.awaits_examination() && !self.stop.is_draining();
            // Past the limit only recordings that this run took up before come in question: their retries.
            let limit_reached = self.sweep.limit.is_some_and(|limit| taken.len() as u64 >= limit);
            let claimable =
                if limit_reached { Scope { only: Some(taken.clone()), ..scope.clone() } } else { scope.clone() };
            let has_room = floor.has_room();
            let claimed =
                if may_claim && has_room { self.claim(&claimable, floor.company(), &mut taken).await? } else { None };
            if let Some(claimed) = claimed {
                floor.begin(claimed, self.run_id.clone());
                continue;
            }
            let next_due = if may_claim { self.queue.next_due(&claimable).await? } else { None };
            let wait =
                next_due.map(|due| due.duration_since(Timestamp::now())).filter(|wait| *wait <= WAIT_FOR_RETRIES);
            let wait = wait.map(|wait| Duration::try_from(wait).unwrap_or(Duration::ZERO));
            if floor.is_empty() {
                let Some(wait) = wait else {
                    // The last look at what a process beside this one may have left by dying.
                    if may_claim && self.take_back().await? > 0 {
                        continue;
                    }
                    return Ok(());
                };
                let jobs = self.queue.counts(&claimable).await?.waiting;
                self.reporter.emit(Event::WaitingForRetries { jobs, wait });
            }
            tokio::select! {
                Some(ended) = floor.next() => {
                    halted |= self.digest(ended.outcome?).await?;
                }
                // At least a moment, so that a job that another process holds is not asked for in a busy loop.
                () = tokio::time::sleep(wait.unwrap_or_default().max(Duration::from_millis(20))),
                    if wait.is_some() && has_room => {}
                () = self.stop.draining(), if may_claim => {
                    self.reporter.emit(Event::Stopping { why: "the run was told to stop" });
                }
            }
        }
    }

    async fn claim(
        &mut self,
        scope: &Scope,
        company: Company,
        taken: &mut BTreeSet<RecordingId>,
    ) -> Result<Option<Claimed>, RunError> {
        let claimant = Claimant { instance: self.holder().to_owned(), run: self.run_id.clone() };
        let claimed = self.queue.claim(&claimant, scope, company, Timestamp::now()).await?;
        if let Some(claimed) = &claimed {
            self.claimed += 1;
            if self.sweep.limit.is_some() {
                taken.insert(claimed.lease.id.clone());
            }
        }
        Ok(claimed)
    }

    /// Publishes what is due. Looks for it now and then only: what there is to look through grows with every recording.
    async fn publish_due(&mut self) -> Result<(), RunError> {
        let flush_every = self.config.lake.flush_every;
        let pause = (flush_every / 4).min(MOST_BETWEEN_LOOKS);
        if self.looked_for_due.elapsed() >= pause {
            self.note_publication(self.publisher.publish_due(flush_every, None).await?);
            self.looked_for_due = Instant::now();
        }
        Ok(())
    }

    /// Which disk it is, and what to do.
    fn make_room(&self) -> String {
        format!("; downloads and transcripts lie in {}: {MAKE_ROOM}", self.config.paths.state_dir.display())
    }

    /// Counts an outcome; true = no further claims.
    async fn digest(&mut self, outcome: ItemOutcome) -> Result<bool, RunError> {
        match outcome {
            ItemOutcome::Staged => self.publish_due().await?,
            ItemOutcome::Dead => self.failed += 1,
            ItemOutcome::Waiting | ItemOutcome::Crashed | ItemOutcome::GivenBack => {}
            ItemOutcome::Halt(failure) => {
                let code = match (failure.treatment, failure.reason) {
                    (Treatment::Fatal, Reason::CredentialsRefused) => ExitCode::CredentialsRefused,
                    _ => ExitCode::WorkRemains,
                };
                if failure.reason == Reason::DailyLimit {
                    let wait = SignedDuration::try_from(failure.retry_after()).unwrap_or(SignedDuration::ZERO);
                    self.resume_at = self.resume_at.max(Timestamp::now().checked_add(wait).ok());
                }
                if !self.noted.contains(&code) {
                    self.reporter.emit(Event::Stopping { why: failure.reason.as_str() });
                    let detail =
                        if failure.detail.is_empty() { String::new() } else { format!(" ({})", failure.detail) };
                    let remedy = if failure.reason == Reason::Disk { self.make_room() } else { String::new() };
                    self.troubles.push(format!("{}{detail}{remedy}", failure.reason.in_words()));
                    self.noted.push(code);
                }
                return Ok(true);
            }
        }
        Ok(false)
    }
}
