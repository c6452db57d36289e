//! Events of calls: who is told of them while they happen, over a real socket, by real programs and a real server, and
//! which rows they become, as DuckDB reads them.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use transcribe::config::{HooksConfig, LakeConfig};
use transcribe::domain::FinishedTranscript;
use transcribe::lake::Lake;
use transcribe::pipeline::post_call_events;
use transcribe::queue::sqlite::{SqliteQueue, SqliteSettings};
use transcribe::queue::{Inbox, Notice, Outbox, Subject, Via};
use transcribe::trigger::calls::{Calls, CallsError, Follower, Heard, LiveCall, socket_of};

use crate::transcripts::{finished, segment};
use crate::workspace::read_lake;

/// Nothing here takes this long unless it never comes.
const NEVER: Duration = Duration::from_secs(60);

const CALLER: &str = "+81355500123";

async fn soon<T>(what: &str, coming: impl Future<Output = T>) -> T {
    tokio::time::timeout(NEVER, coming).await.unwrap_or_else(|_elapsed| panic!("{what} did not come"))
}

/// A running distribution in a folder of its own.
pub(crate) struct Scene {
    folder: tempfile::TempDir,
    lake: Lake,
    stop: CancellationToken,
    pub(crate) calls: Calls,
}

pub(crate) fn no_hooks() -> HooksConfig {
    let events = vec!["phone.callee_ringing".to_owned()];
    HooksConfig { command: vec![], url: None, events, timeout: Duration::from_secs(1) }
}

fn open_lake(folder: &Path) -> Lake {
    Lake::open(&LakeConfig {
        path: folder.join("lake"),
        partition_timezone: jiff::tz::TimeZone::get("Asia/Tokyo").unwrap(),
        flush_every: Duration::from_secs(60),
        flush_bytes: 1 << 20,
        fresh_every: Duration::from_secs(60),
        compression_level: 3,
    })
    .unwrap()
}

impl Scene {
    pub(crate) async fn start(hooks: HooksConfig) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), hooks).await
    }

    async fn start_in(folder: tempfile::TempDir, hooks: HooksConfig) -> Self {
        let lake = open_lake(folder.path());
        let stop = CancellationToken::new();
        let calls = Calls::start(&hooks, lake.clone(), &folder.path().join("state"), stop.clone()).await.unwrap();
        Self { folder, lake, stop, calls }
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) async fn follow(&self) -> Follower {
        Follower::connect(&self.state_dir()).await.unwrap()
    }

    pub(crate) async fn end(self) -> tempfile::TempDir {
        self.stop.cancel();
        soon("the end", self.calls.ended()).await;
        self.folder
    }

    /// Puts a recording into the lake: so many hours ago, with this number and this text.
    async fn recorded(&self, id: &str, hours_ago: i64, number: &str, text: &str) {
        let mut member: FinishedTranscript = finished(id, vec![segment(0, text)]);
        member.started_at = Timestamp::now() - SignedDuration::from_hours(hours_ago);
        member.dt = self.lake.dt(member.started_at);
        member.recording.call_id = Some(format!("call-{id}"));
        member.recording.caller.number = Some(number.to_owned());
        let plan = Lake::plan_batch(&member.dt, std::slice::from_ref(&member.fingerprint));
        self.lake.publish(&plan, vec![member]).await.unwrap();
    }
}

/// What the intake hands on when somebody calls.
pub(crate) fn notice(event: &str, call_id: &str, caller: &Value) -> Notice {
    notice_of(Timestamp::now(), event, call_id, caller)
}

pub(crate) fn ringing(call_id: &str) -> Notice {
    notice("phone.callee_ringing", call_id, &json!({"phone_number": CALLER, "name": "山田 太郎"}))
}

/// What the intake hands on of a call that happened then.
fn notice_of(at: Timestamp, event: &str, call_id: &str, caller: &Value) -> Notice {
    let body = json!({"event": event, "event_ts": at.as_millisecond(), "payload": {"account_id": "ACCT0example",
        "object": {
            "call_id": call_id, "caller": caller,
            "callee": {"extension_type": "user", "extension_number": 1002, "user_id": "uSeRExampleId",
                       "name": "佐藤 花子", "phone_number": "+81355500102"},
            "forwarded_by": {"name": "サポート窓口", "extension_type": "callQueue", "extension_number": "1022"},
            "ringing_start_time": "2026-11-02T01:14:58Z"}}});
    Notice {
        key: format!("{event}/{call_id}/uSeRExampleId/1793582098001"),
        subject: Subject::Call,
        via: Via::Webhook,
        event_at: Some(at),
        received_at: "2026-11-02T01:14:59.5Z".parse().unwrap(),
        body: body.to_string(),
    }
}

async fn next_call(follower: &mut Follower) -> LiveCall {
    match soon("an event", follower.next()).await.unwrap().expect("the service runs") {
        Heard::Call(call) => *call,
        Heard::Missed(missed) => panic!("{missed} were missed"),
    }
}

fn call_id(call: &LiveCall) -> &str {
    call.event.call_id.as_deref().unwrap()
}

// The stream.

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
    let refused = Calls::start(&no_hooks(), open_lake(folder.path()), folder.path(), CancellationToken::new()).await;
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

// What the lake remembers.

#[tokio::test(flavor = "multi_thread")]
async fn the_last_three_calls_with_the_number_are_told() {
    let scene = Scene::start(no_hooks()).await;
    scene.recorded("a1", 24 * 40, CALLER, "older than thirty days").await;
    scene.recorded("a2", 24 * 20, CALLER, "the fourth").await;
    scene.recorded("a3", 24 * 9, "03-5550-0123", "the third").await;
    scene.recorded("a4", 24 * 5, "+81355509999", "of somebody else").await;
    scene.recorded("a5", 48, "81355500123", &"注文の件でお電話しました。".repeat(20)).await;
    scene.recorded("a6", 1, CALLER, "the call itself").await;
    scene.recorded("a7", 3, CALLER, "もしもし 山田です").await;
    let mut follower = scene.follow().await;
    scene.calls.offer(&[ringing("call-a6")]);
    let told = next_call(&mut follower).await.earlier_calls;
    let words: Vec<&str> = told.iter().map(|call| call.first_words.as_str()).collect();
    let long = format!("{}…", "注文の件でお電話しました。".repeat(20).chars().take(60).collect::<String>());
    assert_eq!(words, ["もしもし 山田です", &long, "the third"]);
    assert!(told.windows(2).all(|pair| pair[0].started_at > pair[1].started_at));

    // Withheld, and never heard of.
    scene.calls.offer(&[notice("phone.callee_ringing", "2", &json!({}))]);
    scene.calls.offer(&[notice("phone.callee_ringing", "3", &json!({"phone_number": "+15550001111"}))]);
    for _ in 0..2 {
        assert_eq!(next_call(&mut follower).await.earlier_calls, []);
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_the_lake_holds_for_a_minute_and_a_broken_lake_delays_nothing() {
    let scene = Scene::start(no_hooks()).await;
    scene.recorded("b1", 2, CALLER, "first").await;
    let mut follower = scene.follow().await;
    let mut heard = Vec::new();
    for call in ["1", "2"] {
        scene.calls.offer(&[ringing(call)]);
        heard.push(next_call(&mut follower).await.earlier_calls);
        scene.recorded(&format!("b2{call}"), 1, CALLER, "not known yet").await;
    }
    assert_eq!((heard[0].len(), &heard[0]), (1, &heard[1]));

    let day = scene.folder.path().join(format!("lake/recordings/dt={}", scene.lake.dt(Timestamp::now())));
    fs::create_dir_all(&day).unwrap();
    fs::write(day.join("part-0.parquet"), "damaged").unwrap();
    scene.calls.offer(&[notice("phone.callee_ringing", "3", &json!({"phone_number": "+81355500777"}))]);
    let told = next_call(&mut follower).await;
    assert_eq!((call_id(&told), told.earlier_calls.len()), ("3", 0));
    scene.end().await;
}

// Hooks.

/// A named pipe that programs write lines to.
struct Pipe {
    path: PathBuf,
    lines: mpsc::Receiver<String>,
}

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

impl Pipe {
    fn new(folder: &Path) -> Self {
        let path = folder.join("told");
        make_pipe(&path);
        // Opened both ways it has no end.
        let pipe = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let (sender, lines) = mpsc::channel(1_024);
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines() {
                if sender.blocking_send(line.unwrap()).is_err() {
                    break;
                }
            }
        });
        Self { path, lines }
    }

    async fn call(&mut self) -> LiveCall {
        serde_json::from_str(&soon("a line", self.lines.recv()).await.unwrap()).unwrap()
    }
}

fn shell(script: &str) -> HooksConfig {
    HooksConfig { command: ["/bin/sh", "-c", script].map(str::to_owned).into(), ..no_hooks() }
}

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

// Rows.

fn then() -> Timestamp {
    Timestamp::from_millisecond(1_793_582_098_001).unwrap()
}

fn rang(call_id: &str) -> Notice {
    let caller = json!({"phone_number": CALLER, "name": "山田 太郎"});
    notice_of(then(), "phone.callee_ringing", call_id, &caller)
}

/// A ledger and a lake, as the service has them.
struct Kept {
    folder: tempfile::TempDir,
    queue: SqliteQueue,
    lake: Lake,
}

impl Kept {
    fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap())
    }

    fn open(folder: tempfile::TempDir) -> Self {
        let settings = SqliteSettings { lease: Duration::from_secs(60), max_attempts: 3 };
        let queue = SqliteQueue::open(&folder.path().join("ledger.sqlite"), settings).unwrap();
        let lake = open_lake(folder.path());
        Self { folder, queue, lake }
    }

    /// As after a kill: whatever was in memory is gone.
    fn die(self) -> Self {
        let Self { folder, queue, lake } = self;
        drop((queue, lake));
        Self::open(folder)
    }

    async fn receive(&self, notices: Vec<Notice>) {
        self.queue.receive(notices).await.unwrap();
    }

    async fn post(&self) -> u64 {
        let notices = self.queue.received(100).await.unwrap();
        post_call_events(&self.queue, &self.lake, notices, Timestamp::now()).await.unwrap()
    }

    /// Writes what is in the outbox, and forgets it unless the process dies before that.
    async fn deliver(&self, dies: bool) {
        while let Some((batch, parcels)) = self.queue.next_parcels(100).await.unwrap() {
            for parcel in parcels {
                self.lake.write_posted(&parcel.table, &parcel.dt, parcel.rows).await.unwrap();
            }
            if dies {
                return;
            }
            self.queue.delivered(batch).await.unwrap();
        }
    }

    fn rows(&self, columns: &str) -> Value {
        let sql = format!("select {columns} from read_parquet('call_events/**/*.parquet') order by event_at, call_id");
        read_lake(["query", self.folder.path().join("lake").to_str().unwrap(), &sql])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_call_become_rows_that_say_it_all() {
    let kept = Kept::new();
    let mut ended = notice_of(then(), "phone.callee_ended", "2", &json!({"extension_number": 819_012_345_678_u64}));
    let mut body: Value = serde_json::from_str(&ended.body).unwrap();
    body["event_ts"] = json!("1793635200000");
    body["payload"]["object"]["answer_start_time"] = json!("2026-11-02T15:59:00Z");
    body["payload"]["object"]["call_end_time"] = json!("2026-11-02T15:59:59Z");
    body["payload"]["object"]["handup_result"] = json!("Call Cancel");
    ended.body = body.to_string();
    ended.via = Via::Websocket;
    kept.receive(vec![rang("1"), ended]).await;
    assert_eq!(kept.post().await, 2);
    kept.deliver(false).await;
    let columns = "event, epoch_ms(event_at), call_id, caller_number, caller_name, caller_extension, callee_name, \
                   callee_extension, forwarded_by_name, forwarded_by_type, result, via, epoch_ms(ringing_at), \
                   epoch_ms(answered_at), epoch_ms(ended_at), epoch_ms(received_at), dt";
    let expected = json!([
        [
            "phone.callee_ringing",
            1_793_582_098_001_i64,
            "1",
            CALLER,
            "山田 太郎",
            null,
            "佐藤 花子",
            "1002",
            "サポート窓口",
            "callQueue",
            null,
            "webhook",
            1_793_582_098_000_i64,
            null,
            null,
            1_793_582_099_500_i64,
            "2026-11-02"
        ],
        // Past midnight in Tokyo.
        [
            "phone.callee_ended",
            1_793_635_200_000_i64,
            "2",
            "819012345678",
            null,
            null,
            "佐藤 花子",
            "1002",
            "サポート窓口",
            "callQueue",
            "Call Cancel",
            "websocket",
            1_793_582_098_000_i64,
            1_793_635_140_000_i64,
            1_793_635_199_000_i64,
            1_793_582_099_500_i64,
            "2026-11-03"
        ],
    ]);
    assert_eq!(kept.rows(columns), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_again_is_one_row_wherever_the_process_dies_in_between() {
    let kept = Kept::new();
    // Delivered twice before anybody looked.
    kept.receive(vec![rang("1")]).await;
    kept.receive(vec![rang("1"), rang("2")]).await;
    // Read, and gone before it was posted.
    assert_eq!(kept.queue.received(100).await.unwrap().len(), 2);
    let kept = kept.die();
    assert_eq!(kept.post().await, 2);
    // Posted, and again by Zoom.
    let kept = kept.die();
    kept.receive(vec![rang("1")]).await;
    assert_eq!(kept.post().await, 0);
    // In the lake, and the ledger does not know.
    kept.deliver(true).await;
    let kept = kept.die();
    kept.receive(vec![rang("2"), rang("3")]).await;
    kept.deliver(true).await;
    let kept = kept.die();
    kept.deliver(false).await;
    assert_eq!(kept.post().await, 1);
    kept.deliver(false).await;
    assert_eq!(kept.queue.received(100).await.unwrap(), []);
    assert_eq!(kept.rows("call_id"), json!([["1"], ["2"], ["3"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_of_a_call_leaves_the_inbox_without_a_row() {
    let kept = Kept::new();
    let mut odd = rang("1");
    odd.body = "{\"event\": \"phone.callee_ringing\"}".into();
    let mut broken = rang("2");
    broken.body = "{".into();
    kept.receive(vec![odd, broken, rang("3")]).await;
    assert_eq!(kept.post().await, 1);
    kept.deliver(false).await;
    assert_eq!(kept.queue.received(100).await.unwrap(), []);
    assert_eq!(kept.rows("call_id"), json!([["3"]]));
    let shared: Arc<dyn Outbox> = Arc::new(kept.queue.clone());
    assert_eq!(post_call_events(shared.as_ref(), &kept.lake, vec![], Timestamp::now()).await.unwrap(), 0);
}
