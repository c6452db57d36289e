//! One rate limit shared by all callers of one class of requests.
//!
//! Requests are spaced evenly, without bursts, so that no second holds more than the allowed number. When the other
//! side says "too fast", every caller waits, not only the one that was told; when it says "come back much later", every
//! caller is told so at once instead of being held.

use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter as Governor};
use tokio::time::Instant;

/// A longer wait closes the limiter instead of holding its callers.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The other side takes no requests for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rate limit is used up for another {} s", .resumes_in.as_secs())]
pub struct RateLimitExhausted {
    /// How long from now until requests are taken again.
    pub resumes_in: Duration,
}

/// Tells the time of tokio, so that a paused clock also pauses the limiter.
#[derive(Debug, Clone)]
struct TokioClock {
    start: Instant,
}

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

#[derive(Debug, Default)]
struct Told {
    pause_until: Option<Instant>,
    closed_until: Option<Instant>,
}

/// A number of requests per 24 hours, counted from the first one.
#[derive(Debug)]
struct DayBudget {
    requests: u64,
    used: u64,
    until: Instant,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Spaces requests; see the module.
pub struct RateLimiter {
    spacing: Governor<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>,
    clock: TokioClock,
    told: Mutex<Told>,
    day: Option<Mutex<DayBudget>>,
}

impl RateLimiter {
    /// Allows `per_second` requests a second. Values below one a minute count as one a minute, values above 1000 as
    /// 1000.
    #[must_use]
    pub fn per_second(per_second: f64) -> Self {
        let per_second = if per_second.is_finite() { per_second.clamp(1.0 / 60.0, 1_000.0) } else { 1.0 };
        let quota = Quota::with_period(Duration::from_secs_f64(1.0 / per_second))
            .expect("the period is between 1 ms and 60 s")
            .allow_burst(NonZeroU32::MIN);
        let clock = TokioClock { start: Instant::now() };
        let spacing = Governor::direct_with_clock(quota, clock.clone());
        Self { spacing, clock, told: Mutex::default(), day: None }
    }

    /// Allows also no more than `requests` (at least one) in 24 hours, as far as this process knows.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates as an integer")]
    pub fn per_day(self, requests: f64) -> Self {
        let budget = DayBudget { requests: requests.max(1.0) as u64, used: 0, until: Instant::now() + DAY };
        Self { day: Some(Mutex::new(budget)), ..self }
    }

    /// Waits until one request may be sent. Callers are not served in order; dropping the future gives nothing away.
    ///
    /// # Errors
    /// [`RateLimitExhausted`] while the limiter is closed or the day's requests are used up.
    pub async fn ready(&self) -> Result<(), RateLimitExhausted> {
        let asked = Instant::now();
        let ready = self.granted().await;
        metrics::histogram!("transcribe_rate_limit_wait_seconds").record(asked.elapsed().as_secs_f64());
        ready
    }

    async fn granted(&self) -> Result<(), RateLimitExhausted> {
        loop {
            if let Some(pause) = self.pause()? {
                tokio::time::sleep(pause).await;
                continue;
            }
            match self.spacing.check() {
                Ok(()) => return self.take_from_day(),
                Err(early) => tokio::time::sleep(early.wait_time_from(self.clock.now())).await,
            }
        }
    }

    /// Makes every caller wait for `pause` from now; more than a minute closes the limiter for that long.
    pub fn slow_down(&self, pause: Duration) {
        if pause > LONGEST_PAUSE {
            return self.close_for(pause);
        }
        let until = Instant::now() + pause;
        let mut told = self.told();
        told.pause_until = told.pause_until.max(Some(until));
    }

    /// Refuses every request for `time` from now (at most 48 hours).
    pub fn close_for(&self, time: Duration) {
        let until = Instant::now() + time.min(Duration::from_secs(48 * 60 * 60));
        let mut told = self.told();
        told.closed_until = told.closed_until.max(Some(until));
    }

    fn take_from_day(&self) -> Result<(), RateLimitExhausted> {
        let Some(day) = &self.day else { return Ok(()) };
        let mut day = day.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        if now >= day.until {
            (day.used, day.until) = (0, now + DAY);
        }
        if day.used >= day.requests {
            return Err(RateLimitExhausted { resumes_in: day.until.saturating_duration_since(now) });
        }
        day.used += 1;
        Ok(())
    }

    fn pause(&self) -> Result<Option<Duration>, RateLimitExhausted> {
        let now = Instant::now();
        let left = |until: Option<Instant>| {
            let left = until?.saturating_duration_since(now);
            (!left.is_zero()).then_some(left)
        };
        let told = self.told();
        match left(told.closed_until) {
            Some(resumes_in) => Err(RateLimitExhausted { resumes_in }),
            None => Ok(left(told.pause_until)),
        }
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_second_holds_more_requests_than_allowed() {
        let limiter = Arc::new(RateLimiter::per_second(10.0));
        let callers = (0..35).map(|_| {
            let limiter = Arc::clone(&limiter);
            tokio::spawn(async move {
                limiter.ready().await.unwrap();
                Instant::now()
            })
        });
        let mut sent = Vec::new();
        for caller in callers.collect::<Vec<_>>() {
            sent.push(caller.await.unwrap());
        }
        sent.sort();
        for window in sent.windows(11) {
            assert!(window[10] - window[0] >= Duration::from_secs(1), "{:?}", window[10] - window[0]);
        }
        assert!(sent[34] - sent[0] < Duration::from_secs(4), "{:?}", sent[34] - sent[0]);
    }

    #[tokio::test(start_paused = true)]
    async fn being_told_to_slow_down_holds_every_caller() {
        let limiter = RateLimiter::per_second(10.0);
        limiter.ready().await.unwrap();
        limiter.slow_down(Duration::from_secs(5));
        limiter.slow_down(Duration::from_secs(2));
        let told = Instant::now();
        limiter.ready().await.unwrap();
        assert!(told.elapsed() >= Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_wait_is_reported_instead_of_being_slept_on() {
        let limiter = RateLimiter::per_second(10.0);
        limiter.slow_down(Duration::from_secs(3_600));
        let told = Instant::now();
        assert_eq!(limiter.ready().await, Err(RateLimitExhausted { resumes_in: Duration::from_secs(3_600) }));
        assert_eq!(told.elapsed(), Duration::ZERO);
        tokio::time::advance(Duration::from_secs(3_601)).await;
        assert_eq!(limiter.ready().await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_of_the_day_is_told_when_it_is_used_up_and_comes_back() {
        let limiter = RateLimiter::per_second(10.0).per_day(2.0);
        assert_eq!((limiter.ready().await, limiter.ready().await), (Ok(()), Ok(())));
        assert!(limiter.ready().await.unwrap_err().resumes_in > DAY - Duration::from_secs(1));
        tokio::time::advance(DAY).await;
        assert_eq!(limiter.ready().await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn senseless_rates_still_let_requests_through() {
        for rate in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300] {
            assert_eq!(RateLimiter::per_second(rate).ready().await, Ok(()));
        }
    }
}
