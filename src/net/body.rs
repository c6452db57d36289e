//! Reading a response body that may lie about its length, never end, or arrive one byte at a time.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::HeaderMap;
use tokio::time::{Instant, timeout_at};

/// Less than this within the stall time counts as no progress, unless the body ends.
const LEAST_PROGRESS: u64 = 16 * 1024;

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    #[error("the body stopped coming after {got} bytes")]
    Stalled { got: u64 },
    #[error("the body was cut after {got} bytes")]
    Cut {
        got: u64,
        /// The announced length, where there was one.
        expected: Option<u64>,
        #[source]
        source: Option<reqwest::Error>,
    },
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: u64 },
}

/// A body that is read chunk by chunk within limits.
#[derive(Debug)]
pub struct BoundedBody {
    response: Response,
    expected: Option<u64>,
    got: u64,
    limit: u64,
    stall: Duration,
    deadline: Instant,
    got_at_deadline: u64,
}

impl BoundedBody {
    /// Reads at most `limit` bytes of `response`, of which some must arrive in every `stall`.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] when the announced length already is.
    pub fn new(response: Response, limit: u64, stall: Duration) -> Result<Self, BodyError> {
        Self::after(0, response, limit, stall)
    }

    /// As [`Self::new`] for the rest of a body of which `already` bytes came with an earlier response: lengths and
    /// the limit count the whole body.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn after(already: u64, response: Response, limit: u64, stall: Duration) -> Result<Self, BodyError> {
        let expected = response.content_length().map(|rest| rest.saturating_add(already));
        if expected.is_some_and(|expected| expected > limit) {
            return Err(BodyError::TooLarge { limit });
        }
        let deadline = Instant::now() + stall;
        Ok(Self { response, expected, got: already, limit, stall, deadline, got_at_deadline: already })
    }

    /// The next piece, or `None` at a proper end. Not to be called again after an error.
    ///
    /// # Errors
    /// [`BodyError`] when it stalls, is cut, or grows past the limit.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        let Ok(answer) = timeout_at(self.deadline, self.response.chunk()).await else {
            return Err(BodyError::Stalled { got: self.got });
        };
        let (got, expected) = (self.got, self.expected);
        let cut = |source| BodyError::Cut { got, expected, source };
        let Some(chunk) = answer.map_err(|error| cut(Some(error.without_url())))? else {
            return if expected.is_some_and(|expected| expected != got) { Err(cut(None)) } else { Ok(None) };
        };
        self.got = got.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if self.got > self.limit {
            return Err(BodyError::TooLarge { limit: self.limit });
        }
        if self.got - self.got_at_deadline >= LEAST_PROGRESS {
            self.deadline = Instant::now() + self.stall;
            self.got_at_deadline = self.got;
        }
        Ok(Some(chunk))
    }

    /// The whole rest in memory: only for small limits.
    ///
    /// # Errors
    /// As [`Self::chunk`].
    pub async fn collect(mut self) -> Result<Vec<u8>, BodyError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// A complete answer in memory.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// How much of an error's body is read.
const ERROR_BODY_BYTES: u64 = 64 * 1024;

impl Answer {
    /// Reads the beginning of an error answer. Its status is what counts: a body that is too long, stalls or is cut
    /// is taken as far as it came.
    pub async fn read_error(response: Response, stall: Duration) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut beginning = Vec::new();
        if let Ok(mut body) = BoundedBody::new(response, ERROR_BODY_BYTES, stall) {
            while let Ok(Some(chunk)) = body.chunk().await {
                beginning.extend_from_slice(&chunk);
            }
        }
        Self { status, headers, body: beginning }
    }

    /// Reads the whole of `response` into memory, at most `limit` bytes.
    ///
    /// # Errors
    /// As [`BoundedBody`].
    pub async fn read(response: Response, limit: u64, stall: Duration) -> Result<Self, BodyError> {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = BoundedBody::new(response, limit, stall)?.collect().await?;
        Ok(Self { status, headers, body })
    }

    /// A header as text, where it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
