//! CPU time, as Linux counts it: in hundredths of a second.

use std::fs;

const TICKS_PER_S: f64 = 100.0;

/// CPU seconds, user and system, of `who`: `self`, this process, or `thread-self`, this thread.
pub(crate) fn seconds(who: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{who}/stat")).expect("Linux");
    // The name, in brackets, may hold spaces.
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().expect("a number"));
    ticks.sum::<f64>() / TICKS_PER_S
}
