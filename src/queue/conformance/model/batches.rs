//! The publisher's part of the model.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Batch, Job, Model};
use crate::domain::{Failure, RecordingId, Treatment};
use crate::queue::state::Step;
use crate::queue::{DeadJob, JobState, OpenBatch, StagedJob};

impl Job {
    fn publish(&mut self, now: Timestamp) {
        self.step(Step::Publish, now);
        self.batch = None;
    }

    fn staged(&self) -> StagedJob {
        let (fingerprint, _) = self.result.clone().expect("what is staged has a result");
        StagedJob {
            id: self.first.recording.id.clone(),
            dt: self.first.dt.clone(),
            fingerprint,
            bytes: self.bytes,
            staged_at: self.staged_at,
            audio_ms: self.audio_ms.unwrap_or(0),
        }
    }
}

impl Model {
    pub(in crate::queue::conformance) fn staged(&self) -> Vec<StagedJob> {
        let free = self.jobs.values().filter(|job| job.is(JobState::Staged) && job.batch.is_none());
        let mut staged: Vec<StagedJob> = free.map(Job::staged).collect();
        staged.sort_by_key(|job| (job.staged_at, job.id.clone()));
        staged
    }

    /// `false`, and nothing, when there is such a batch or one of its members is not free.
    pub(in crate::queue::conformance) fn open_batch(&mut self, batch: &OpenBatch, now: Timestamp) -> bool {
        let ids: BTreeSet<&RecordingId> = batch.members.iter().map(|member| &member.id).collect();
        let free: BTreeSet<RecordingId> = self.staged().into_iter().map(|job| job.id).collect();
        let is_each_free = ids.len() == batch.members.len() && ids.iter().all(|id| free.contains(*id));
        if self.batches.contains_key(&batch.batch_id) || !is_each_free {
            return false;
        }
        self.batches.insert(batch.batch_id.clone(), (batch.dt.clone(), batch.plan.clone(), now));
        for id in ids {
            self.jobs.get_mut(id).expect("what is free is known").batch = Some(batch.batch_id.clone());
        }
        true
    }

    pub(in crate::queue::conformance) fn open_batches(&self) -> Vec<OpenBatch> {
        let mut batches: Vec<_> = self.batches.iter().collect();
        batches.sort_by_key(|(id, (_, _, opened_at))| (*opened_at, *id));
        let members = |batch: &str| {
            let members = self.jobs.values().filter(|job| job.batch.as_deref() == Some(batch));
            members.map(Job::staged).collect()
        };
        let open = |(id, (dt, plan, _)): (&String, &Batch)| OpenBatch {
            batch_id: id.clone(),
            dt: dt.clone(),
            plan: plan.clone(),
            members: members(id),
        };
        batches.into_iter().map(open).collect()
    }

    fn members(&mut self, batch: &str) -> impl Iterator<Item = &mut Job> {
        self.jobs.values_mut().filter(move |job| job.batch.as_deref() == Some(batch))
    }

    pub(in crate::queue::conformance) fn abandon_batch(&mut self, batch: &str) {
        self.members(batch).for_each(|job| job.batch = None);
        self.batches.remove(batch);
    }

    pub(in crate::queue::conformance) fn close_batch(&mut self, batch: &str, now: Timestamp) {
        self.members(batch).for_each(|job| job.publish(now));
        self.batches.remove(batch);
    }

    pub(in crate::queue::conformance) fn start_over(&mut self, id: &RecordingId, now: Timestamp) {
        if let Some(job) = self.jobs.get_mut(id).filter(|job| job.is(JobState::Staged)) {
            job.step(Step::StartOver, now);
            (job.batch, job.result) = (None, None);
        }
    }

    pub(in crate::queue::conformance) fn mark_published(&mut self, ids: &[RecordingId], now: Timestamp) {
        let is_meant = |job: &&mut Job| job.is(JobState::Staged) && ids.contains(&job.first.recording.id);
        self.jobs.values_mut().filter(is_meant).for_each(|job| job.publish(now));
    }

    pub(in crate::queue::conformance) fn unreported_dead(&self) -> Vec<DeadJob> {
        let dead = self.jobs.values().filter(|job| job.is(JobState::Dead) && !job.reported);
        dead.map(|job| {
            let known = job.failure.clone().expect("what is dead has a reason");
            DeadJob {
                id: job.first.recording.id.clone(),
                call_id: job.call_id.clone(),
                started_at: job.first.started_at,
                failure: Failure::new(known.stage, known.reason, Treatment::Permanent, known.detail),
                attempts: job.life.attempt,
                first_seen_at: job.first_seen,
                last_tried_at: job.changed,
                run_id: job.run.clone().expect("what is dead was claimed"),
            }
        })
        .collect()
    }

    pub(in crate::queue::conformance) fn mark_reported(&mut self, ids: &[RecordingId]) {
        let is_meant = |job: &&mut Job| ids.contains(&job.first.recording.id);
        self.jobs.values_mut().filter(is_meant).for_each(|job| job.reported = true);
    }
}
