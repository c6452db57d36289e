//! Zoom's events without a public address: this program connects to Zoom and stays connected.
//!
//! One process per subscription listens ([`turn`]). A connection is opened with a token in its address ([`dial`]), is
//! good when Zoom says `build_connection`, and lives by a heartbeat every 30 s ([`connection`](self), [`frame`]). It
//! ends when it breaks, falls silent, or its token nears the end; then the next is made, after a pause that grows with
//! every failure ([`backoff`]).
//!
//! Zoom does not send again what came while nobody listened. So every connection that opens is told to the service as a
//! [`Gap`], and a sweep over it finds what is missing. An event that cannot be kept is a gap, too.

pub mod backoff;
mod connection;
#[cfg(test)]
mod connection_tests;
pub mod dial;
pub mod frame;
pub mod timings;
pub mod turn;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rand::rngs::SmallRng;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::backoff::Backoff;
use self::connection::{Connection, Ended};
use self::dial::{DialError, Dialer};
use self::turn::Turn;
use super::Intake;
use crate::config::WebsocketConfig;
use crate::net::{Classify, Redacted, Verdict};
use crate::queue::Notice;
use crate::source::zoom::auth::{AccessToken, Authenticator};
use crate::source::zoom::error::ZoomError;

pub use self::timings::Timings;

/// The WebSocket cannot be used as configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebSocketError {
    #[error(
        "Zoom opens a WebSocket only to an app of the account: with zoom.mode = \"user\" set trigger.websocket.enabled \
         = false"
    )]
    UserMode,
    #[error(
        "trigger.websocket.url has no subscriptionId: copy the whole address from the app's event subscription page"
    )]
    NoSubscription,
    #[error("cannot set up TLS; are the CA certificates of this system installed?")]
    Tls(#[source] rustls::Error),
    #[error("cannot use {}", path.display())]
    Lock {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Events may be missing: nobody listened for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// When the last frame came before; whatever was told until then is kept. `None` = this is the first connection.
    pub since: Option<Timestamp>,
}

/// What the client is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Another process of this machine listens, or `run` was not called yet.
    Standby,
    /// There is no connection; one is being made, or waited for.
    Connecting,
    /// Events come.
    Connected,
}

/// Reads an event, as JSON that was received then, into what it tells; nothing = it does not concern this program.
pub type Read = dyn Fn(&[u8], Timestamp) -> Vec<Notice> + Send + Sync;
/// Is told of gaps. Must not block.
pub type OnGap = dyn Fn(Gap) + Send + Sync;

/// Where everything goes that comes in.
pub struct Outlets {
    pub intake: Intake,
    pub read: Box<Read>,
    /// Called whenever a connection has opened.
    pub gap: Box<OnGap>,
}

impl fmt::Debug for Outlets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlets").finish_non_exhaustive()
    }
}

/// Listens to Zoom's events over a WebSocket.
#[derive(Debug)]
pub struct WebSocketClient {
    dialer: Dialer,
    auth: Arc<Authenticator>,
    turn: Turn,
    outlets: Outlets,
    timings: Timings,
    random: SmallRng,
    state: watch::Sender<State>,
}

impl WebSocketClient {
    /// Makes the client; contacts nobody yet. `auth` is what signs the account's requests, `random` draws the jitter.
    /// Blocking, for one file in `state_dir`.
    ///
    /// # Errors
    /// [`WebSocketError`] names what cannot be used.
    pub fn new(
        config: &WebsocketConfig,
        state_dir: &Path,
        auth: &Arc<Authenticator>,
        outlets: Outlets,
        random: SmallRng,
    ) -> Result<Self, WebSocketError> {
        let auth = auth.for_websocket(config.grant).ok_or(WebSocketError::UserMode)?;
        let subscription = config.url.query_pairs().find(|(key, id)| key == "subscriptionId" && !id.is_empty());
        let (_, subscription) = subscription.ok_or(WebSocketError::NoSubscription)?;
        let turn = Turn::open(state_dir, &subscription);
        let turn = turn.map_err(|(path, source)| WebSocketError::Lock { path, source })?;
        let dialer = Dialer::new(config.url.clone()).map_err(WebSocketError::Tls)?;
        let state = watch::Sender::new(State::Standby);
        Ok(Self { dialer, auth, turn, outlets, timings: Timings::default(), random, state })
    }

    /// Waits other times than Zoom asks for.
    #[must_use]
    pub const fn with_timings(mut self, timings: Timings) -> Self {
        self.timings = timings;
        self
    }

    /// What the client is doing, now and from now on.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Stays connected until `stop`; waits for its turn before that. Nothing ends it but `stop`: what a person must
    /// mend is logged and tried again every few minutes.
    pub async fn run(self, stop: CancellationToken) {
        let Self { dialer, auth, turn, outlets, timings, random, state } = self;
        let Some(_held) = turn.wait(&timings, &stop).await else { return };
        let backoff = Backoff::new(&timings, random);
        let listener =
            Listener { dialer, auth, outlets, timings, state, stop, refused: None, last_frame: None, opened_at: None };
        Box::pin(listener.run(backoff)).await;
    }
}

/// The client when it has its turn.
struct Listener {
    dialer: Dialer,
    auth: Arc<Authenticator>,
    outlets: Outlets,
    timings: Timings,
    state: watch::Sender<State>,
    stop: CancellationToken,
    /// The last token that Zoom did not take.
    refused: Option<Arc<AccessToken>>,
    last_frame: Option<Timestamp>,
    opened_at: Option<Instant>,
}

impl Listener {
    async fn run(mut self, mut backoff: Backoff) {
        let mut last_trouble = "";
        self.state.send_replace(State::Connecting);
        loop {
            self.opened_at = None;
            let ended = self.connect_and_listen().await;
            metrics::gauge!("transcribe_websocket_connected").set(0.0);
            metrics::counter!("transcribe_websocket_ended_total", "reason" => ended.word()).increment(1);
            if self.stop.is_cancelled() {
                break;
            }
            let lived = self.opened_at.map(|opened_at| opened_at.elapsed());
            if lived.is_some() {
                last_trouble = "";
            }
            self.tell(&ended, last_trouble);
            last_trouble = ended.word();
            let pause = self.pause(&ended, lived, &mut backoff);
            tracing::debug!(reason = ended.word(), pause_ms = pause.as_millis(), "the next WebSocket after a pause");
            self.state.send_replace(State::Connecting);
            self.stop.run_until_cancelled(sleep(pause)).await;
        }
        self.state.send_replace(State::Standby);
    }

    async fn connect_and_listen(&mut self) -> Ended {
        let stop = self.stop.clone();
        let connecting = stop.run_until_cancelled(self.connect());
        let (token, socket) = match Box::pin(connecting).await {
            None => return Ended::Stopped,
            Some(Err(ended)) => return ended,
            Some(Ok(connected)) => connected,
        };
        let connection = Connection {
            socket,
            timings: &self.timings,
            outlets: &self.outlets,
            renew_at: token.usable_until().min(token.asked_at() + self.timings.token_age),
            stop: &self.stop,
            last_frame: &mut self.last_frame,
            opened_at: &mut self.opened_at,
        };
        let (state, at) = (&self.state, Redacted(self.dialer.url()));
        let opened = || {
            state.send_replace(State::Connected);
            metrics::gauge!("transcribe_websocket_connected").set(1.0);
            tracing::info!(%at, "Zoom's events come over the WebSocket");
        };
        let ended = connection.listen(opened).await;
        if matches!(ended, Ended::TokenRefused) {
            self.refused = Some(token);
        }
        ended
    }

    async fn connect(&mut self) -> Result<(Arc<AccessToken>, dial::Socket), Ended> {
        let token = self.token().await.map_err(Ended::NoToken)?;
        let Timings { answer, per_address, .. } = self.timings;
        match timeout(answer, self.dialer.dial(&token, per_address)).await {
            Ok(Ok(socket)) => Ok((token, socket)),
            Ok(Err(DialError::Status { status: 401 | 403 })) => {
                self.refused = Some(token);
                Err(Ended::TokenRefused)
            }
            Ok(Err(error)) => Err(Ended::NoConnection(error)),
            Err(_elapsed) => Err(Ended::NoAnswer),
        }
    }

    /// A token that Zoom has not refused and that is young enough.
    async fn token(&self) -> Result<Arc<AccessToken>, ZoomError> {
        let token = match &self.refused {
            Some(refused) => self.auth.renew(refused).await?,
            None => self.auth.token().await?,
        };
        if token.asked_at().elapsed() < self.timings.token_age { Ok(token) } else { self.auth.renew(&token).await }
    }

    /// The wait before the next connection.
    fn pause(&self, ended: &Ended, lived: Option<Duration>, backoff: &mut Backoff) -> Duration {
        // A token that came to its end is no failure, unless every token does so at once.
        if matches!(ended, Ended::TokenOld) && lived.is_some_and(|lived| lived >= self.timings.longest_pause) {
            return Duration::ZERO;
        }
        let pause = backoff.pause(lived);
        let Ended::NoToken(error) = ended else { return pause };
        match error {
            ZoomError::RateLimit { resumes_in } => pause.max(*resumes_in),
            error => match error.verdict() {
                Verdict::Retry { after } => pause.max(after.unwrap_or_default()),
                Verdict::Stop | Verdict::NotThereYet => pause.max(self.timings.refused_pause),
            },
        }
    }

    /// Tells what is over; the same trouble only once until a connection opens.
    fn tell(&self, ended: &Ended, last_trouble: &str) {
        let (reason, at) = (ended.word(), Redacted(self.dialer.url()));
        let error: &dyn std::error::Error = ended;
        match ended {
            _ if reason == last_trouble => tracing::debug!(%at, error, "still no WebSocket"),
            Ended::Stopped | Ended::TokenOld => tracing::debug!(%at, reason, "the WebSocket is made anew"),
            Ended::NoToken(ZoomError::Refused(_)) => {
                tracing::error!(error, "no token for the WebSocket; see trigger.websocket.grant");
            }
            Ended::NoConnection(DialError::Status { status: 404 }) => {
                tracing::error!(%at, error, "Zoom knows no such subscription; see trigger.websocket.url");
            }
            _ => tracing::warn!(%at, error, "no WebSocket; connecting again"),
        }
    }
}
