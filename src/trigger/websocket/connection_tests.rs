//! One connection under a clock that does not wait, with the timings of real life.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::connection::{Connection, Ended};
use super::*;
use crate::queue::sqlite::{SqliteQueue, SqliteSettings};
use crate::queue::{Inbox, Subject, Via};

use futures::{SinkExt, StreamExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Message;

const HEARTBEAT: &str = r#"{"module":"heartbeat"}"#;

/// The server's end of a connection, and what became of the client's.
struct Scene {
    server: WebSocketStream<DuplexStream>,
    client: JoinHandle<(Ended, Option<Timestamp>)>,
    began: Instant,
    gaps: Arc<Mutex<Vec<Gap>>>,
    queue: SqliteQueue,
    _folder: tempfile::TempDir,
}

impl Scene {
    /// A connection with a token that came this moment, after one whose last frame came then.
    async fn after(last_frame: Option<Timestamp>) -> Self {
        Self::with(last_frame, Instant::now() + Timings::default().token_age).await
    }

    async fn with(last_frame: Option<Timestamp>, renew_at: Instant) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = SqliteSettings { lease: Duration::from_secs(60), max_attempts: 3 };
        let queue = SqliteQueue::open(&folder.path().join("ledger.sqlite"), settings).unwrap();
        let gaps = Arc::<Mutex<Vec<Gap>>>::default();
        let outlets = Outlets {
            intake: Intake::start(Arc::new(queue.clone()), |_| {}),
            read: Box::new(read),
            gap: Box::new({
                let gaps = Arc::clone(&gaps);
                move |gap| gaps.lock().unwrap().push(gap)
            }),
        };
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let server = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
        let socket = WebSocketStream::from_raw_socket(ours, Role::Client, None).await;
        let began = Instant::now();
        let client = tokio::spawn(async move {
            let (timings, stop) = (Timings::default(), CancellationToken::new());
            let (mut last_frame, mut opened_at) = (last_frame, None);
            let connection = Connection {
                socket,
                timings: &timings,
                outlets: &outlets,
                renew_at,
                stop: &stop,
                last_frame: &mut last_frame,
                opened_at: &mut opened_at,
            };
            let ended = connection.listen(|| {}).await;
            (ended, last_frame)
        });
        Self { server, client, began, gaps, queue, _folder: folder }
    }

    async fn say(&mut self, frame: Value) {
        self.server.send(Message::text(frame.to_string())).await.unwrap();
    }

    async fn open(&mut self) {
        self.say(json!({"module": "build_connection", "success": true})).await;
    }

    /// The next frame of the client, and how many seconds after the beginning it came.
    async fn hear(&mut self) -> (String, u64) {
        let message = self.server.next().await.unwrap().unwrap();
        (message.into_text().unwrap().as_str().to_owned(), self.began.elapsed().as_secs())
    }

    /// Why the connection ended, after how many seconds.
    async fn ended(self) -> (&'static str, u64) {
        let (ended, _) = self.client.await.unwrap();
        (ended.word(), self.began.elapsed().as_secs())
    }
}

fn read(event: &[u8], received_at: Timestamp) -> Vec<Notice> {
    let event: Value = serde_json::from_slice(event).unwrap();
    let key = event["event"].as_str().unwrap().to_owned();
    vec![Notice {
        key,
        subject: Subject::Call,
        via: Via::Websocket,
        event_at: None,
        received_at,
        body: event.to_string(),
    }]
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_goes_out_every_thirty_seconds_for_as_long_as_it_is_answered() {
    let mut scene = Scene::after(None).await;
    scene.open().await;
    for beat in 1..=20 {
        assert_eq!(scene.hear().await, (HEARTBEAT.to_owned(), 30 * beat));
        scene.say(json!({"module": "heartbeat", "success": true})).await;
    }
    assert!(!scene.client.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_for_a_minute_is_given_up() {
    let mut scene = Scene::after(None).await;
    scene.open().await;
    assert_eq!(scene.ended().await, ("silent", 60));
}

#[tokio::test(start_paused = true)]
async fn any_frame_is_a_sign_of_life() {
    let mut scene = Scene::after(None).await;
    scene.open().await;
    for sign in [Message::Ping(vec![1].into()), Message::text("garbage"), Message::binary(vec![0xff])] {
        tokio::time::sleep(Duration::from_secs(59)).await;
        scene.server.send(sign).await.unwrap();
    }
    assert_eq!(scene.ended().await, ("silent", 3 * 59 + 60));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_never_confirmed_is_given_up_but_its_events_are_kept() {
    let mut scene = Scene::after(None).await;
    scene.say(json!({"event": "phone.early", "payload": {}})).await;
    let (queue, gaps) = (scene.queue.clone(), Arc::clone(&scene.gaps));
    assert_eq!(scene.ended().await, ("no_answer", 20));
    assert_eq!(queue.received(9).await.unwrap()[0].1.key, "phone.early");
    assert_eq!(*gaps.lock().unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_connection_does_not_outlive_its_token_and_says_goodbye() {
    let mut scene = Scene::after(None).await;
    scene.open().await;
    for _ in 1..100 {
        scene.hear().await;
        scene.say(json!({"module": "heartbeat"})).await;
    }
    assert!(scene.server.next().await.unwrap().unwrap().is_close());
    assert_eq!(scene.ended().await, ("token_old", 50 * 60));
}

#[tokio::test(start_paused = true)]
async fn what_has_come_by_the_end_of_the_token_is_kept() {
    let now = Instant::now();
    let mut scene = Scene::with(None, now.checked_sub(Duration::from_secs(1)).unwrap()).await;
    scene.open().await;
    for event in ["phone.last", "phone.very_last"] {
        scene.say(json!({"event": event, "payload": {}})).await;
    }
    let queue = scene.queue.clone();
    assert_eq!(scene.ended().await, ("token_old", 0));
    let kept: Vec<String> = queue.received(9).await.unwrap().into_iter().map(|(_, notice)| notice.key).collect();
    assert_eq!(kept, ["phone.last", "phone.very_last"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_in_any_module_ends_it_also_in_the_middle() {
    let mut scene = Scene::after(None).await;
    scene.open().await;
    scene.say(json!({"module": "heartbeat", "success": false, "content": "Invalid Token"})).await;
    assert_eq!(scene.ended().await, ("token_refused", 0));
}

#[tokio::test(start_paused = true)]
async fn a_gap_begins_with_the_last_frame_of_the_connection_before() {
    let before: Timestamp = "2026-11-01T08:00:00Z".parse().unwrap();
    let mut scene = Scene::after(Some(before)).await;
    scene.open().await;
    assert_eq!(scene.hear().await.0, HEARTBEAT);
    assert_eq!(*scene.gaps.lock().unwrap(), [Gap { since: Some(before) }]);
    let said_at = Timestamp::now();
    scene.say(json!({"module": "heartbeat"})).await;
    let (ended, last_frame) = scene.client.await.unwrap();
    assert_eq!(ended.word(), "silent");
    assert!(last_frame.unwrap() >= said_at);
}
