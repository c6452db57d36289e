//! Zoom Phone as a source: the recordings of one account, of some of its users, or of the user who signed in.
//!
//! [`auth`] keeps the token, [`client`] makes signed requests within the [`limits`], [`slices`] cuts a window into
//! what Zoom takes at once, `paging` reads any list, [`listing`] that of the recordings, [`wire`] reads Zoom's JSON, [`error`] knows what Zoom's error answers
//! mean, [`failure`] puts a failed download into the ledger's words, [`check`] says what is wrong and how to mend it.
//! [`history`] lists calls and their legs, [`transcript`] fetches Zoom's own transcripts, [`wire_call_event`] reads what
//! is told of a call while it rings.

pub mod auth;
pub mod check;
pub mod client;
pub mod error;
pub mod failure;
pub mod history;
pub mod limits;
pub mod listing;
mod paging;
pub mod slices;
pub mod transcript;
pub mod wire;
pub mod wire_call_event;
pub mod wire_history;
pub mod wire_transcript;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, mpsc};

use self::auth::{Authenticator, Credentials};
use self::client::ZoomClient;
use self::error::ZoomError;
use self::limits::{Label, Limits};
use self::listing::Listing;
use self::slices::Owners;
use super::{
    CallHistorySource, FetchedAudio, Listed, RecordingSource, Slice, SourceError, TimeWindow, TranscriptSource,
};
use crate::config::ZoomConfig;
use crate::domain::{AudioLocation, Failure, Reason, Recording, Stage, Treatment};
use crate::fetch::{DownloadLimits, Downloader, Partial};
use crate::net::address::check_endpoint;
use crate::net::{DownloadHosts, HttpClients, Missing, Retry, RetryPolicy, SystemClock};

/// A download that brought so many bytes more before it broke off is gone on with.
const WORTH_GOING_ON: u64 = 1 << 20;

/// A recording is listed within this time after its call ended; Zoom names no such time, some minutes were seen.
const LISTED_WITHIN: SignedDuration = SignedDuration::from_mins(30);

/// A single recording is looked for this far around its moment.
const AROUND_A_RECORDING: SignedDuration = SignedDuration::from_mins(1);

/// The recordings of one Zoom account.
pub struct ZoomSource {
    client: ZoomClient,
    downloader: Downloader,
    owners: Owners,
    page_size: u32,
    wants_history: bool,
    wants_transcripts: bool,
}

impl ZoomSource {
    /// What signs the requests in.
    #[must_use]
    pub const fn auth(&self) -> &Arc<Authenticator> {
        self.client.auth()
    }

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
        let auth = Arc::new(Authenticator::new(http.trusted().clone(), config, credentials));
        let limits = DownloadLimits { bytes: config.max_download_bytes, stall, whole: config.download_timeout };
        let downloader = Downloader::new(http.clone(), hosts, limits);
        let client = ZoomClient::new(http, auth, Limits::new(config.plan, config.rate_share), retry(config), stall);
        Ok(Self {
            client,
            downloader,
            owners: Owners::of(config),
            page_size: config.page_size,
            wants_history: config.history,
            wants_transcripts: config.transcripts,
        })
    }

    /// Signed requests outside of listing and fetching.
    #[must_use]
    pub const fn client(&self) -> &ZoomClient {
        &self.client
    }

    /// Downloads from `address`; what is not there yet is looked for again in the next seconds.
    async fn download(&self, address: &str, destination: &Path) -> Result<FetchedAudio, ZoomError> {
        // Outlives the attempts: a later one goes on where an earlier one broke off.
        let partial = &Mutex::new(Partial::default());
        let mut got = 0;
        let digest = loop {
            let download = self.client.with_token(Label::Medium, Missing::MayCome, |token| async move {
                let mut partial = partial.lock().await;
                let attempt = self.downloader.download(address, token.expose(), destination, &mut partial).await;
                attempt.map_err(ZoomError::from)
            });
            let outcome = download.await;
            // A long file may break off more often than the bounds of one request allow, as long as it gets on.
            let got_before = std::mem::replace(&mut got, partial.lock().await.bytes());
            match outcome {
                Err(error) if error.is_broken_off() && got >= got_before + WORTH_GOING_ON => {}
                outcome => break outcome?,
            }
        };
        Ok(FetchedAudio { path: destination.to_owned(), bytes: digest.bytes, sha256: digest.sha256, owned: true })
    }

    /// Lists the moment at which `recording` ended (in a user's list: began) once more. `None` = that moment is not
    /// known; `Some(None)` = the recording is no longer listed.
    async fn list_again(&self, recording: &Recording) -> Result<Option<Option<Recording>>, SourceError> {
        let by_end = self.owners == Owners::Account;
        let Some(moment) = (if by_end { recording.ended_at } else { recording.started_at }) else { return Ok(None) };
        let moved = |by: SignedDuration| moment.checked_add(by).unwrap_or(moment);
        let window = TimeWindow { since: moved(-AROUND_A_RECORDING), until: moved(AROUND_A_RECORDING) };
        for owner in self.owners.names() {
            let (found, mut pages) = mpsc::channel(1);
            let listing = Listing::new(&self.client, owner, self.page_size, found).run(window);
            let search = async {
                let mut same = None;
                while let Some(page) = pages.recv().await {
                    same = same.or_else(|| page.into_iter().find(|listed| listed.id == recording.id));
                }
                same
            };
            let (listed, same) = tokio::join!(listing, search);
            listed?;
            if same.is_some() {
                return Ok(Some(same));
            }
        }
        Ok(Some(None))
    }

    /// Zoom knows no file under `address`: its address may have changed, or it is gone.
    async fn fetch_listed_again(
        &self,
        recording: &Recording,
        destination: &Path,
        missing: ZoomError,
    ) -> Result<FetchedAudio, Failure> {
        match self.list_again(recording).await {
            Ok(Some(Some(Recording { audio: AudioLocation::Download(address), .. }))) => {
                self.download(&address, destination).await.map_err(|error| failure::of_download(&error))
            }
            // An event may come before the recording is listed.
            Ok(Some(_)) if is_young(recording, Timestamp::now()) => Err(failure::of_not_yet_listed(&missing)),
            Ok(Some(_)) => Err(failure::of_deleted(&missing)),
            Ok(None) | Err(_) => Err(failure::of_download(&missing)),
        }
    }
}

/// Whether the call ended so lately that Zoom may not list its recording yet.
fn is_young(recording: &Recording, now: Timestamp) -> bool {
    let ended = recording.end().or(recording.started_at);
    ended.is_some_and(|ended| now.duration_since(ended) < LISTED_WITHIN)
}

/// The bounds of every request, as configured.
fn retry(config: &ZoomConfig) -> Retry {
    let policy =
        RetryPolicy { attempts: config.request_attempts, elapsed: config.retry_for, not_there: config.not_ready_wait };
    Retry::new(policy, Arc::new(SystemClock), rand::make_rng())
}

#[async_trait]
impl RecordingSource for ZoomSource {
    fn slices(&self, window: Option<TimeWindow>) -> Vec<Slice> {
        self.owners.slices(window, Timestamp::now())
    }

    fn reaches_back_to(&self) -> Option<Timestamp> {
        self.owners.reach_back_to(Timestamp::now())
    }

    async fn list(&self, slice: &Slice, found: mpsc::Sender<Vec<Recording>>) -> Result<Listed, SourceError> {
        let Slice { owner, window: Some(window) } = slice else {
            let explanation = "Zoom lists a month at most".to_owned();
            return Err(SourceError::Misconfigured { explanation });
        };
        let listed = Listing::new(&self.client, owner, self.page_size, found).run(*window).await;
        listed.map_err(|error| self.owners.named(owner, error))
    }

    async fn fetch(&self, recording: &Recording, destination: &Path) -> Result<FetchedAudio, Failure> {
        let AudioLocation::Download(address) = &recording.audio else {
            return Err(Failure::new(Stage::Fetch, Reason::ForbiddenAddress, Treatment::Permanent, "not a download"));
        };
        let fetched = match self.download(address, destination).await {
            Err(error) if error.is_missing_file() => self.fetch_listed_again(recording, destination, error).await,
            outcome => outcome.map_err(|error| failure::of_download(&error)),
        };
        if let Err(failure) = &fetched {
            tracing::debug!(recording_id = %recording.id, reason = %failure.reason, "download failed");
        }
        fetched
    }

    fn call_history(&self) -> Option<&dyn CallHistorySource> {
        self.wants_history.then_some(self as &dyn CallHistorySource)
    }

    fn transcripts(&self) -> Option<&dyn TranscriptSource> {
        self.wants_transcripts.then_some(self as &dyn TranscriptSource)
    }
}
