//! Hooks: a program that is started, and an address that is called, for every event of a call that the configuration
//! names.
//!
//! Each of the two has its own backlog and its own callers, so that neither a slow hook nor a broken one delays the
//! other, nor anything else. An event is handed to a hook once at most: a call that rang a minute ago is no news.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::backlog::Backlog;
use super::live::Told;
use crate::config::HooksConfig;
use crate::net::HttpClients;

/// Calls of one hook at the same time.
const AT_ONCE: usize = 4;
/// Events that wait for one hook; the oldest goes when there are more.
const WAITING: usize = 256;

/// The only variables that a hook's program inherits: it never sees a secret of this program's.
const INHERITED: [&str; 3] = ["PATH", "HOME", "LANG"];

/// The configured hooks.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    events: Vec<String>,
    hooks: Vec<(&'static str, Arc<Backlog<Arc<Told>>>)>,
}

impl Hooks {
    /// Starts the callers, which end when `stop` is cancelled; a program that runs then is killed.
    pub(super) fn start(
        config: &HooksConfig,
        clients: &HttpClients,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let mut hooks = Vec::new();
        for target in Target::of(config, clients) {
            let backlog: Arc<Backlog<Arc<Told>>> = Arc::new(Backlog::of_at_most(WAITING));
            let hook = Arc::new(Hook { target, timeout: config.timeout, last: Mutex::default() });
            for _ in 0..AT_ONCE {
                let (hook, backlog, stop) = (Arc::clone(&hook), Arc::clone(&backlog), stop.clone());
                tasks.spawn(async move {
                    let calling = async {
                        loop {
                            let told = backlog.pop().await;
                            if told.is_news() {
                                hook.call(&told).await;
                            } else {
                                count_dropped(hook.target.name());
                            }
                        }
                    };
                    stop.run_until_cancelled(calling).await
                });
            }
            hooks.push((hook.target.name(), backlog));
        }
        Self { events: config.events.clone(), hooks }
    }

    /// Whether anybody is to be told of events.
    pub(super) const fn is_empty(&self) -> bool {
        self.hooks.is_empty()
    }

    /// Hands an event to the hooks that want it. Never waits.
    pub(super) fn offer(&self, told: &Arc<Told>) {
        if self.events.contains(&told.event) {
            for (hook, backlog) in &self.hooks {
                if backlog.push(Arc::clone(told)).is_some() {
                    count_dropped(hook);
                }
            }
        }
    }
}

fn count_dropped(hook: &'static str) {
    metrics::counter!("transcribe_hook_dropped_total", "hook" => hook).increment(1);
}

/// Who is told.
#[derive(Debug)]
enum Target {
    Program { path: PathBuf, arguments: Vec<String>, environment: Vec<(&'static str, std::ffi::OsString)> },
    Address { url: Url, client: reqwest::Client },
}

/// What became of one call of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    /// The program said so, or the server did.
    Failed,
    TimedOut,
    /// The program cannot be started, or nobody answers at the address.
    Unreachable,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
        }
    }
}

impl Target {
    fn of(config: &HooksConfig, clients: &HttpClients) -> Vec<Self> {
        let program = config.command.split_first().map(|(path, arguments)| Self::Program {
            path: path.into(),
            arguments: arguments.to_vec(),
            environment: INHERITED.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))).collect(),
        });
        // Redirects are not followed: an event goes nowhere but where it was sent.
        let address = config.url.clone().map(|url| Self::Address { url, client: clients.trusted().clone() });
        program.into_iter().chain(address).collect()
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Program { .. } => "command",
            Self::Address { .. } => "url",
        }
    }
}

/// One hook and how its last call went.
#[derive(Debug)]
struct Hook {
    target: Target,
    timeout: Duration,
    last: Mutex<Option<Outcome>>,
}

impl Hook {
    async fn call(&self, told: &Told) {
        let outcome = match &self.target {
            Target::Program { path, arguments, environment } => {
                let mut command = Command::new(path);
                command.args(arguments).env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
                run(command, &told.json, self.timeout).await
            }
            Target::Address { url, client } => post(client, url, &told.json, self.timeout).await,
        };
        let hook = self.target.name();
        metrics::counter!("transcribe_hook_calls_total", "hook" => hook, "outcome" => outcome.as_str()).increment(1);
        self.log_if_new(outcome);
    }

    /// One line when it begins to go wrong, or goes wrong in another way, and one when it is well again.
    fn log_if_new(&self, outcome: Outcome) {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).replace(outcome);
        let hook = self.target.name();
        match (last, outcome) {
            (None | Some(Outcome::Done), Outcome::Done) => {}
            (_, Outcome::Done) => tracing::info!(hook, "the hook works again"),
            (last, _) if last == Some(outcome) => {}
            _ => tracing::warn!(hook, outcome = outcome.as_str(), "the hook for events of calls does not work"),
        }
    }
}

/// Starts a program, gives it one line, and waits for its end, which comes with the time limit at the latest.
async fn run(mut command: Command, line: &str, timeout: Duration) -> Outcome {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // A process group of its own: whatever it started ends with it.
    let Ok(child) = command.process_group(0).kill_on_drop(true).spawn() else { return Outcome::Unreachable };
    let mut group = Group(child);
    let running = async {
        if let Some(mut stdin) = group.0.stdin.take() {
            // A program need not read what it is told.
            let told = async {
                stdin.write_all(line.as_bytes()).await?;
                stdin.write_all(b"\n").await
            };
            if let Err(error) = told.await {
                tracing::debug!(kind = ?error.kind(), "the hook's program did not read the event");
            }
        }
        group.0.wait().await
    };
    match tokio::time::timeout(timeout, running).await {
        Ok(Ok(status)) if status.success() => Outcome::Done,
        Ok(_) => Outcome::Failed,
        Err(_elapsed) => Outcome::TimedOut,
    }
}

/// A running program and what it started. All of it is killed when this is dropped before the program has ended.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // `None` once it was waited for: then its number may be another's.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id
            && let Err(error) = kill_process_group(id, Signal::KILL)
        {
            tracing::debug!(%error, "the hook's program could not be killed");
        }
    }
}

/// Sends the event; only the status of the answer counts.
async fn post(client: &reqwest::Client, url: &Url, json: &str, timeout: Duration) -> Outcome {
    let request = client
        .post(url.clone())
        .timeout(timeout)
        .header(reqwest::header::CONTENT_TYPE, "application/json; charset=utf-8")
        .body(json.to_owned());
    match request.send().await {
        Ok(answer) if answer.status().is_success() => Outcome::Done,
        Ok(_) => Outcome::Failed,
        Err(error) if error.is_timeout() => Outcome::TimedOut,
        Err(_) => Outcome::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::http::{StatusCode, header};
    use axum::routing::post as on_post;
    use tokio::net::TcpListener;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    const A_MINUTE: Duration = Duration::from_secs(60);

    /// Keeps what is logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            io::Write::write(&mut *self.0.lock().unwrap(), bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    fn program(path: &str) -> Target {
        Target::Program { path: path.into(), arguments: Vec::new(), environment: Vec::new() }
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_one_line_of_the_log_and_nothing_of_the_call_stands_in_it() {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
        let _only_here = tracing::subscriber::set_default(subscriber);
        let mut hook = Hook { target: program("/there/is/no/such/program"), timeout: A_MINUTE, last: Mutex::default() };
        let told = Told::example("{\"name\":\"山田\"}");
        for _ in 0..3 {
            hook.call(&told).await;
        }
        hook.target = program("true");
        hook.call(&told).await;
        hook.call(&told).await;
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(lines.len(), 2, "{log}");
        assert!(lines[0].contains("WARN") && lines[0].contains("unreachable"), "{log}");
        assert!(lines[1].contains("the hook works again"), "{log}");
        assert!(!log.contains("山田"));
    }

    #[tokio::test]
    async fn the_end_of_a_program_tells_how_it_went() {
        let run = async |path: &str, timeout| run(Command::new(path), "{}", timeout).await;
        assert_eq!(run("true", A_MINUTE).await, Outcome::Done);
        assert_eq!(run("false", A_MINUTE).await, Outcome::Failed);
        assert_eq!(run("yes", Duration::from_millis(50)).await, Outcome::TimedOut);
    }

    #[tokio::test]
    async fn an_event_is_not_sent_on_to_where_a_server_points() {
        let (asked, elsewhere) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let serve = async |counter: &Arc<AtomicUsize>, answer: (StatusCode, [(header::HeaderName, String); 1])| {
            let counter = Arc::clone(counter);
            let answering = move || {
                counter.fetch_add(1, Ordering::SeqCst);
                std::future::ready(answer.clone())
            };
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url: Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
            tokio::spawn(axum::serve(listener, axum::Router::new().route("/", on_post(answering))).into_future());
            url
        };
        let other = serve(&elsewhere, (StatusCode::OK, [(header::SERVER, "x".into())])).await;
        let url = serve(&asked, (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, other.to_string())])).await;
        let clients = HttpClients::new(A_MINUTE).unwrap();
        assert_eq!(post(clients.trusted(), &url, "{}", A_MINUTE).await, Outcome::Failed);
        assert_eq!((asked.load(Ordering::SeqCst), elsewhere.load(Ordering::SeqCst)), (1, 0));
        assert_eq!(post(clients.trusted(), &other, "{}", A_MINUTE).await, Outcome::Done);
        let nobody: Url = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap()
        };
        assert_eq!(post(clients.trusted(), &nobody, "{}", A_MINUTE).await, Outcome::Unreachable);
    }
}
