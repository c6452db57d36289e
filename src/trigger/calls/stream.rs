//! Events of calls as a stream of server-sent events, on a Unix socket that only this user can open.
//!
//! `GET /events` never ends while the service runs. Each event of a call is an event `call` whose data is a
//! [`LiveCall`](super::LiveCall) in JSON; one who reads too slowly gets an event `missed` that says how many it did not
//! get, and nobody else notices.

use std::convert::Infallible;
use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::Stream;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio_util::sync::CancellationToken;

use super::CallsError;
use super::live::Told;
use crate::trigger::socket_file::SocketFile;

/// Clients at the same time; further ones are turned away.
const CLIENTS: usize = 64;
/// How often a silent stream says that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long clients have to take what is left when the service ends.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Where the socket of the service with this state folder is.
#[must_use]
pub fn socket_of(state_dir: &Path) -> PathBuf {
    state_dir.join("serve.sock")
}

/// A socket that is listened on.
#[derive(Debug)]
pub(super) struct EventSocket {
    listener: UnixListener,
    file: SocketFile,
}

impl EventSocket {
    /// Listens, in the place of a service that is gone.
    pub(super) async fn bind(state_dir: &Path) -> Result<Self, CallsError> {
        let path = socket_of(state_dir);
        let failed = |source| CallsError::Socket { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(failed)?;
        // Two that start at the same time do this one after the other.
        let folder = File::open(state_dir).map_err(failed)?;
        let locked = tokio::task::spawn_blocking(move || folder.lock().map(|()| folder));
        let _alone = locked.await.map_err(io::Error::other).flatten().map_err(failed)?;
        match UnixStream::connect(&path).await {
            Ok(_answers) => return Err(CallsError::ServedAlready { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // A socket that nobody listens on, and nothing else.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                if !std::fs::symlink_metadata(&path).map_err(failed)?.file_type().is_socket() {
                    return Err(failed(io::ErrorKind::AlreadyExists.into()));
                }
                std::fs::remove_file(&path).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        let listener = UnixListener::bind(&path).map_err(failed)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
        let file = SocketFile::of(&path).map_err(failed)?;
        Ok(Self { listener, file })
    }

    /// Serves until `stop` is cancelled; then the socket is removed, unless another service has made its own by then.
    pub(super) async fn serve(self, live: broadcast::Sender<Arc<Told>>, stop: CancellationToken) {
        let Self { listener, file } = self;
        let state = Arc::new(Source { live, stop: stop.clone(), places: Arc::new(Semaphore::new(CLIENTS)) });
        let router = Router::new().route("/events", get(events)).with_state(state);
        let serving = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(CLOSE_WITHIN).await;
        };
        tokio::select! {
            served = serving.into_future() => {
                if let Err(error) = served {
                    tracing::error!(%error, "the socket for events of calls failed");
                }
            }
            () = late => tracing::debug!("somebody does not read the stream of events; closing it"),
        }
        drop(file);
    }
}

struct Source {
    live: broadcast::Sender<Arc<Told>>,
    stop: CancellationToken,
    places: Arc<Semaphore>,
}

async fn events(State(source): State<Arc<Source>>) -> Response {
    let Ok(place) = Arc::clone(&source.places).try_acquire_owned() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let client = Client { live: source.live.subscribe(), stop: source.stop.clone(), _place: place };
    tracing::debug!("somebody follows the events of calls");
    Sse::new(client.stream()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

struct Client {
    live: broadcast::Receiver<Arc<Told>>,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Client {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        futures::stream::unfold(self, |mut client| async move {
            let next = tokio::select! {
                biased;
                next = client.live.recv() => next,
                () = client.stop.cancelled() => return None,
            };
            let event = match next {
                Ok(told) => Event::default().event("call").data(&told.json),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    metrics::counter!("transcribe_event_stream_missed_total").increment(missed);
                    Event::default().event("missed").data(format!("{{\"missed\":{missed}}}"))
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            };
            Some((Ok(event), client))
        })
    }
}
