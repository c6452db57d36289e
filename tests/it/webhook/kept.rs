//! What of the events is in the ledger, and when.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::*;

#[tokio::test]
async fn repeated_deliveries_and_copies_for_members_are_one_notice() {
    let scene = Scene::new().await;
    let dashed = "0f3a5c7e-9b1d-4f6a-8c0e-2d4b6f8a1c3e";
    for _ in 0..3 {
        assert_eq!(scene.tell(&completed(&[ID])).await.status, 200);
    }
    for copy in [
        event("phone.recording_completed_for_access_member", &[ID]),
        completed(&[dashed]),
        completed(&[&ID.to_uppercase()]),
        completed(&[ID, dashed]),
    ] {
        assert_eq!(scene.tell(&copy).await.status, 200);
    }
    assert_eq!(scene.keys().await, [format!("recording:{ID}")]);

    for other in [
        event("phone.recording_transcript_completed", &[ID]),
        event("phone.recording_deleted", &[dashed]),
        event("phone.recording_permanently_deleted", &[ID]),
        completed(&[]),
        completed(&["a1", "a2"]),
    ] {
        assert_eq!(scene.tell(&other).await.status, 200);
    }
    let expected = [
        format!("recording:{ID}"),
        format!("transcript:{ID}"),
        format!("deleted:{ID}"),
        "recording:a1".to_owned(),
        "recording:a2".to_owned(),
    ];
    assert_eq!(scene.keys().await, expected);
    scene.stop().await;
}

#[tokio::test]
async fn calls_are_kept_step_by_step_and_their_records_once() {
    let scene = Scene::new().await;
    let ringing = json!({"event": "phone.callee_ringing", "event_ts": 1_770_000_000_001_i64, "payload": {"object": {
        "call_id": "7401234567890123456", "caller": {"phone_number": "+81355500123"},
        "callee": {"extension_id": "eXtExampleId", "extension_number": 1002}}}});
    let missed = json!({"event": "phone.callee_missed", "event_ts": 1_770_000_000_002_i64,
                        "payload": {"object": {"call_id": "7401234567890123456", "callee": {}}}});
    let logs = json!({"call_logs": [{"id": "x"}]});
    let log = json!({"event": "phone.callee_call_log_completed", "payload": {"object": logs}});
    let element = json!({"event": "phone.caller_call_element_completed", "payload": {"object": {"call_elements": []}}});
    for event in [&ringing, &ringing, &missed, &log, &element] {
        assert_eq!(scene.tell(event).await.status, 200);
    }
    let notices = scene.notices().await;
    let seen: Vec<_> = notices.iter().map(|notice| (notice.subject.as_str(), notice.via.as_str())).collect();
    assert_eq!(seen, [("call", "webhook"), ("call", "webhook"), ("history", "webhook")]);
    assert_eq!(serde_json::from_str::<Value>(&notices[0].body).unwrap(), ringing);
    assert_eq!(notices[2].body, "");
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_about_one_recording_is_one_notice() {
    let scene = Arc::new(Scene::new().await);
    let senders: Vec<_> = (0..16)
        .map(|_| {
            let scene = Arc::clone(&scene);
            tokio::spawn(async move {
                let mut connection = scene.connect().await;
                for _ in 0..50 {
                    let event = completed(&[ID]).to_string();
                    assert_eq!(exchange(&mut connection, &signed(event.as_bytes())).await.status, 200);
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    assert_eq!(scene.keys().await, [format!("recording:{ID}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_in_the_ledger_when_the_listener_dies_in_a_storm() {
    let scene = Arc::new(Scene::new().await);
    let senders: Vec<_> = (0..8)
        .map(|sender| {
            let scene = Arc::clone(&scene);
            tokio::spawn(async move {
                let (mut connection, mut answered) = (scene.connect().await, Vec::new());
                for number in 0.. {
                    let id = format!("{sender:016x}{number:016x}");
                    let bytes = signed(completed(&[&id]).to_string().as_bytes());
                    if connection.write_all(&bytes).await.is_err() {
                        break;
                    }
                    match reply(&mut connection).await {
                        Some(Reply { status: 200, .. }) => answered.push(format!("recording:{id}")),
                        Some(_) => {}
                        None => break,
                    }
                }
                answered
            })
        })
        .collect();
    scene.groups_arrived(40).await;
    scene.serving.abort();
    scene.stop.cancel();
    let mut answered = BTreeSet::new();
    for sender in senders {
        answered.extend(timeout(FOREVER, sender).await.unwrap().unwrap());
    }
    assert!(answered.len() >= 40, "{}", answered.len());
    let reopened = open(&scene.ledger).received(u32::MAX).await.unwrap();
    let kept: BTreeSet<String> = reopened.into_iter().map(|(_, notice)| notice.key).collect();
    assert_eq!(answered.difference(&kept).next(), None);
}

#[tokio::test]
async fn an_event_that_the_ledger_does_not_take_is_asked_for_again() {
    let scene = Scene::new().await;
    let other = Connection::open(&scene.ledger).unwrap();
    other
        .execute_batch("CREATE TRIGGER full BEFORE INSERT ON inbox BEGIN SELECT RAISE(ABORT, 'no room'); END")
        .unwrap();
    let mut connection = scene.connect().await;
    let bytes = signed(completed(&[ID]).to_string().as_bytes());
    assert_eq!(exchange(&mut connection, &bytes).await.status, 503);
    other.execute_batch("DROP TRIGGER full").unwrap();
    assert_eq!(exchange(&mut connection, &bytes).await.status, 200);
    assert_eq!(scene.keys().await, [format!("recording:{ID}")]);
    scene.stop().await;
}

#[tokio::test]
async fn zoom_is_not_kept_waiting_while_the_ledger_is_busy() {
    let limits = Limits { keep: Duration::from_millis(50), ..Limits::default() };
    let scene = Scene::with(config(), limits).await;
    let closed = scene.close_gate();
    assert_eq!(scene.tell(&completed(&[ID])).await.status, 503);
    drop(closed);
    // As Zoom does; on a busy machine a commit takes longer than this webhook waits.
    let answer = loop {
        let answer = scene.tell(&completed(&["a2"])).await;
        if answer.status != 503 {
            break answer;
        }
    };
    assert_eq!(answer.status, 200);
    assert_eq!(
        scene.keys().await,
        [format!("recording:{ID}"), "recording:a2".to_owned()],
        "a late commit harms nobody"
    );
    scene.stop().await;
}
