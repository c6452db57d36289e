//! Two hundred kills at random moments. A moment is a number of lines that the run has said, never a time, so that a
//! seed means the same on every machine as far as threads allow.

use std::collections::BTreeSet;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::scene::{
    COUNTING, FOX, HELLO, RUN, SILENCE, STEREO, assert_nothing_is_left_over, assert_same_rows, clip, finish, workspace,
};
use crate::started::{Started, signal};
use crate::support::{Clip, ZoomServer};
use crate::workspace::Workspace;

const KILLS: usize = 200;
/// Unless `KILL_LOOP_SEED` names another.
const SEED: u64 = 20_261_107;
/// Recordings at the beginning; then a new one appears after every kill, so that there is work to be killed in.
const AT_FIRST: usize = 12;
/// About what a run with one or two recordings to do says, and the part of it from the first claim on. A run that ends
/// before its moment is not killed.
const MOST_LINES: usize = 12;
const LINES_OF_WORK: usize = 6;
/// Deaths alone that a recording survives, and one less than are taken for its guilt.
const DEATHS_ALONE: i64 = 2;

/// What strikes a run.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Kill,
    KillEngine,
    Terminate,
    Interrupt,
}

impl Blow {
    fn draw(random: &mut SmallRng) -> Self {
        match random.random_range(0..20) {
            0..=1 => Self::KillEngine,
            2 => Self::Terminate,
            3 => Self::Interrupt,
            _ => Self::Kill,
        }
    }

    fn strike(self, run: &Started) {
        match self {
            Self::Kill => run.signal("KILL"),
            Self::Terminate => run.signal("TERM"),
            Self::Interrupt => run.signal("INT"),
            Self::KillEngine => run.engines().into_iter().for_each(|engine| signal(engine, "KILL")),
        }
    }
}

fn recording(number: usize) -> Clip {
    let fixtures = [HELLO, FOX, STEREO, SILENCE, COUNTING];
    let days_ago = i64::try_from(number % 6).unwrap();
    clip(&format!("k{number:03}"), days_ago, fixtures[number % fixtures.len()])
}

/// Recordings that one more death alone would bring into quarantine. By then any judge would take them for guilty, so
/// the engine may finish them before the next blow.
fn in_danger(workspace: &Workspace) -> BTreeSet<String> {
    let Ok(ledger) = rusqlite::Connection::open(workspace.path().join("state/ledger.sqlite")) else {
        return BTreeSet::new();
    };
    let sql = "SELECT recording_id FROM jobs WHERE state IN ('seen', 'claimed', 'waiting') AND attempt >= ?1";
    let Ok(mut statement) = ledger.prepare(sql) else { return BTreeSet::new() };
    let ids = statement.query_map([DEATHS_ALONE], |row| row.get(0)).unwrap();
    ids.collect::<Result<_, _>>().unwrap()
}

/// When a blow strikes.
#[derive(Debug, Clone, Copy)]
struct Moment {
    /// After so many lines.
    lines: usize,
    /// Counted from the first claim on, not from the start.
    in_work: bool,
}

impl Moment {
    fn draw(random: &mut SmallRng) -> Self {
        let in_work = random.random_ratio(1, 2);
        let most = if in_work { LINES_OF_WORK } else { MOST_LINES };
        Self { lines: random.random_range(1..=most), in_work }
    }
}

/// Reads the lines of a run until its moment has come and those in danger are done; false when it ended before.
fn reaches(run: &mut Started, moment: Moment, mut in_danger: BTreeSet<String>) -> bool {
    let (mut said, mut counts) = (0, !moment.in_work);
    while said < moment.lines || !in_danger.is_empty() {
        let Some(line) = run.line() else { return false };
        counts |= line.contains(" recording claimed ");
        said += usize::from(counts);
        if line.contains(" transcribed ") {
            in_danger.retain(|id| !line.contains(&format!("recording_id={id}")));
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "kills the program two hundred times, which takes minutes: make test-slow"]
async fn two_hundred_kills_at_random_moments_lose_nothing_double_nothing_and_blame_nobody() {
    let seed = std::env::var("KILL_LOOP_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    eprintln!("KILL_LOOP_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let zoom = ZoomServer::start((0..AT_FIRST).map(recording).collect()).await;
    let mut disturbed = workspace(&zoom);
    // A line a page: as few as can be, so that most moments lie in the work.
    disturbed.set("TRANSCRIBE__ZOOM__PAGE_SIZE", "300");
    let (mut kills, mut others, mut offered) = (0, 0, AT_FIRST);
    let mut rounds = 0;
    while kills < KILLS {
        rounds += 1;
        assert!(rounds < 5 * KILLS, "seed {seed}: after {rounds} runs only {kills} kills");
        while offered < AT_FIRST + kills {
            zoom.add(recording(offered));
            offered += 1;
        }
        let (moment, blow) = (Moment::draw(&mut random), Blow::draw(&mut random));
        let in_danger = in_danger(&disturbed);
        let mut run = Started::run(&disturbed, &RUN);
        let beside = random.random_ratio(1, 8).then(|| Started::run(&disturbed, &RUN));
        // Both say more than a pipe holds, and each may wait for what the other has locked.
        let (is_struck_too, beside_id) = (random.random_ratio(1, 2), beside.as_ref().map(Started::id));
        let beside = beside.map(|beside| std::thread::spawn(|| beside.end()));
        if reaches(&mut run, moment, in_danger) {
            blow.strike(&run);
            if is_struck_too && let (Blow::Kill, Some(beside)) = (blow, beside_id) {
                signal(beside, "KILL");
            }
            others += usize::from(!matches!(blow, Blow::Kill));
        }
        for ended in std::iter::once(run.end()).chain(beside.map(|beside| beside.join().unwrap())) {
            let is_fine = ended.code.is_none_or(|code| [0, 5, 130].contains(&code));
            assert!(is_fine, "seed {seed}, {blow:?} at {moment:?}: {:?}: {}", ended.code, ended.said);
            kills += usize::from(ended.code.is_none());
        }
        assert!(!disturbed.lake().join("quarantine").exists(), "seed {seed}: somebody was blamed after {kills} kills");
    }
    finish(&disturbed);
    eprintln!("seed {seed}: {kills} kills and {others} other blows in {rounds} runs over {offered} recordings");
    assert!(others > 0, "seed {seed}: nothing but kills");
    assert!(!disturbed.lake().join("quarantine").exists(), "seed {seed}");
    assert_nothing_is_left_over(&disturbed, &format!("seed {seed}"));
    let undisturbed = workspace(&zoom);
    undisturbed.run(&RUN).expect_code(0);
    let disturbed = [(format!("seed {seed}"), disturbed)];
    assert_same_rows(&undisturbed, &disturbed);
    let proof = disturbed[0].1.run(&["reconcile", RUN[0], RUN[1], "--format", "json"]).expect_code(0).json();
    assert_eq!((&proof["lost"], &proof["double"]), (&json!(0), &json!(0)), "seed {seed}: {proof}");
}
