//! The parent's side: keeps one child running and gives each worker an engine that works through it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::super::{EngineError, Hints, SpeechWindow, Transcriber, Watch, WindowTranscript};
use super::EngineProgram;
use super::connection::{Connection, End};
use super::protocol::{self, Hello, Refusal, Reply, Request, START_ID, Settings};
use crate::config::settings::EngineChoice;
use crate::domain::Language;

/// How often a child that dies before it says hello is started again at once.
const START_ATTEMPTS: u32 = 3;
/// How long a child may take to load its model.
const LOADED_WITHIN: Duration = Duration::from_secs(600);

/// The one engine process of this process, started again whenever it is needed and not there.
pub struct Host {
    program: EngineProgram,
    settings: Settings,
    hello: Hello,
    state: Mutex<State>,
    next_id: AtomicU64,
    signs_of_life: Arc<AtomicU64>,
}

enum State {
    Running(Arc<Connection>),
    Closed,
}

impl Host {
    /// Starts the child and waits until it has loaded its model.
    ///
    /// # Errors
    /// [`Refusal::Model`] when the model is at fault; [`Refusal::Engine`] when there is no memory for its workers or the
    /// child cannot be started.
    pub fn start(program: EngineProgram, mut settings: Settings) -> Result<Self, Refusal> {
        let signs_of_life = Arc::default();
        let (connection, hello) = connect(&program, &settings, &signs_of_life)?;
        // Whichever engine was chosen, the next child has the same.
        let chosen = EngineChoice::NAMED.iter().find(|(name, _)| *name == hello.engine);
        settings.engine = chosen.map_or(settings.engine, |(_, engine)| *engine);
        let state = Mutex::new(State::Running(Arc::new(connection)));
        let next_id = AtomicU64::new(START_ID + 1);
        Ok(Self { program, settings, hello, state, next_id, signs_of_life })
    }

    /// What the engine is and which languages it knows.
    #[must_use]
    pub const fn hello(&self) -> &Hello {
        &self.hello
    }

    /// An engine for one worker. There must be no more of them than [`Hello::lanes`].
    #[must_use]
    pub fn engine(self: &Arc<Self>) -> RemoteEngine {
        RemoteEngine { host: Arc::clone(self) }
    }

    /// Grows while the child gets on with whatever it was asked, and only then.
    #[must_use]
    pub fn signs_of_life(&self) -> u64 {
        self.signs_of_life.load(Ordering::Relaxed)
    }

    /// Ends the child for good; windows in work are answered as cancelled.
    pub fn close(&self) {
        let before = std::mem::replace(&mut *self.state(), State::Closed);
        if let State::Running(connection) = before {
            connection.close();
        }
    }

    /// The running child, or a new one. Only one is started, however many ask.
    fn connection(&self) -> Result<Arc<Connection>, EngineError> {
        let mut state = self.state();
        match &*state {
            State::Closed => return Err(EngineError::Cancelled),
            State::Running(connection) if connection.end().is_none() => return Ok(Arc::clone(connection)),
            // Gone before the next one starts: there is memory for one copy of the weights.
            State::Running(connection) => connection.close(),
        }
        let (connection, hello) =
            connect(&self.program, &self.settings, &self.signs_of_life).map_err(|refusal| match refusal {
                Refusal::Model(error) => EngineError::NotStarted { why: error.to_string() },
                Refusal::Engine(error) => error,
            })?;
        if hello != self.hello {
            // Its text would go under the name of the one before.
            return Err(EngineError::NotStarted { why: "another_version".to_owned() });
        }
        let connection = Arc::new(connection);
        *state = State::Running(Arc::clone(&connection));
        Ok(connection)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self, request: impl Fn(u64) -> Request, samples: &[f32], watch: &Watch) -> Result<Reply, EngineError> {
        loop {
            let connection = self.connection()?;
            if watch.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            let id = self.next_id.fetch_add(1, Ordering::Relaxed);
            let frame = protocol::encode(&request(id), samples).map_err(|_too_large| EngineError::WindowTooLong)?;
            let limit = self.program.no_sign_of_life();
            match connection.ask(id, frame, watch, limit) {
                Some(Ok(Reply::Failed { error, .. })) => return Err(error),
                Some(Ok(reply)) => return Ok(reply),
                Some(Err(End::Died(ending))) => return Err(EngineError::Died { ending }),
                Some(Err(End::Stuck(stuck))) if stuck == id => {
                    return Err(EngineError::TimedOut { no_sign_of_life_s: limit.as_secs() });
                }
                // Another window's fault, and known to be: this one goes to the next child.
                Some(Err(End::Stuck(_))) | None => {}
                Some(Err(End::Closed)) => return Err(EngineError::Cancelled),
            }
        }
    }
}

/// One worker's engine: its windows are decoded by the child.
pub struct RemoteEngine {
    host: Arc<Host>,
}

impl Transcriber for RemoteEngine {
    fn transcribe(
        &mut self,
        windows: &[SpeechWindow],
        hints: &Hints,
        watch: &Watch,
    ) -> Result<Vec<WindowTranscript>, EngineError> {
        let decode = |window: &SpeechWindow| {
            let (channel, span) = (window.channel, window.span);
            let request = |id| {
                let (voiced, hints) = (window.voiced.clone(), hints.clone());
                Request::Decode { id, channel, span, voiced, hints }
            };
            match self.host.call(request, &window.samples, watch)? {
                Reply::Text { text, .. } => Ok(text),
                _ => Err(EngineError::Panicked),
            }
        };
        windows.iter().map(decode).collect()
    }

    fn detect_language(
        &mut self,
        samples: &[f32],
        allowed: &[Language],
        watch: &Watch,
    ) -> Result<Vec<(Language, f64)>, EngineError> {
        let request = |id| Request::Detect { id, allowed: allowed.to_vec() };
        match self.host.call(request, samples, watch)? {
            Reply::Languages { probabilities, .. } => Ok(probabilities),
            _ => Err(EngineError::Panicked),
        }
    }
}

/// Starts a child and has it load its model; again where it dies of that.
fn connect(
    program: &EngineProgram,
    settings: &Settings,
    signs_of_life: &Arc<AtomicU64>,
) -> Result<(Connection, Hello), Refusal> {
    let not_started = |why: String| Refusal::Engine(EngineError::NotStarted { why });
    let start = Request::Start(Box::new(settings.clone()));
    let frame = protocol::encode(&start, &[]).map_err(|error| not_started(error.to_string()))?;
    let watch = Watch::new(&CancellationToken::new());
    let mut why = String::new();
    for _ in 0..START_ATTEMPTS {
        let connection = Connection::open(program, signs_of_life)
            .map_err(|error| not_started(format!("io_error={}", error.raw_os_error().unwrap_or(0))))?;
        match connection.ask(START_ID, frame.clone(), &watch, LOADED_WITHIN) {
            Some(Ok(Reply::Hello(hello))) => return Ok((connection, hello)),
            Some(Ok(Reply::Refused(refusal))) => return Err(refusal),
            _ => match connection.end() {
                Some(End::Died(ending)) => why = ending.to_string(),
                _ => return Err(not_started("no_hello".to_owned())),
            },
        }
    }
    Err(not_started(why))
}
