//! Fifty kills of workers at random moments, and one of the message server among them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rusqlite::Connection;
use serde_json::json;

use super::{RUN, ago, assert_nothing_stays_on_its_way, coordinator, machine, nats, start};
use crate::started::{Ended, Started, signal};
use crate::support::{Clip, ZoomServer};
use crate::workspace::{Workspace, cached};

const WORKERS: usize = 3;
const KILLS: usize = 50;
/// Unless `FLEET_SEED` names another.
const SEED: u64 = 20_261_123;
/// That appear before each run of the coordinator.
const RECORDINGS: usize = 80;
/// A worker is struck after it said at most so many lines more.
const MOST_LINES: usize = 12;

/// A worker whose lines are counted.
struct Watched {
    id: u32,
    lines: Arc<AtomicUsize>,
    reader: JoinHandle<Ended>,
}

impl Watched {
    fn start(machine: &Workspace) -> Self {
        let (mut worker, lines) = (start(machine), Arc::new(AtomicUsize::new(0)));
        let (id, counted) = (worker.id(), Arc::clone(&lines));
        let reader = std::thread::spawn(move || {
            while worker.line().is_some() {
                counted.fetch_add(1, Ordering::Relaxed);
            }
            worker.end()
        });
        Self { id, lines, reader }
    }

    fn lines(&self) -> usize {
        self.lines.load(Ordering::Relaxed)
    }

    fn end(self, by: &str) -> Ended {
        signal(self.id, by);
        self.reader.join().unwrap()
    }
}

/// Whether one more death alone would bring a recording into quarantine: any judge would take it for guilty by then.
fn somebody_is_in_danger(ledger: &Connection) -> bool {
    let sql = "SELECT count(*) FROM jobs WHERE state IN ('seen', 'claimed', 'waiting') AND attempt >= 2";
    ledger.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() > 0
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "kills workers fifty times, which takes minutes: make test-slow"]
async fn fifty_kills_of_workers_and_one_of_the_server_lose_nothing_double_nothing_and_blame_nobody() {
    let seed = std::env::var("FLEET_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    eprintln!("FLEET_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let (mut nats, zoom) = (nats().await, ZoomServer::start(Vec::new()).await);
    let mut leader = coordinator(&zoom, &nats);
    // So long that nobody loses its lease to a busy machine, which would be one more death.
    leader.set("TRANSCRIBE__QUEUE__LEASE", "6s");
    let machines: Vec<Workspace> = (0..WORKERS)
        .map(|_| {
            let mut machine = machine(&leader);
            machine.failpoint("decoding=sleep(100)");
            machine
        })
        .collect();
    let mut workers: Vec<Watched> = machines.iter().map(Watched::start).collect();
    let (mut kills, mut offered, mut rounds) = (0, 0, 0);
    while kills < KILLS {
        rounds += 1;
        assert!(rounds < KILLS, "seed {seed}: after {rounds} runs only {kills} kills");
        let fixtures = ["en_hello_world", "en_quick_brown_fox", "en_counting"];
        for number in offered..offered + RECORDINGS {
            let fixture = cached("fixtures/speech").join(format!("{}.mp3", fixtures[number % fixtures.len()]));
            let days = i64::try_from(number % 5).unwrap();
            zoom.add(Clip::new(&format!("k{number:04}"), fixture).started_at(ago(days)));
        }
        offered += RECORDINGS;
        let mut leading = Started::run(&leader, &RUN);
        leading.wait_for(&["recording claimed"]);
        let leading = std::thread::spawn(|| leading.end());
        let ledger = Connection::open(leader.path().join("state/ledger.sqlite")).unwrap();
        while kills < KILLS {
            let struck = random.random_range(0..WORKERS);
            let moment = workers[struck].lines() + random.random_range(1..=MOST_LINES);
            while !leading.is_finished() && (workers[struck].lines() < moment || somebody_is_in_danger(&ledger)) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if leading.is_finished() {
                break;
            }
            let next = Watched::start(&machines[struck]);
            std::mem::replace(&mut workers[struck], next).end("KILL");
            kills += 1;
            if kills == KILLS / 2 {
                nats.restart().await;
            }
        }
        let ended = leading.join().unwrap();
        assert_eq!(ended.code, Some(0), "seed {seed}, {kills} kills: {}", ended.said);
    }
    for worker in workers {
        let ended = worker.end("TERM");
        assert_eq!(ended.code, Some(0), "seed {seed}: {}", ended.said);
    }
    eprintln!("seed {seed}: {kills} kills in {rounds} runs over {offered} recordings");
    let rows =
        leader.query("select count(*), count(distinct recording_id) from read_parquet('recordings/**/*.parquet')");
    assert_eq!(rows, [[json!(offered), json!(offered)]], "seed {seed}");
    assert!(!leader.lake().join("quarantine").exists(), "seed {seed}: somebody was blamed");
    assert_nothing_stays_on_its_way(&nats, &leader).await;
    let proof = leader.run(&["reconcile", RUN[0], RUN[1], "--format", "json"]).expect_code(0).json();
    assert_eq!((&proof["lost"], &proof["double"]), (&json!(0), &json!(0)), "seed {seed}: {proof}");
}
