//! The life of one connection, from its first frame to the reason for which it ends.

use std::time::Duration;

use futures::{FutureExt, SinkExt, StreamExt};
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_util::sync::CancellationToken;

use super::dial::DialError;
use super::frame::Frame;
use super::timings::Timings;
use super::{Gap, Outlets};
use crate::source::zoom::error::ZoomError;

/// What Zoom wants to hear every 30 s.
const HEARTBEAT: &str = r#"{"module":"heartbeat"}"#;

/// The pause before an event is brought to the ledger again.
const KEEP_AGAIN: Duration = Duration::from_secs(1);
/// Frames that are read at most when the token is old and a new connection is due.
const LEFT: usize = 1_024;

/// Why a connection is over, or was never there.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the service stops")]
    Stopped,
    #[error("the token nears its end")]
    TokenOld,
    #[error("no token could be had")]
    NoToken(#[source] ZoomError),
    #[error("no connection could be made")]
    NoConnection(#[source] DialError),
    #[error("no answer to the connection came in time")]
    NoAnswer,
    #[error("Zoom does not take the token")]
    TokenRefused,
    #[error("Zoom fell silent")]
    Silent,
    #[error("Zoom closed the connection{}", .code.map(|code| format!(" with code {code}")).unwrap_or_default())]
    Closed { code: Option<u16> },
    #[error("the connection broke")]
    Broken(#[source] SocketError),
    #[error("an event could not be kept")]
    NotKept,
}

impl Ended {
    /// A word for the counters.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::TokenOld => "token_old",
            Self::NoToken(_) => "no_token",
            Self::NoConnection(_) => "no_connection",
            Self::NoAnswer => "no_answer",
            Self::TokenRefused => "token_refused",
            Self::Silent => "silent",
            Self::Closed { .. } => "closed",
            Self::Broken(_) => "broken",
            Self::NotKept => "not_kept",
        }
    }
}

/// A connection whose handshake is done.
pub(super) struct Connection<'a, S> {
    pub(super) socket: WebSocketStream<S>,
    pub(super) timings: &'a Timings,
    pub(super) outlets: &'a Outlets,
    /// When the token is too old for this connection to go on.
    pub(super) renew_at: Instant,
    pub(super) stop: &'a CancellationToken,
    /// When the last frame came of which nothing is missing, of this connection or of one before.
    pub(super) last_frame: &'a mut Option<Timestamp>,
    /// Since when events come; `None` until Zoom has said so.
    pub(super) opened_at: &'a mut Option<Instant>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    /// Listens until the connection is over, and says goodbye. `opened` is called when events begin to come.
    pub(super) async fn listen(mut self, opened: impl Fn()) -> Ended {
        let ended = self.listen_on(&opened).await;
        if !matches!(timeout(self.timings.goodbye, self.socket.close(None)).await, Ok(Ok(()))) {
            tracing::debug!("the WebSocket ends without a goodbye");
        }
        ended
    }

    async fn listen_on(&mut self, opened: &impl Fn()) -> Ended {
        let Timings { heartbeat, silence, answer, .. } = *self.timings;
        let began = Instant::now();
        let mut heard_at = began;
        let mut heartbeats = interval_at(began + heartbeat, heartbeat);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let silent_at = heard_at + silence;
            let is_waiting = self.opened_at.is_none();
            // What has come is read before silence is declared: keeping an event may have taken long.
            let message = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ended::Stopped,
                () = sleep_until(self.renew_at) => return self.hear_what_is_left(opened).await,
                () = sleep_until(began + answer), if is_waiting => return Ended::NoAnswer,
                _ = heartbeats.tick() => None,
                message = self.socket.next() => Some(message),
                () = sleep_until(silent_at) => return Ended::Silent,
            };
            let outcome = match message {
                None => match timeout(silence, self.socket.send(Message::text(HEARTBEAT))).await {
                    Ok(sent) => sent.map_err(Ended::Broken),
                    Err(_elapsed) => Err(Ended::Silent),
                },
                Some(message) => {
                    heard_at = Instant::now();
                    self.hear(message, opened).await
                }
            };
            if let Err(ended) = outcome {
                return ended;
            }
        }
    }

    /// Reads what has come already, since nobody sends it again.
    async fn hear_what_is_left(&mut self, opened: &impl Fn()) -> Ended {
        for _ in 0..LEFT {
            let Some(message) = self.socket.next().now_or_never() else { break };
            if let Err(ended) = self.hear(message, opened).await {
                return ended;
            }
        }
        Ended::TokenOld
    }

    async fn hear(&mut self, message: Option<Result<Message, SocketError>>, opened: &impl Fn()) -> Result<(), Ended> {
        let received_at = Timestamp::now();
        match message {
            None => return Err(Ended::Closed { code: None }),
            Some(Err(error)) => return Err(Ended::Broken(error)),
            Some(Ok(Message::Close(farewell))) => {
                return Err(Ended::Closed { code: farewell.map(|farewell| farewell.code.into()) });
            }
            Some(Ok(Message::Text(text))) => self.take(Frame::read(text.as_bytes()), received_at, opened).await?,
            Some(Ok(Message::Binary(bytes))) => self.take(Frame::read(&bytes), received_at, opened).await?,
            // The library answers pings.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
        }
        if self.opened_at.is_some() {
            *self.last_frame = Some(received_at);
        }
        Ok(())
    }

    async fn take(&mut self, frame: Frame, received_at: Timestamp, opened: &impl Fn()) -> Result<(), Ended> {
        metrics::counter!("transcribe_websocket_frames_total", "kind" => frame.kind()).increment(1);
        match frame {
            Frame::Opened if self.opened_at.is_none() => {
                *self.opened_at = Some(Instant::now());
                opened();
                (self.outlets.gap)(Gap { since: *self.last_frame });
                Ok(())
            }
            Frame::Refused => Err(Ended::TokenRefused),
            Frame::Event(event) => self.keep(&event, received_at).await,
            Frame::Opened | Frame::Heartbeat => Ok(()),
            Frame::UnknownModule | Frame::Garbage => {
                tracing::debug!(kind = frame.kind(), "a frame of the WebSocket is ignored");
                Ok(())
            }
        }
    }

    /// Zoom never sends an event again over a WebSocket: one that is not kept is a gap. So it is tried again for as
    /// long as Zoom would wait, or for a moment when the service stops.
    async fn keep(&self, event: &[u8], received_at: Timestamp) -> Result<(), Ended> {
        let notices = (self.outlets.read)(event, received_at);
        let keeping = async {
            while self.outlets.intake.keep(notices.clone()).await.is_err() {
                sleep(KEEP_AGAIN).await;
            }
        };
        let stopped = async {
            self.stop.cancelled().await;
            sleep(self.timings.goodbye).await;
        };
        tokio::select! {
            biased;
            () = keeping => Ok(()),
            () = stopped => Err(Ended::NotKept),
            () = sleep(self.timings.silence) => Err(Ended::NotKept),
        }
    }
}
