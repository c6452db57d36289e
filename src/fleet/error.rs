//! What can go wrong between the machines of a fleet.

use std::error::Error;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    #[error("the message server {server} cannot be reached")]
    Unreachable {
        server: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// It is there and does not let us in, or has no JetStream.
    #[error("the message server {server} refuses: {what}")]
    Refused {
        server: String,
        what: &'static str,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("another coordinator leads this fleet: {who}")]
    Led { who: String },
    #[error("the credentials of the message server cannot be used: {what}")]
    Credentials { what: String },
    #[error("queue.url names no message server")]
    NotConfigured,
    /// What has changed is known only with the engine that would do it.
    #[error("the coordinator of a fleet has no engine of its own, so it cannot tell what another would change")]
    NoEngine,
}

impl FleetError {
    /// What the user can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "see that it runs and that queue.url names it, then run again: nothing is lost",
            Self::Refused { .. } => {
                "start it with JetStream (`nats-server -js`), and give NATS_CREDS_FILE, or NATS_USER and \
                                     NATS_PASSWORD, rights to make streams"
            }
            Self::Led { .. } => {
                "it lists and publishes; stop it first to run here, or ask it: `transcribe status` there"
            }
            Self::NotConfigured => {
                "set queue.url = \"nats://HOST:4222\"; a folder of files is worked on without a fleet"
            }
            Self::NoEngine => "use --redo all with a window, or run without nats:// in queue.url",
            Self::Credentials { .. } => "mend or unset NATS_CREDS_FILE, NATS_USER and NATS_PASSWORD",
        }
    }
}
