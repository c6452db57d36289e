//! What log lines say besides their message: which recording, which attempt, which run.

use serde_json::{Value, json};

use crate::workspace::Workspace;

const HELLO: &str = "speech/en_hello_world.mp3";

#[test]
fn every_json_line_about_a_recording_has_the_fields_of_its_span() {
    let mut workspace = Workspace::new();
    workspace.folder_of("calls", &[HELLO]);
    workspace.set("TRANSCRIBE__TELEMETRY__LOG_FORMAT", "json");
    let outcome = workspace.run(&["--dir", "calls", "--format", "json", "-vv"]).expect_code(0);
    let summary = outcome.json();
    let id = &summary["recordings"][0]["id"];
    let lines: Vec<Value> = outcome.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let saying = |message: &str| lines.iter().find(|line| line["fields"]["message"] == message).unwrap();
    let span = json!({"name": "recording", "recording_id": id, "attempt": 1, "run_id": summary["run_id"]});
    for message in ["recording claimed", "audio fetched", "transcribed"] {
        assert_eq!(saying(message)["span"], span, "{message}");
        assert_eq!(saying(message)["fields"].get("recording_id"), None, "{message}");
    }
    let published = saying("published");
    assert_eq!(published["fields"]["recordings"], 1);
    assert_eq!(published.get("span"), None);
}

#[test]
fn a_line_of_text_names_the_recording_once_however_little_is_logged() {
    let workspace = Workspace::new();
    let calls = workspace.folder_of("calls", &[HELLO]);
    std::fs::write(calls.join("broken.mp3"), "this is no audio").unwrap();
    let outcome = workspace.run(&["--dir", "calls", "--format", "json", "-q"]).expect_code(4);
    let summary = outcome.json();
    let recordings = summary["recordings"].as_array().unwrap();
    let failed = recordings.iter().find(|recording| recording["status"] == "failed").unwrap();
    let id = failed["id"].as_str().unwrap();
    let (line, others) = outcome.stderr.split_once('\n').unwrap();
    let run_id = summary["run_id"].as_str().unwrap();
    let span = format!("recording{{recording_id={id} attempt=1 run_id={run_id}}}: recording goes to quarantine ");
    assert!(line.contains(&span), "{line}");
    assert_eq!((line.matches(id).count(), others), (1, ""));
}
