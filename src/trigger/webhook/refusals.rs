//! Refusals in the log: one a second at most, so that whoever sends rubbish does not fill a disk.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Refusals {
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    told_at: Option<Instant>,
    untold: u64,
}

impl Refusals {
    /// Whether a refusal goes to the log now, with how many before it did not.
    pub(super) fn note(&self, now: Instant) -> Option<u64> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.told_at.is_some_and(|told_at| now.duration_since(told_at) < EVERY) {
            last.untold += 1;
            return None;
        }
        last.told_at = Some(now);
        Some(std::mem::take(&mut last.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_once_a_second_with_its_number() {
        let refusals = Refusals::default();
        let start = Instant::now();
        let noted = [0, 1, 500, 999, 1_000, 1_001, 5_000].map(|ms| refusals.note(start + Duration::from_millis(ms)));
        assert_eq!(noted, [Some(0), None, None, None, Some(3), None, Some(1)]);
    }
}
