//! Who is calling, while it rings.

use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use super::{Serve, workspace};
use crate::support::{Clip, ZoomServer};
use crate::workspace::project;

fn ringing(number: &str) -> Value {
    json!({"event": "phone.callee_ringing", "event_ts": jiff::Timestamp::now().as_millisecond(), "payload": {
        "account_id": "ACCT0example", "object": {
            "call_id": "7409999999999999999",
            "caller": {"phone_number": number, "name": "山田 太郎", "connection_type": "pstn_off_net"},
            "callee": {"extension_id": "eXt1", "extension_type": "user", "extension_number": 1002, "name": "佐藤 花子"},
            "ringing_start_time": jiff::Timestamp::now().to_string()}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_shown_while_it_rings_with_what_was_said_before_and_is_a_row_once() {
    let speech = std::fs::read(project().join(".cache/fixtures/speech/en_hello_world.mp3")).unwrap();
    let clip = Clip::new("before", speech).with("caller_number", json!("+81355500123"));
    let zoom = ZoomServer::start(vec![clip]).await;
    let workspace = workspace(&zoom);
    let mut serve = Serve::start(&workspace);
    serve.wait_for_rows(1);
    let mut follower = workspace.command(&["events", "--follow"]).spawn().unwrap();
    let mut shown = BufReader::new(follower.stdout.take().unwrap()).lines();
    serve.started.wait_for(&["follow"]);
    let event = ringing("+81355500123");
    assert_eq!(serve.deliver(&event).await, 200);
    assert_eq!(serve.deliver(&event).await, 200);
    let line = shown.next().unwrap().unwrap();
    for part in ["+81355500123", "山田 太郎", "佐藤 花子"] {
        assert!(line.contains(part), "{part} is missing: {line}");
    }
    let earlier = shown.next().unwrap().unwrap().to_lowercase();
    assert!(earlier.contains("hello"), "{earlier}");
    let log = serve.stop();
    assert_eq!(follower.wait().unwrap().code(), Some(0), "it ends with the service");
    assert_eq!(shown.next().map(Result::unwrap), None, "a repeated delivery is not shown again");
    for personal in ["81355500123", "山田"] {
        assert!(!log.contains(personal), "{personal} is in the log");
    }
    let rows =
        workspace.query("select event, caller_number, callee_name from read_parquet('call_events/**/*.parquet')");
    assert_eq!(rows, [[json!("phone.callee_ringing"), json!("+81355500123"), json!("佐藤 花子")]]);
}
