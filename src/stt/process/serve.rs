//! The child's side: reads requests, lets the workers decode, writes replies.
//!
//! The thread that reads never waits for anything else. So the end of the requests, which is the end of the parent, is
//! noticed at once, whatever the engine is doing.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::super::pool::{self, Answer, EngineFactory, Job, Pool, ReplySlot, Task};
use super::super::{EngineError, SpeechWindow, SttError, Watch, WindowTranscript};
use super::protocol::{self, Hello, ProtocolError, Refusal, Reply, Request, Settings};
use crate::domain::{Channel, Span};

/// An engine that is ready to work.
pub struct Loaded {
    pub hello: Hello,
    /// Makes one engine per worker.
    pub make: EngineFactory,
}

/// Serves windows until `input` ends, with the engine that `load` makes of the settings in the first frame.
///
/// Returns at once when `input` ends, also in the middle of a window: the threads that work on it are not waited for.
/// The caller is expected to end the process then.
///
/// # Errors
/// A request that cannot be understood, or threads that cannot be started.
pub fn serve(
    mut input: impl Read,
    output: impl Write + Send + 'static,
    load: impl FnOnce(&Settings) -> Result<Loaded, Refusal> + Send + 'static,
) -> Result<(), ProtocolError> {
    let settings = match protocol::read(&mut input)? {
        Some((Request::Start(settings), _)) => *settings,
        Some(_) => return Err(ProtocolError::Unexpected),
        None => return Ok(()),
    };
    let desk = Arc::new(Desk { output: Mutex::new(Box::new(output)), running: Mutex::default() });
    let (reply_to, replies) = pool::replies();
    let pool = Arc::new(OnceLock::new());
    {
        let (desk, pool, settings) = (Arc::clone(&desk), Arc::clone(&pool), settings.clone());
        std::thread::Builder::new().name("stt-replies".into()).spawn(move || {
            desk.start(&settings, &pool, load);
            desk.pass_on(&replies);
        })?;
    }
    let served = take_requests(&mut input, &settings, &desk, &pool, &reply_to);
    // Its threads may be in the middle of a window: they end with the process.
    std::mem::forget(pool);
    served
}

fn take_requests(
    input: &mut impl Read,
    settings: &Settings,
    desk: &Arc<Desk>,
    pool: &OnceLock<Pool>,
    reply_to: &Sender<pool::Reply>,
) -> Result<(), ProtocolError> {
    while let Some((request, samples)) = protocol::read(input)? {
        let (id, window, task) = match request {
            Request::Start(_) => return Err(ProtocolError::Unexpected),
            Request::Cancel { id } => {
                // One that is not there was answered meanwhile.
                if let Some(cancel) = desk.running().get(&id) {
                    cancel.cancel();
                }
                continue;
            }
            Request::Decode { id, channel, span, voiced, hints } => {
                (id, SpeechWindow { channel, span, samples, voiced }, Task::Decode(hints))
            }
            Request::Detect { id, allowed } => {
                let span = Span { start: 0, end: samples.len() as u64 };
                (id, SpeechWindow::voiced(Channel::Mono, span, samples), Task::Detect(allowed))
            }
        };
        let pool = pool.get().ok_or(ProtocolError::Unexpected)?;
        let index = usize::try_from(id).map_err(|_too_large| ProtocolError::Unexpected)?;
        let cancel = CancellationToken::new();
        {
            let mut running = desk.running();
            if running.len() >= pool.workers() || running.insert(id, cancel.clone()).is_some() {
                return Err(ProtocolError::Unexpected);
            }
        }
        let watch = Watch::with_ear(&cancel, desk.ear(id, settings.alive_every));
        pool.submit(Job { window, task, watch, reply: ReplySlot::new(index, reply_to.clone()) });
    }
    Ok(())
}

/// What the threads of the child share.
struct Desk {
    output: Mutex<Box<dyn Write + Send>>,
    /// The windows in work.
    running: Mutex<BTreeMap<u64, CancellationToken>>,
}

impl Desk {
    fn start(
        &self,
        settings: &Settings,
        pool: &OnceLock<Pool>,
        load: impl FnOnce(&Settings) -> Result<Loaded, Refusal>,
    ) {
        let started = load(settings).and_then(|Loaded { hello, make }| {
            let ready = Pool::start(hello.lanes, &make).map_err(|error| {
                Refusal::Engine(match error {
                    SttError::Engine(error) => error,
                    _ => EngineError::NoState,
                })
            })?;
            Ok((hello, ready))
        });
        match started {
            Ok((hello, ready)) => {
                // Nothing else sets it.
                let _set_once = pool.set(ready).is_ok();
                self.say(&Reply::Hello(hello));
            }
            Err(refusal) => self.say(&Reply::Refused(refusal)),
        }
    }

    /// Writes what the workers answer.
    fn pass_on(&self, replies: &Receiver<pool::Reply>) {
        while let Ok(pool::Reply { index, outcome }) = replies.recv() {
            let id = index as u64;
            let reply = match outcome {
                Ok(Answer::Text(_, text)) if is_finite(&text) => Reply::Text { id, text },
                Ok(Answer::Languages(_, probabilities)) if probabilities.iter().all(|(_, p)| p.is_finite()) => {
                    Reply::Languages { id, probabilities }
                }
                Ok(_) => Reply::Failed { id, error: EngineError::NotFinite },
                Err(error) => Reply::Failed { id, error },
            };
            // Its place is free before the parent hears of it.
            self.running().remove(&id);
            self.say(&reply);
        }
    }

    /// Passes signs of life of a window on, at most one each `every`.
    fn ear(self: &Arc<Self>, id: u64, every: Duration) -> impl Fn() + Send + Sync + 'static {
        let (desk, last) = (Arc::clone(self), Mutex::new(Instant::now()));
        move || {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.elapsed() >= every {
                *last = Instant::now();
                desk.say(&Reply::Alive { id });
            }
        }
    }

    fn say(&self, reply: &Reply) {
        let written = protocol::encode(reply, &[]).and_then(|frame| {
            let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
            output.write_all(&frame)?;
            Ok(output.flush()?)
        });
        if let Err(error) = written {
            tracing::debug!(%error, "a reply found no reader");
        }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<u64, CancellationToken>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// JSON has no other numbers, and no text is worth anything with them.
fn is_finite(text: &WindowTranscript) -> bool {
    text.segments.iter().all(|segment| {
        let confidence = &segment.confidence;
        [segment.temperature, confidence.avg_logprob, confidence.no_speech_prob, confidence.compression_ratio]
            .into_iter()
            .chain(segment.words.iter().map(|word| word.probability))
            .all(f64::is_finite)
    })
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
