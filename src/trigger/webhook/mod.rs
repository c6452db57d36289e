//! Zoom's events over HTTP: each is answered when it is in the ledger, and worked on later.
//!
//! TLS is the work of a proxy in front; this listens on TCP or on a Unix socket in plain HTTP/1. The network is not
//! trusted: what the headers alone decide is refused before a body is read, nothing is parsed before its signature was
//! verified, and nothing in here grows: a body has a size and a time, and when there is no room for a connection the
//! oldest without a verified event gives way ([`crowd`]). So memory is bounded by connections × `max_body`.

mod answer;
mod body;
mod crowd;
mod peer;
mod refusals;
mod unix;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use secrecy::SecretString;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::time::{Instant, timeout};
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::answer::Connection;
use self::crowd::{Crowd, Seat};
use self::peer::Peer;
use self::refusals::Refusals;
use self::unix::UnixSocket;
use super::Intake;
use super::signature::Verifier;
use crate::config::WebhookConfig;

/// Bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;
/// The rest after the machine ran out of files for one more connection.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a request whose signature was not verified yet goes on after the stop.
const UNVERIFIED_AFTER_STOP: Duration = Duration::from_secs(1);

/// What a sender may take of this program.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at the same time.
    pub connections: usize,
    /// A connection may go so long without the whole head of a request.
    pub head: Duration,
    /// The whole body comes within this.
    pub body: Duration,
    /// An event that is not in the ledger after this is answered with 503. Zoom waits for three seconds.
    pub keep: Duration,
    /// What was verified before the stop is answered within this.
    pub stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            head: Duration::from_secs(75),
            body: Duration::from_secs(10),
            keep: Duration::from_millis(2_500),
            stop: Duration::from_secs(5),
        }
    }
}

/// Why nobody can be listened to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    #[error("another program listens on {address}; trigger.webhook.listen chooses another address, or \"off\"")]
    Taken { address: SocketAddr },
    #[error("cannot listen on {address}, which trigger.webhook.listen names")]
    Address {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("another program listens on {}; trigger.webhook.unix_socket chooses another path, or \"off\"", path.display())]
    SocketTaken { path: PathBuf },
    #[error("{} is there and no socket; trigger.webhook.unix_socket chooses another path, or \"off\"", path.display())]
    NotASocket { path: PathBuf },
    #[error("cannot listen on {}, which trigger.webhook.unix_socket names", path.display())]
    Socket {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    verifier: RwLock<Arc<Verifier>>,
    intake: Intake,
    trusted_proxies: Vec<IpNet>,
    max_body: usize,
    limits: Limits,
    refusals: Refusals,
}

impl Shared {
    fn verifier(&self) -> Arc<Verifier> {
        Arc::clone(&self.verifier.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Changes a webhook while it runs.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Shared>);

impl Handle {
    /// From the next event on, this secret signs and timestamps may be so far from the clock. Returns whether the
    /// secret is another one than before.
    #[must_use]
    pub fn replace(&self, secret: SecretString, max_skew: Duration) -> bool {
        let new = Arc::new(Verifier::new(secret, max_skew));
        let mut verifier = self.0.verifier.write().unwrap_or_else(PoisonError::into_inner);
        let differs = !verifier.has_secret_of(&new);
        *verifier = new;
        differs
    }
}

/// Listeners that nobody is answered on yet.
#[derive(Debug)]
pub struct Webhook {
    tcp: Option<TcpListener>,
    unix: Option<UnixSocket>,
    router: Router,
    crowd: Arc<Crowd>,
    shared: Arc<Shared>,
}

impl Webhook {
    /// Listens where `config` says; what comes before [`Self::serve`] waits.
    ///
    /// # Errors
    /// [`BindError`] names the key to change.
    pub async fn bind(config: &WebhookConfig, secret: SecretString, intake: Intake) -> Result<Self, BindError> {
        Self::bind_within(Limits::default(), config, secret, intake).await
    }

    /// As [`Self::bind`], with other limits than the usual ones.
    ///
    /// # Errors
    /// As [`Self::bind`].
    pub async fn bind_within(
        limits: Limits,
        config: &WebhookConfig,
        secret: SecretString,
        intake: Intake,
    ) -> Result<Self, BindError> {
        let tcp = match config.listen {
            Some(address) => Some(TcpListener::bind(address).await.map_err(|source| match source.kind() {
                io::ErrorKind::AddrInUse => BindError::Taken { address },
                _ => BindError::Address { address, source },
            })?),
            None => None,
        };
        let unix = match &config.unix_socket {
            Some(path) => Some(UnixSocket::bind(path, config.unix_socket_mode).await?),
            None => None,
        };
        let shared = Arc::new(Shared {
            verifier: RwLock::new(Arc::new(Verifier::new(secret, config.max_skew))),
            intake,
            trusted_proxies: config.trusted_proxies.clone(),
            max_body: config.max_body,
            limits,
            refusals: Refusals::default(),
        });
        let router = answer::router(&config.path, Arc::clone(&shared));
        Ok(Self { tcp, unix, router, crowd: Arc::new(Crowd::new(limits.connections)), shared })
    }

    /// Where TCP is listened to, with the port that was free when the configuration's is 0.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.shared))
    }

    /// Answers until `stop`. Then no connection is accepted any more, requests in flight are answered within
    /// [`Limits::stop`], and the Unix socket is removed.
    pub async fn serve(self, stop: CancellationToken) {
        let connections = TaskTracker::new();
        while let Some(accepted) = stop.run_until_cancelled(self.accept()).await {
            match accepted {
                Ok((stream, peer)) => match self.crowd.admit() {
                    Some(seat) => drop(connections.spawn(self.converse(stream, peer, Arc::new(seat), stop.clone()))),
                    None => drop(stream),
                },
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if let Some(untold) = self.shared.refusals.note(Instant::now()) {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, untold, "a connection could not be accepted");
                    }
                    self.crowd.make_room();
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        drop((self.tcp, self.unix));
        connections.close();
        connections.wait().await;
    }

    async fn accept(&self) -> io::Result<(Either<TcpStream, UnixStream>, Peer)> {
        let tcp = async {
            let Some(listener) = &self.tcp else { return std::future::pending().await };
            let (stream, address) = listener.accept().await?;
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended early");
            }
            Ok((Either::Left(stream), Peer::At(address.ip().to_canonical())))
        };
        let unix = async {
            let Some(socket) = &self.unix else { return std::future::pending().await };
            Ok((Either::Right(socket.accept().await?), Peer::UnixSocket))
        };
        tokio::select! {
            accepted = tcp => accepted,
            accepted = unix => accepted,
        }
    }

    /// One connection from its first byte to its end.
    fn converse(
        &self,
        stream: Either<TcpStream, UnixStream>,
        peer: Peer,
        seat: Arc<Seat>,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        let router = self.router.clone().layer(Extension(Connection { seat: Arc::clone(&seat), peer }));
        let limits = self.shared.limits;
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        async move {
            let mut connection = pin!(connection);
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended early");
                    }
                    return;
                }
                () = seat.given_away() => return,
                () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
            }
            for wait in [UNVERIFIED_AFTER_STOP.min(limits.stop), limits.stop] {
                if timeout(wait, connection.as_mut()).await.is_ok() || !seat.is_engaged() {
                    return;
                }
            }
        }
    }
}
