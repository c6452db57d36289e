//! The program's own Zoom source, pointed at the server.

use std::path::Path;
use std::time::Duration;

use transcribe::config::secrets::{ZoomIdentity, ZoomSecrets};
use transcribe::config::{ZoomConfig, ZoomMode, ZoomPlan};
use transcribe::source::zoom::ZoomSource;
use transcribe::source::zoom::auth::Credentials;

use super::server::{ACCOUNT_ID, CLIENT_ID, CLIENT_SECRET, ZoomServer};

impl ZoomServer {
    /// The settings of a client in a hurry: a business account's whole rate, one attempt, next to no waiting.
    pub(crate) fn config(&self) -> ZoomConfig {
        ZoomConfig {
            api_url: format!("{}/v2", self.address()).parse().expect("an address"),
            oauth_url: format!("{}/oauth/token", self.address()).parse().expect("an address"),
            download_hosts: self.download_hosts(),
            mode: ZoomMode::Account,
            users: Vec::new(),
            history: false,
            transcripts: false,
            page_size: 300,
            plan: ZoomPlan::Business,
            rate_share: 1.0,
            max_download_bytes: 1024 * 1024,
            request_timeout: Duration::from_secs(20),
            request_attempts: 1,
            retry_for: Duration::from_secs(60),
            not_ready_wait: Duration::from_millis(1),
            download_timeout: Duration::from_secs(60),
            on_deleted: transcribe::config::OnDeleted::Keep,
        }
    }
}

/// The account's app with this secret. It keeps nothing on the disk.
pub(crate) fn credentials(client_secret: &str) -> Credentials {
    let secrets = ZoomSecrets {
        client_id: CLIENT_ID.into(),
        client_secret: client_secret.to_owned().into(),
        identity: ZoomIdentity::Account { account_id: ACCOUNT_ID.to_owned().into() },
    };
    Credentials::new(secrets, Path::new("unused"))
}

pub(crate) fn source(config: &ZoomConfig) -> ZoomSource {
    ZoomSource::new(config, credentials(CLIENT_SECRET)).expect("a usable configuration")
}
