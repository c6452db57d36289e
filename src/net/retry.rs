//! The only retry loop of the program.
//!
//! Errors say themselves whether they are worth another try ([`Classify`]). Attempts and elapsed time are both bounded;
//! delays double and are fully jittered; a wait that the other side asked for beats the computed one, and when it does
//! not fit into the time that is left the error is returned at once instead of being slept on. What is merely not there
//! yet is asked for again on a short ladder of its own.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;
use tokio::time::Instant;

use super::clock::Clock;

/// Whether the same request may succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Try again; not before `after`, where the other side said so.
    Retry { after: Option<Duration> },
    /// The thing does not exist; whether it may in a moment, who asks knows ([`Missing`]).
    NotThereYet,
    /// The answer will be the same.
    Stop,
}

/// What it means that a thing does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    IsFinal,
    /// It was just announced: it is looked for again.
    MayCome,
}

/// An error that knows whether it is worth another try.
pub trait Classify {
    fn verdict(&self) -> Verdict;
}

/// The delay before the second attempt is drawn from [0, this).
const FIRST_CEILING: Duration = Duration::from_secs(1);
/// No computed delay is longer than this.
const LONGEST_CEILING: Duration = Duration::from_secs(30);
/// What is added to a wait that the other side asked for, so that callers do not come back all at once.
const LARGEST_EXTRA: Duration = Duration::from_secs(1);
/// The waits before the second to fifth look for what is not there yet, in units of [`RetryPolicy::not_there`].
const LADDER: [u32; 4] = [1, 2, 4, 8];

/// The bounds of one request with all its retries.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Attempts at what fails; at least one is made.
    pub attempts: u32,
    /// No attempt is begun later than this after the first.
    pub elapsed: Duration,
    /// The first wait for what is not there yet; then twice, four and eight times as long.
    pub not_there: Duration,
}

/// Repeats requests within the bounds of its policy.
#[derive(Debug)]
pub struct Retry {
    policy: RetryPolicy,
    clock: Arc<dyn Clock>,
    random: Mutex<SmallRng>,
}

impl Retry {
    /// `random` draws the delays, `clock` measures and waits.
    #[must_use]
    pub fn new(policy: RetryPolicy, clock: Arc<dyn Clock>, random: SmallRng) -> Self {
        Self { policy, clock, random: Mutex::new(random) }
    }

    /// Calls `attempt` until it succeeds, says that trying again is pointless, or the policy is used up; what does not
    /// exist is looked for up to five times in all where it may come.
    ///
    /// Dropping the future stops it between and within attempts.
    ///
    /// # Errors
    /// The last attempt's error.
    pub async fn run<T, E, Attempt>(&self, missing: Missing, mut attempt: impl FnMut() -> Attempt) -> Result<T, E>
    where
        E: Classify,
        Attempt: Future<Output = Result<T, E>>,
    {
        let started = self.clock.now();
        let mut failures = 0_u32;
        let mut rungs = match missing {
            Missing::IsFinal => [].iter(),
            Missing::MayCome => LADDER.iter(),
        };
        loop {
            let error = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let delay = match error.verdict() {
                Verdict::Stop => None,
                Verdict::NotThereYet => rungs.next().map(|rung| self.policy.not_there.saturating_mul(*rung)),
                Verdict::Retry { after } => {
                    failures += 1;
                    let drawn = self.jitter(failures);
                    let delay = after.map_or(drawn, |after| after.saturating_add(drawn.min(LARGEST_EXTRA)));
                    (failures < self.policy.attempts && self.fits(started, delay)).then_some(delay)
                }
            };
            let Some(delay) = delay else { return Err(error) };
            tracing::debug!(delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), "attempt failed, waiting");
            self.clock.sleep(delay).await;
        }
    }

    fn fits(&self, started: Instant, delay: Duration) -> bool {
        self.clock.now().duration_since(started).saturating_add(delay) <= self.policy.elapsed
    }

    /// Drawn evenly from [0, ceiling), where the ceiling doubles: 1, 2, 4, 8, 16, 30, 30 … seconds.
    fn jitter(&self, failed: u32) -> Duration {
        let doublings = failed.saturating_sub(1).min(16);
        let ceiling = FIRST_CEILING.saturating_mul(1 << doublings).min(LONGEST_CEILING);
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        ceiling.mul_f64(random.random::<f64>())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use rand::SeedableRng;

    use super::super::clock::ManualClock;
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Refusal(Verdict);

    impl Classify for Refusal {
        fn verdict(&self) -> Verdict {
            self.0
        }
    }

    const AGAIN: Verdict = Verdict::Retry { after: None };

    fn policy(attempts: u32, seconds: u64) -> RetryPolicy {
        let second = Duration::from_secs(1);
        RetryPolicy { attempts, elapsed: second * u32::try_from(seconds).unwrap(), not_there: second }
    }

    fn retry(policy: RetryPolicy, seed: u64) -> (Retry, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::default());
        (Retry::new(policy, Arc::clone(&clock) as Arc<dyn Clock>, SmallRng::seed_from_u64(seed)), clock)
    }

    /// Runs against an endpoint that always answers `verdict`: attempts made, and the waits between them.
    async fn exhaust(policy: RetryPolicy, verdict: Verdict, missing: Missing) -> (u32, Vec<Duration>) {
        let (retry, clock) = retry(policy, 7);
        let made = Cell::new(0);
        let attempt = || {
            made.set(made.get() + 1);
            async { Err(Refusal(verdict)) }
        };
        let result: Result<(), _> = retry.run(missing, attempt).await;
        assert_eq!(result, Err(Refusal(verdict)));
        (made.get(), clock.slept())
    }

    fn total(waits: &[Duration]) -> Duration {
        waits.iter().sum()
    }

    #[tokio::test]
    async fn a_success_after_failures_is_returned() {
        let made = Cell::new(0);
        let result = retry(policy(5, 60), 1)
            .0
            .run(Missing::IsFinal, || {
                made.set(made.get() + 1);
                let answer = if made.get() < 3 { Err(Refusal(AGAIN)) } else { Ok(made.get()) };
                async move { answer }
            })
            .await;
        assert_eq!(result, Ok(3));
    }

    #[tokio::test]
    async fn a_pointless_error_is_tried_once() {
        assert_eq!(exhaust(policy(5, 60), Verdict::Stop, Missing::MayCome).await, (1, vec![]));
        assert_eq!(exhaust(policy(5, 60), Verdict::NotThereYet, Missing::IsFinal).await, (1, vec![]));
    }

    #[tokio::test]
    async fn the_number_of_attempts_is_bounded_and_never_none() {
        for (allowed, made) in [(4, 4), (1, 1), (0, 1)] {
            assert_eq!(exhaust(policy(allowed, 3_600), AGAIN, Missing::IsFinal).await.0, made);
        }
    }

    #[tokio::test]
    async fn the_elapsed_time_is_bounded_however_many_attempts_are_allowed() {
        let (made, waits) = exhaust(policy(1_000, 90), AGAIN, Missing::IsFinal).await;
        assert!(total(&waits) <= Duration::from_secs(90), "{waits:?}");
        assert!((5..1_000).contains(&made), "{made}");
    }

    #[tokio::test]
    async fn a_wait_that_was_asked_for_beats_the_computed_one() {
        let (made, waits) =
            exhaust(policy(3, 60), Verdict::Retry { after: Some(Duration::from_secs(9)) }, Missing::IsFinal).await;
        assert_eq!(made, 3);
        assert!(waits.iter().all(|wait| (9..=10).contains(&wait.as_secs())), "{waits:?}");
    }

    #[tokio::test]
    async fn a_wait_beyond_the_budget_is_not_slept_on() {
        let after = Some(Duration::from_secs(3_600));
        assert_eq!(exhaust(policy(5, 30), Verdict::Retry { after }, Missing::IsFinal).await, (1, vec![]));
    }

    #[tokio::test]
    async fn what_is_not_there_yet_is_looked_for_after_0_1_2_4_and_8_seconds() {
        let (made, waits) = exhaust(policy(1, 1), Verdict::NotThereYet, Missing::MayCome).await;
        assert_eq!((made, waits), (5, [1, 2, 4, 8].map(Duration::from_secs).to_vec()));
    }

    #[tokio::test]
    async fn delays_stay_below_their_doubling_ceiling_and_differ_from_seed_to_seed() {
        let ceilings = [1, 2, 4, 8, 16, 30, 30].map(Duration::from_secs);
        let mut firsts = Vec::new();
        for seed in 0..200 {
            let (retry, clock) = retry(policy(8, 10_000), seed);
            let _failed: Result<(), _> = retry.run(Missing::IsFinal, || async { Err(Refusal(AGAIN)) }).await;
            let delays = clock.slept();
            assert_eq!(delays.len(), ceilings.len());
            assert!(delays.iter().zip(ceilings).all(|(delay, ceiling)| *delay < ceiling), "{delays:?}");
            firsts.push(delays[0]);
        }
        assert!(firsts.iter().any(|delay| *delay < FIRST_CEILING / 4));
        assert!(firsts.iter().any(|delay| *delay > FIRST_CEILING * 3 / 4));
    }
}
