//! Senders that are slow, greedy, many or talk rubbish: refused, while Zoom is answered.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

const SHORT: Duration = Duration::from_millis(100);

fn head(length: &str) -> String {
    let tag = signature(SECRET, now(), b"");
    let whole = String::from_utf8(request(PATH, now(), &tag, b"")).unwrap();
    whole.replace("content-length: 0", length)
}

/// Returns when the server has closed the connection.
async fn closed(connection: &mut TcpStream) {
    let mut bytes = Vec::new();
    while read_more(connection, &mut bytes).await > 0 {}
}

async fn zoom_is_answered(scene: &Scene) {
    assert_eq!(scene.tell(&completed(&[ID])).await.status, 200);
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let scene = Scene::with(config(), Limits { head: SHORT, ..Limits::default() }).await;
    let mut silent = scene.connect().await;
    let mut slow = scene.connect().await;
    slow.write_all(b"POST /webhooks/zoom HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
    let mut done = scene.connect().await;
    assert_eq!(exchange(&mut done, &signed(completed(&[ID]).to_string().as_bytes())).await.status, 200);
    for connection in [&mut silent, &mut slow, &mut done] {
        closed(connection).await;
    }
    zoom_is_answered(&scene).await;
    scene.stop().await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_cut_off() {
    let scene = Scene::with(config(), Limits { body: SHORT, ..Limits::default() }).await;
    for length in ["content-length: 1000", "transfer-encoding: chunked"] {
        let mut slow = scene.connect().await;
        let mut bytes = head(length).into_bytes();
        bytes.extend_from_slice(b"1\r\n{\r\n");
        assert_eq!(exchange(&mut slow, &bytes).await.status, 408, "{length}");
        closed(&mut slow).await;
    }
    assert!(scene.keys().await.is_empty());
    zoom_is_answered(&scene).await;
    scene.stop().await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_read() {
    let scene = Scene::new().await;
    let limit = config().max_body;
    for length in [limit + 1, 1 << 40] {
        let head = head(&format!("content-length: {length}"));
        assert_eq!(scene.send(head.as_bytes()).await.status, 413, "{length} bytes, none of which was sent");
    }
    let chunk = format!("{:x}\r\n{}\r\n", limit + 1, " ".repeat(limit + 1));
    let endless = head("transfer-encoding: chunked") + &chunk;
    assert_eq!(scene.send(endless.as_bytes()).await.status, 413, "a body of unknown length");
    let wide = head(&format!("content-length: 0\r\nx-wide: {}", "a".repeat(32 * 1024)));
    assert_eq!(scene.send(wide.as_bytes()).await.status, 431, "a head");

    let mut padded = completed(&[ID]).to_string();
    padded.push_str(&" ".repeat(limit - padded.len()));
    assert_eq!(scene.send(&signed(padded.as_bytes())).await.status, 200, "a body of just the limit");
    assert_eq!(scene.keys().await.len(), 1);
    scene.stop().await;
}

#[tokio::test]
async fn deep_nesting_is_refused() {
    let scene = Scene::new().await;
    let deep = format!("{{\"event\":\"phone.recording_completed\",\"payload\":{}", "[".repeat(60_000));
    assert_eq!(scene.send(&signed(deep.as_bytes())).await.status, 400);
    let unsigned = request(PATH, now(), "v0=00", deep.as_bytes());
    assert_eq!(scene.send(&unsigned).await.status, 401);
    zoom_is_answered(&scene).await;
    scene.stop().await;
}

#[tokio::test]
async fn rubbish_harms_nobody() {
    let scene = Scene::new().await;
    let mut random = StdRng::seed_from_u64(5);
    for _ in 0..200 {
        let mut bytes = signed(completed(&[ID]).to_string().as_bytes());
        for _ in 0..random.random_range(1..8) {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        let mut connection = scene.connect().await;
        let (mut reads, mut writes) = connection.split();
        writes.write_all(&bytes).await.unwrap();
        writes.shutdown().await.unwrap();
        let status = reply(&mut reads).await.map(|reply| reply.status);
        assert!(matches!(status, None | Some(200 | 400 | 401 | 404 | 405 | 408 | 413 | 414 | 431)), "{status:?}");
    }
    zoom_is_answered(&scene).await;
    scene.stop().await;
}

#[tokio::test]
async fn idle_connections_give_way_to_zoom_s() {
    let scene = Scene::with(config(), Limits { connections: 16, ..Limits::default() }).await;
    let mut idle = Vec::new();
    for number in 0..200 {
        let mut connection = scene.connect().await;
        if number % 3 == 0 {
            connection.write_all(head("content-length: 1000").as_bytes()).await.unwrap();
        }
        idle.push(connection);
    }
    zoom_is_answered(&scene).await;
    closed(&mut idle[0]).await;
    closed(&mut idle[1]).await;
    scene.stop().await;
}

#[tokio::test]
async fn an_event_that_is_being_kept_is_not_shed() {
    let scene = Scene::with(config(), Limits { connections: 4, keep: FOREVER, ..Limits::default() }).await;
    let closed_gate = scene.close_gate();
    let mut event = scene.connect().await;
    event.write_all(&signed(completed(&[ID]).to_string().as_bytes())).await.unwrap();
    scene.groups_arrived(1).await;
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(scene.connect().await);
    }
    closed(&mut idle[0]).await;
    drop(closed_gate);
    assert_eq!(reply(&mut event).await.unwrap().status, 200);
    scene.stop().await;
}
