//! The webhook over real sockets, with a real ledger behind it.

mod answers;
mod faults;
mod kept;
mod sockets;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use transcribe::config::WebhookConfig;
use transcribe::queue::sqlite::{SqliteQueue, SqliteSettings};
use transcribe::queue::{Inbox, Notice, QueueError};
use transcribe::trigger::webhook::{Handle, Limits};
use transcribe::trigger::{Intake, Webhook};

use crate::signed::{request, signature};

const SECRET: &str = "whsec-example-0001";
const PATH: &str = "/webhooks/zoom";
const ID: &str = "0f3a5c7e9b1d4f6a8c0e2d4b6f8a1c3e";
/// Nothing here takes so long, unless it is broken.
const FOREVER: Duration = Duration::from_secs(30);

fn now() -> i64 {
    Timestamp::now().as_second()
}

/// On a free port of 127.0.0.1, with the usual limits.
fn config() -> WebhookConfig {
    WebhookConfig {
        listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        is_asked_for: true,
        path: PATH.to_owned(),
        unix_socket: None,
        unix_socket_mode: 0o600,
        trusted_proxies: Vec::new(),
        max_skew: Duration::from_secs(2 * 3_600),
        max_body: 64 * 1024,
    }
}

/// A listener that answers, and the ledger behind it.
struct Scene {
    _folder: tempfile::TempDir,
    ledger: PathBuf,
    gate: Arc<Gate>,
    address: SocketAddr,
    handle: Handle,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

/// The ledger behind a gate that tests can close.
struct Gate {
    ledger: SqliteQueue,
    /// One permit = open.
    open: Semaphore,
    /// A permit for each group that arrived.
    arrived: Semaphore,
}

#[async_trait]
impl Inbox for Gate {
    async fn receive(&self, notices: Vec<Notice>) -> Result<u64, QueueError> {
        self.arrived.add_permits(1);
        let _passed = self.open.acquire().await;
        self.ledger.receive(notices).await
    }

    async fn received(&self, limit: u32) -> Result<Vec<(i64, Notice)>, QueueError> {
        self.ledger.received(limit).await
    }

    async fn waiting(&self) -> Result<u64, QueueError> {
        self.ledger.waiting().await
    }

    async fn acted_upon(&self, numbers: Vec<i64>) -> Result<(), QueueError> {
        self.ledger.acted_upon(numbers).await
    }
}

fn open(ledger: &std::path::Path) -> SqliteQueue {
    SqliteQueue::open(ledger, SqliteSettings { lease: Duration::from_secs(120), max_attempts: 3 }).unwrap()
}

impl Scene {
    async fn new() -> Self {
        Self::with(config(), Limits::default()).await
    }

    async fn with(config: WebhookConfig, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.sqlite");
        let gate = Gate { ledger: open(&ledger), open: Semaphore::new(1), arrived: Semaphore::new(0) };
        let gate = Arc::new(gate);
        let intake = Intake::start(Arc::clone(&gate) as Arc<dyn Inbox>, |_notices| ());
        let webhook = Webhook::bind_within(limits, &config, SECRET.into(), intake).await.unwrap();
        let address = webhook.address().unwrap();
        let (handle, stop) = (webhook.handle(), CancellationToken::new());
        let serving = tokio::spawn(webhook.serve(stop.clone()));
        Self { _folder: folder, ledger, gate, address, handle, stop, serving }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends these bytes over a connection of their own.
    async fn send(&self, bytes: &[u8]) -> Reply {
        exchange(&mut self.connect().await, bytes).await
    }

    /// Sends an event, signed now.
    async fn tell(&self, event: &Value) -> Reply {
        self.send(&signed(event.to_string().as_bytes())).await
    }

    async fn notices(&self) -> Vec<Notice> {
        self.gate.received(100_000).await.unwrap().into_iter().map(|(_, notice)| notice).collect()
    }

    async fn keys(&self) -> Vec<String> {
        self.notices().await.into_iter().map(|notice| notice.key).collect()
    }

    /// Keeps what arrives from now on out of the ledger, until the result is dropped.
    fn close_gate(&self) -> tokio::sync::SemaphorePermit<'_> {
        self.gate.open.try_acquire().unwrap()
    }

    /// Returns when this many groups have come to the ledger.
    async fn groups_arrived(&self, count: u32) {
        timeout(FOREVER, self.gate.arrived.acquire_many(count)).await.unwrap().unwrap().forget();
    }

    async fn stop(self) {
        self.stop.cancel();
        timeout(FOREVER, self.serving).await.unwrap().unwrap();
    }
}

/// A request that Zoom would send now.
fn signed(body: &[u8]) -> Vec<u8> {
    request(PATH, now(), &signature(SECRET, now(), body), body)
}

fn completed(ids: &[&str]) -> Value {
    event("phone.recording_completed", ids)
}

fn event(name: &str, ids: &[&str]) -> Value {
    let recordings: Vec<Value> = ids.iter().map(|id| json!({"id": id, "caller_name": "山田 太郎"})).collect();
    json!({"event": name, "event_ts": 1_770_000_100_456_i64,
           "payload": {"account_id": "ACCT0example", "object": {"recordings": recordings}}})
}

/// An HTTP answer.
#[derive(Debug, PartialEq, Eq)]
struct Reply {
    status: u16,
    body: String,
}

async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), bytes: &[u8]) -> Reply {
    timeout(FOREVER, stream.write_all(bytes)).await.unwrap().unwrap();
    reply(stream).await.unwrap()
}

/// Reads one answer; `None` when the connection is closed before one.
async fn reply(stream: &mut (impl AsyncRead + Unpin)) -> Option<Reply> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if read_more(stream, &mut bytes).await == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
    let length = head.split_once("content-length: ").unwrap().1.split("\r\n").next().unwrap().parse::<usize>().unwrap();
    while bytes.len() < end + length {
        assert!(read_more(stream, &mut bytes).await > 0, "the body was cut");
    }
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Some(Reply { status, body: String::from_utf8(bytes[end..].to_vec()).unwrap() })
}

/// 0 = the connection is closed, in whatever way.
async fn read_more(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> usize {
    timeout(FOREVER, stream.read_buf(bytes)).await.unwrap().unwrap_or(0)
}
