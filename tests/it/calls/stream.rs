//! The stream that followers listen to.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;
use transcribe::queue::Subject;
use transcribe::trigger::calls::{Calls, CallsError, Follower, socket_of};

use super::{Pipe, Scene, call_id, next_call, no_hooks, notice, notice_of, open_lake, ringing, shell, soon};

#[tokio::test(flavor = "multi_thread")]
async fn every_follower_hears_each_event_once_and_in_order() {
    let scene = Scene::start(no_hooks()).await;
    let mut followers = [scene.follow().await, scene.follow().await];
    let mut of_another_kind = ringing("history");
    of_another_kind.subject = Subject::History;
    scene.calls.offer(&[ringing("1"), ringing("1"), of_another_kind]);
    scene.calls.offer(&[notice("phone.callee_answered", "1", &json!({})), ringing("1"), ringing("2")]);
    for follower in &mut followers {
        let first = next_call(follower).await;
        assert_eq!((first.event.event.as_str(), call_id(&first)), ("phone.callee_ringing", "1"));
        assert_eq!(first.event.caller.name.as_deref(), Some("山田 太郎"));
        assert_eq!(first.event.forwarded_by.name.as_deref(), Some("サポート窓口"));
        let answered = next_call(follower).await;
        assert_eq!((answered.event.event.as_str(), call_id(&answered)), ("phone.callee_answered", "1"));
        assert_eq!(call_id(&next_call(follower).await), "2");
    }
    scene.stop.cancel();
    for follower in &mut followers {
        assert!(soon("the end", follower.next()).await.unwrap().is_none());
    }
    let folder = scene.end().await;
    assert!(!socket_of(&folder.path().join("state")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_does_not_read_is_told_how_much_it_missed_and_delays_nobody() {
    const EVENTS: usize = 2_000;
    let scene = Scene::start(no_hooks()).await;
    let mut slow = UnixStream::connect(socket_of(&scene.state_dir())).await.unwrap();
    slow.write_all(b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    // It reads the beginning of the answer, so that it is known to listen, and then nothing more.
    let mut head = [0; 12];
    slow.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let mut quick = scene.follow().await;
    let long_name = "長".repeat(700);
    for number in 0..EVENTS {
        let caller = json!({"name": long_name});
        scene.calls.offer(&[notice("phone.callee_ringing", &number.to_string(), &caller)]);
        assert_eq!(call_id(&next_call(&mut quick).await), number.to_string());
    }
    scene.stop.cancel();
    let mut rest = Vec::new();
    soon("the rest", slow.read_to_end(&mut rest)).await.unwrap();
    let text = String::from_utf8_lossy(&rest);
    let missed: usize = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: {\"missed\":")?.strip_suffix('}')?.parse::<usize>().ok())
        .sum();
    let heard = text.lines().filter(|line| *line == "event: call").count();
    assert!(missed > 0);
    assert_eq!(heard + missed, EVENTS);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_can_open_the_socket_and_only_one_service_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let state_dir = folder.path().join("state");
    fs::create_dir(&state_dir).unwrap();
    // What a service that was killed leaves behind.
    drop(std::os::unix::net::UnixListener::bind(socket_of(&state_dir)).unwrap());
    assert!(socket_of(&state_dir).exists());
    let scene = Scene::start_in(folder, no_hooks()).await;
    let mode = fs::metadata(socket_of(&state_dir)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let second = Calls::start(&no_hooks(), scene.lake.clone(), &state_dir, CancellationToken::new()).await;
    assert!(matches!(second, Err(CallsError::ServedAlready { .. })), "{second:?}");
    let mut follower = scene.follow().await;
    scene.calls.offer(&[ringing("1")]);
    assert_eq!(call_id(&next_call(&mut follower).await), "1");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_socket_of_a_service_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = socket_of(folder.path());
    fs::write(&path, "mine").unwrap();
    let refused =
        Calls::start(&no_hooks(), open_lake(folder.path()).await, folder.path(), CancellationToken::new()).await;
    assert!(matches!(refused, Err(CallsError::Socket { .. })), "{refused:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rang_more_than_a_minute_ago_is_told_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipe = Pipe::new(folder.path());
    let scene = Scene::start(shell(&format!("cat > {}", pipe.path.display()))).await;
    let mut follower = scene.follow().await;
    let rang = |seconds, call| {
        let at = Timestamp::now() - SignedDuration::from_secs(seconds);
        notice_of(at, "phone.callee_ringing", call, &json!({}))
    };
    scene.calls.offer(&[rang(300, "again"), rang(61, "late"), rang(5, "news")]);
    assert_eq!(call_id(&next_call(&mut follower).await), "news");
    assert_eq!(call_id(&pipe.call().await), "news");
    scene.end().await;
    assert!(pipe.lines.try_recv().is_err(), "nothing else was told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_ends_leaves_the_socket_of_the_one_after_it() {
    let scene = Scene::start(no_hooks()).await;
    let path = socket_of(&scene.state_dir());
    // The next one makes its own as soon as nobody answers at this one.
    fs::remove_file(&path).unwrap();
    let stop = CancellationToken::new();
    let next = Calls::start(&no_hooks(), scene.lake.clone(), &scene.state_dir(), stop.clone()).await.unwrap();
    let state_dir = scene.state_dir();
    let _folder = scene.end().await;
    let mut follower = Follower::connect(&state_dir).await.unwrap();
    next.offer(&[ringing("1")]);
    assert_eq!(call_id(&next_call(&mut follower).await), "1");
    stop.cancel();
    soon("the end", next.ended()).await;
    assert!(!path.exists());
}
