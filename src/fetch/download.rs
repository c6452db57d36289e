//! One attempt to download one recording.
//!
//! The body is streamed to disk and hashed on the way; it must be complete, audio, and no larger than allowed, or
//! nothing stays on the disk. Redirects are followed by hand: every hop is checked against the download hosts, and the
//! bearer token goes to the origin that was asked first and to nobody else.

use std::io;
use std::path::Path;
use std::time::Duration;

use reqwest::header::LOCATION;
use reqwest::{Response, StatusCode};
use url::Url;

use super::digest::{FileDigest, RunningDigest};
use super::sniff::{SNIFF_BYTES, Sniffed, sniff};
use super::spool::SpoolFile;
use crate::net::http::refused_address;
use crate::net::{AddressError, Answer, BodyError, BoundedBody, DownloadHosts, HttpClients};

const MAX_REDIRECTS: u32 = 5;

/// Why an attempt brought no audio. Nothing is left at the destination.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    #[error("the address, or one it redirects to, may not be fetched from")]
    Address(#[source] AddressError),
    #[error("more than {MAX_REDIRECTS} redirects")]
    TooManyRedirects,
    /// The server that was asked first answered with an error status.
    #[error("the server answered with status {}", .0.status)]
    Status(Box<Answer>),
    /// A server that the download was redirected to answered with an error status.
    #[error("the file host answered with status {status}")]
    FileHostStatus { status: u16 },
    #[error("the server cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("the server did not answer in time")]
    NoAnswer,
    #[error("the body could not be read")]
    Body(#[source] BodyError),
    #[error("the body is empty")]
    Empty,
    #[error("the body is {}", .0.as_str())]
    NotAudio(Sniffed),
    #[error("the download could not be written")]
    Disk(#[source] io::Error),
}

/// Downloads audio from the hosts that are allowed.
#[derive(Debug)]
pub struct Downloader {
    clients: HttpClients,
    hosts: DownloadHosts,
    max_bytes: u64,
    stall: Duration,
}

impl Downloader {
    /// Accepts bodies of at most `max_bytes`; `stall` is how long a server may keep silent.
    #[must_use]
    pub const fn new(clients: HttpClients, hosts: DownloadHosts, max_bytes: u64, stall: Duration) -> Self {
        Self { clients, hosts, max_bytes, stall }
    }

    /// Fetches `address` into the file `destination` (mode 0600). Dropping the future removes what was written.
    ///
    /// # Errors
    /// [`DownloadError`]; none of its texts holds the address.
    pub async fn download(&self, address: &str, bearer: &str, destination: &Path) -> Result<FileDigest, DownloadError> {
        let response = self.follow(address, bearer).await?;
        let body = BoundedBody::new(response, self.max_bytes, self.stall).map_err(DownloadError::Body)?;
        store(body, destination).await
    }

    /// Fetches a small file at `address` into memory, at most `limit` bytes of it.
    ///
    /// # Errors
    /// As [`Self::download`].
    pub async fn fetch_bytes(&self, address: &str, bearer: &str, limit: u64) -> Result<Vec<u8>, DownloadError> {
        let response = self.follow(address, bearer).await?;
        let body = BoundedBody::new(response, limit, self.stall).map_err(DownloadError::Body)?;
        body.collect().await.map_err(DownloadError::Body)
    }

    /// Follows redirects to a response of status 200.
    async fn follow(&self, address: &str, bearer: &str) -> Result<Response, DownloadError> {
        let malformed = || DownloadError::Address(AddressError::Malformed);
        let first = Url::parse(address).ok().ok_or_else(malformed)?;
        let mut url = first.clone();
        for hop in 0..=MAX_REDIRECTS {
            let is_first_origin = url.origin() == first.origin();
            let response = self.request(&url, is_first_origin.then_some(bearer)).await?;
            match response.status() {
                StatusCode::OK => return Ok(response),
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => {
                    let target = response.headers().get(LOCATION).and_then(|target| target.to_str().ok());
                    url = target.and_then(|target| url.join(target).ok()).ok_or_else(malformed)?;
                    tracing::debug!(hop, same_origin = url.origin() == first.origin(), "download was redirected");
                }
                _ if is_first_origin => {
                    return Err(DownloadError::Status(Box::new(Answer::read_error(response, self.stall).await)));
                }
                status => return Err(DownloadError::FileHostStatus { status: status.as_u16() }),
            }
        }
        Err(DownloadError::TooManyRedirects)
    }

    async fn request(&self, url: &Url, bearer: Option<&str>) -> Result<Response, DownloadError> {
        let reach = self.hosts.check(url).map_err(DownloadError::Address)?;
        let mut request = self.clients.reaching(reach).get(url.clone());
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        match tokio::time::timeout(self.stall, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(match refused_address(&error) {
                Some(refusal) => DownloadError::Address(refusal),
                None => DownloadError::Unreachable(error.without_url()),
            }),
            Err(_elapsed) => Err(DownloadError::NoAnswer),
        }
    }
}

/// Writes the body to disk, judging its first bytes as soon as there are enough of them.
async fn store(mut body: BoundedBody, destination: &Path) -> Result<FileDigest, DownloadError> {
    let mut file = SpoolFile::create(destination).await.map_err(DownloadError::Disk)?;
    let mut digest = RunningDigest::default();
    let mut prefix = Vec::new();
    let mut is_judged = false;
    while let Some(chunk) = body.chunk().await.map_err(DownloadError::Body)? {
        digest.update(&chunk);
        file.write(&chunk).await.map_err(DownloadError::Disk)?;
        if !is_judged {
            prefix.extend_from_slice(chunk.get(..SNIFF_BYTES - prefix.len()).unwrap_or(&chunk));
            if prefix.len() >= SNIFF_BYTES {
                require_audio(&prefix)?;
                is_judged = true;
                prefix = Vec::new();
            }
        }
    }
    if !is_judged {
        require_audio(&prefix)?;
    }
    file.finish().await.map_err(DownloadError::Disk)?;
    Ok(digest.finish())
}

fn require_audio(prefix: &[u8]) -> Result<(), DownloadError> {
    match sniff(prefix) {
        Sniffed::Empty => Err(DownloadError::Empty),
        audio if audio.is_supported_audio() => Ok(()),
        other => Err(DownloadError::NotAudio(other)),
    }
}
