//! `transcribe events --follow`: the real binary at the real socket of the library's distribution of events.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;

use crate::calls::{Scene, no_hooks, notice, ringing};

const NEVER: Duration = Duration::from_secs(60);

fn command(state_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_transcribe"));
    command.args(arguments).env_clear().current_dir(state_dir.parent().unwrap());
    command.env("TRANSCRIBE__PATHS__STATE_DIR", state_dir).env("TRANSCRIBE__LAKE__PARTITION_TIMEZONE", "Asia/Tokyo");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A running `transcribe events --follow`.
struct Following {
    child: Child,
    lines: mpsc::Receiver<String>,
}

/// Hands on whole lines until `stdout` ends or nobody takes them; then it is closed.
fn read_lines(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(64);
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            if sender.blocking_send(line.unwrap()).is_err() {
                break;
            }
        }
    });
    lines
}

impl Following {
    /// Starts it, and returns when it hears what is told.
    async fn start(scene: &Scene, arguments: &[&str]) -> Self {
        let mut child = command(&scene.state_dir(), arguments).spawn().unwrap();
        let lines = read_lines(child.stdout.take().unwrap());
        let mut following = Self { child, lines };
        // What is told before it is connected is not for it.
        let hearing = async {
            for number in 0.. {
                scene.calls.offer(&[ringing(&format!("early-{number}"))]);
                let heard = tokio::time::timeout(Duration::from_millis(50), following.lines.recv()).await;
                if let Ok(line) = heard {
                    return line.expect("it runs");
                }
            }
            unreachable!("there are many numbers")
        };
        tokio::time::timeout(NEVER, hearing).await.expect("it never heard anything");
        following
    }

    /// The next line that `is_wanted`.
    async fn line(&mut self, is_wanted: impl Fn(&str) -> bool) -> String {
        let looking = async {
            loop {
                let line = self.lines.recv().await.expect("it runs");
                if is_wanted(&line) {
                    return line;
                }
            }
        };
        tokio::time::timeout(NEVER, looking).await.expect("the line never came")
    }

    /// How it ended, and what it complained of.
    async fn ended(mut self) -> (ExitStatus, String) {
        let ending = tokio::task::spawn_blocking(move || {
            let mut complaint = String::new();
            self.child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
            (self.child.wait().unwrap(), complaint)
        });
        tokio::time::timeout(NEVER, ending).await.expect("it never ended").unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_one_readable_line_and_it_ends_with_the_service() {
    let scene = Scene::start(no_hooks()).await;
    let mut following = Following::start(&scene, &["events", "--follow"]).await;
    let mut missed = notice("phone.callee_missed", "1", &serde_json::json!({}));
    missed.body =
        missed.body.replace("\"ringing_start_time\"", "\"handup_result\":\"No Answer\",\"ringing_start_time\"");
    scene.calls.offer(&[notice("phone.callee_answered", "1", &serde_json::json!({"name": "山田 太郎"})), missed]);
    let line = following.line(|line| line.contains("answered")).await;
    assert_eq!(line["2026-11-02 10:14:58".len()..], *"  answered  山田 太郎  → サポート窓口, 佐藤 花子 (1002)");
    let line = following.line(|line| line.contains("missed")).await;
    let missed = "  missed    number withheld  → サポート窓口, 佐藤 花子 (1002) (No Answer)";
    assert_eq!(line["2026-11-02 10:14:58".len()..], *missed);
    scene.end().await;
    let (status, complaint) = following.ended().await;
    assert_eq!((status.code(), complaint.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn as_json_each_event_is_one_object_a_line_and_an_interrupt_ends_it() {
    let scene = Scene::start(no_hooks()).await;
    let mut following = Following::start(&scene, &["events", "--follow", "--format", "json"]).await;
    scene.calls.offer(&[ringing("one")]);
    let line = following.line(|line| line.contains("\"one\"")).await;
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["event"], "phone.callee_ringing");
    assert_eq!(event["caller"], serde_json::json!({"number": "+81355500123", "name": "山田 太郎"}));
    assert_eq!(event["ringing_at"], "2026-11-02T01:14:58Z");
    assert_eq!(event["earlier_calls"], serde_json::json!([]));
    let id = following.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let (status, complaint) = following.ended().await;
    assert_eq!((status.code(), complaint.as_str()), (Some(130), ""));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_when_nobody_reads_it_any_more_also_when_nobody_calls() {
    let scene = Scene::start(no_hooks()).await;
    let mut child = command(&scene.state_dir(), &["events", "--follow"]).spawn().unwrap();
    drop(child.stdout.take());
    let (_sender, lines) = mpsc::channel(1);
    let (status, complaint) = Following { child, lines }.ended().await;
    assert_eq!((status.code(), complaint.as_str()), (Some(0), ""));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_service_one_sentence_says_how_to_start_it() {
    let folder = Scene::start(no_hooks()).await.end().await;
    let state_dir = folder.path().join("state");
    let output = command(&state_dir, &["events", "--follow"]).output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.contains("start it with `transcribe serve`"), "{complaint}");
    assert_eq!(output.stdout, b"");

    let output = command(&state_dir, &["events"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--follow"));
}
