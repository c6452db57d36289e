//! Who is calling, while it rings: what events tell of calls goes to whoever wants to know, at once.
//!
//! ```text
//! intake ─► hub ─► lookup ─┬─► stream ─► transcribe events --follow
//!          (once)  (lake)  └─► hooks  ─► a program, an address
//! ```
//!
//! Every step is bounded and none waits for the next one: who is too slow misses events, and is told or counted. What
//! happened more than a minute ago, such as an event that Zoom delivers again, is counted and not told. The rows of
//! `call_events` do not come this way; they are made from the inbox, where nothing is missed.

mod backlog;
mod follow;
mod hooks;
mod hub;
mod live;
mod lookup;
mod number;
mod stream;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::hooks::Hooks;
use self::hub::Hub;
use self::live::{Told, is_news};
use self::lookup::Lookup;
use self::stream::EventSocket;
use crate::config::HooksConfig;
use crate::domain::CallEvent;
use crate::lake::Lake;
use crate::net::HttpClients;
use crate::net::http::ClientError;
use crate::queue::Notice;

pub use follow::{FollowError, Follower, Heard};
pub use live::{EarlierCall, LiveCall};
pub use stream::socket_of;

/// Events that a client of the stream may be behind.
const BEHIND: usize = 256;
/// Numbers that are looked up at the same time.
const LOOKUPS: usize = 16;

/// Why nobody can be told of calls.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallsError {
    #[error("another `transcribe serve` with this state folder answers at {}", path.display())]
    ServedAlready { path: PathBuf },
    #[error("the socket {} cannot be made", path.display())]
    Socket {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Tells of calls while they happen. Clones are the same.
#[derive(Debug, Clone)]
pub struct Calls {
    hub: Arc<Hub>,
    tasks: TaskTracker,
}

impl Calls {
    /// Starts the stream on the socket in `state_dir` and the hooks, until `stop` is cancelled.
    ///
    /// # Errors
    /// [`CallsError::ServedAlready`] when another service has the socket; [`CallsError::Socket`] when it cannot be
    /// made.
    pub async fn start(
        config: &HooksConfig,
        lake: Lake,
        state_dir: &Path,
        stop: CancellationToken,
    ) -> Result<Self, CallsError> {
        let clients = HttpClients::new(config.timeout)?;
        let socket = EventSocket::bind(state_dir).await?;
        let tasks = TaskTracker::new();
        let hooks = Hooks::start(config, &clients, &tasks, &stop);
        let (live, _) = broadcast::channel(BEHIND);
        let (hub, events) = Hub::new();
        tasks.spawn(socket.serve(live.clone(), stop.clone()));
        let telling = tell(events, Lookup::new(lake), live, hooks);
        tasks.spawn(async move { stop.run_until_cancelled(telling).await });
        tasks.close();
        Ok(Self { hub: Arc::new(hub), tasks })
    }

    /// Takes notices that are durable; others than those of calls are passed over. Never waits.
    pub fn offer(&self, notices: &[Notice]) {
        self.hub.offer(notices);
    }

    /// Returns when everything has ended after `stop` was cancelled.
    pub async fn ended(&self) {
        self.tasks.wait().await;
    }
}

/// Tells events in the order in which they came, each with what the lake knows of its caller.
async fn tell(
    mut events: mpsc::Receiver<Arc<CallEvent>>,
    lookup: Lookup,
    live: broadcast::Sender<Arc<Told>>,
    hooks: Hooks,
) {
    let (lookup, hooks, live) = (&lookup, &hooks, &live);
    let incoming = futures::stream::poll_fn(|context| events.poll_recv(context));
    let somebody_listens = |_: &Arc<CallEvent>| std::future::ready(!hooks.is_empty() || live.receiver_count() > 0);
    let mut is_behind = false;
    let in_time = move |event: &Arc<CallEvent>| {
        let is_late = !is_news(event.at());
        if is_late {
            count_late();
        }
        if is_late && !is_behind {
            tracing::warn!("events of calls come more than a minute late and are not told; their rows are written");
        }
        is_behind = is_late;
        std::future::ready(!is_late)
    };
    let looked_up = incoming
        .filter(somebody_listens)
        .filter(in_time)
        .map(|event| lookup.remember(event, Timestamp::now()))
        .buffered(LOOKUPS)
        .for_each(|call| async move {
            match Told::new(&call).map(Arc::new) {
                // So many may have been looked up before it.
                Ok(told) if !told.is_news() => count_late(),
                Ok(told) => {
                    hooks.offer(&told);
                    // Nobody may be listening.
                    let _listeners = live.send(told);
                }
                Err(error) => tracing::error!(%error, "an event of a call could not be told"),
            }
        });
    looked_up.await;
}

fn count_late() {
    metrics::counter!("transcribe_call_events_late_total").increment(1);
}
