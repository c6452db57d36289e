//! The coordinator's side: claims go out, reports come in.

use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
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
            let there = self.link.kept.jobs.get_last_raw_message_by_subject(&subject).await;
            let there: Option<Job> = there.ok().and_then(|message| serde_json::from_slice(&message.payload).ok());
            if there.is_some_and(|there| there.fence == job.fence) {
                return Ok(());
            }
            self.withdraw(&job.recording.id).await?;
        }
    }

    /// Takes a recording's job back; who works on it reports in vain.
    ///
    /// # Errors
    /// [`FleetError::Unreachable`].
    pub async fn withdraw(&self, id: &RecordingId) -> Result<(), FleetError> {
        let subject = self.link.any_job_subject(id);
        self.link.kept.jobs.purge().filter(subject).await.map(drop).map_err(|error| self.link.unreachable(error))
    }

    /// The next reports, at most `limit`; with `patience` it waits for the first one for so long.
    ///
    /// # Errors
    /// [`FleetError::Unreachable`].
    pub async fn reports(&self, limit: usize, patience: Option<Duration>) -> Result<Vec<Arrived>, FleetError> {
        let batch = self.reports.fetch().max_messages(limit).messages().await;
        let mut arrived = self.read(batch.map_err(|error| self.link.unreachable(error))?).await?;
        if let (true, Some(patience)) = (arrived.is_empty(), patience) {
            let batch = self.reports.batch().max_messages(1).expires(patience).messages().await;
            arrived = self.read(batch.map_err(|error| self.link.unreachable(error))?).await?;
        }
        Ok(arrived)
    }

    async fn read(&self, mut batch: async_nats::jetstream::consumer::pull::Batch) -> Result<Vec<Arrived>, FleetError> {
        let mut arrived = Vec::new();
        while let Some(message) = batch.next().await {
            let message = message.map_err(|error| self.link.unreachable(error))?;
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
