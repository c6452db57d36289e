//! Where it listens, whom it takes the sender for, and how it stops.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tokio::net::{UnixListener, UnixStream};

use super::*;

fn intake(ledger: &Path) -> Intake {
    Intake::start(Arc::new(open(ledger)), |_notices| ())
}

fn only_socket(path: &Path) -> WebhookConfig {
    WebhookConfig { listen: None, unix_socket: Some(path.to_owned()), ..config() }
}

#[tokio::test]
async fn a_unix_socket_is_its_owner_s_and_goes_with_the_listener() {
    let folder = tempfile::tempdir().unwrap();
    let (path, ledger) = (folder.path().join("webhook.sock"), folder.path().join("ledger.sqlite"));
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "what a dead process leaves");
    let webhook = Webhook::bind(&only_socket(&path), SECRET.into(), intake(&ledger)).await.unwrap();
    assert_eq!(webhook.address(), None);
    let metadata = fs::metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);

    let stop = CancellationToken::new();
    let serving = tokio::spawn(webhook.serve(stop.clone()));
    let mut connection = UnixStream::connect(&path).await.unwrap();
    let bytes = signed(completed(&[ID]).to_string().as_bytes());
    assert_eq!(exchange(&mut connection, &bytes).await.status, 200);
    assert_eq!(open(&ledger).received(10).await.unwrap().len(), 1);

    let taken = Webhook::bind(&only_socket(&path), SECRET.into(), intake(&ledger)).await.unwrap_err().to_string();
    assert!(taken.contains("another program") && taken.contains("trigger.webhook.unix_socket"), "{taken}");
    assert_eq!(exchange(&mut connection, &bytes).await.status, 200, "the one who listens is left alone");
    stop.cancel();
    timeout(FOREVER, serving).await.unwrap().unwrap();
    assert!(!path.exists());

    let for_a_proxy = WebhookConfig { unix_socket_mode: 0o660, ..only_socket(&path) };
    let _listening = Webhook::bind(&for_a_proxy, SECRET.into(), intake(&ledger)).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
}

#[tokio::test]
async fn a_file_that_is_no_socket_and_another_s_socket_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (path, ledger) = (folder.path().join("webhook.sock"), folder.path().join("ledger.sqlite"));
    fs::write(&path, "precious").unwrap();
    let error = Webhook::bind(&only_socket(&path), SECRET.into(), intake(&ledger)).await.unwrap_err().to_string();
    assert!(error.contains("no socket") && error.contains("trigger.webhook.unix_socket"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

    fs::remove_file(&path).unwrap();
    let webhook = Webhook::bind(&only_socket(&path), SECRET.into(), intake(&ledger)).await.unwrap();
    fs::rename(&path, folder.path().join("moved")).unwrap();
    fs::write(&path, "newer").unwrap();
    drop(webhook);
    assert_eq!(fs::read_to_string(&path).unwrap(), "newer");
    let nowhere = folder.path().join("no/such/folder/webhook.sock");
    let error = Webhook::bind(&only_socket(&nowhere), SECRET.into(), intake(&ledger)).await.unwrap_err().to_string();
    assert!(error.contains("trigger.webhook.unix_socket"), "{error}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_with_the_key_to_change() {
    let scene = Scene::new().await;
    let same = WebhookConfig { listen: Some(scene.address), ..config() };
    let error = Webhook::bind(&same, SECRET.into(), intake(&scene.ledger)).await.unwrap_err().to_string();
    assert!(error.contains("trigger.webhook.listen") && error.contains(&scene.address.to_string()), "{error}");
    scene.stop().await;
}

#[tokio::test]
async fn with_no_place_to_listen_it_waits_for_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = WebhookConfig { listen: None, ..config() };
    let ledger = folder.path().join("ledger.sqlite");
    let webhook = Webhook::bind(&nowhere, SECRET.into(), intake(&ledger)).await.unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(webhook.serve(stop.clone()));
    stop.cancel();
    timeout(FOREVER, serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn at_the_stop_events_in_flight_are_answered_and_nobody_new_is_let_in() {
    let scene = Scene::with(config(), Limits { keep: FOREVER, stop: FOREVER, ..Limits::default() }).await;
    let closed_gate = scene.close_gate();
    let (mut event, mut unused, mut idle) = (scene.connect().await, scene.connect().await, scene.connect().await);
    assert_eq!(exchange(&mut idle, &signed(b"{}")).await.status, 400);
    event.write_all(&signed(completed(&[ID]).to_string().as_bytes())).await.unwrap();
    scene.groups_arrived(1).await;
    scene.stop.cancel();
    assert_eq!(reply(&mut unused).await, None);
    assert_eq!(reply(&mut idle).await, None);
    let refused = TcpStream::connect(scene.address).await.map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(io::ErrorKind::ConnectionRefused));
    assert!(!scene.serving.is_finished());
    drop(closed_gate);
    assert_eq!(reply(&mut event).await.unwrap().status, 200);
    assert_eq!(scene.keys().await, [format!("recording:{ID}")]);
    scene.stop().await;
}

/// What was logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends one forged event over a webhook of its own and returns what was logged of it.
async fn log_of_a_forged_event(trusted: &[&str]) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _here = tracing::subscriber::set_default(subscriber);
    let trusted_proxies = trusted.iter().map(|network| network.parse().unwrap()).collect();
    let scene = Scene::with(WebhookConfig { trusted_proxies, ..config() }, Limits::default()).await;
    let body = completed(&[ID]).to_string();
    let forged = String::from_utf8(request(PATH, now(), "v0=00", body.as_bytes())).unwrap();
    let forged = forged.replacen("host:", "x-forwarded-for: 192.0.2.1, 203.0.113.7\r\nhost:", 1);
    assert_eq!(scene.send(forged.as_bytes()).await.status, 401);
    scene.stop().await;
    let bytes = log.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_refusal_is_logged_with_the_sender_whom_a_trusted_proxy_names_and_without_content() {
    let stranger = log_of_a_forged_event(&["10.0.0.0/8"]).await;
    assert!(stranger.contains("peer=127.0.0.1 ") && !stranger.contains("203.0.113.7"), "{stranger}");
    let proxy = log_of_a_forged_event(&["127.0.0.0/8"]).await;
    assert!(proxy.contains("peer=203.0.113.7 ") && proxy.contains("wrong_signature"), "{proxy}");
    for personal in [ID, "山田", SECRET, "192.0.2.1"] {
        assert!(!proxy.contains(personal) && !stranger.contains(personal), "{personal}");
    }
}
