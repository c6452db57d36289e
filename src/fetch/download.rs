//! One attempt to download one recording.
//!
//! The body is streamed to disk and hashed on the way; it must be complete, audio, and no larger than allowed. What a
//! broken connection left is taken up by the next attempt ([`Partial`]). Redirects are followed by hand: every hop is
//! checked against the download hosts, and the bearer token goes to the origin that was asked first and to nobody else.

use std::io;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{IF_RANGE, LOCATION, RANGE};
use reqwest::{Response, StatusCode};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use super::digest::FileDigest;
use super::partial::Partial;
use super::sniff::Sniffed;
use crate::net::http::refused_address;
use crate::net::{AddressError, Answer, BodyError, BoundedBody, DownloadHosts, HttpClients};

const MAX_REDIRECTS: u32 = 5;

/// Why an attempt brought no audio.
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
    #[error("the download takes too long")]
    TooSlow,
    /// What should be the rest of a file belongs to another one: the next attempt begins anew.
    #[error("the server offers another file than it began with")]
    OtherFile,
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
    limits: DownloadLimits,
}

/// What one attempt at a download may take.
#[derive(Debug, Clone, Copy)]
pub struct DownloadLimits {
    /// Size of the whole file.
    pub bytes: u64,
    /// How long a server may keep silent.
    pub stall: Duration,
    /// From the first request to the last byte.
    pub whole: Duration,
}

impl Downloader {
    #[must_use]
    pub const fn new(clients: HttpClients, hosts: DownloadHosts, limits: DownloadLimits) -> Self {
        Self { clients, hosts, limits }
    }

    /// Fetches `address` into the file `destination` (mode 0600), going on where `partial` ends if the server lets it.
    /// After an error `partial` holds what can still be used; dropping it removes the file.
    ///
    /// # Errors
    /// [`DownloadError`]; none of its texts holds the address.
    pub async fn download(
        &self,
        address: &str,
        bearer: &str,
        destination: &Path,
        partial: &mut Partial,
    ) -> Result<FileDigest, DownloadError> {
        let outcome = self.attempt(address, bearer, destination, partial).await;
        match &outcome {
            Ok(_) | Err(DownloadError::Body(BodyError::Cut { .. } | BodyError::Stalled { .. })) => {}
            Err(DownloadError::TooSlow | DownloadError::Unreachable(_) | DownloadError::NoAnswer) => {}
            Err(DownloadError::Status(_) | DownloadError::FileHostStatus { .. }) => {}
            Err(_) => partial.forget().await?,
        }
        outcome
    }

    /// Fetches a small file at `address` into memory, at most `limit` bytes of it.
    ///
    /// # Errors
    /// As [`Self::download`].
    pub async fn fetch_bytes(&self, address: &str, bearer: &str, limit: u64) -> Result<Vec<u8>, DownloadError> {
        let fetch = async {
            let response = self.follow(address, bearer, None).await?;
            let body = BoundedBody::new(response, limit, self.limits.stall).map_err(DownloadError::Body)?;
            body.collect().await.map_err(DownloadError::Body)
        };
        timeout(self.limits.whole, fetch).await.unwrap_or(Err(DownloadError::TooSlow))
    }

    async fn attempt(
        &self,
        address: &str,
        bearer: &str,
        destination: &Path,
        partial: &mut Partial,
    ) -> Result<FileDigest, DownloadError> {
        // Only the network is waited for with a deadline: what is being written is written to its end.
        let deadline = Instant::now() + self.limits.whole;
        let too_slow = |_elapsed| DownloadError::TooSlow;
        let following = self.follow(address, bearer, partial.can_resume().then_some(&*partial));
        let response = timeout_at(deadline, following).await.map_err(too_slow)??;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            return Err(DownloadError::OtherFile);
        }
        if response.status() == StatusCode::PARTIAL_CONTENT {
            if !partial.is_continued_by(&response) {
                return Err(DownloadError::OtherFile);
            }
            tracing::debug!(bytes = partial.bytes(), "download goes on where it broke off");
        } else {
            partial.begin(&response, destination).await?;
        }
        let body = BoundedBody::after(partial.bytes(), response, self.limits.bytes, self.limits.stall);
        let mut body = body.map_err(DownloadError::Body)?;
        while let Some(chunk) =
            timeout_at(deadline, body.chunk()).await.map_err(too_slow)?.map_err(DownloadError::Body)?
        {
            partial.push(&chunk).await?;
        }
        partial.finish().await
    }

    /// Follows redirects to a response with a body: 200, or 206 and 416 when the rest of `resumed` is asked for.
    async fn follow(&self, address: &str, bearer: &str, resumed: Option<&Partial>) -> Result<Response, DownloadError> {
        let malformed = || DownloadError::Address(AddressError::Malformed);
        let first = Url::parse(address).ok().ok_or_else(malformed)?;
        let mut url = first.clone();
        for hop in 0..=MAX_REDIRECTS {
            let is_first_origin = url.origin() == first.origin();
            let response = self.request(&url, is_first_origin.then_some(bearer), resumed).await?;
            match response.status() {
                StatusCode::OK => return Ok(response),
                StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if resumed.is_some() => {
                    return Ok(response);
                }
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
                    return Err(DownloadError::Status(Box::new(Answer::read_error(response, self.limits.stall).await)));
                }
                status => return Err(DownloadError::FileHostStatus { status: status.as_u16() }),
            }
        }
        Err(DownloadError::TooManyRedirects)
    }

    async fn request(
        &self,
        url: &Url,
        bearer: Option<&str>,
        resumed: Option<&Partial>,
    ) -> Result<Response, DownloadError> {
        let reach = self.hosts.check(url).map_err(DownloadError::Address)?;
        let mut request = self.clients.reaching(reach).get(url.clone());
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        if let Some(partial) = resumed {
            request = request.header(RANGE, format!("bytes={}-", partial.bytes()));
            if let Some(validator) = partial.validator() {
                request = request.header(IF_RANGE, validator);
            }
        }
        match timeout(self.limits.stall, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(match refused_address(&error) {
                Some(refusal) => DownloadError::Address(refusal),
                None => DownloadError::Unreachable(error.without_url()),
            }),
            Err(_elapsed) => Err(DownloadError::NoAnswer),
        }
    }
}
