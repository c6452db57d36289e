//! Work shared out to threads. None of them spins: who has nothing to do has ended.

use std::sync::{Mutex, PoisonError};

/// What computes: the kernels, on so many threads. Results do not depend on how many they are.
#[derive(Clone, Copy)]
pub(super) struct Team<'a> {
    pub(super) kernels: &'a dyn super::kernels::Kernels,
    pub(super) threads: usize,
}

impl Team<'_> {
    /// Does every part of the work, each on one of the threads, and waits for all. With one thread nothing is started.
    ///
    /// # Panics
    /// When a part does.
    pub(super) fn share<T: Send>(&self, parts: impl ExactSizeIterator<Item = T> + Send, work: impl Fn(T) + Sync) {
        let helpers = self.threads.min(parts.len()).saturating_sub(1);
        if helpers == 0 {
            return parts.for_each(work);
        }
        let parts = Mutex::new(parts);
        let help = || {
            let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
            while let Some(part) = next() {
                work(part);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..helpers {
                scope.spawn(help);
            }
            help();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::Isa;
    use super::*;

    #[test]
    fn every_part_is_done_once_however_many_threads_there_are() {
        let kernels = Isa::Portable.kernels();
        for threads in [0, 1, 2, 5] {
            let team = Team { kernels: kernels.as_ref(), threads };
            let mut done = vec![0; 13];
            team.share(done.chunks_mut(3), |part| part.iter_mut().for_each(|times| *times += 1));
            assert_eq!(done, [1; 13]);
        }
    }
}
