//! Events of calls: who is told of them while they happen, over a real socket, by real programs and a real server, and
//! which rows they become, as DuckDB reads them.

mod hooks;
mod memory;
mod rows;
mod stream;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use transcribe::config::{HooksConfig, LakeConfig, LakePlace, Partition};
use transcribe::domain::FinishedTranscript;
use transcribe::lake::Lake;
use transcribe::queue::{Notice, Subject, Via};
use transcribe::trigger::calls::{Calls, Follower, Heard, LiveCall};

use crate::transcripts::{finished, segment};

/// Nothing here takes this long unless it never comes.
const NEVER: Duration = Duration::from_secs(60);

const CALLER: &str = "+81355500123";

async fn soon<T>(what: &str, coming: impl Future<Output = T>) -> T {
    tokio::time::timeout(NEVER, coming).await.unwrap_or_else(|_elapsed| panic!("{what} did not come"))
}

/// A running distribution in a folder of its own.
pub(crate) struct Scene {
    folder: tempfile::TempDir,
    lake: Lake,
    stop: CancellationToken,
    pub(crate) calls: Calls,
}

pub(crate) fn no_hooks() -> HooksConfig {
    let events = vec!["phone.callee_ringing".to_owned()];
    HooksConfig { command: vec![], url: None, events, timeout: Duration::from_secs(1) }
}

async fn open_lake(folder: &Path) -> Lake {
    Lake::open(&LakeConfig {
        place: LakePlace::Folder(folder.join("lake")),
        partition_timezone: jiff::tz::TimeZone::get("Asia/Tokyo").unwrap(),
        partition: Partition::Day,
        flush_every: Duration::from_secs(60),
        flush_bytes: 1 << 20,
        fresh_every: Duration::from_secs(60),
        compression_level: 3,
    })
    .await
    .unwrap()
}

impl Scene {
    pub(crate) async fn start(hooks: HooksConfig) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), hooks).await
    }

    async fn start_in(folder: tempfile::TempDir, hooks: HooksConfig) -> Self {
        let lake = open_lake(folder.path()).await;
        let stop = CancellationToken::new();
        let calls = Calls::start(&hooks, lake.clone(), &folder.path().join("state"), stop.clone()).await.unwrap();
        Self { folder, lake, stop, calls }
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) async fn follow(&self) -> Follower {
        Follower::connect(&self.state_dir()).await.unwrap()
    }

    pub(crate) async fn end(self) -> tempfile::TempDir {
        self.stop.cancel();
        soon("the end", self.calls.ended()).await;
        self.folder
    }

    /// Puts a recording into the lake: so many hours ago, with this number and this text.
    async fn recorded(&self, id: &str, hours_ago: i64, number: &str, text: &str) {
        let mut member: FinishedTranscript = finished(id, vec![segment(0, text)]);
        member.started_at = Timestamp::now() - SignedDuration::from_hours(hours_ago);
        member.dt = self.lake.dt(member.started_at);
        member.recording.call_id = Some(format!("call-{id}"));
        member.recording.caller.number = Some(number.to_owned());
        let plan = Lake::plan_batch(&member.dt, std::slice::from_ref(&member.fingerprint));
        self.lake.publish(&plan, vec![member]).await.unwrap();
    }
}

/// What the intake hands on when somebody calls.
pub(crate) fn notice(event: &str, call_id: &str, caller: &Value) -> Notice {
    notice_of(Timestamp::now(), event, call_id, caller)
}

pub(crate) fn ringing(call_id: &str) -> Notice {
    notice("phone.callee_ringing", call_id, &json!({"phone_number": CALLER, "name": "山田 太郎"}))
}

/// What the intake hands on of a call that happened then.
fn notice_of(at: Timestamp, event: &str, call_id: &str, caller: &Value) -> Notice {
    let body = json!({"event": event, "event_ts": at.as_millisecond(), "payload": {"account_id": "ACCT0example",
        "object": {
            "call_id": call_id, "caller": caller,
            "callee": {"extension_type": "user", "extension_number": 1002, "user_id": "uSeRExampleId",
                       "name": "佐藤 花子", "phone_number": "+81355500102"},
            "forwarded_by": {"name": "サポート窓口", "extension_type": "callQueue", "extension_number": "1022"},
            "ringing_start_time": "2026-11-02T01:14:58Z"}}});
    Notice {
        key: format!("{event}/{call_id}/uSeRExampleId/1793582098001"),
        subject: Subject::Call,
        via: Via::Webhook,
        event_at: Some(at),
        received_at: "2026-11-02T01:14:59.5Z".parse().unwrap(),
        body: body.to_string(),
    }
}

async fn next_call(follower: &mut Follower) -> LiveCall {
    match soon("an event", follower.next()).await.unwrap().expect("the service runs") {
        Heard::Call(call) => *call,
        Heard::Missed(missed) => panic!("{missed} were missed"),
    }
}

fn call_id(call: &LiveCall) -> &str {
    call.event.call_id.as_deref().unwrap()
}

/// A named pipe that programs write lines to.
struct Pipe {
    path: PathBuf,
    lines: mpsc::Receiver<String>,
}

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

impl Pipe {
    fn new(folder: &Path) -> Self {
        let path = folder.join("told");
        make_pipe(&path);
        // Opened both ways it has no end.
        let pipe = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let (sender, lines) = mpsc::channel(1_024);
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines() {
                if sender.blocking_send(line.unwrap()).is_err() {
                    break;
                }
            }
        });
        Self { path, lines }
    }

    async fn call(&mut self) -> LiveCall {
        serde_json::from_str(&soon("a line", self.lines.recv()).await.unwrap()).unwrap()
    }
}

fn shell(script: &str) -> HooksConfig {
    HooksConfig { command: ["/bin/sh", "-c", script].map(str::to_owned).into(), ..no_hooks() }
}
