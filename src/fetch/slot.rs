//! The spool: where downloads wait to be decoded. Bounded in bytes, emptied by itself.
//!
//! It lies in the state folder, which only its owner can enter.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::{Lease, Recording};

/// The unit in which the budget is counted.
const BLOCK_BYTES: u64 = 1 << 20;

/// Zoom's recordings are MP3 at 128 kbit/s, so one second is 16,000 bytes; unknown lengths count as ten minutes.
const BYTES_PER_SECOND: u64 = 16_000;
const UNKNOWN_SECONDS: i32 = 600;

/// One process's part of the spool folder, with the budget for all that lies in it.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    budget: Arc<Semaphore>,
    blocks: u32,
}

/// A place for one download. Dropping it removes the file and frees its share of the budget.
#[derive(Debug)]
pub struct SpoolSlot {
    path: PathBuf,
    _permit: OwnedSemaphorePermit,
}

impl Spool {
    /// Removes what processes that are gone left in the spool folder, if there is one.
    ///
    /// # Errors
    /// When the folder cannot be read or a part of it cannot be removed.
    pub fn remove_abandoned(spool_dir: &Path, is_alive: &dyn Fn(&str) -> bool) -> io::Result<()> {
        // Two processes that start together find the same; what one of them has removed is no error of the other.
        let unless_gone = |error: io::Error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) };
        let entries = match fs::read_dir(spool_dir) {
            Ok(entries) => entries,
            Err(error) => return unless_gone(error),
        };
        for entry in entries {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(is_alive) {
                fs::remove_dir_all(entry.path()).or_else(unless_gone)?;
            }
        }
        Ok(())
    }

    /// Bytes of all downloads that lie in the spool folder, of whichever process; blocking.
    #[must_use]
    pub fn bytes_in(spool_dir: &Path) -> u64 {
        let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
        let files = entries(spool_dir).flat_map(|owner| entries(&owner.path()).collect::<Vec<_>>());
        files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
    }

    /// Makes this process's folder.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(spool_dir: &Path, instance: &str, max_bytes: u64) -> io::Result<Self> {
        let folder = spool_dir.join(instance);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let blocks = u32::try_from((max_bytes / BLOCK_BYTES).max(1)).unwrap_or(u32::MAX >> 4).min(u32::MAX >> 4);
        let budget = Arc::new(Semaphore::new(usize::try_from(blocks).unwrap_or(Semaphore::MAX_PERMITS)));
        Ok(Self { folder, budget, blocks })
    }

    /// Waits until the budget has room for the recording's listed length, at most for the whole budget.
    pub async fn reserve(&self, recording: &Recording, lease: &Lease) -> SpoolSlot {
        let seconds = u64::try_from(recording.duration_s.unwrap_or(UNKNOWN_SECONDS)).unwrap_or(0);
        let blocks = u32::try_from(seconds * BYTES_PER_SECOND / BLOCK_BYTES + 1).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.budget)
            .acquire_many_owned(blocks.min(self.blocks))
            .await
            .expect("the semaphore is never closed");
        let path = self.folder.join(format!("{}.{}", recording.id.file_stem(), lease.fence));
        SpoolSlot { path, _permit: permit }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::debug!(%error, "spool folder could not be removed");
        }
    }
}

impl SpoolSlot {
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SpoolSlot {
    fn drop(&mut self) {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "spooled audio could not be removed");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AudioLocation, RecordingId, SourceKind};

    fn recording(duration_s: i32) -> Recording {
        let id = RecordingId::parse("aa").unwrap();
        let mut recording = Recording::bare(id, "aa".into(), SourceKind::Zoom, AudioLocation::File("x".into()));
        recording.duration_s = Some(duration_s);
        recording
    }

    fn lease(attempt: i32) -> Lease {
        Lease { id: RecordingId::parse("aa").unwrap(), attempt, fence: attempt.into() }
    }

    #[tokio::test]
    async fn what_dead_processes_left_is_removed_and_a_slot_cleans_up_after_itself() {
        let state = tempfile::tempdir().unwrap();
        let spool_dir = state.path().join("spool");
        fs::create_dir_all(spool_dir.join("dead")).unwrap();
        fs::write(spool_dir.join("dead/audio"), "left over").unwrap();
        fs::create_dir_all(spool_dir.join("alive")).unwrap();
        Spool::remove_abandoned(&spool_dir, &|id| id == "alive").unwrap();
        let spool = Spool::open(&spool_dir, "me", 1 << 30).unwrap();
        assert!(!spool_dir.join("dead").exists());
        assert!(spool_dir.join("alive").exists());
        let slot = spool.reserve(&recording(10), &lease(1)).await;
        fs::write(slot.path(), "audio").unwrap();
        let path = slot.path().to_owned();
        drop(slot);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_full_spool_makes_the_next_download_wait() {
        let state = tempfile::tempdir().unwrap();
        let spool = Spool::open(&state.path().join("spool"), "me", 20 << 20).unwrap();
        let first = spool.reserve(&recording(1_000), &lease(1)).await;
        let (long, second_lease) = (recording(100_000), lease(2));
        let mut second = Box::pin(spool.reserve(&long, &second_lease));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        assert!(futures::poll!(&mut second).is_ready());
    }
}
