//! The WebSocket that Zoom's events come over: a real server, each of whose connections ([`Line`]) a test drives.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};
use url::form_urlencoded;

/// Whatever a client is waited for, it comes within this time or never.
const WITHIN: Duration = Duration::from_secs(30);
/// Connections that nobody has taken up yet.
const WAITING: usize = 64;

/// A handshake as it arrived, accepted or not.
type Query = BTreeMap<String, String>;

#[derive(Default)]
struct Changing {
    /// Statuses that the next handshakes are answered with.
    refusals: VecDeque<u16>,
    queries: Vec<Query>,
}

/// A running server; it stops when it is dropped.
pub(crate) struct EventServer {
    address: SocketAddr,
    changing: Arc<Mutex<Changing>>,
    lines: mpsc::Receiver<Line>,
    task: JoinHandle<()>,
}

impl Drop for EventServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl EventServer {
    /// Listens on a free port of 127.0.0.1.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("127.0.0.1 has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let changing = Arc::<Mutex<Changing>>::default();
        let (accepted, lines) = mpsc::channel(WAITING);
        let task = tokio::spawn(accept(listener, Arc::clone(&changing), accepted));
        Self { address, changing, lines, task }
    }

    /// What stands in `trigger.websocket.url`.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/ws?subscriptionId=demo-subscription", self.address)
    }

    /// Answers one more of the coming handshakes with this status; the body repeats what was asked for.
    pub(crate) fn refuse_handshake(&self, status: u16) {
        self.changing().refusals.push_back(status);
    }

    /// The tokens of all handshakes so far, in order of arrival.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.changing().queries.iter().map(|query| query.get("access_token").cloned().unwrap_or_default()).collect()
    }

    /// The next connection whose handshake was accepted.
    pub(crate) async fn next(&mut self) -> Line {
        timeout(WITHIN, self.lines.recv()).await.expect("a client connects").expect("the server runs")
    }

    fn changing(&self) -> std::sync::MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::result_large_err, reason = "it is the library's own answer to a handshake")]
async fn accept(listener: TcpListener, changing: Arc<Mutex<Changing>>, accepted: mpsc::Sender<Line>) {
    while let Ok((stream, _)) = listener.accept().await {
        let mut query = Query::new();
        let callback = |request: &Request, response: Response| {
            query = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
            let mut changing = changing.lock().unwrap_or_else(PoisonError::into_inner);
            changing.queries.push(query.clone());
            let Some(status) = changing.refusals.pop_front() else { return Ok(response) };
            let mut refusal = ErrorResponse::new(Some(format!("you asked for {}", request.uri())));
            *refusal.status_mut() = status.try_into().expect("a status");
            Err(refusal)
        };
        if let Ok(socket) = tokio_tungstenite::accept_hdr_async(stream, callback).await
            && accepted.send(Line { socket, query }).await.is_err()
        {
            return;
        }
    }
}

/// One connection, from the server's side.
pub(crate) struct Line {
    socket: WebSocketStream<TcpStream>,
    query: Query,
}

impl Line {
    /// What the client's address said, such as `subscriptionId` and `access_token`.
    pub(crate) fn asked(&self, key: &str) -> &str {
        self.query.get(key).map_or("", String::as_str)
    }

    /// Says that events come from now on.
    pub(crate) async fn open(&mut self) {
        self.say(&json!({"module": "build_connection", "success": true, "content": "connected"})).await;
    }

    /// Says that the token does not count.
    pub(crate) async fn refuse_token(&mut self) {
        self.say(&json!({"module": "build_connection", "success": false, "content": "Token is invalid"})).await;
    }

    /// Brings an event as Zoom does: a string of JSON in an envelope.
    pub(crate) async fn bring(&mut self, event: &Value) {
        self.say(&json!({"module": "message", "content": event.to_string()})).await;
    }

    pub(crate) async fn say(&mut self, frame: &Value) {
        self.send(Message::text(frame.to_string())).await;
    }

    pub(crate) async fn send(&mut self, message: Message) {
        self.socket.send(message).await.expect("the client is there");
    }

    /// Sends what the client may refuse to read, and says whether it went out whole.
    pub(crate) async fn try_send(&mut self, message: Message) -> bool {
        self.socket.send(message).await.is_ok()
    }

    /// The next frame that the client sends of itself, as text.
    pub(crate) async fn hear(&mut self) -> String {
        match self.next().await {
            Some(Message::Text(text)) => text.as_str().to_owned(),
            other => panic!("the client sent {other:?}"),
        }
    }

    /// Waits for a heartbeat and answers it.
    pub(crate) async fn beat(&mut self) {
        assert_eq!(self.hear().await, r#"{"module":"heartbeat"}"#);
        self.say(&json!({"module": "heartbeat", "success": true})).await;
    }

    /// Pings, and waits for the pong that belongs to it.
    pub(crate) async fn ping(&mut self) {
        self.send(Message::Ping(Bytes::from_static(b"are you there"))).await;
        loop {
            match self.next().await {
                Some(Message::Pong(pong)) => return assert_eq!(pong, "are you there"),
                Some(Message::Text(_)) => {}
                other => panic!("the client sent {other:?}"),
            }
        }
    }

    /// Waits until the client has ended the connection, whatever else it says before.
    pub(crate) async fn gone(mut self) {
        while let Some(message) = self.next().await {
            if message.is_close() {
                return;
            }
        }
    }

    /// Ends the connection with a code.
    pub(crate) async fn close(mut self, code: u16) {
        let farewell = CloseFrame { code: code.into(), reason: "as scripted".into() };
        self.send(Message::Close(Some(farewell))).await;
        self.gone().await;
    }

    /// Ends TCP in the middle of a frame.
    pub(crate) async fn cut(self) {
        let mut stream = self.socket.into_inner();
        // A final text frame of 256 bytes, of which one comes.
        stream.write_all(&[0x81, 0x7e, 0x01, 0x00, b'{']).await.expect("the client is there");
        stream.flush().await.expect("the client is there");
    }

    async fn next(&mut self) -> Option<Message> {
        let next = timeout(WITHIN, self.socket.next()).await.expect("the client does something");
        next.and_then(Result::ok)
    }
}
