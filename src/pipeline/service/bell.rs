//! What the parts of the service wake each other with. Rings while nobody listens are remembered as one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

/// A sweep that somebody asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// From when on events may have been missed, where that is known.
    pub(super) since: Option<Timestamp>,
    /// Whether it can wait for others that ask as well.
    pub(super) can_wait: bool,
}

/// Wakes the service.
#[derive(Debug, Default)]
pub struct Bell {
    pub(super) inbox: Notify,
    pub(super) work: Notify,
    rows: AtomicBool,
    /// The wish for a sweep has changed.
    pub(super) sweep: Notify,
    wanted: Mutex<Option<Wanted>>,
}

impl Bell {
    /// Something is in the inbox.
    pub fn notices_came(&self) {
        self.inbox.notify_one();
    }

    /// Rows wait to be written into the lake.
    pub(super) fn rows_wait(&self) {
        self.rows.store(true, Ordering::Relaxed);
        self.work.notify_one();
    }

    /// Whether rows wait that nobody was told of yet.
    pub(super) fn take_rows(&self) -> bool {
        self.rows.swap(false, Ordering::Relaxed)
    }

    /// There may be recordings of which no event told enough, since a point in time where that is known: a sweep follows
    /// at once.
    pub fn events_were_missed(&self, since: Option<Timestamp>) {
        self.want(Wanted { since, can_wait: false });
    }

    /// A sweep would find something, together with what else is found until then.
    pub(super) fn sweep_is_worthwhile(&self) {
        self.want(Wanted { since: None, can_wait: true });
    }

    fn want(&self, new: Wanted) {
        let mut wanted = self.wanted();
        *wanted = Some(match *wanted {
            None => new,
            Some(old) => Wanted {
                since: match (old.since, new.since) {
                    (Some(old), Some(new)) => Some(old.min(new)),
                    (old, new) => old.or(new),
                },
                can_wait: old.can_wait && new.can_wait,
            },
        });
        self.sweep.notify_one();
    }

    /// The sweep that is wanted now.
    pub(super) fn wanted_sweep(&self) -> Option<Wanted> {
        *self.wanted()
    }

    /// The next sweep begins: what was asked for until now is answered by it.
    pub(super) fn take_wanted(&self) -> Option<Wanted> {
        self.wanted().take()
    }

    fn wanted(&self) -> MutexGuard<'_, Option<Wanted>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn wishes_become_one_sweep_from_the_earliest_time_that_does_not_wait_when_one_of_them_cannot() {
        let bell = Bell::default();
        bell.sweep_is_worthwhile();
        assert!(bell.wanted_sweep().unwrap().can_wait);
        bell.events_were_missed(Some(at(20)));
        bell.events_were_missed(Some(at(10)));
        bell.sweep_is_worthwhile();
        assert_eq!(bell.take_wanted(), Some(Wanted { since: Some(at(10)), can_wait: false }));
        assert_eq!(bell.take_wanted(), None);
    }
}
