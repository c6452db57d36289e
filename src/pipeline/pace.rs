//! How long a stage may take, and whether it gets on at all.

use std::time::{Duration, Instant};

/// The time that a stage may take: some minutes, and so many times as long as the audio is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeLimit {
    base: Duration,
    times: u32,
}

/// A download at a hundredth of the usual rate of telephone audio is none. Each request has limits of its own
/// (`zoom.request_timeout`, `zoom.download_timeout`); this one is for all of them together.
pub(super) const FETCH: TimeLimit = TimeLimit { base: Duration::from_secs(6 * 3_600), times: 100 };
/// How long a download may wait for room in the spool: as long as the recordings before it may take.
pub(super) const SPOOL: Duration = Duration::from_secs(24 * 3_600);
/// Decoding takes a thousandth of the audio's length.
pub(super) const DECODE: TimeLimit = TimeLimit { base: Duration::from_secs(10 * 60), times: 5 };
/// The largest models on a slow core take ten to twenty times the audio's length.
pub(super) const SPEECH: TimeLimit = TimeLimit { base: Duration::from_secs(30 * 60), times: 50 };

impl TimeLimit {
    /// The limit for audio of this length.
    pub(super) const fn of(self, audio: Duration) -> Duration {
        self.base.saturating_add(audio.saturating_mul(self.times))
    }
}

/// Watches a counter that grows as long as work gets on.
#[derive(Debug)]
pub(super) struct Progress {
    patience: Duration,
    last: u64,
    changed_at: Instant,
    looked_at: Instant,
}

impl Progress {
    /// Work that stands still for longer than `patience` has stopped.
    pub(super) fn watch(patience: Duration, count: u64, now: Instant) -> Self {
        Self { patience, last: count, changed_at: now, looked_at: now }
    }

    /// Whether it still gets on, now that the counter stands at `count`. To be asked several times within the patience: a
    /// process that was stopped for longer and goes on has its work ahead.
    pub(super) fn goes_on(&mut self, count: u64, now: Instant) -> bool {
        let was_stopped = now.saturating_duration_since(self.looked_at) > self.patience / 2;
        self.looked_at = now;
        if count != self.last || was_stopped {
            (self.last, self.changed_at) = (count, now);
        }
        now.saturating_duration_since(self.changed_at) <= self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_grows_with_the_audio() {
        assert_eq!(DECODE.of(Duration::ZERO), Duration::from_secs(600));
        assert_eq!(DECODE.of(Duration::from_secs(3_600)), Duration::from_secs(600 + 5 * 3_600));
        assert_eq!(SPEECH.of(Duration::MAX), Duration::MAX);
    }

    #[test]
    fn work_that_stands_still_longer_than_patience_has_stopped() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut progress = Progress::watch(Duration::from_secs(60), 5, start);
        assert!((0..=60).all(|second| progress.goes_on(5, at(second))));
        assert!(!progress.goes_on(5, at(61)));
        assert!(progress.goes_on(6, at(62)), "it was only slow");
        assert!((63..=122).all(|second| progress.goes_on(6, at(second))));
        assert!(!progress.goes_on(6, at(123)));
    }

    #[test]
    fn a_process_that_was_stopped_is_given_its_time_again() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut progress = Progress::watch(Duration::from_secs(60), 5, start);
        assert!(progress.goes_on(5, at(50)));
        assert!(progress.goes_on(5, at(5_000)), "nobody could get on meanwhile");
        assert!((5_001..=5_060).all(|second| progress.goes_on(5, at(second))));
        assert!(!progress.goes_on(5, at(5_061)));
    }
}
