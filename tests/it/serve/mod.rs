//! `transcribe serve` as a whole: the real program, events over real sockets, rows read back.

mod calls;
mod events;
mod flush;
mod operations;
mod panics;
mod storm;

use serde_json::{Value, json};

use crate::signed::signature;
use crate::started::Started;
use crate::support::ZoomServer;
use crate::workspace::Workspace;

const SECRET: &str = "whsec-example-0001";
const ROWS: &str = "select recording_id, count(*) from read_parquet('recordings/**/*.parquet') group by 1 order by 1";

/// A workspace whose service listens on free ports, lists once when it starts and publishes at once.
fn workspace(zoom: &ZoomServer) -> Workspace {
    let mut workspace = Workspace::against(zoom.environment());
    workspace.set("ZOOM_WEBHOOK_SECRET_TOKEN", SECRET);
    workspace.set("TRANSCRIBE__TRIGGER__WEBHOOK__LISTEN", "127.0.0.1:0");
    workspace.set("TRANSCRIBE__TRIGGER__SWEEP_EVERY", "1d");
    workspace.set("TRANSCRIBE__TELEMETRY__METRICS_LISTEN", "127.0.0.1:0");
    workspace.set("TRANSCRIBE__LAKE__FRESH_EVERY", "0s");
    workspace
}

/// A running service and where it listens.
struct Serve {
    started: Started,
    ops: String,
    webhook: String,
}

impl Serve {
    /// Returns when it has looked through the window once.
    fn start(workspace: &Workspace) -> Self {
        let mut started = Started::run(workspace, &["serve"]);
        let ops = address_in(started.wait_for(&["health and metrics are served"]));
        let webhook = address_in(started.wait_for(&["waiting for Zoom's events"]));
        started.wait_for(&["swept"]);
        Self { started, ops, webhook }
    }

    /// Delivers an event as Zoom does; returns the status of the answer.
    async fn deliver(&self, event: &Value) -> u16 {
        deliver(&self.webhook, event).await
    }

    /// The answer of an address for operators: status and body.
    async fn ask(&self, path: &str) -> (u16, String) {
        ask(&self.ops, path).await
    }

    /// Waits until so many recordings in all were published by this process.
    fn wait_for_rows(&mut self, recordings: usize) {
        while published_in(self.started.said()) < recordings {
            self.started.wait_for(&["published"]);
        }
    }

    /// Tells it to stop and expects that it ends in order.
    #[track_caller]
    fn stop(self) -> String {
        self.started.signal("TERM");
        let ended = self.started.end();
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        ended.said
    }
}

async fn ask(ops: &str, path: &str) -> (u16, String) {
    let answer = reqwest::Client::new().get(format!("http://{ops}{path}")).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// `address=127.0.0.1:1234` of a log line.
fn address_in(line: &str) -> String {
    field("address", line).unwrap()
}

/// The value of a field of a log line.
fn field(name: &str, line: &str) -> Option<String> {
    let plain = strip_colours(line);
    let (_, rest) = plain.split_once(&format!("{name}="))?;
    rest.split_whitespace().next().map(str::to_owned)
}

/// How many recordings these lines say were published.
fn published_in(lines: &[String]) -> usize {
    let published = lines.iter().filter(|line| strip_colours(line).contains(" published dt="));
    published.map(|line| field("recordings", line).unwrap().parse::<usize>().unwrap()).sum()
}

fn strip_colours(line: &str) -> String {
    let mut plain = String::new();
    let mut inside = false;
    for character in line.chars() {
        match (inside, character) {
            (false, '\u{1b}') => inside = true,
            (true, 'm') => inside = false,
            (false, character) => plain.push(character),
            (true, _) => {}
        }
    }
    plain
}

async fn deliver(webhook: &str, event: &Value) -> u16 {
    let body = event.to_string();
    let timestamp = jiff::Timestamp::now().as_second();
    let answer = reqwest::Client::new()
        .post(format!("http://{webhook}/webhooks/zoom"))
        .header("x-zm-request-timestamp", timestamp)
        .header("x-zm-signature", signature(SECRET, timestamp, body.as_bytes()))
        .body(body)
        .send()
        .await;
    answer.map_or(0, |answer| answer.status().as_u16())
}

/// The event that the recording with this id, one of the server's clips, is complete.
fn completed(zoom: &ZoomServer, id: &str) -> Value {
    let now = jiff::Timestamp::now();
    json!({"event": "phone.recording_completed", "event_ts": now.as_millisecond(), "payload": {
        "account_id": "ACCT0example", "object": {"recordings": [{
            "id": id, "caller_number": "+81355500123", "caller_name": "山田 太郎", "callee_number": "1045",
            "callee_name": "佐藤 花子", "direction": "inbound", "duration": 2,
            "date_time": (now - jiff::SignedDuration::from_secs(2)).to_string(), "end_time": now.to_string(),
            "download_url": format!("{}/v2/phone/recording/download/key-{id}", zoom.address()),
        }]},
    }})
}

fn once(ids: &[&str]) -> Vec<Vec<Value>> {
    ids.iter().map(|id| vec![json!(id), json!(1)]).collect()
}
