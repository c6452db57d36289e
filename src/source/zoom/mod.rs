//! Zoom Phone as a source: the recordings of one account, through a Server-to-Server OAuth app, or of one user who
//! signed in.
//!
//! [`auth`] keeps the token, [`client`] makes signed requests within the [`limits`], [`listing`] lists, [`wire`] reads Zoom's JSON, [`error`]
//! knows what Zoom's error answers mean, [`failure`] puts a failed download into the ledger's words, [`check`]
//! says what is wrong and how to mend it.

pub mod auth;
pub mod check;
pub mod client;
pub mod error;
pub mod failure;
pub mod limits;
pub mod listing;
pub mod wire;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::mpsc;

use self::auth::{Authenticator, Credentials};
use self::client::ZoomClient;
use self::error::ZoomError;
use self::limits::{Label, Limits};
use self::listing::Listing;
use super::{FetchedAudio, Listed, RecordingSource, SourceError, TimeWindow};
use crate::config::ZoomConfig;
use crate::domain::{AudioLocation, Failure, Reason, Recording, Stage, Treatment};
use crate::fetch::Downloader;
use crate::net::address::check_endpoint;
use crate::net::{DownloadHosts, HttpClients, Retry, RetryPolicy, SystemClock};

/// When Zoom Phone was introduced, in Unix seconds (2019-01-01): "everything there is" begins here.
const FIRST_RECORDINGS_S: i64 = 1_546_300_800;

/// The recordings of one Zoom account.
pub struct ZoomSource {
    client: ZoomClient,
    downloader: Downloader,
    page_size: u32,
}

impl ZoomSource {
    /// Makes the source; contacts nobody yet.
    ///
    /// # Errors
    /// [`SourceError::Misconfigured`] names the setting that cannot be used.
    pub fn new(config: &ZoomConfig, credentials: Credentials) -> Result<Self, SourceError> {
        let misconfigured = |explanation: String| SourceError::Misconfigured { explanation };
        for (key, url) in [("zoom.api_url", &config.api_url), ("zoom.oauth_url", &config.oauth_url)] {
            check_endpoint(url).map_err(|error| misconfigured(format!("{key} cannot be used: {error}")))?;
        }
        let hosts = DownloadHosts::parse(&config.download_hosts)
            .map_err(|error| misconfigured(format!("zoom.download_hosts: {error}")))?;
        let stall = config.request_timeout;
        let http = HttpClients::new(stall).map_err(|error| misconfigured(error.to_string()))?;
        let auth = Authenticator::new(http.trusted().clone(), config, credentials);
        let limits = Limits::new(config.plan, config.rate_share);
        let retry = retry(config);
        let downloader = Downloader::new(http.clone(), hosts, config.max_download_bytes, stall);
        let client = ZoomClient::new(http, auth, limits, retry, stall);
        Ok(Self { client, downloader, page_size: config.page_size })
    }

    /// Signed requests outside of listing and fetching.
    #[must_use]
    pub const fn client(&self) -> &ZoomClient {
        &self.client
    }

    async fn download(&self, address: &str, destination: &Path) -> Result<FetchedAudio, ZoomError> {
        let digest = self
            .client
            .with_token(Label::Medium, |token| async move {
                let attempt = self.downloader.download(address, token.expose(), destination).await;
                attempt.map_err(ZoomError::from)
            })
            .await?;
        Ok(FetchedAudio { path: destination.to_owned(), bytes: digest.bytes, sha256: digest.sha256, owned: true })
    }
}

/// The bounds of every request, as configured.
fn retry(config: &ZoomConfig) -> Retry {
    let policy =
        RetryPolicy { attempts: config.request_attempts, elapsed: config.retry_for, not_there: config.not_ready_wait };
    Retry::new(policy, Arc::new(SystemClock), rand::make_rng())
}

#[async_trait]
impl RecordingSource for ZoomSource {
    async fn list(
        &self,
        window: Option<TimeWindow>,
        found: mpsc::Sender<Vec<Recording>>,
    ) -> Result<Listed, SourceError> {
        let everything = || TimeWindow {
            since: Timestamp::from_second(FIRST_RECORDINGS_S).unwrap_or(Timestamp::UNIX_EPOCH),
            until: Timestamp::now(),
        };
        let listing = Listing::new(&self.client, self.page_size, found);
        listing.run(window.unwrap_or_else(everything)).await
    }

    async fn fetch(&self, recording: &Recording, destination: &Path) -> Result<FetchedAudio, Failure> {
        let AudioLocation::Download(address) = &recording.audio else {
            return Err(Failure::new(Stage::Fetch, Reason::ForbiddenAddress, Treatment::Permanent, "not a download"));
        };
        self.download(address, destination).await.map_err(|error| {
            let failure = failure::of_download(&error);
            tracing::debug!(recording_id = %recording.id, reason = %failure.reason, "download failed");
            failure
        })
    }
}
