//! What waits for a slow one: when there is too much of it, the oldest goes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

/// A queue of at most so many items.
#[derive(Debug)]
pub(super) struct Backlog<T> {
    most: usize,
    items: Mutex<VecDeque<T>>,
    /// As many permits as items.
    there: Semaphore,
}

impl<T> Backlog<T> {
    pub(super) fn of_at_most(most: usize) -> Self {
        Self { most, items: Mutex::default(), there: Semaphore::new(0) }
    }

    /// Adds an item, and returns the oldest where it had to go for it. Never waits.
    pub(super) fn push(&self, item: T) -> Option<T> {
        let mut items = self.items();
        let gone = if items.len() >= self.most { items.pop_front() } else { None };
        items.push_back(item);
        if gone.is_none() {
            self.there.add_permits(1);
        }
        gone
    }

    /// Takes the oldest item, or waits for one. Nothing is lost when this is dropped.
    pub(super) async fn pop(&self) -> T {
        loop {
            if let Ok(permit) = self.there.acquire().await {
                let mut items = self.items();
                if let Some(item) = items.pop_front() {
                    permit.forget();
                    return item;
                }
            }
        }
    }

    fn items(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_goes_when_there_are_too_many() {
        let backlog = Backlog::of_at_most(3);
        let gone: Vec<_> = (1..=5).filter_map(|number| backlog.push(number)).collect();
        assert_eq!(gone, [1, 2]);
        assert_eq!([backlog.pop().await, backlog.pop().await, backlog.pop().await], [3, 4, 5]);
        assert!(futures::FutureExt::now_or_never(backlog.pop()).is_none());
        assert_eq!(backlog.push(6), None);
        assert_eq!(backlog.pop().await, 6);
    }
}
