//! Who is connected. Anybody can hold a connection open and say little: when there is no room for one more, the one that
//! has gone longest without a verified event gives way. Only who knows the secret can stay.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

#[derive(Debug)]
pub(super) struct Crowd {
    limit: usize,
    seats: Mutex<Seats>,
}

#[derive(Debug, Default)]
struct Seats {
    /// Numbers rise: the first of `idle` has waited longest.
    next: u64,
    idle: BTreeMap<u64, CancellationToken>,
    engaged: usize,
}

/// One connection's place; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    crowd: Arc<Crowd>,
    /// The number among the idle; `None` while a verified event is worked on.
    number: Mutex<Option<u64>>,
    given_away: CancellationToken,
}

/// A verified event is being worked on: the connection is not given away.
pub(super) struct Engaged {
    seat: Arc<Seat>,
}

impl Crowd {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), seats: Mutex::default() }
    }

    /// A place for one more, if need be that of another; `None` when verified events are worked on in all of them.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Seat> {
        let mut seats = self.seats();
        if seats.idle.len() + seats.engaged >= self.limit && !seats.give_one_away() {
            metrics::counter!("transcribe_webhook_connections_refused_total").increment(1);
            return None;
        }
        let given_away = CancellationToken::new();
        let number = seats.sit_down(given_away.clone());
        Some(Seat { crowd: Arc::clone(self), number: Mutex::new(Some(number)), given_away })
    }

    /// Lets the quarter go that has been idle longest, and one at least.
    pub(super) fn make_room(&self) {
        let mut seats = self.seats();
        for _ in 0..=seats.idle.len() / 4 {
            seats.give_one_away();
        }
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seats {
    fn sit_down(&mut self, given_away: CancellationToken) -> u64 {
        let number = self.next;
        self.next += 1;
        self.idle.insert(number, given_away);
        number
    }

    fn give_one_away(&mut self) -> bool {
        let Some((_, oldest)) = self.idle.pop_first() else { return false };
        oldest.cancel();
        metrics::counter!("transcribe_webhook_connections_shed_total").increment(1);
        true
    }
}

impl Seat {
    /// Keeps the place until the result is dropped; `None` when it was given away already.
    pub(super) fn engage(self: &Arc<Self>) -> Option<Engaged> {
        let mut seats = self.crowd.seats();
        let mut number = self.number();
        seats.idle.remove(&(*number)?)?;
        *number = None;
        seats.engaged += 1;
        Some(Engaged { seat: Arc::clone(self) })
    }

    pub(super) fn is_engaged(&self) -> bool {
        self.number().is_none()
    }

    /// Returns when another one needs the place.
    pub(super) async fn given_away(&self) {
        self.given_away.cancelled().await;
    }

    fn number(&self) -> MutexGuard<'_, Option<u64>> {
        self.number.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Engaged {
    fn drop(&mut self) {
        let mut seats = self.seat.crowd.seats();
        seats.engaged -= 1;
        *self.seat.number() = Some(seats.sit_down(self.seat.given_away.clone()));
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let number = self.number().take();
        if let Some(number) = number {
            self.crowd.seats().idle.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(limit: usize) -> Arc<Crowd> {
        Arc::new(Crowd::new(limit))
    }

    fn admit(crowd: &Arc<Crowd>) -> Arc<Seat> {
        Arc::new(crowd.admit().unwrap())
    }

    fn present(seats: &[&Arc<Seat>]) -> Vec<bool> {
        seats.iter().map(|seat| !seat.given_away.is_cancelled()).collect()
    }

    #[test]
    fn the_one_that_has_been_idle_longest_gives_way() {
        let crowd = crowd(3);
        let [a, b, c] = std::array::from_fn(|_| admit(&crowd));
        drop(a.engage().unwrap());
        let d = admit(&crowd);
        assert_eq!(present(&[&a, &b, &c, &d]), [true, false, true, true]);
        drop(c);
        let e = admit(&crowd);
        assert_eq!(present(&[&a, &d, &e]), [true, true, true]);
        crowd.make_room();
        assert_eq!(present(&[&a, &d, &e]), [false, true, true]);
    }

    #[test]
    fn who_is_worked_for_stays_and_a_full_house_refuses() {
        let crowd = crowd(2);
        let [a, b] = std::array::from_fn(|_| admit(&crowd));
        let engaged = [&a, &b].map(|seat| seat.engage().unwrap());
        assert!(crowd.admit().is_none());
        assert!(a.is_engaged() && b.is_engaged());
        drop(engaged);
        let c = admit(&crowd);
        assert_eq!(present(&[&a, &b, &c]), [false, true, true]);
        assert!(a.engage().is_none(), "a place that was given away is not taken back");
    }

    #[test]
    fn places_do_not_leak() {
        let crowd = crowd(2);
        for _ in 0..10 {
            let seat = admit(&crowd);
            drop(seat.engage().unwrap());
        }
        let seats = crowd.seats();
        assert_eq!((seats.idle.len(), seats.engaged), (0, 0));
    }
}
