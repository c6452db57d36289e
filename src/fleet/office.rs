//! The coordinator's side: claims go out, reports come in.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::Batch;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_nats::jetstream::{AckKind, Message};
use futures::StreamExt;

use super::wire::{Job, Report};
use super::{FleetError, Link};
use crate::domain::RecordingId;

/// Posts jobs, and reads what became of them.
#[derive(Debug)]
pub struct Office {
    link: Link,
    reports: PullConsumer,
}

/// A report, until it is acted upon.
#[derive(Debug)]
pub struct Arrived {
    pub report: Report,
    message: Message,
}

impl Arrived {
    /// Acted upon: it need not come again.
    pub async fn done(self) {
        // One that comes again settles nothing.
        let _comes_again = self.message.double_ack().await;
    }
}

impl Office {
    /// # Errors
    /// [`FleetError`].
    pub async fn open(link: &Link) -> Result<Self, FleetError> {
        Ok(Self { link: link.clone(), reports: link.reports_to_take().await? })
    }

    /// Posts a job, in place of an earlier claim's; what is posted already stays.
    ///
    /// # Errors
    /// [`FleetError::Unreachable`]: perhaps it is posted all the same.
    pub async fn post(&self, job: &Job) -> Result<(), FleetError> {
        let subject = self.link.job_subject(&job.recording.id, job.alone);
        let payload = serde_json::to_vec(job).expect("a job is plain text");
        if job.alone {
            // An earlier claim was not.
            let others = self.link.job_subject(&job.recording.id, false);
            let purged = self.link.kept.jobs.purge().filter(others).await;
            purged.map_err(|error| self.link.unreachable(error))?;
        }
        loop {
            let message = PublishMessage::build().payload(payload.clone().into()).expected_last_subject_sequence(0);
            let sent = match self.link.kept.jetstream.send_publish(subject.clone(), message).await {
                Ok(sent) => sent.await,
                Err(error) => Err(error),
            };
            match sent {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {}
                Err(error) => return Err(self.link.unreachable(error)),
            }
            match self.posted(&subject).await? {
                Some((_, fence)) if fence >= Some(job.fence) => return Ok(()),
                // An earlier claim's.
                Some((sequence, _)) => {
                    let _gone_already = self.link.kept.jobs.delete_message(sequence).await;
                }
                None => {}
            }
        }
    }

    /// Takes the message of a claim back, where it is still there; who works on it reports in vain.
    pub async fn withdraw(&self, job: &Job) {
        let subject = self.link.job_subject(&job.recording.id, job.alone);
        // Where the server does not answer, somebody works in vain.
        if let Ok(Some((sequence, fence))) = self.posted(&subject).await
            && fence == Some(job.fence)
        {
            let _gone_already = self.link.kept.jobs.delete_message(sequence).await;
        }
    }

    /// Takes back the messages of all recordings but these: their claims ended while nobody led.
    ///
    /// # Errors
    /// [`FleetError::Unreachable`].
    pub async fn keep_only(&self, recordings: impl Iterator<Item = &RecordingId>) -> Result<(), FleetError> {
        let subjects = recordings.flat_map(|id| [true, false].map(|alone| self.link.job_subject(id, alone)));
        let kept: BTreeSet<String> = subjects.collect();
        let listed = self.link.kept.jobs.info_with_subjects(">").await;
        let mut listed = listed.map_err(|error| self.link.unreachable(error))?;
        while let Some(subject) = listed.next().await {
            let (subject, _) = subject.map_err(|error| self.link.unreachable(error))?;
            if !kept.contains(subject.as_str()) {
                let purged = self.link.kept.jobs.purge().filter(subject.clone()).await;
                purged.map_err(|error| self.link.unreachable(error))?;
            }
        }
        Ok(())
    }

    /// What is posted under a subject: its number, and the fencing token of its claim where it can be read.
    async fn posted(&self, subject: &str) -> Result<Option<(u64, Option<i64>)>, FleetError> {
        match self.link.kept.jobs.get_last_raw_message_by_subject(subject).await {
            Ok(message) => {
                let job: Option<Job> = serde_json::from_slice(&message.payload).ok();
                Ok(Some((message.sequence, job.map(|job| job.fence))))
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(self.link.unreachable(error)),
        }
    }

    /// Makes again what a server may have lost.
    pub async fn mend(&self) {
        self.link.mend().await;
    }

    /// The next reports, at most `limit`; with `patience` it waits for the first one for so long.
    ///
    /// # Errors
    /// [`FleetError::Unreachable`].
    pub async fn reports(&self, limit: usize, patience: Option<Duration>) -> Result<Vec<Arrived>, FleetError> {
        let batch = self.reports.fetch().max_messages(limit).messages().await;
        let mut arrived = self.read(batch.map_err(|error| self.link.unreachable(error))?, Duration::ZERO).await?;
        if let (true, Some(patience)) = (arrived.is_empty(), patience) {
            let batch = self.reports.batch().max_messages(1).expires(patience).messages().await;
            arrived = self.read(batch.map_err(|error| self.link.unreachable(error))?, patience).await?;
        }
        Ok(arrived)
    }

    async fn read(&self, mut batch: Batch, patience: Duration) -> Result<Vec<Arrived>, FleetError> {
        let mut arrived = Vec::new();
        while let Some(message) = self.link.next_of(&mut batch, patience).await? {
            match serde_json::from_slice(&message.payload) {
                Ok(report) => arrived.push(Arrived { report, message }),
                Err(error) => {
                    tracing::error!(%error, "a report cannot be read and is left out");
                    let _comes_again = message.ack_with(AckKind::Term).await;
                }
            }
        }
        Ok(arrived)
    }
}
