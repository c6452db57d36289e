//! Zoom's rate limits: one bucket per label, shared by every request with that label.
//!
//! The table is that of Zoom Phone. Limits count per account over all of its apps, so this program takes a share.

use crate::config::ZoomPlan;
use crate::net::RateLimiter;

/// Requests with [`Label::Heavy`] that an account of this plan has in a day. The others have no limit of a day.
#[must_use]
pub const fn heavy_per_day(plan: ZoomPlan) -> u32 {
    match plan {
        ZoomPlan::Pro => 15_000,
        ZoomPlan::Business => 30_000,
    }
}

/// How Zoom labels an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// Single objects: a call's history, a leg, a transcript.
    Light,
    /// Lists of recordings, downloads, one user's call history.
    Medium,
    /// The account's call history.
    Heavy,
}

/// The buckets of one account.
pub struct Limits {
    light: RateLimiter,
    medium: RateLimiter,
    heavy: RateLimiter,
}

impl Limits {
    /// The share (0 to 1] of what the plan allows.
    #[must_use]
    pub fn new(plan: ZoomPlan, share: f64) -> Self {
        let per_second = match plan {
            ZoomPlan::Pro => [20.0, 10.0, 5.0],
            ZoomPlan::Business => [40.0, 20.0, 10.0],
        };
        let [light, medium, heavy] = per_second.map(|rate| RateLimiter::per_second(rate * share));
        Self { light, medium, heavy: heavy.per_day(f64::from(heavy_per_day(plan)) * share) }
    }

    /// The bucket of `label`.
    #[must_use]
    pub const fn of(&self, label: Label) -> &RateLimiter {
        match label {
            Label::Light => &self.light,
            Label::Medium => &self.medium,
            Label::Heavy => &self.heavy,
        }
    }
}
