//! What each kind of request is answered with.

use serde_json::{Value, json};
use transcribe::queue::Subject;

use super::*;

/// Longer than the examples of the contract are old.
const AGES: Duration = Duration::from_secs(100 * 365 * 86_400);
const CHALLENGE: &str = r#"{"event":"endpoint.url_validation","payload":{"plainToken":"qX9aExamplePlainToken01"},"event_ts":1770000000123}"#;
const COMPLETED: &str = r#"{"event":"phone.recording_completed","event_ts":1770000100456,"payload":{"account_id":"ACCT0example","object":{"recordings":[{"id":"0f3a5c7e9b1d4f6a8c0e2d4b6f8a1c3e","caller_name":"山田 太郎"}]}}}"#;
const OF_CHALLENGE: &str = "v0=1207da60fd5b92a7ad7d90ba3c8d85191f925dae1a8c1612cf96a9563a54899e";
const OF_COMPLETED: &str = "v0=9a14f9605405a1a857d042bca65dbb1aa25d03c746b9947fedcf773d1e194df3";

#[tokio::test]
async fn the_examples_of_the_contract_are_accepted_whenever_zoom_sends_them() {
    let scene = Scene::with(WebhookConfig { max_skew: AGES, ..config() }, Limits::default()).await;
    let mut connection = scene.connect().await;
    for _each_72_hours in 0..2 {
        let challenge = request(PATH, 1_770_000_000, OF_CHALLENGE, CHALLENGE.as_bytes());
        let reply = exchange(&mut connection, &challenge).await;
        let expected = json!({
            "plainToken": "qX9aExamplePlainToken01",
            "encryptedToken": "c08ed5015f6b3bb675ce9ce8ccf3abed3579b56b2e1d4d2d3c617c749eb0774e",
        });
        assert_eq!((reply.status, serde_json::from_str::<Value>(&reply.body).unwrap()), (200, expected));
        let event = request(PATH, 1_770_000_100, OF_COMPLETED, COMPLETED.as_bytes());
        assert_eq!(exchange(&mut connection, &event).await, Reply { status: 200, body: String::new() });
    }
    let notices = scene.notices().await;
    assert_eq!(notices.len(), 1);
    assert_eq!(notices[0].subject, Subject::Recording);
    let body: Value = serde_json::from_str(&notices[0].body).unwrap();
    assert_eq!(body, json!({"id": ID, "caller_name": "山田 太郎"}));
    scene.stop().await;
}

#[tokio::test]
async fn what_zoom_did_not_sign_is_refused_and_leaves_nothing() {
    let scene = Scene::new().await;
    let body = completed(&[ID]).to_string().into_bytes();
    let (good, wrong) = (signature(SECRET, now(), &body), signature("whsec-example-0002", now(), &body));
    let mut altered = body.clone();
    altered[20] ^= 1;
    let old = now() - 3 * 3_600;
    let ahead = now() + 3 * 3_600;
    let unsigned = format!("POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    let requests = [
        ("wrong secret", request(PATH, now(), &wrong, &body)),
        ("altered byte", request(PATH, now(), &good, &altered)),
        ("another time", request(PATH, now() - 1, &signature(SECRET, now() + 1, &body), &body)),
        ("too old", request(PATH, old, &signature(SECRET, old, &body), &body)),
        ("too early", request(PATH, ahead, &signature(SECRET, ahead, &body), &body)),
        ("no signature", [unsigned.as_bytes(), &body].concat()),
        ("no hex", request(PATH, now(), "v0=nothing", &body)),
        ("another version", request(PATH, now(), &good.replace("v0=", "v1="), &body)),
        ("an unsigned challenge", request(PATH, now(), &good, br#"{"event":"endpoint.url_validation"}"#)),
    ];
    for (what, request) in requests {
        assert_eq!(scene.send(&request).await, Reply { status: 401, body: String::new() }, "{what}");
    }
    assert!(scene.keys().await.is_empty());
    let delivered_again = now() - 85 * 60;
    let again = request(PATH, delivered_again, &signature(SECRET, delivered_again, &body), &body);
    assert_eq!(scene.send(&again).await.status, 200, "the third delivery may carry the first one's timestamp");
    assert_eq!(scene.keys().await, [format!("recording:{ID}")]);
    scene.stop().await;
}

#[tokio::test]
async fn only_post_on_the_path_is_served_and_only_events_are_taken() {
    let scene = Scene::new().await;
    let body = completed(&[ID]).to_string().into_bytes();
    let tag = signature(SECRET, now(), &body);
    for path in ["/", "/webhooks", "/webhooks/zoom/", "/healthz", "/metrics"] {
        assert_eq!(scene.send(&request(path, now(), &tag, &body)).await.status, 404, "{path}");
    }
    for method in ["GET", "PUT", "DELETE"] {
        let wrong = String::from_utf8(signed(&body)).unwrap().replacen("POST", method, 1);
        assert_eq!(scene.send(wrong.as_bytes()).await.status, 405, "{method}");
    }
    for no_event in ["", "{", "[]", "null", "{}", "\"phone.recording_completed\"", "event=phone.recording_completed"] {
        assert_eq!(scene.send(&signed(no_event.as_bytes())).await.status, 400, "{no_event}");
    }
    assert_eq!(scene.send(&signed(b"{\"event\":\"phone.recording_completed\",\"x\":\"\xff\"}")).await.status, 400);
    assert!(scene.keys().await.is_empty());
    scene.stop().await;
}

#[tokio::test]
async fn unknown_events_are_answered_with_200_and_forgotten() {
    let scene = Scene::new().await;
    for name in ["phone.recording_started", "phone.peering_number_added", "meeting.started", "whatever"] {
        assert_eq!(scene.tell(&event(name, &[ID])).await.status, 200, "{name}");
    }
    assert!(scene.keys().await.is_empty());
    scene.stop().await;
}

#[tokio::test]
async fn the_path_of_the_configuration_is_taken_as_it_stands() {
    let path = "/zoom/:account".to_owned();
    let scene = Scene::with(WebhookConfig { path: path.clone(), ..config() }, Limits::default()).await;
    let body = completed(&[ID]).to_string().into_bytes();
    let tag = signature(SECRET, now(), &body);
    assert_eq!(scene.send(&request(&path, now(), &tag, &body)).await.status, 200);
    assert_eq!(scene.send(&request("/zoom/other", now(), &tag, &body)).await.status, 404);
    scene.stop().await;
}

#[tokio::test]
async fn a_new_secret_and_a_new_tolerance_hold_from_the_next_event_on() {
    let scene = Scene::new().await;
    let mut connection = scene.connect().await;
    let body = completed(&[ID]).to_string().into_bytes();
    let old = now() - 3_600;
    let with = |secret: &str, at: i64| request(PATH, at, &signature(secret, at, &body), &body);
    assert_eq!(exchange(&mut connection, &with(SECRET, old)).await.status, 200);
    let tolerance = Duration::from_secs(300);
    assert!(!scene.handle.replace(SECRET.into(), tolerance), "it is the same");
    assert!(scene.handle.replace("whsec-example-0002".into(), tolerance));
    assert_eq!(exchange(&mut connection, &with(SECRET, now())).await.status, 401);
    assert_eq!(exchange(&mut connection, &with("whsec-example-0002", old)).await.status, 401);
    assert_eq!(exchange(&mut connection, &with("whsec-example-0002", now())).await.status, 200);
    scene.stop().await;
}
