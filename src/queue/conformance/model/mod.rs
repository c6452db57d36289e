//! The promises of the queue written down once more, as plainly as possible: a map of jobs, searched from end to end for
//! every answer. Only a single step in a job's life is asked of the state machine.

mod batches;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{LEASE, MAX_ATTEMPTS};
use crate::domain::{Failure, Fingerprint, Lease, Reason, Recipe, Recording, RecordingId, RunId, Stage, Treatment};
use crate::queue::instance::Fate;
use crate::queue::state::{DEATHS_IN_COMPANY, Life, Step};
use crate::queue::{
    Claimant, Claimed, Company, Counts, Enqueued, Fenced, FoundStaged, JobRecord, JobState, NewJob, PublishedBefore,
    Reclaimed, Redo, Scope, Selection, Settled, Settlement,
};

const ONE_DAY: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, Clone)]
struct Job {
    /// As it was listed first.
    first: NewJob,
    /// As it was listed last.
    listed: Recording,
    call_id: Option<String>,
    life: Life,
    instance: Option<String>,
    lease_until: Option<Timestamp>,
    due: Option<Timestamp>,
    run: Option<RunId>,
    failure: Option<Failure>,
    reported: bool,
    result: Option<(Fingerprint, String)>,
    bytes: u64,
    staged_at: Timestamp,
    audio_ms: Option<i64>,
    batch: Option<String>,
    first_seen: Timestamp,
    changed: Timestamp,
}

impl Job {
    fn new(new: NewJob, now: Timestamp) -> Self {
        Self {
            listed: new.recording.clone(),
            call_id: new.recording.call_id.clone(),
            life: Life::NEW,
            instance: None,
            lease_until: None,
            due: None,
            run: None,
            failure: None,
            reported: false,
            result: None,
            bytes: 0,
            staged_at: now,
            audio_ms: None,
            batch: None,
            first_seen: now,
            changed: now,
            first: new,
        }
    }

    fn is(&self, state: JobState) -> bool {
        self.life.state == state
    }

    fn is_in(&self, scope: &Scope) -> bool {
        let recording = &self.first.recording;
        recording.source == scope.source && scope.only.as_ref().is_none_or(|only| only.contains(&recording.id))
    }

    /// Whoever held it holds it no longer, and whatever it waited for is over.
    fn step(&mut self, step: Step, now: Timestamp) {
        self.life = self.life.after(step, MAX_ATTEMPTS).expect("the model takes no step that is not drawn");
        (self.instance, self.lease_until, self.due, self.changed) = (None, None, None, now);
        self.reported &= !self.is(JobState::Dead);
    }

    fn is_known_to_be_bad(&self) -> bool {
        self.failure.as_ref().is_some_and(|known| known.reason.is_about_the_file())
    }

    /// What is known of the file itself is worth more than that a host was in trouble later.
    fn blame(&mut self, failure: &Failure) {
        if !(failure.reason == Reason::SourceUnavailable && self.is_known_to_be_bad()) {
            self.failure = Some(failure.clone());
        }
    }

    fn record(&self) -> JobRecord {
        JobRecord {
            id: self.first.recording.id.clone(),
            state: self.life.state,
            attempt: self.life.attempt,
            started_at: self.first.started_at,
            dt: self.first.dt.clone(),
            reason: self.failure.as_ref().map(|failure| failure.reason.as_str().to_owned()),
            detail: self.failure.as_ref().map(|failure| failure.detail.clone()),
            audio_ms: self.audio_ms,
            fingerprint: self.result.as_ref().map(|(fingerprint, _)| fingerprint.clone()),
            audio_sha256: self.result.as_ref().map(|(_, audio_sha256)| audio_sha256.clone()),
            redo: self.life.redo,
        }
    }
}

/// A batch that is being written: day, plan, and when it was opened.
type Batch = (String, String, Timestamp);

#[derive(Debug, Default)]
pub(super) struct Model {
    jobs: BTreeMap<RecordingId, Job>,
    batches: BTreeMap<String, Batch>,
    /// What never comes back.
    pub(super) purged: BTreeSet<RecordingId>,
    /// What made each result that there ever was.
    pub(super) made_by: BTreeMap<Fingerprint, Recipe>,
}

impl Model {
    /// How often the recording is to be done anew; part of its next fingerprint.
    pub(super) fn redo_of(&self, id: &RecordingId) -> u32 {
        self.jobs.get(id).map_or(0, |job| job.life.redo)
    }

    pub(super) fn is_known_to_be_bad(&self, id: &RecordingId) -> bool {
        self.jobs.get(id).is_some_and(Job::is_known_to_be_bad)
    }

    pub(super) fn enqueue(&mut self, found: Vec<NewJob>, room: u64, redo: &Redo, now: Timestamp) -> Enqueued {
        let mut enqueued = Enqueued::default();
        for new in found {
            let id = new.recording.id.clone();
            if self.purged.contains(&id) {
                enqueued.purged.insert(id);
                continue;
            }
            let is_full = (enqueued.new.len() + enqueued.redone.len()) as u64 >= room;
            let Some(job) = self.jobs.get_mut(&id) else {
                if is_full {
                    enqueued.left_out += 1;
                } else {
                    self.jobs.insert(id.clone(), Job::new(new, now));
                    enqueued.new.insert(id);
                }
                continue;
            };
            let recipe = job.result.as_ref().and_then(|(fingerprint, _)| self.made_by.get(fingerprint));
            let is_wanted = match redo {
                Redo::Nothing => false,
                Redo::Failed => job.is(JobState::Dead),
                Redo::All => job.is(JobState::Dead) || job.is(JobState::Published),
                Redo::Changed(today) => job.is(JobState::Published) && recipe != Some(today),
            };
            if is_wanted && is_full {
                enqueued.left_out += 1;
                continue;
            }
            let list = match job.life.state {
                _ if is_wanted => {
                    job.step(Step::Redo, now);
                    &mut enqueued.redone
                }
                JobState::Published => &mut enqueued.done,
                JobState::Dead => &mut enqueued.dead,
                _unfinished => &mut enqueued.open,
            };
            if !job.is(JobState::Published) && !job.is(JobState::Staged) {
                job.listed = new.recording.clone();
            }
            // What is being told to the table `quarantine` is told again in the same words.
            if job.reported || !job.is(JobState::Dead) {
                job.call_id = job.call_id.take().or(new.recording.call_id);
            }
            list.insert(id);
        }
        enqueued
    }

    /// It is as if it had never been known, and never is again.
    pub(super) fn purge(&mut self, id: &RecordingId) {
        self.jobs.remove(id);
        self.purged.insert(id.clone());
    }

    pub(super) fn known(&self, ids: &[RecordingId]) -> BTreeSet<RecordingId> {
        ids.iter().filter(|id| self.jobs.contains_key(id)).cloned().collect()
    }

    pub(super) fn adopt_published(&mut self, new: NewJob, result: PublishedBefore, now: Timestamp) {
        if self.purged.contains(&new.recording.id) {
            return;
        }
        self.jobs.entry(new.recording.id.clone()).or_insert_with(|| {
            let mut job = Job::new(new, now);
            job.life = Life { state: JobState::Published, redo: result.redo, ..Life::NEW };
            job.result = Some((result.fingerprint, result.audio_sha256));
            job
        });
    }

    pub(super) fn adopt_staged(&mut self, found: FoundStaged, now: Timestamp) -> bool {
        if self.purged.contains(&found.job.recording.id) {
            return false;
        }
        let job = self.jobs.entry(found.job.recording.id.clone()).or_insert_with(|| Job::new(found.job.clone(), now));
        if !matches!(job.life.state, JobState::Seen | JobState::Waiting | JobState::Dead) {
            return false;
        }
        job.step(Step::Adopt, now);
        job.result = Some((found.fingerprint, found.audio_sha256));
        (job.bytes, job.staged_at, job.audio_ms) = (found.bytes, found.transcribed_at, Some(found.audio_ms));
        job.failure = None;
        true
    }

    pub(super) fn claim(
        &mut self,
        claimant: &Claimant,
        scope: &Scope,
        company: Company,
        now: Timestamp,
    ) -> Option<Claimed> {
        for job in self.jobs.values_mut().filter(|job| job.due.is_some_and(|due| due <= now)) {
            (job.life.state, job.due) = (JobState::Seen, None);
        }
        let is_suspect = |job: &Job| job.life.deaths >= DEATHS_IN_COMPANY;
        let is_old = |job: &Job| job.first.started_at < now - ONE_DAY;
        let job = self
            .jobs
            .values_mut()
            .filter(|job| job.is(JobState::Seen) && job.is_in(scope))
            .min_by_key(|job| (is_old(job), is_suspect(job), job.first.started_at, job.first.recording.id.clone()))
            .filter(|job| company == Company::Nobody || !is_suspect(job))?;
        job.step(Step::Claim { alone: is_suspect(job) }, now);
        job.run = Some(claimant.run.clone());
        job.instance = Some(claimant.instance.clone());
        job.lease_until = Some(now + LEASE);
        let Life { attempt, fence, alone, redo, .. } = job.life;
        Some(Claimed {
            lease: Lease { id: job.first.recording.id.clone(), attempt, fence },
            recording: job.listed.clone(),
            started_at: job.first.started_at,
            dt: job.first.dt.clone(),
            alone,
            redo,
        })
    }

    /// The job that is claimed under this very lease.
    fn held(&mut self, lease: &Lease) -> Option<&mut Job> {
        self.jobs.get_mut(&lease.id).filter(|job| job.is(JobState::Claimed) && job.life.fence == lease.fence)
    }

    pub(super) fn heartbeat(&mut self, lease: &Lease, now: Timestamp) -> Fenced {
        let Some(job) = self.held(lease) else { return Fenced::Lost };
        job.lease_until = Some(now + LEASE);
        Fenced::Held
    }

    pub(super) fn settle(&mut self, lease: &Lease, settlement: Settlement, now: Timestamp) -> Settled {
        let Some(job) = self.held(lease) else { return Settled::Lost };
        job.step(settlement.step(), now);
        if let Some(failure) = settlement.failure() {
            job.blame(failure);
        }
        match settlement {
            Settlement::Staged { fingerprint, audio_sha256, bytes, audio_ms } => {
                job.result = Some((fingerprint, audio_sha256));
                (job.bytes, job.staged_at, job.audio_ms) = (bytes, now, Some(audio_ms));
                job.failure = None;
            }
            Settlement::Retry { not_before, .. } | Settlement::Postponed { not_before, .. } => {
                job.due = Some(not_before);
            }
            Settlement::Crashed { .. } | Settlement::Dead { .. } | Settlement::Released => {}
        }
        Settled::As(job.life.state)
    }

    pub(super) fn reclaim(&mut self, fate: &dyn Fn(&str) -> Fate, run: &RunId, now: Timestamp) -> Reclaimed {
        let mut reclaimed = Reclaimed::default();
        for job in self.jobs.values_mut().filter(|job| job.is(JobState::Claimed)) {
            let ran_out = job.lease_until.is_some_and(|until| until <= now);
            let (step, reason) = match job.instance.as_deref().map_or(Fate::Died, fate) {
                Fate::Died => (Step::Crash, Some(Reason::EngineCrash)),
                Fate::Ended => (Step::Release, None),
                Fate::Runs if ran_out => (Step::Expire, Some(Reason::TimedOut)),
                Fate::Runs => continue,
            };
            let attempts = job.life.attempt;
            job.step(step, now);
            let detail = format!("attempts={attempts} deaths={}", job.life.deaths);
            if let Some(reason) = reason {
                job.blame(&Failure::new(Stage::Stt, reason, Treatment::Crashed, detail));
            }
            if job.is(JobState::Dead) {
                job.run = Some(run.clone());
                reclaimed.died += 1;
            } else {
                reclaimed.back += 1;
            }
        }
        reclaimed
    }

    pub(super) fn revive(&mut self, which: &Selection, now: Timestamp) -> u64 {
        let mut revived = 0;
        for (id, job) in &mut self.jobs {
            let is_named = which.ids.as_ref().is_some_and(|ids| ids.contains(id));
            let is_meant = match job.life.state {
                JobState::Dead => is_named || which.ids.is_none(),
                JobState::Waiting => is_named,
                _ => false,
            };
            let reason = job.failure.as_ref().map(|failure| failure.reason);
            let is_meant = is_meant
                && which.reasons.as_ref().is_none_or(|reasons| reason.is_some_and(|reason| reasons.contains(&reason)))
                && which.before.is_none_or(|before| job.changed < before)
                && which.since.is_none_or(|since| job.changed >= since);
            if is_meant {
                job.step(Step::Revive, now);
                revived += 1;
            }
        }
        revived
    }

    pub(super) fn next_due(&self, scope: &Scope) -> Option<Timestamp> {
        self.jobs.values().filter(|job| job.is_in(scope)).filter_map(|job| job.due).min()
    }

    pub(super) fn counts(&self, scope: &Scope) -> Counts {
        let jobs: Vec<&Job> = self.jobs.values().filter(|job| job.is_in(scope)).collect();
        let of = |state| jobs.iter().filter(|job| job.is(state)).count() as u64;
        let open =
            jobs.iter().filter(|job| matches!(job.life.state, JobState::Seen | JobState::Claimed | JobState::Waiting));
        let audio_s: i32 = open.filter_map(|job| job.first.recording.duration_s).sum();
        Counts {
            seen: of(JobState::Seen),
            claimed: of(JobState::Claimed),
            waiting: of(JobState::Waiting),
            staged: of(JobState::Staged),
            published: of(JobState::Published),
            dead: of(JobState::Dead),
            open_audio_s: u64::try_from(audio_s).expect("no recording lasts less than nothing"),
        }
    }

    pub(super) fn records(&self) -> Vec<JobRecord> {
        self.jobs.values().map(Job::record).collect()
    }

    pub(super) fn touched_by(&self, run: &RunId) -> Vec<JobRecord> {
        self.jobs.values().filter(|job| job.run.as_ref() == Some(run)).map(Job::record).collect()
    }
}
