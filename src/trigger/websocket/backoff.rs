//! The wait before the next connection: doubled by every failure, with jitter, so that the clients of one outage do not
//! come back together.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;

use super::timings::Timings;

/// Waits between connections.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    random: SmallRng,
}

impl Backoff {
    /// Begins with `first_pause` and doubles up to `longest_pause`.
    #[must_use]
    pub const fn new(timings: &Timings, random: SmallRng) -> Self {
        Self { first: timings.first_pause, longest: timings.longest_pause, next: timings.first_pause, random }
    }

    /// The next wait, with up to half of it added as jitter. `lived` is how long the last connection was open: one
    /// that held longer than the longest wait was no failure, and the waits begin anew.
    pub fn pause(&mut self, lived: Option<Duration>) -> Duration {
        if lived.is_some_and(|lived| lived >= self.longest) {
            self.next = self.first;
        }
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause + pause.mul_f64(self.random.random::<f64>() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn backoff(seed: u64) -> Backoff {
        Backoff::new(&Timings::default(), SmallRng::seed_from_u64(seed))
    }

    #[test]
    fn waits_double_from_one_second_to_thirty_and_carry_jitter() {
        for seed in 0..100 {
            let mut backoff = backoff(seed);
            for seconds in [1, 2, 4, 8, 16, 30, 30, 30] {
                let bare = Duration::from_secs(seconds);
                let pause = backoff.pause(None);
                assert!(pause >= bare && pause <= bare * 3 / 2, "{pause:?} for {bare:?}");
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_waits_and_another_seed_others() {
        let pauses = |seed| {
            let mut backoff = backoff(seed);
            [(); 6].map(|()| backoff.pause(None))
        };
        assert_eq!(pauses(1), pauses(1));
        assert_ne!(pauses(1), pauses(2));
    }

    #[test]
    fn only_a_connection_that_held_begins_anew() {
        let mut backoff = backoff(1);
        for _ in 0..8 {
            backoff.pause(Some(Duration::from_secs(29)));
        }
        assert!(backoff.pause(Some(Duration::from_secs(29))) >= Duration::from_secs(30));
        assert!(backoff.pause(Some(Duration::from_secs(30))) < Duration::from_secs(2));
    }
}
