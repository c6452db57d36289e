//! The other end of the stream: another process that wants to know who is calling.

use std::io;
use std::path::{Path, PathBuf};

use futures::StreamExt;
use futures::stream::BoxStream;
use serde::Deserialize;
use tokio::net::UnixStream;

use super::live::LiveCall;
use super::stream::socket_of;

/// The longest line that is read, in bytes. An event has a few thousand.
const LONGEST_LINE: usize = 1 << 20;

/// What the stream said.
#[derive(Debug)]
pub enum Heard {
    /// An event of a call.
    Call(Box<LiveCall>),
    /// So many events were not told, because they were not read in time.
    Missed(u64),
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    #[error(
        "no `transcribe serve` answers at {}; start it with `transcribe serve` and the same paths.state_dir",
        path.display()
    )]
    NotRunning { path: PathBuf },
    #[error("the socket {} cannot be used", path.display())]
    Socket {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the service did not give its stream of events (status {status}): too many follow it")]
    Refused { status: u16 },
    #[error("the connection to the service broke off")]
    Broken(#[source] reqwest::Error),
    #[error("the service said something that this version does not understand")]
    NotUnderstood,
}

#[derive(Deserialize)]
struct Missed {
    missed: u64,
}

/// A connection to a running service.
pub struct Follower {
    bytes: BoxStream<'static, Result<bytes::Bytes, reqwest::Error>>,
    unread: Vec<u8>,
    event: String,
    data: String,
}

impl Follower {
    /// Connects to the service with this state folder. Everything that happens from then on is heard.
    ///
    /// # Errors
    /// [`FollowError::NotRunning`] when no service is there.
    pub async fn connect(state_dir: &Path) -> Result<Self, FollowError> {
        let path = socket_of(state_dir);
        if let Err(source) = UnixStream::connect(&path).await {
            use io::ErrorKind::{ConnectionRefused, NotFound};
            return Err(match source.kind() {
                NotFound | ConnectionRefused => FollowError::NotRunning { path },
                _ => FollowError::Socket { path, source },
            });
        }
        let client = reqwest::Client::builder().unix_socket(path).no_proxy().build().map_err(FollowError::Broken)?;
        let answer = client.get("http://localhost/events").send().await.map_err(FollowError::Broken)?;
        if !answer.status().is_success() {
            return Err(FollowError::Refused { status: answer.status().as_u16() });
        }
        let bytes = answer.bytes_stream().boxed();
        Ok(Self { bytes, unread: Vec::new(), event: String::new(), data: String::new() })
    }

    /// What comes next; `None` when the service has ended. Nothing is lost when this is dropped.
    ///
    /// # Errors
    /// [`FollowError::Broken`] when the service ended without a word.
    pub async fn next(&mut self) -> Result<Option<Heard>, FollowError> {
        loop {
            while let Some(line) = self.line()? {
                if let Some(heard) = self.take(&line)? {
                    return Ok(Some(heard));
                }
            }
            match self.bytes.next().await {
                Some(bytes) => self.unread.extend_from_slice(&bytes.map_err(FollowError::Broken)?),
                None => return Ok(None),
            }
        }
    }

    /// The next whole line.
    fn line(&mut self) -> Result<Option<String>, FollowError> {
        let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') else {
            let is_endless = self.unread.len() > LONGEST_LINE;
            return if is_endless { Err(FollowError::NotUnderstood) } else { Ok(None) };
        };
        let line: Vec<u8> = self.unread.drain(..=end).collect();
        let line = String::from_utf8(line).map_err(|_not_utf8| FollowError::NotUnderstood)?;
        Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// Takes a line of the stream; an empty one completes an event. Comments and unknown events are passed over.
    fn take(&mut self, line: &str) -> Result<Option<Heard>, FollowError> {
        if !line.is_empty() {
            match line.split_once(':') {
                Some(("event", value)) => value.trim_start().clone_into(&mut self.event),
                Some(("data", value)) => self.data.push_str(value.strip_prefix(' ').unwrap_or(value)),
                _ => {}
            }
            return Ok(None);
        }
        let (event, data) = (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
        let not_understood = |_parse: serde_json::Error| FollowError::NotUnderstood;
        match event.as_str() {
            "call" => Ok(Some(Heard::Call(serde_json::from_str(&data).map_err(not_understood)?))),
            "missed" => {
                let Missed { missed } = serde_json::from_str(&data).map_err(not_understood)?;
                Ok(Some(Heard::Missed(missed)))
            }
            _ => Ok(None),
        }
    }
}
