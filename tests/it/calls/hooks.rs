//! Programs that are started and addresses that are called.

use std::fs;
use std::io::Read;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use transcribe::config::HooksConfig;
use transcribe::trigger::calls::LiveCall;

use super::{CALLER, Pipe, Scene, call_id, make_pipe, next_call, notice, ringing, shell, soon};

#[tokio::test(flavor = "multi_thread")]
async fn a_program_gets_each_event_that_is_asked_for_as_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipe = Pipe::new(folder.path());
    let scene = Scene::start(shell(&format!("cat > {}", pipe.path.display()))).await;
    scene.recorded("c1", 5, CALLER, "お世話になっております").await;
    scene.calls.offer(&[notice("phone.callee_answered", "0", &json!({})), ringing("1"), ringing("1")]);
    let told = pipe.call().await;
    assert_eq!((call_id(&told), told.event.caller.name.as_deref()), ("1", Some("山田 太郎")));
    assert_eq!(told.earlier_calls[0].first_words, "お世話になっております");
    scene.calls.offer(&[ringing("2")]);
    assert_eq!(call_id(&pipe.call().await), "2");
    scene.end().await;
    assert!(pipe.lines.try_recv().is_err(), "nothing else was told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_hangs_is_killed_with_all_it_started_and_later_events_are_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipe = Pipe::new(folder.path());
    let held = folder.path().join("held");
    make_pipe(&held);
    // The second program that it starts holds the pipe open for as long as it lives.
    let script = format!(
        "read -r line; case $line in *hang*) exec 3>{}; echo started >&3; sleep 100000 & wait;; esac; \
         printf '%s\\n' \"$line\" > {}",
        held.display(),
        pipe.path.display()
    );
    let scene = Scene::start(shell(&script)).await;
    let holding = tokio::task::spawn_blocking(move || {
        let mut said = String::new();
        fs::File::open(held).unwrap().read_to_string(&mut said).map(|_| said)
    });
    scene.calls.offer(&[ringing("hang"), ringing("1"), ringing("2")]);
    let mut told = [pipe.call().await, pipe.call().await].map(|told| call_id(&told).to_owned());
    told.sort();
    assert_eq!(told, ["1", "2"]);
    // Read to its end: nobody is left who holds it.
    assert_eq!(soon("the kill", holding).await.unwrap().unwrap(), "started\n");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_programs_take_all_places_for_no_longer_than_their_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipe = Pipe::new(folder.path());
    let script = format!(
        "read -r line; case $line in *hang*) sleep 100000;; esac; printf '%s\\n' \"$line\" > {}",
        pipe.path.display()
    );
    let scene = Scene::start(shell(&script)).await;
    let notices: Vec<_> = (0..8).map(|number| ringing(&format!("hang-{number}"))).chain([ringing("last")]).collect();
    scene.calls.offer(&notices);
    assert_eq!(call_id(&pipe.call().await), "last");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_never_end_delay_no_follower_and_end_with_the_service() {
    let hooks = HooksConfig { timeout: Duration::from_secs(3_600), ..shell("sleep 100000") };
    let scene = Scene::start(hooks).await;
    let mut follower = scene.follow().await;
    // More than wait for a hook.
    for number in 0..300 {
        scene.calls.offer(&[ringing(&number.to_string())]);
        assert_eq!(call_id(&next_call(&mut follower).await), number.to_string());
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_sees_nothing_of_this_programs_environment() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipe = Pipe::new(folder.path());
    let scene = Scene::start(shell(&format!("(env; echo end) > {}", pipe.path.display()))).await;
    scene.calls.offer(&[ringing("1")]);
    let mut names = Vec::new();
    loop {
        let line = soon("a line", pipe.lines.recv()).await.unwrap();
        match line.split_once('=') {
            Some((name, _)) => names.push(name.to_owned()),
            None => break,
        }
    }
    // Cargo gives a test many more.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(names.contains(&"PATH".to_owned()));
    let of_the_shell = ["PWD", "OLDPWD", "SHLVL", "_"];
    names.retain(|name| !["PATH", "HOME", "LANG"].contains(&name.as_str()) && !of_the_shell.contains(&name.as_str()));
    assert_eq!(names, [""; 0]);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_gets_each_event_and_one_that_does_not_answer_delays_nothing() {
    let (sender, mut bodies) = mpsc::channel::<(String, LiveCall)>(64);
    let answer = move |headers: axum::http::HeaderMap, body: String| {
        let sender = sender.clone();
        async move {
            let kind = headers[axum::http::header::CONTENT_TYPE].to_str().unwrap().to_owned();
            let call: LiveCall = serde_json::from_str(&body).unwrap();
            let is_slow = call_id(&call).starts_with("slow");
            sender.send((kind, call)).await.unwrap();
            if is_slow {
                std::future::pending::<()>().await;
            }
        }
    };
    let router = axum::Router::new().route("/hook", axum::routing::post(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, router).into_future());
    let url = Some(format!("http://{address}/hook").parse().unwrap());
    // A program that never ends is no trouble of the address.
    let scene = Scene::start(HooksConfig { url, ..shell("sleep 100000") }).await;
    let mut follower = scene.follow().await;
    let notices: Vec<_> = (0..6).map(|number| ringing(&format!("slow-{number}"))).chain([ringing("last")]).collect();
    scene.calls.offer(&notices);
    for _ in 0..notices.len() {
        next_call(&mut follower).await;
    }
    let mut seen = Vec::new();
    for _ in 0..notices.len() {
        let (kind, call) = soon("a request", bodies.recv()).await.unwrap();
        assert_eq!(kind, "application/json; charset=utf-8");
        assert_eq!(call.event.callee.name.as_deref(), Some("佐藤 花子"));
        seen.push(call_id(&call).to_owned());
    }
    seen.sort();
    assert_eq!(seen, ["last", "slow-0", "slow-1", "slow-2", "slow-3", "slow-4", "slow-5"]);
    scene.end().await;
}
