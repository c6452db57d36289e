//! Searches over 10,000 calls of 30 days, one file a day: in this process, and by the whole command.

use std::time::{Duration, Instant};

use transcribe::lake::search::{Query, Search};

use crate::SEED;
use crate::calls::Calls;
use crate::folder::{DAYS, Folder};
use crate::write::met;

const CALLS: usize = 10_000;
const SEGMENTS: usize = 40;

/// How often every query is asked, in this process and as a command.
const TIMES: usize = 30;
const COMMANDS: usize = 10;

const GOAL: Duration = Duration::from_millis(300);

/// Rare and frequent words, names, phrases, Japanese, several words, and what nobody says.
const QUERIES: [&[&str]; 12] = [
    &["ceiling"],
    &["the"],
    &["invoice"],
    &["Kamotaya"],
    &["credit card"],
    &["boiler", "leak"],
    &["zebra"],
    &["請求書"],
    &["停止"],
    &["ﾊﾟｽﾜｰﾄﾞ"],
    &["診察", "受付"],
    &["量子力学"],
];

pub(crate) fn run() {
    let folder = Folder::new();
    let mut calls = Calls::new(SEED);
    for day in Folder::days() {
        folder.publish(&calls.day(&day, CALLS.div_ceil(DAYS), SEGMENTS, false));
    }
    let days: Vec<String> = Folder::days().collect();
    let (since, until) = (days[0].clone(), "2026-10-01");
    let moment = |day: &str| format!("{day}T00:00:00Z").parse().expect("a good day");
    let search = |words: &[&str]| {
        let query = Query::parse(words).expect("good words");
        let search = Search { query, since: moment(&since), until: moment(until), limit: 20, context: 1 };
        folder.runtime.block_on(folder.lake.search(search)).expect("a good lake")
    };
    for words in QUERIES {
        let found = search(words);
        let more = if found.has_more { " and more" } else { "" };
        println!("  {words:?}: {} hits{more}", found.hits.len());
    }
    let measure = |times: usize, ask: &dyn Fn(&[&str])| {
        let mut all = Vec::new();
        for words in std::iter::repeat_n(QUERIES, times).flatten() {
            let began = Instant::now();
            ask(words);
            all.push(began.elapsed());
        }
        all
    };
    report("in this process", measure(TIMES, &|words| drop(search(words))));
    report(
        "the whole command",
        measure(COMMANDS, &|words| {
            let arguments = [&["search", "--since", since.as_str(), "--until", until], words].concat();
            let output = folder.command(&arguments).output().expect("the program");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }),
    );
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    println!(
        "search {CALLS} calls, {name}: median {:.0} ms, p95 {:.0} ms (goal: 300: {}), worst {:.0} ms, of {} searches",
        at(50).as_secs_f64() * 1e3,
        at(95).as_secs_f64() * 1e3,
        met(at(95) < GOAL),
        at(100).as_secs_f64() * 1e3,
        times.len(),
    );
}
