//! The WebSocket client against a real server: tokens, heartbeats, events that reach the ledger, and every way in which
//! a connection ends.

use std::cell::RefCell;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use transcribe::config::secrets::{ZoomIdentity, ZoomSecrets};
use transcribe::config::{WebsocketConfig, WebsocketGrant, ZoomConfig, ZoomMode};
use transcribe::queue::sqlite::{SqliteQueue, SqliteSettings};
use transcribe::queue::{Inbox, Notice, QueueError, Subject, Via};
use transcribe::source::zoom::ZoomSource;
use transcribe::source::zoom::auth::{Authenticator, Credentials};
use transcribe::trigger::Intake;
use transcribe::trigger::websocket::{Gap, Outlets, State, Timings, WebSocketClient, WebSocketError};

use crate::support::{ACCOUNT_ID, CLIENT_ID, CLIENT_SECRET, EventServer, Fault, Line, Route, Script, ZoomServer};

/// Whatever is waited for comes within this time or never.
const WITHIN: Duration = Duration::from_secs(30);

/// As in real life, but nobody waits: pauses of a moment, and no heartbeat or silence unless a test asks for it.
fn timings() -> Timings {
    let moment = Duration::from_millis(2);
    Timings {
        heartbeat: Duration::from_secs(3_600),
        silence: Duration::from_secs(3_600),
        first_pause: moment,
        longest_pause: moment * 4,
        refused_pause: moment,
        standby: moment,
        ..Timings::default()
    }
}

/// The ledger's inbox, which fails as often as it is told to.
struct Failing {
    queue: SqliteQueue,
    failures: AtomicU32,
}

#[async_trait]
impl Inbox for Failing {
    async fn receive(&self, notices: Vec<Notice>) -> Result<u64, QueueError> {
        let fails = |left: u32| left.checked_sub(1);
        if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails).is_ok() {
            return Err(QueueError::Stopped);
        }
        self.queue.receive(notices).await
    }

    async fn received(&self, limit: u32) -> Result<Vec<(i64, Notice)>, QueueError> {
        self.queue.received(limit).await
    }

    async fn waiting(&self) -> Result<u64, QueueError> {
        self.queue.waiting().await
    }

    async fn acted_upon(&self, numbers: Vec<i64>) -> Result<(), QueueError> {
        self.queue.acted_upon(numbers).await
    }
}

/// Zoom's two servers, a state folder and a real ledger.
struct Scene {
    zoom: ZoomServer,
    events: EventServer,
    folder: tempfile::TempDir,
    inbox: Arc<Failing>,
    grant: WebsocketGrant,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = SqliteSettings { lease: Duration::from_secs(60), max_attempts: 3 };
        let queue = SqliteQueue::open(&folder.path().join("ledger.sqlite"), settings).unwrap();
        let inbox = Arc::new(Failing { queue, failures: AtomicU32::new(0) });
        let (zoom, events) = (ZoomServer::start(vec![]).await, EventServer::start().await);
        Self { zoom, events, folder, inbox, grant: WebsocketGrant::Client }
    }

    fn authenticator(&self) -> Arc<Authenticator> {
        authenticator(&self.zoom, ZoomMode::Account)
    }

    fn start(&self, timings: Timings) -> Running {
        self.start_with(timings, &self.authenticator(), &self.events.url())
    }

    /// As a process of its own would: nothing is shared but the state folder.
    fn start_with(&self, timings: Timings, auth: &Arc<Authenticator>, url: &str) -> Running {
        let (told, kept) = mpsc::channel(64);
        let (gapped, gaps) = mpsc::channel(64);
        let intake = Intake::start(Arc::clone(&self.inbox) as Arc<dyn Inbox>, move |notices| {
            notices.iter().for_each(|notice| told.try_send(notice.key.clone()).unwrap());
        });
        let gap = Box::new(move |gap| gapped.try_send(gap).unwrap());
        let outlets = Outlets { intake, read: Box::new(read), gap };
        let config = WebsocketConfig { enabled: true, url: url.parse().unwrap(), grant: self.grant };
        let random = SmallRng::seed_from_u64(7);
        let client = WebSocketClient::new(&config, self.folder.path(), auth, outlets, random).unwrap();
        let client = client.with_timings(timings);
        let (state, stop) = (client.state(), CancellationToken::new());
        let task = tokio::spawn(client.run(stop.clone()));
        Running { state, stop, task, kept, gaps }
    }

    async fn kept(&self) -> Vec<Notice> {
        self.inbox.received(100).await.unwrap().into_iter().map(|(_, notice)| notice).collect()
    }
}

/// What signs the requests of a source in this mode.
fn authenticator(zoom: &ZoomServer, mode: ZoomMode) -> Arc<Authenticator> {
    let config = ZoomConfig { mode, ..zoom.config() };
    let user = ZoomIdentity::User { refresh_token: None };
    let identity = if mode == ZoomMode::User { user } else { ZoomIdentity::Account { account_id: ACCOUNT_ID.into() } };
    let secrets = ZoomSecrets { client_id: CLIENT_ID.into(), client_secret: CLIENT_SECRET.into(), identity };
    let source = ZoomSource::new(&config, Credentials::new(secrets, Path::new("unused"))).unwrap();
    Arc::clone(source.client().auth())
}

/// A client at work.
struct Running {
    state: watch::Receiver<State>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    kept: mpsc::Receiver<String>,
    gaps: mpsc::Receiver<Gap>,
}

impl Running {
    async fn is(&mut self, wanted: State) {
        timeout(WITHIN, self.state.wait_for(|state| *state == wanted)).await.unwrap().unwrap();
    }

    /// The key of the next notice that is durable.
    async fn kept(&mut self) -> String {
        timeout(WITHIN, self.kept.recv()).await.unwrap().unwrap()
    }

    async fn gap(&mut self) -> Gap {
        timeout(WITHIN, self.gaps.recv()).await.unwrap().unwrap()
    }

    async fn stop(self) {
        self.stop.cancel();
        timeout(WITHIN, self.task).await.unwrap().unwrap();
    }
}

/// One notice for each recording of an event.
fn read(event: &[u8], received_at: Timestamp) -> Vec<Notice> {
    let event: Value = serde_json::from_slice(event).unwrap();
    let recordings = event["payload"]["object"]["recordings"].as_array().cloned().unwrap_or_default();
    let notice = |recording: Value| Notice {
        key: recording["id"].as_str().unwrap().to_owned(),
        subject: Subject::Recording,
        via: Via::Websocket,
        event_at: event["event_ts"].as_i64().map(|millis| Timestamp::from_millisecond(millis).unwrap()),
        received_at,
        body: recording.to_string(),
    };
    recordings.into_iter().map(notice).collect()
}

fn completed(id: &str) -> Value {
    let recordings = json!([{ "id": id, "download_url": "https://zoom.us/v2/phone/recording/download/key" }]);
    json!({
        "event": "phone.recording_completed",
        "event_ts": 1_770_000_100_456_i64,
        "payload": { "account_id": "ACCT0example", "object": { "recordings": recordings } }
    })
}

async fn opened(scene: &mut Scene, running: &mut Running) -> Line {
    let mut line = scene.events.next().await;
    line.open().await;
    running.is(State::Connected).await;
    line
}

#[tokio::test]
async fn an_event_in_an_envelope_reaches_the_ledger() {
    let mut scene = Scene::new().await;
    let mut running = scene.start(timings());
    let mut line = opened(&mut scene, &mut running).await;
    assert_eq!(line.asked("subscriptionId"), "demo-subscription");
    assert_eq!(running.gap().await, Gap { since: None });
    line.bring(&completed("r1")).await;
    assert_eq!(running.kept().await, "r1");
    let kept = scene.kept().await;
    assert_eq!((kept[0].subject, kept[0].via), (Subject::Recording, Via::Websocket));
    assert_eq!(kept[0].event_at, Some("2026-02-02T02:41:40.456Z".parse().unwrap()));
    running.stop().await;
}

#[tokio::test]
async fn a_bare_event_and_one_that_is_json_in_its_envelope_reach_it_too() {
    let mut scene = Scene::new().await;
    let mut running = scene.start(timings());
    let mut line = opened(&mut scene, &mut running).await;
    line.say(&completed("bare")).await;
    line.say(&json!({"module": "message", "success": true, "content": completed("object")})).await;
    line.send(Message::binary(completed("binary").to_string())).await;
    let keys = [running.kept().await, running.kept().await, running.kept().await];
    assert_eq!(keys, ["bare", "object", "binary"]);
    running.stop().await;
}

#[tokio::test]
async fn an_event_that_comes_twice_is_one_notice() {
    let mut scene = Scene::new().await;
    let mut running = scene.start(timings());
    let mut line = opened(&mut scene, &mut running).await;
    for id in ["r1", "r1", "r2"] {
        line.bring(&completed(id)).await;
        assert_eq!(running.kept().await, id);
    }
    let keys: Vec<String> = scene.kept().await.into_iter().map(|notice| notice.key).collect();
    assert_eq!(keys, ["r1", "r2"]);
    running.stop().await;
}

#[tokio::test]
async fn garbage_and_unknown_modules_are_ignored_and_pings_are_answered() {
    let mut scene = Scene::new().await;
    let mut running = scene.start(timings());
    let mut line = opened(&mut scene, &mut running).await;
    for garbage in ["", "{", "[1]", "{}", r#"{"module":"weather"}"#, r#"{"module":"message","content":"no json"}"#] {
        line.send(Message::text(garbage)).await;
    }
    line.send(Message::binary(vec![0xff; 70_000])).await;
    line.ping().await;
    line.bring(&completed("r1")).await;
    assert_eq!(running.kept().await, "r1");
    assert_eq!(scene.events.tokens().len(), 1, "it is still the first connection");
    running.stop().await;
}

#[tokio::test]
async fn heartbeats_are_text_frames_and_hold_the_connection() {
    let mut scene = Scene::new().await;
    let mut running = scene.start(Timings { heartbeat: Duration::from_millis(5), ..timings() });
    let mut line = opened(&mut scene, &mut running).await;
    for _ in 0..5 {
        line.beat().await;
    }
    line.bring(&completed("r1")).await;
    assert_eq!(running.kept().await, "r1");
    running.stop().await;
}

#[tokio::test]
async fn a_token_that_is_refused_gives_way_to_a_new_one() {
    let mut scene = Scene::new().await;
    let mut running = scene.start(timings());
    scene.events.next().await.refuse_token().await;
    let mut line = opened(&mut scene, &mut running).await;
    // Also in the middle, where no module is exempt.
    line.say(&json!({"module": "heartbeat", "success": false, "content": "Invalid Token"})).await;
    line.gone().await;
    let _line = opened(&mut scene, &mut running).await;
    assert_eq!(scene.events.tokens(), scene.zoom.app_tokens());
    assert_eq!(scene.events.tokens().len(), 3);
    running.stop().await;
}

#[tokio::test]
async fn a_handshake_that_is_refused_is_tried_again_with_a_new_token_only_if_the_token_is_why() {
    let mut scene = Scene::new().await;
    for status in [404, 503, 401, 403] {
        scene.events.refuse_handshake(status);
    }
    let mut running = scene.start(timings());
    let _line = opened(&mut scene, &mut running).await;
    let tokens = scene.zoom.app_tokens();
    let used: Vec<_> = [0, 0, 0, 1, 2].iter().map(|number| tokens[*number].clone()).collect();
    assert_eq!(scene.events.tokens(), used);
    running.stop().await;
}

#[tokio::test]
async fn a_young_token_serves_the_next_connection_and_an_old_one_does_not() {
    let mut scene = Scene::new().await;
    let mut running = scene.start(timings());
    let line = opened(&mut scene, &mut running).await;
    line.close(1001).await;
    let _line = opened(&mut scene, &mut running).await;
    assert_eq!(scene.zoom.app_tokens().len(), 1);
    running.stop().await;

    let running = scene.start(Timings { token_age: Duration::from_millis(20), ..timings() });
    for _ in 0..2 {
        scene.events.next().await.gone().await;
    }
    running.stop().await;
    let tokens = scene.events.tokens();
    assert_eq!(tokens[0], tokens[1]);
    assert!(tokens[1] != tokens[2] && tokens[2] != tokens[3], "{tokens:?}");
}

#[tokio::test]
async fn each_grant_asks_for_its_own_kind_of_token() {
    let mut scene = Scene::new().await;
    let auth = scene.authenticator();
    let mut running = scene.start_with(timings(), &auth, &scene.events.url());
    let _line = opened(&mut scene, &mut running).await;
    running.stop().await;
    let form = |scene: &Scene, number: usize| scene.zoom.token_forms()[number].clone();
    assert_eq!(form(&scene, 0), [("grant_type".to_owned(), "client_credentials".to_owned())].into());

    // The account's token is the one that signs its other requests.
    scene.grant = WebsocketGrant::Account;
    let token = auth.token().await.unwrap();
    let mut running = scene.start_with(timings(), &auth, &scene.events.url());
    let line = opened(&mut scene, &mut running).await;
    assert_eq!(line.asked("access_token"), token.expose());
    assert_eq!(form(&scene, 1)["grant_type"], "account_credentials");
    assert_eq!(scene.zoom.token_requests(), 2);
    running.stop().await;
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_for_a_new_connection() {
    let mut scene = Scene::new().await;
    let mut running = scene.start(Timings { silence: Duration::from_millis(200), ..timings() });
    let mut gaps = Vec::new();
    while gaps.len() < 2 {
        let mut line = scene.events.next().await;
        // On a slow machine it may have left by now; then there is no gap to be told, and it comes again.
        line.try_send(Message::text(r#"{"module":"build_connection"}"#)).await;
        line.gone().await;
        gaps.extend(std::iter::from_fn(|| running.gaps.try_recv().ok()));
    }
    assert_eq!(gaps[0], Gap { since: None });
    assert!(gaps[1].since.is_some());
    running.stop().await;
}

#[tokio::test]
async fn after_every_way_to_lose_a_connection_the_gap_begins_with_its_last_frame() {
    let mut scene = Scene::new().await;
    let mut running = scene.start(timings());
    let mut line = opened(&mut scene, &mut running).await;
    assert_eq!(running.gap().await, Gap { since: None });
    for way in ["cut", "1000", "1006 without a word", "1008", "1011", "too large"] {
        let said_at = Timestamp::now();
        line.bring(&completed(way)).await;
        assert_eq!(running.kept().await, way);
        let kept_at = Timestamp::now();
        match way {
            "cut" => line.cut().await,
            "1006 without a word" => drop(line),
            "too large" => {
                assert!(!line.try_send(Message::text("x".repeat(64 << 20))).await, "nobody reads 64 MiB");
            }
            code => line.close(code.parse().unwrap()).await,
        }
        // Nobody answers for a while; the gap stays that of the connection that was lost.
        scene.events.refuse_handshake(503);
        scene.events.refuse_handshake(503);
        line = scene.events.next().await;
        line.open().await;
        let since = running.gap().await.since.unwrap();
        assert!(said_at <= since && since <= kept_at, "{way}: {said_at} <= {since} <= {kept_at}");
        running.is(State::Connected).await;
    }
    running.stop().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_kept_is_a_gap_that_begins_before_it() {
    let mut scene = Scene::new().await;
    let mut running = scene.start(Timings { silence: Duration::from_secs(2), ..timings() });
    let mut line = opened(&mut scene, &mut running).await;
    running.gap().await;
    line.bring(&completed("r1")).await;
    assert_eq!(running.kept().await, "r1");
    let kept_at = Timestamp::now();
    scene.inbox.failures.store(u32::MAX, Ordering::SeqCst);
    line.bring(&completed("r2")).await;
    line.gone().await;
    scene.inbox.failures.store(0, Ordering::SeqCst);
    let mut line = opened(&mut scene, &mut running).await;
    assert!(running.gap().await.since.unwrap() <= kept_at);
    line.bring(&completed("r3")).await;
    assert_eq!(running.kept().await, "r3");
    let keys: Vec<String> = scene.kept().await.into_iter().map(|notice| notice.key).collect();
    assert_eq!(keys, ["r1", "r3"], "r2 is for the sweep to find");
    running.stop().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_kept_at_once_is_brought_again_and_the_connection_holds() {
    let mut scene = Scene::new().await;
    let mut running = scene.start(timings());
    let mut line = opened(&mut scene, &mut running).await;
    running.gap().await;
    scene.inbox.failures.store(2, Ordering::SeqCst);
    line.bring(&completed("r1")).await;
    line.bring(&completed("r2")).await;
    assert_eq!([running.kept().await, running.kept().await], ["r1", "r2"]);
    assert!(running.gaps.try_recv().is_err(), "it is still the first connection");
    running.stop().await;
}

#[tokio::test]
async fn trouble_with_the_token_is_waited_out_whether_it_passes_by_itself_or_not() {
    let mut scene = Scene::new().await;
    let refused = Fault::Answer { status: 401, headers: vec![], body: br#"{"error":"invalid_client"}"#.to_vec() };
    let broken = Fault::Answer { status: 503, headers: vec![], body: vec![] };
    scene.zoom.fault(Script::next(Route::Token, refused).times(2));
    scene.zoom.fault(Script::next(Route::Token, broken).times(2));
    let mut running = scene.start(timings());
    let _line = opened(&mut scene, &mut running).await;
    assert_eq!(scene.zoom.token_requests(), 5);
    running.stop().await;
}

#[tokio::test]
async fn a_second_listener_stands_by_and_takes_over() {
    let mut scene = Scene::new().await;
    let mut first = scene.start(timings());
    let mut line = opened(&mut scene, &mut first).await;
    let mut second = scene.start(timings());
    line.bring(&completed("r1")).await;
    assert_eq!(first.kept().await, "r1");
    assert_eq!(*second.state.borrow(), State::Standby);
    assert_eq!(scene.events.tokens().len(), 1);

    first.stop().await;
    line.gone().await;
    let mut line = opened(&mut scene, &mut second).await;
    line.bring(&completed("r2")).await;
    assert_eq!(second.kept().await, "r2");
    assert_eq!(second.gap().await, Gap { since: None });
    second.stop().await;
}

#[tokio::test]
async fn whoever_is_told_to_stop_says_goodbye_and_ends_also_without_a_connection() {
    let mut scene = Scene::new().await;
    let mut running = scene.start(timings());
    let line = opened(&mut scene, &mut running).await;
    let state = running.state.clone();
    running.stop().await;
    line.gone().await;
    assert_eq!(*state.borrow(), State::Standby);

    let nobody =
        format!("ws://{}/ws?subscriptionId=s", TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap());
    let hour = Duration::from_secs(3_600);
    let patient = Timings { first_pause: hour, longest_pause: hour, ..timings() };
    let mut running = scene.start_with(patient, &scene.authenticator(), &nobody);
    running.is(State::Connecting).await;
    running.stop().await;
}

#[tokio::test]
async fn a_server_that_cannot_prove_who_it_is_never_sees_the_token() {
    let mut scene = Scene::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://{}/ws?subscriptionId=s", listener.local_addr().unwrap());
    let running = scene.start_with(timings(), &scene.authenticator(), &url);
    for _ in 0..2 {
        let (mut stream, _) = timeout(WITHIN, listener.accept()).await.unwrap().unwrap();
        let mut hello = [0; 16_384];
        let got = timeout(WITHIN, stream.read(&mut hello)).await.unwrap().unwrap();
        assert_eq!(hello[0], 0x16, "TLS begins with a handshake record");
        let token = scene.zoom.app_tokens().remove(0);
        assert!(!hello[..got].windows(token.len()).any(|part| part == token.as_bytes()));
    }
    running.stop().await;
    assert!(timeout(Duration::ZERO, scene.events.next()).await.is_err());
}

#[tokio::test]
async fn a_websocket_that_cannot_work_is_refused_with_a_sentence() {
    let scene = Scene::new().await;
    let client = |url: &str, mode, state_dir: &Path| {
        let config = WebsocketConfig { enabled: true, url: url.parse().unwrap(), grant: WebsocketGrant::Account };
        let intake = Intake::start(Arc::clone(&scene.inbox) as Arc<dyn Inbox>, |_| {});
        let outlets = Outlets { intake, read: Box::new(read), gap: Box::new(|_| {}) };
        let auth = authenticator(&scene.zoom, mode);
        WebSocketClient::new(&config, state_dir, &auth, outlets, SmallRng::seed_from_u64(1)).unwrap_err()
    };
    let (url, state_dir) = (scene.events.url(), scene.folder.path());
    let user = client(&url, ZoomMode::User, state_dir).to_string();
    assert!(user.contains("zoom.mode") && user.contains("trigger.websocket.enabled"), "{user}");
    for url in ["wss://ws.zoom.us/ws", "wss://ws.zoom.us/ws?subscriptionId="] {
        assert!(client(url, ZoomMode::Account, state_dir).to_string().contains("subscriptionId"));
    }
    let nowhere = client(&url, ZoomMode::Account, Path::new("/nonexistent"));
    assert!(matches!(nowhere, WebSocketError::Lock { .. }), "{nowhere}");
}

thread_local! {
    /// What this thread logs, since it asked to know.
    static LINES: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Keeps the lines of threads that asked.
struct Lines;

impl std::io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        LINES.with_borrow_mut(|lines| lines.iter_mut().for_each(|lines| lines.extend_from_slice(line)));
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Keeps what this thread logs from now on, as `-vv` would print it. For the whole process, since what one thread does
/// not want to hear may otherwise not be said to another.
fn keep_log_lines() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let filter = EnvFilter::new("info,transcribe=trace");
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(|| Lines).init();
    });
    LINES.set(Some(Vec::new()));
}

#[tokio::test]
async fn no_token_and_no_event_is_ever_logged() {
    keep_log_lines();
    let mut scene = Scene::new().await;
    // A refusal that repeats the address, with the token in it.
    for status in [404, 401, 302, 500] {
        scene.events.refuse_handshake(status);
    }
    let mut running = scene.start(timings());
    scene.events.next().await.refuse_token().await;
    let mut line = opened(&mut scene, &mut running).await;
    line.bring(&completed("secret-recording")).await;
    running.kept().await;
    line.send(Message::text("secret garbage")).await;
    line.cut().await;
    let line = opened(&mut scene, &mut running).await;
    line.close(1008).await;
    opened(&mut scene, &mut running).await;
    running.stop().await;

    let text = String::from_utf8(LINES.take().unwrap()).unwrap();
    for said in ["no such subscription", "Zoom does not take the token", "status 500", "with code 1008", "events come"]
    {
        assert!(text.contains(said), "{said}: {text}");
    }
    let tokens = scene.zoom.secrets_handed_out();
    assert!(tokens.len() >= 3, "{tokens:?}");
    let tokens = tokens.iter().map(String::as_str);
    for secret in tokens.chain([CLIENT_SECRET, ACCOUNT_ID, "access_token", "demo-subscription", "secret"]) {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}
