//! The only retry loop of the program.
//!
//! Errors say themselves whether they are worth another try ([`Classify`]). Attempts and elapsed time are both bounded;
//! delays double and are fully jittered; a wait that the other side asked for beats the computed one, and when it does
//! not fit into the time that is left the error is returned at once instead of being slept on.

use std::future::Future;
use std::time::Duration;

use backon::Retryable;
use rand::RngExt;
use rand::rngs::SmallRng;
use tokio::time::Instant;

/// Whether the same request may succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Try again; not before `after`, where the other side said so.
    Retry { after: Option<Duration> },
    /// The answer will be the same.
    Stop,
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

/// The bounds of one request with all its retries.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    attempts: u32,
    elapsed: Duration,
}

impl RetryPolicy {
    /// At most `attempts` attempts (at least one is made), none of them begun later than `elapsed` after the first.
    #[must_use]
    pub const fn new(attempts: u32, elapsed: Duration) -> Self {
        Self { attempts, elapsed }
    }
}

/// Delays drawn evenly from [0, ceiling), where the ceiling doubles: 1, 2, 4, 8, 16, 30, 30 … seconds.
struct FullJitter {
    left: u32,
    ceiling: Duration,
    random: SmallRng,
}

impl FullJitter {
    fn new(policy: &RetryPolicy, random: SmallRng) -> Self {
        Self { left: policy.attempts.saturating_sub(1), ceiling: FIRST_CEILING, random }
    }
}

impl Iterator for FullJitter {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let delay = self.ceiling.mul_f64(self.random.random::<f64>());
        self.ceiling = (self.ceiling * 2).min(LONGEST_CEILING);
        Some(delay)
    }
}

/// Calls `attempt` until it succeeds, says that trying again is pointless, or `policy` is used up.
///
/// Dropping the future stops it between and within attempts.
///
/// # Errors
/// The last attempt's error.
pub async fn with_retry<T, E, Attempt>(policy: &RetryPolicy, attempt: impl FnMut() -> Attempt) -> Result<T, E>
where
    E: Classify,
    Attempt: Future<Output = Result<T, E>>,
{
    let started = Instant::now();
    let within_budget = |error: &E, planned: Option<Duration>| {
        let planned = planned?;
        let delay = match error.verdict() {
            Verdict::Retry { after: Some(after) } => after.saturating_add(planned.min(LARGEST_EXTRA)),
            Verdict::Retry { after: None } | Verdict::Stop => planned,
        };
        (started.elapsed().saturating_add(delay) <= policy.elapsed).then_some(delay)
    };
    attempt
        .retry(FullJitter::new(policy, rand::make_rng()))
        .when(|error: &E| error.verdict() != Verdict::Stop)
        .adjust(within_budget)
        .notify(|_: &E, delay: Duration| {
            tracing::debug!(delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), "attempt failed, waiting");
        })
        .await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use rand::SeedableRng;

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
        RetryPolicy::new(attempts, Duration::from_secs(seconds))
    }

    /// Runs against an endpoint that always answers `verdict`: attempts made, and time that passed on the paused clock.
    async fn exhaust(policy: RetryPolicy, verdict: Verdict) -> (u32, Duration) {
        let made = Cell::new(0);
        let started = Instant::now();
        let result: Result<(), _> = with_retry(&policy, || {
            made.set(made.get() + 1);
            async { Err(Refusal(verdict)) }
        })
        .await;
        assert_eq!(result, Err(Refusal(verdict)));
        (made.get(), started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_after_failures_is_returned() {
        let made = Cell::new(0);
        let result = with_retry(&policy(5, 60), || {
            made.set(made.get() + 1);
            let answer = if made.get() < 3 { Err(Refusal(AGAIN)) } else { Ok(made.get()) };
            async move { answer }
        })
        .await;
        assert_eq!(result, Ok(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pointless_error_is_tried_once() {
        assert_eq!(exhaust(policy(5, 60), Verdict::Stop).await, (1, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_attempts_is_bounded_and_never_none() {
        assert_eq!(exhaust(policy(4, 3_600), AGAIN).await.0, 4);
        assert_eq!(exhaust(policy(1, 3_600), AGAIN).await.0, 1);
        assert_eq!(exhaust(policy(0, 3_600), AGAIN).await.0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_elapsed_time_is_bounded_however_many_attempts_are_allowed() {
        let (made, elapsed) = exhaust(policy(1_000, 90), AGAIN).await;
        assert!(elapsed <= Duration::from_secs(90), "{elapsed:?}");
        assert!((5..1_000).contains(&made), "{made}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_was_asked_for_beats_the_computed_one() {
        let (made, elapsed) = exhaust(policy(3, 60), Verdict::Retry { after: Some(Duration::from_secs(9)) }).await;
        assert_eq!(made, 3);
        assert!(elapsed >= Duration::from_secs(18) && elapsed <= Duration::from_secs(20), "{elapsed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_beyond_the_budget_is_not_slept_on() {
        let after = Some(Duration::from_secs(3_600));
        assert_eq!(exhaust(policy(5, 30), Verdict::Retry { after }).await, (1, Duration::ZERO));
    }

    #[test]
    fn delays_stay_below_their_doubling_ceiling_and_differ_from_seed_to_seed() {
        let ceilings = [1, 2, 4, 8, 16, 30, 30].map(Duration::from_secs);
        let mut firsts = Vec::new();
        for seed in 0..200 {
            let delays: Vec<_> = FullJitter::new(&policy(8, 1), SmallRng::seed_from_u64(seed)).collect();
            assert_eq!(delays.len(), ceilings.len());
            assert!(delays.iter().zip(ceilings).all(|(delay, ceiling)| *delay < ceiling), "{delays:?}");
            firsts.push(delays[0]);
        }
        assert!(firsts.iter().any(|delay| *delay < FIRST_CEILING / 4));
        assert!(firsts.iter().any(|delay| *delay > FIRST_CEILING * 3 / 4));
    }
}
