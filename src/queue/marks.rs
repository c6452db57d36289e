//! How far a long listing has come, so that one that was interrupted goes on instead of beginning anew.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::QueueError;
use crate::domain::SourceKind;
use crate::source::{Slice, TimeWindow};

/// A recording may appear in its slice this long after it ended: younger slices are listed again.
const LATE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A mark is believed for this long.
pub(super) const LIFE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A slice that was listed to its end with everything in it taken into the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSlice {
    pub owner: String,
    pub window: TimeWindow,
    pub listed_at: Timestamp,
}

impl ListedSlice {
    /// Whether `slice` need not be listed again.
    #[must_use]
    pub fn covers(&self, slice: &Slice, now: Timestamp) -> bool {
        let Some(window) = slice.window else { return false };
        self.owner == slice.owner
            && self.window.since <= window.since
            && window.until <= self.window.until
            && self.listed_at.duration_since(window.until) >= LATE
            && now.duration_since(self.listed_at) <= LIFE
    }
}

/// The marks of an unfinished listing.
#[async_trait]
pub trait ListingMarks: Send + Sync {
    /// Remembers that `slice` was listed.
    async fn mark_listed(&self, slice: &Slice, now: Timestamp) -> Result<(), QueueError>;

    async fn listed_slices(&self) -> Result<Vec<ListedSlice>, QueueError>;

    /// Forgets the marks that end inside `window`, whose listing is complete, so that the next one looks at everything again;
    /// and those that are too old to be believed.
    async fn forget_listed(&self, window: TimeWindow, now: Timestamp) -> Result<(), QueueError>;

    /// Remembers that a sweep of the service that began at `began` was complete.
    async fn mark_sweep(&self, source: SourceKind, began: Timestamp) -> Result<(), QueueError>;

    /// When the last complete sweep of the service began.
    async fn last_sweep(&self, source: SourceKind) -> Result<Option<Timestamp>, QueueError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn slice(owner: &str, since: &str, until: &str) -> Slice {
        Slice { owner: owner.into(), window: Some(TimeWindow { since: at(since), until: at(until) }) }
    }

    #[test]
    fn only_a_settled_slice_of_the_same_owner_that_was_listed_lately_is_left_out() {
        let mark = ListedSlice {
            owner: "account".into(),
            window: TimeWindow { since: at("2026-01-01T00:00:00Z"), until: at("2026-01-29T00:00:00Z") },
            listed_at: at("2026-11-20T00:00:00Z"),
        };
        let now = at("2026-11-21T00:00:00Z");
        let same = slice("account", "2026-01-01T00:00:00Z", "2026-01-29T00:00:00Z");
        assert!(mark.covers(&same, now));
        assert!(mark.covers(&slice("account", "2026-01-02T00:00:00Z", "2026-01-29T00:00:00Z"), now));
        assert!(!mark.covers(&slice("me", "2026-01-01T00:00:00Z", "2026-01-29T00:00:00Z"), now));
        assert!(!mark.covers(&slice("account", "2025-12-31T00:00:00Z", "2026-01-29T00:00:00Z"), now));
        assert!(!mark.covers(&Slice { window: None, ..same.clone() }, now));
        assert!(!mark.covers(&same, at("2026-11-28T00:00:00Z")));
        let young = ListedSlice { listed_at: at("2026-02-04T00:00:00Z"), ..mark };
        assert!(!young.covers(&same, at("2026-02-05T00:00:00Z")));
    }
}
