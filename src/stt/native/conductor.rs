//! Windows that are decoded at the same time share the processor: so many of them compute as there are places, the others
//! wait without spinning. Steps of the decoder that wait are taken together, so that the weights are read once for all.
//!
//! ```text
//! window ─► listen (one place for each window) ─► step ─► step ─► … ─► listen ─► …
//!                                                  │
//! window ─► listen ──────────────────────────────► step   one place for all steps that wait
//! ```
//!
//! Whoever waits may compute for the others. What a window says depends neither on the places nor on who waits with it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Model;
use super::decoder::{Line, Outlook, step};
use super::encoder::Workspace;
use super::team::Team;
use crate::stt::{EngineError, Watch};

/// How often who waits looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A line that was taken on, and what may follow.
type Taken = (Line, Outlook);

pub(super) struct Conductor {
    desk: Mutex<Desk>,
    changed: Condvar,
    /// Windows that compute at the same time.
    places: usize,
    /// Threads for each of them.
    threads: usize,
    /// Windows whose steps are taken together, at most.
    batch: usize,
}

struct Desk {
    free: usize,
    /// Windows that wait for a place to listen. They go first: the more windows have listened, the more step together.
    listeners: usize,
    /// Windows that listen.
    listening: usize,
    /// Windows between two steps: their next one comes soon and is worth waiting for.
    thinkers: usize,
    /// Windows whose steps wait or are being taken.
    steppers: usize,
    waiting: Vec<(u64, Vec<Line>)>,
    /// `None` of a step that panicked.
    taken: BTreeMap<u64, Option<Vec<Taken>>>,
    next_ticket: u64,
    /// One for each free place, once it was used.
    workspaces: Vec<Workspace>,
    /// Grows whenever anybody gets on.
    work: u64,
}

impl Conductor {
    pub(super) fn new(places: usize, threads: usize, batch: usize) -> Self {
        let (places, batch) = (places.max(1), batch.max(1));
        let desk = Desk {
            free: places,
            listeners: 0,
            listening: 0,
            thinkers: 0,
            steppers: 0,
            waiting: Vec::new(),
            taken: BTreeMap::new(),
            next_ticket: 0,
            workspaces: Vec::new(),
            work: 0,
        };
        Self { desk: Mutex::new(desk), changed: Condvar::new(), places, threads, batch }
    }

    /// Windows that are worth decoding at the same time.
    pub(super) const fn lanes(&self) -> usize {
        self.places * self.batch
    }

    /// What computes in one place.
    pub(super) fn team<'a>(&self, model: &'a Model) -> Team<'a> {
        Team { kernels: model.kernels.as_ref(), threads: self.threads }
    }

    /// Computes `hear` as soon as there is a place. It gets the place's room, and a function to call as it gets on, which
    /// says whether to go on.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`] where `hear` gives nothing, or before its turn.
    pub(super) fn listen<T>(
        &self,
        watch: &Watch,
        hear: impl FnOnce(&mut Workspace, &dyn Fn() -> bool) -> Option<T>,
    ) -> Result<T, EngineError> {
        let mut desk = self.desk();
        desk.listeners += 1;
        let mut seen = desk.work;
        while desk.free == 0 {
            let is_cancelled;
            (desk, is_cancelled) = self.wait(desk, &mut seen, watch);
            if is_cancelled {
                desk.listeners -= 1;
                self.changed.notify_all();
                return Err(EngineError::Cancelled);
            }
        }
        desk.listeners -= 1;
        desk.free -= 1;
        desk.listening += 1;
        // Who held back for this one may look again.
        self.changed.notify_all();
        let mut workspace = desk.workspaces.pop().unwrap_or_default();
        drop(desk);
        let place = Ear(Place(self));
        let keep_on = || {
            self.desk().work += 1;
            !watch.is_cancelled()
        };
        let heard = hear(&mut workspace, &keep_on);
        self.desk().workspaces.push(workspace);
        drop(place);
        heard.ok_or(EngineError::Cancelled)
    }

    /// A window that is going to take steps.
    pub(super) fn speaker<'a>(&'a self, model: &'a Model, watch: &'a Watch) -> Speaker<'a> {
        self.desk().thinkers += 1;
        Speaker { conductor: self, model, watch }
    }

    /// Takes the step of this ticket, and with it as many of those that wait as there are for each place.
    fn lead<'a>(&'a self, mut desk: MutexGuard<'a, Desk>, own: u64, model: &Model) -> MutexGuard<'a, Desk> {
        desk.free -= 1;
        let count = self.together(&desk);
        let mut steps: Vec<(u64, Vec<Line>)> = desk.waiting.extract_if(.., |(ticket, _)| *ticket == own).collect();
        let others = desk.waiting.len().min(count - 1);
        steps.extend(desk.waiting.drain(..others));
        drop(desk);
        let place = Place(self);
        let tickets: Vec<(u64, usize)> = steps.iter().map(|(ticket, lines)| (*ticket, lines.len())).collect();
        let mut lines: Vec<Line> = steps.into_iter().flat_map(|(_, lines)| lines).collect();
        let team = self.team(model);
        let take = |lines: &mut [Line]| catch_unwind(AssertUnwindSafe(|| step(team, &model.weights, lines))).ok();
        let mut outlooks = take(&mut lines).map(Vec::into_iter);
        let mut lines = lines.into_iter();
        let is_alone = tickets.len() == 1;
        let own_share = |(ticket, count): (u64, usize)| {
            let mut own: Vec<Line> = lines.by_ref().take(count).collect();
            let found = match &mut outlooks {
                Some(outlooks) => Some(outlooks.take(count).collect()),
                None if is_alone => None,
                // One of them is at fault, and the others are not to pay for it.
                None => {
                    own.iter_mut().for_each(|line| line.past.forget_what_was_begun(model.weights.shape.width));
                    take(&mut own)
                }
            };
            (ticket, found.map(|found: Vec<Outlook>| own.into_iter().zip(found).collect()))
        };
        let results: Vec<(u64, Option<Vec<Taken>>)> = tickets.into_iter().map(own_share).collect();
        let mut desk = self.desk();
        desk.work += 1;
        desk.give(results);
        place.leave(&mut desk);
        desk
    }

    /// How many windows step together, so that every place that nobody listens in has some.
    fn together(&self, desk: &Desk) -> usize {
        let places = (self.places - desk.listening).max(1);
        (desk.thinkers + desk.steppers).div_ceil(places).clamp(1, self.batch)
    }

    /// Waits for a change, and says whether the window is not wanted any more. The watch hears of it only where anybody
    /// got on since it did last.
    fn wait<'a>(&'a self, desk: MutexGuard<'a, Desk>, seen: &mut u64, watch: &Watch) -> (MutexGuard<'a, Desk>, bool) {
        let waited = self.changed.wait_timeout(desk, LOOK_EVERY);
        let (desk, outcome) = waited.unwrap_or_else(PoisonError::into_inner);
        if !outcome.timed_out() || desk.work == *seen {
            return (desk, false);
        }
        *seen = desk.work;
        // It may write to a pipe, which nobody is to wait for.
        drop(desk);
        let is_cancelled = watch.is_cancelled();
        (self.desk(), is_cancelled)
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    /// Whose steps were taken goes on thinking.
    fn give(&mut self, results: Vec<(u64, Option<Vec<Taken>>)>) {
        self.steppers -= results.len();
        self.thinkers += results.len();
        self.taken.extend(results);
    }
}

/// A place that is taken. It is free again when this is dropped.
struct Place<'a>(&'a Conductor);

impl Place<'_> {
    /// As dropping it, for who holds the desk.
    fn leave(self, desk: &mut Desk) {
        desk.free += 1;
        self.0.changed.notify_all();
        std::mem::forget(self);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.desk().free += 1;
        self.0.changed.notify_all();
    }
}

/// A place in which a window listens.
struct Ear<'a>(Place<'a>);

impl Drop for Ear<'_> {
    fn drop(&mut self) {
        self.0.0.desk().listening -= 1;
    }
}

/// One window's place among those that take steps.
pub(super) struct Speaker<'a> {
    conductor: &'a Conductor,
    model: &'a Model,
    watch: &'a Watch,
}

impl Speaker<'_> {
    /// Takes in the tokens of each line; gives the lines back in order, with what may follow.
    ///
    /// # Errors
    /// [`EngineError::Panicked`] where the step did.
    pub(super) fn step(&self, lines: Vec<Line>) -> Result<Vec<Taken>, EngineError> {
        let conductor = self.conductor;
        let mut desk = conductor.desk();
        let ticket = desk.next_ticket;
        desk.next_ticket += 1;
        desk.waiting.push((ticket, lines));
        desk.thinkers -= 1;
        desk.steppers += 1;
        let mut seen = desk.work;
        loop {
            if let Some(taken) = desk.taken.remove(&ticket) {
                return taken.ok_or(EngineError::Panicked);
            }
            let is_worth_it = desk.thinkers == 0 || desk.waiting.len() >= conductor.together(&desk);
            let waits = desk.waiting.iter().any(|(waiting, _)| *waiting == ticket);
            if waits && desk.free > desk.listeners && is_worth_it {
                desk = conductor.lead(desk, ticket, self.model);
            } else {
                (desk, _) = conductor.wait(desk, &mut seen, self.watch);
            }
        }
    }

    /// As [`Speaker::step`], of one line.
    ///
    /// # Errors
    /// As [`Speaker::step`].
    pub(super) fn step_alone(&self, line: Line) -> Result<Taken, EngineError> {
        self.step(vec![line])?.pop().ok_or(EngineError::Panicked)
    }
}

impl Drop for Speaker<'_> {
    fn drop(&mut self) {
        self.conductor.desk().thinkers -= 1;
        self.conductor.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier};

    use tokio_util::sync::CancellationToken;

    use super::super::decoder::{Past, Sound};
    use super::super::{Isa, Model};
    use super::*;
    use crate::stt::models::sample::small_model;

    fn model() -> Model {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bin");
        std::fs::write(&path, small_model(24, 1)).unwrap();
        Model::load(&path, Isa::best()).unwrap()
    }

    fn never() -> Watch {
        Watch::new(&CancellationToken::new())
    }

    /// What was heard in some noise, the same for the same seed.
    fn sound(model: &Model, seed: usize) -> Arc<Sound> {
        let shape = model.weights.shape;
        let noise: Vec<f32> =
            (0..shape.audio_context * shape.width).map(|n| ((n * (seed + 3)) as f32 * 0.37).sin()).collect();
        let (mut keys, mut values) = (noise.clone(), noise.clone());
        let team = Conductor::new(1, 1, 1).team(model);
        Arc::new(Sound::new(team, &model.weights.decoder, shape, &noise, [&mut keys, &mut values]))
    }

    fn line(model: &Model, seed: usize, token: usize) -> Line {
        let past = Past::new(&model.weights.decoder);
        Line { sound: sound(model, seed), past, tokens: vec![token], listening: false }
    }

    /// What may follow after each of some steps of one window.
    fn steps(conductor: &Conductor, model: &Model, seed: usize) -> Vec<Vec<f32>> {
        let watch = never();
        let speaker = conductor.speaker(model, &watch);
        let mut line = line(model, seed, seed);
        (1..6)
            .map(|token| {
                let (taken, outlook) = speaker.step_alone(line.clone()).unwrap();
                line = Line { tokens: vec![token], ..taken };
                outlook.logits
            })
            .collect()
    }

    #[test]
    fn steps_that_are_taken_together_say_what_each_says_alone() {
        let model = model();
        let alone: Vec<_> = (0..6).map(|seed| steps(&Conductor::new(1, 1, 1), &model, seed)).collect();
        assert_ne!(alone[0], alone[1]);
        for (places, batch) in [(1, 4), (2, 3), (3, 1)] {
            let conductor = Conductor::new(places, 1, batch);
            assert_eq!(conductor.lanes(), places * batch);
            let together: Vec<_> = std::thread::scope(|scope| {
                let (conductor, model) = (&conductor, &model);
                let windows: Vec<_> = (0..6).map(|seed| scope.spawn(move || steps(conductor, model, seed))).collect();
                windows.into_iter().map(|window| window.join().unwrap()).collect()
            });
            assert!(together == alone, "{places} places, {batch} together");
        }
    }

    #[test]
    fn no_more_windows_listen_than_there_are_places() {
        let conductor = Conductor::new(2, 1, 4);
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        // Two are inside at the same time, or this never ends.
        let pairs = Barrier::new(2);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let heard = conductor.listen(&never(), |_, keep_on| {
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        pairs.wait();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        keep_on().then_some(())
                    });
                    assert_eq!(heard, Ok(()));
                });
            }
        });
        assert_eq!(most.into_inner(), 2);
    }

    #[test]
    fn a_window_that_is_not_wanted_any_more_leaves_while_it_waits() {
        let conductor = Conductor::new(1, 1, 1);
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        let outcome = conductor.listen(&never(), |_, keep_on| {
            std::thread::scope(|scope| {
                let watch = Watch::new(&cancelled);
                let conductor = &conductor;
                let waiting = scope.spawn(move || conductor.listen(&watch, |_, _| -> Option<()> { unreachable!() }));
                // Only while somebody gets on does it look whether it is wanted.
                while !waiting.is_finished() {
                    keep_on();
                }
                waiting.join().unwrap()
            })
            .err()
        });
        assert_eq!(outcome, Ok(EngineError::Cancelled));
        assert_eq!(conductor.listen(&never(), |_, _| Some(7)), Ok(7));
    }

    #[test]
    fn a_step_that_panics_costs_its_own_window_only() {
        let model = model();
        let conductor = Conductor::new(1, 1, 4);
        let expected = steps(&Conductor::new(1, 1, 1), &model, 2);
        let watch = never();
        let no_room = conductor.speaker(&model, &watch);
        std::thread::scope(|scope| {
            // It waits for the other one, which is in no hurry.
            let good = scope.spawn(|| steps(&conductor, &model, 2));
            while conductor.desk().waiting.is_empty() {
                std::thread::yield_now();
            }
            // It has no room for what it takes in, which is noticed when the other one has taken its token in.
            let outcome = no_room.step_alone(Line { past: Past::default(), ..line(&model, 0, 0) });
            assert_eq!(outcome.err(), Some(EngineError::Panicked));
            drop(no_room);
            assert!(good.join().unwrap() == expected);
        });
    }
}
