//! Many machines: coordinator and workers as real processes, a real message server between them, a real store beneath.

mod kills;
mod lapses;
mod together;

use jiff::{SignedDuration, Timestamp};

use crate::nats_server::NatsServer;
use crate::started::Started;
use crate::support::ZoomServer;
use crate::workspace::{Workspace, project};

/// What every coordinator here is asked to do.
const RUN: [&str; 4] = ["--since", "7d", "--format", "json"];

async fn nats() -> NatsServer {
    NatsServer::start(&project().join(".venv/bin/nats-server")).await
}

fn ago(days: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(24 * days + 2)
}

/// The coordinator's own folder, with the lake in it.
fn coordinator(zoom: &ZoomServer, nats: &NatsServer) -> Workspace {
    let mut workspace = Workspace::against(zoom.environment());
    let lake = workspace.lake().display().to_string();
    workspace
        .set("TRANSCRIBE__QUEUE__URL", nats.url())
        .set("TRANSCRIBE__QUEUE__LEASE", "3s")
        .set("TRANSCRIBE__TELEMETRY__METRICS_LISTEN", "off")
        .set("TRANSCRIBE__LAKE__URL", lake);
    workspace
}

/// Another machine: nothing of the coordinator's but the message server and the store.
fn machine(coordinator: &Workspace) -> Workspace {
    let mut machine = coordinator.elsewhere();
    machine.with_scripted_engine(&[]).set("TRANSCRIBE__STT__WORKERS", "1");
    machine
}

/// A worker, and the machine that it lives on.
struct Worker {
    process: Started,
    machine: Workspace,
}

impl Worker {
    /// Ready to take jobs.
    fn on(machine: Workspace) -> Self {
        Self { process: start(&machine), machine }
    }

    /// Ends it as an operator does.
    #[track_caller]
    fn dismiss(self) {
        self.process.signal("TERM");
        let ended = self.process.end();
        assert_eq!(ended.code, Some(0), "{}", ended.said);
    }
}

/// Starts a worker and waits until it is ready to take jobs.
fn start(machine: &Workspace) -> Started {
    let mut worker = Started::run(machine, &["worker"]);
    worker.wait_for(&["model loaded"]);
    worker
}

/// Ends the test unless nothing stays between the machines: what a coordinator had read when it was killed comes again
/// after a lease, and the next one does away with it.
async fn assert_nothing_stays_on_its_way(nats: &NatsServer, coordinator: &Workspace) {
    const MOST_RUNS: usize = 30;
    let kept = |name: &str| name.starts_with("tests-jobs") || name.starts_with("tests-reports");
    for _ in 0..MOST_RUNS {
        let messages: u64 = nats.messages().await.iter().filter(|(name, _)| kept(name)).map(|(_, count)| count).sum();
        let shared = glob::glob(&format!("{}/_staging/**/*.staged", coordinator.lake().display())).unwrap();
        if messages == 0 && shared.count() == 0 {
            return;
        }
        coordinator.run(&RUN);
    }
    panic!("still on its way after {MOST_RUNS} runs: {:?}", nats.messages().await);
}
