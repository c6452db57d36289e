//! The connection to the message server, and what is kept there for one fleet.
//!
//! | kept | is | holds |
//! |---|---|---|
//! | `NAME-jobs-v1` | a work queue, one message a subject | a claim that is handed out, until it is reported |
//! | `NAME-reports-v1` | a work queue | how a claim ended, until the ledger knows |
//! | `NAME-leader` | a bucket whose entries live for a lease | who leads |
//! | `NAME-workers` | a bucket whose entries live for a lease | who works, at what |

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::pull::{self, Batch};
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer};
use async_nats::jetstream::stream::{Config as StreamConfig, DiscardPolicy, RetentionPolicy, Stream};
use async_nats::jetstream::{self, Context, Message, kv};
use async_nats::{Client, ConnectOptions};
use futures::StreamExt;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::FleetError;
use super::wire::VERSION;
use crate::config::FleetConfig;
use crate::config::secrets::FleetSecrets;
use crate::domain::RecordingId;

/// What an answer of the server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// One fleet on its message server. Cheap to clone; clones are one connection.
#[derive(Debug, Clone)]
pub struct Link {
    pub(super) kept: Arc<Kept>,
}

/// The connection, and what is kept on the server.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) jetstream: Context,
    client: Client,
    pub(super) jobs: Stream,
    pub(super) reports: Stream,
    pub(super) leader: kv::Store,
    pub(super) workers: kv::Store,
    pub(super) lease: Duration,
    config: FleetConfig,
}

impl Link {
    /// Connects, and makes what is not there yet. Later interruptions are waited out.
    ///
    /// # Errors
    /// [`FleetError`], also when the server has no JetStream.
    pub async fn connect(config: &FleetConfig, lease: Duration, secrets: &FleetSecrets) -> Result<Self, FleetError> {
        let kept = Box::pin(Kept::connect(config, lease, secrets)).await?;
        Ok(Self { kept: Arc::new(kept) })
    }

    /// Sends what is still to be sent.
    pub async fn flush(&self) {
        let _gone = self.kept.client.flush().await;
    }

    /// The subject of a recording's job. Ids may hold anything: their hash does not.
    pub(super) fn job_subject(&self, id: &RecordingId, alone: bool) -> String {
        format!("{}.{}", self.job_branch(alone), job_key(id))
    }

    fn job_branch(&self, alone: bool) -> String {
        format!("{}.jobs.v{VERSION}.{}", self.kept.config.name, if alone { "alone" } else { "any" })
    }

    pub(super) fn report_subject(&self) -> String {
        format!("{}.reports.v{VERSION}", self.kept.config.name)
    }

    /// The jobs that are worked on alone, or all others, to take from.
    pub(super) async fn jobs_to_take(&self, alone: bool) -> Result<PullConsumer, FleetError> {
        let name = if alone { "alone" } else { "any" };
        consumer(self, &self.kept.jobs, name, format!("{}.*", self.job_branch(alone))).await
    }

    /// Makes again what a server may have lost. Where it cannot, the next try to use it says so.
    pub(super) async fn mend(&self) {
        if let Err(error) = self.make_again().await {
            tracing::debug!(error = &error as &dyn std::error::Error, "the message server is not as it should be yet");
        }
    }

    async fn make_again(&self) -> Result<(), FleetError> {
        let Kept { jetstream, config, lease, .. } = self.kept.as_ref();
        Box::pin(There::make(jetstream, config, *lease)).await?;
        for alone in [true, false] {
            self.jobs_to_take(alone).await?;
        }
        self.reports_to_take().await.map(drop)
    }

    /// The next message of a batch that waits for one no longer than `patience`. An answer that is lost on its way is one
    /// that does not come.
    ///
    /// # Errors
    /// [`FleetError::Unreachable`].
    pub(super) async fn next_of(&self, batch: &mut Batch, patience: Duration) -> Result<Option<Message>, FleetError> {
        match tokio::time::timeout(patience + PATIENCE, batch.next()).await {
            Ok(message) => message.transpose().map_err(|error| self.unreachable(error)),
            Err(elapsed) => Err(self.unreachable(elapsed)),
        }
    }

    pub(super) async fn reports_to_take(&self) -> Result<PullConsumer, FleetError> {
        consumer(self, &self.kept.reports, "coordinator", self.report_subject()).await
    }

    pub(super) fn unreachable(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> FleetError {
        FleetError::Unreachable { server: self.kept.config.server.clone(), source: source.into() }
    }
}

impl Kept {
    async fn connect(config: &FleetConfig, lease: Duration, secrets: &FleetSecrets) -> Result<Self, FleetError> {
        let server = config.server.clone();
        let options = options(secrets)?.connection_timeout(PATIENCE).name("transcribe");
        let client = options.connect(server.as_str()).await.map_err(|error| {
            use async_nats::ConnectErrorKind::{Authentication, AuthorizationViolation};
            match error.kind() {
                Authentication | AuthorizationViolation => refused(&server, "these credentials")(error.into()),
                _ => FleetError::Unreachable { server: server.clone(), source: error.into() },
            }
        })?;
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(PATIENCE.min(lease));
        let there = There::make(&jetstream, config, lease).await?;
        let There { jobs, reports, leader, workers } = there;
        Ok(Self { jetstream, client, jobs, reports, leader, workers, lease, config: config.clone() })
    }
}

/// What is kept on the server.
struct There {
    jobs: Stream,
    reports: Stream,
    leader: kv::Store,
    workers: kv::Store,
}

impl There {
    /// Finds it or makes it.
    async fn make(jetstream: &Context, config: &FleetConfig, lease: Duration) -> Result<Self, FleetError> {
        let FleetConfig { server, name, replicas } = config;
        let jobs = StreamConfig {
            name: format!("{name}-jobs-v{VERSION}"),
            subjects: vec![format!("{name}.jobs.v{VERSION}.>")],
            retention: RetentionPolicy::WorkQueue,
            max_messages_per_subject: 1,
            discard: DiscardPolicy::New,
            discard_new_per_subject: true,
            num_replicas: *replicas,
            ..StreamConfig::default()
        };
        let reports = StreamConfig {
            name: format!("{name}-reports-v{VERSION}"),
            subjects: vec![format!("{name}.reports.v{VERSION}")],
            retention: RetentionPolicy::WorkQueue,
            num_replicas: *replicas,
            ..StreamConfig::default()
        };
        let bucket = async |what: &str| {
            let config = kv::Config {
                bucket: format!("{name}-{what}"),
                max_age: lease,
                history: 1,
                num_replicas: *replicas,
                ..kv::Config::default()
            };
            let made = jetstream.create_or_update_key_value(config).await;
            made.map_err(|error| refused(server, "a bucket of cards")(error.into()))
        };
        let stream = refused(server, "a stream of jobs");
        let jobs = jetstream.get_or_create_stream(jobs).await.map_err(|error| stream(error.into()))?;
        let reports = jetstream.get_or_create_stream(reports).await.map_err(|error| stream(error.into()))?;
        Ok(Self { jobs, reports, leader: bucket("leader").await?, workers: bucket("workers").await? })
    }
}

/// What nobody acknowledges within a lease is handed to the next; how often that happened decides the ledger's owner.
async fn consumer(link: &Link, stream: &Stream, name: &str, subject: String) -> Result<PullConsumer, FleetError> {
    let config = pull::Config {
        durable_name: Some(name.to_owned()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: link.kept.lease,
        max_deliver: -1,
        max_ack_pending: -1,
        filter_subject: subject,
        ..pull::Config::default()
    };
    stream
        .create_consumer(config)
        .await
        .map_err(|error| refused(&link.kept.config.server, "a reader of jobs")(error.into()))
}

fn refused(server: &str, what: &'static str) -> impl Fn(async_nats::Error) -> FleetError + use<> {
    let server = server.to_owned();
    move |source| FleetError::Refused { server: server.clone(), what, source }
}

fn options(secrets: &FleetSecrets) -> Result<ConnectOptions, FleetError> {
    let options = ConnectOptions::new();
    match secrets {
        FleetSecrets::Nothing => Ok(options),
        FleetSecrets::Password { user, password } => {
            Ok(options.user_and_password(user.clone(), password.expose_secret().to_owned()))
        }
        FleetSecrets::Credentials(text) => options
            .credentials(text.expose_secret())
            .map_err(|error| FleetError::Credentials { what: error.to_string() }),
    }
}

fn job_key(id: &RecordingId) -> String {
    hex::encode(&Sha256::digest(id.as_str().as_bytes())[..16])
}
