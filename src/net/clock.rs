//! Time as something that is passed in.

use std::fmt;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

/// Tells the time and waits.
pub trait Clock: fmt::Debug + Send + Sync {
    fn now(&self) -> Instant;

    /// Is done `duration` from now.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// The time of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration).boxed()
    }
}

/// A clock that jumps over every wait and remembers it.
#[cfg(test)]
#[derive(Debug)]
pub(super) struct ManualClock {
    start: Instant,
    slept: std::sync::Arc<std::sync::Mutex<Vec<Duration>>>,
}

#[cfg(test)]
impl Default for ManualClock {
    fn default() -> Self {
        Self { start: Instant::now(), slept: std::sync::Arc::default() }
    }
}

#[cfg(test)]
impl ManualClock {
    pub(super) fn slept(&self) -> Vec<Duration> {
        self.slept.lock().unwrap().clone()
    }
}

#[cfg(test)]
impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.start + self.slept().iter().sum::<Duration>()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.slept.lock().unwrap().push(duration);
        futures::future::ready(()).boxed()
    }
}
