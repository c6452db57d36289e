//! One child: its pipes, the threads that serve them, and the windows that wait for its answers.
//!
//! A writer thread feeds its stdin and a reader thread hands out what it says, so that no worker ever waits for a pipe
//! and each of them can tell how long its own window has been silent.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::super::Watch;
use super::protocol::{self, Reply, Request};
use super::{Ending, EngineProgram};

/// Silence is counted in slices that really passed in this process: one that was stopped for an hour and goes on has
/// counted one of them, and reads what arrived meanwhile before it can count the next.
const SLICE: Duration = Duration::from_millis(100);
/// Signs of life that may wait for their reader; more of them say nothing new.
const WAITING_SIGNS: usize = 4;
/// What a child that said its last has for ending by itself.
const ENDED_WITHIN: Duration = Duration::from_secs(2);

/// Why no more answers will come from this child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Whatever was in flight may have killed it.
    Died(Ending),
    /// This request was silent for too long, so it was killed; the others are innocent.
    Stuck(u64),
    /// It is not wanted any more.
    Closed,
}

enum Event {
    Alive,
    Reply(Box<Reply>),
    Ended(End),
}

/// A running child.
pub(super) struct Connection {
    shared: Arc<Shared>,
    frames: Sender<Vec<u8>>,
    reader: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    child: Mutex<Child>,
    calls: Mutex<Calls>,
    /// Counts what it says.
    signs_of_life: Arc<AtomicU64>,
}

#[derive(Default)]
struct Calls {
    waiting: BTreeMap<u64, SyncSender<Event>>,
    end: Option<End>,
}

impl Connection {
    /// Starts a child; nothing was said to it yet. Whatever it says is counted in `signs_of_life`.
    pub(super) fn open(program: &EngineProgram, signs_of_life: &Arc<AtomicU64>) -> io::Result<Self> {
        let mut child = program.spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let shared = Arc::new(Shared {
            child: Mutex::new(child),
            calls: Mutex::default(),
            signs_of_life: Arc::clone(signs_of_life),
        });
        let (stdin, stdout) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "each window has at most one request and its cancellation under way"
        )]
        let (frames, outgoing) = channel();
        let reader = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name("engine-out".into()).spawn(move || shared.listen(stdout))
        };
        // From here on dropping the connection ends the child.
        let connection = Self { shared, frames, reader: Mutex::default() };
        *connection.reader.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader?);
        std::thread::Builder::new().name("engine-in".into()).spawn(move || feed(stdin, &outgoing))?;
        Ok(connection)
    }

    /// Why no more answers will come; `None` while it lives.
    pub(super) fn end(&self) -> Option<End> {
        self.shared.calls().end
    }

    /// Sends a request and waits for its reply. `None` when the child had ended before the request was made. The child
    /// is killed when it shows no sign of life of this request for `limit`.
    pub(super) fn ask(&self, id: u64, frame: Vec<u8>, watch: &Watch, limit: Duration) -> Option<Result<Reply, End>> {
        let (answer_to, answers) = sync_channel(WAITING_SIGNS);
        {
            let mut calls = self.shared.calls();
            if calls.end.is_some() {
                return None;
            }
            calls.waiting.insert(id, answer_to);
        }
        self.send(frame);
        let mut silent = Duration::ZERO;
        let mut cancelled = false;
        loop {
            match answers.recv_timeout(SLICE) {
                Ok(Event::Alive) => silent = Duration::ZERO,
                Ok(Event::Reply(reply)) => return Some(Ok(*reply)),
                Ok(Event::Ended(end)) => return Some(Err(end)),
                Err(RecvTimeoutError::Timeout) => silent += SLICE,
                // A second request with this id took the place of the first.
                Err(RecvTimeoutError::Disconnected) => return Some(Err(End::Died(Ending::Garbled))),
            }
            if silent >= limit {
                self.shared.end(End::Stuck(id));
            }
            if !cancelled && watch.is_cancelled() {
                cancelled = true;
                if let Ok(frame) = protocol::encode(&Request::Cancel { id }, &[]) {
                    self.send(frame);
                }
            }
        }
    }

    /// Where the child is gone the frame is lost; whoever waits for its answer is told by the reader.
    fn send(&self, frame: Vec<u8>) {
        if self.frames.send(frame).is_err() {
            tracing::debug!("the engine's process is gone already");
        }
    }

    /// Ends the child and waits until it is gone.
    pub(super) fn close(&self) {
        self.shared.end(End::Closed);
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        if reader.is_some_and(|reader| reader.join().is_err()) {
            tracing::error!("the reader of the engine's replies panicked");
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands out replies until the child ends, and says how it did.
    fn listen(&self, stdout: ChildStdout) {
        let mut stdout = io::BufReader::new(stdout);
        let garbled = loop {
            match protocol::read(&mut stdout) {
                Ok(Some((reply, _))) => self.deliver(reply),
                Ok(None) | Err(protocol::ProtocolError::Pipe(_)) => break false,
                Err(error) => {
                    tracing::error!(%error, "the engine's process cannot be understood");
                    break true;
                }
            }
        };
        let own = if garbled { None } else { self.own_end() };
        let status = own.map_or_else(
            || {
                let mut child = self.child();
                // It has said its last: what keeps it running is of no use.
                child.kill().and_then(|()| child.wait())
            },
            Ok,
        );
        let ending = match status {
            Ok(status) if !garbled => Ending::from(status),
            _ => Ending::Garbled,
        };
        self.end(End::Died(ending));
    }

    /// How a child ended that has closed its stdout. The kernel closes a process's files before it can be waited for,
    /// and a signal that comes between the two would be taken for what ended it; so it gets [`ENDED_WITHIN`].
    fn own_end(&self) -> Option<ExitStatus> {
        let closed = Instant::now();
        while closed.elapsed() < ENDED_WITHIN {
            if let Ok(ended @ Some(_)) = self.child().try_wait() {
                return ended;
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
        None
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deliver(&self, reply: Reply) {
        let id = reply.id();
        self.signs_of_life.fetch_add(1, Ordering::Relaxed);
        if let Reply::Alive { .. } = reply {
            let sent = self.calls().waiting.get(&id).map(|to| to.try_send(Event::Alive));
            if let Some(Err(TrySendError::Disconnected(_))) = sent {
                tracing::debug!("a sign of life of a window for which nobody waits");
            }
            return;
        }
        let to = self.calls().waiting.remove(&id);
        if to.is_none_or(|to| to.send(Event::Reply(Box::new(reply))).is_err()) {
            tracing::debug!("a reply for which nobody waits");
        }
    }

    /// Tells everybody who waits; the first end counts. The child is gone or killed afterwards.
    fn end(&self, end: End) {
        let waiting = {
            let mut calls = self.calls();
            if calls.end.is_some() {
                return;
            }
            calls.end = Some(end);
            std::mem::take(&mut calls.waiting)
        };
        match end {
            End::Died(ending) => {
                tracing::warn!(%ending, windows_in_work = waiting.len(), "the engine's process died");
            }
            End::Stuck(_) => {
                tracing::warn!(
                    windows_in_work = waiting.len(),
                    "the engine's process showed no sign of life and was killed"
                );
            }
            End::Closed => {}
        }
        if let Err(error) = self.child().kill() {
            tracing::warn!(%error, "the engine's process cannot be killed");
        }
        for to in waiting.into_values() {
            if to.send(Event::Ended(end)).is_err() {
                tracing::debug!("nobody waits for a window of the engine's process that ended");
            }
        }
    }
}

/// Writes frames until there are no more or the child takes none; then its stdin ends.
fn feed(mut stdin: ChildStdin, outgoing: &Receiver<Vec<u8>>) {
    for frame in outgoing {
        if let Err(error) = stdin.write_all(&frame) {
            tracing::debug!(%error, "a request found no reader");
            return;
        }
    }
}
