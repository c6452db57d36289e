//! How running processes on one machine know of each other: a random id each, and a lock on a file of that name.
//!
//! The lock is the kernel's, so it goes when the process goes, however it goes. Lock free = process gone. The file of a
//! process that was killed stays until the next one registers.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// This process as the queue knows it. Dropping it frees the lock and removes the file.
#[derive(Debug)]
pub struct Instance {
    id: String,
    path: PathBuf,
    _lock: File,
}

impl Instance {
    /// Registers a process under `<state_dir>/instances/`, and removes the files of those that are gone. `id` must be a
    /// fresh random word.
    ///
    /// # Errors
    /// When the folder or the file cannot be made, read or locked.
    pub fn register(state_dir: &Path, id: String) -> io::Result<Self> {
        let folder = folder(state_dir);
        fs::create_dir_all(&folder)?;
        // One at a time, so that a file is not taken for litter between its making and its locking.
        let registering = File::open(&folder)?;
        registering.lock()?;
        for entry in fs::read_dir(&folder)? {
            if let Ok(other) = entry?.file_name().into_string() {
                is_alive(state_dir, &other);
            }
        }
        let path = folder.join(&id);
        let lock = OpenOptions::new().create_new(true).write(true).open(&path)?;
        lock.try_lock().map_err(io::Error::from)?;
        Ok(Self { id, path, _lock: lock })
    }

    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "instance file could not be removed");
        }
    }
}

/// Whether the process that registered as `id` still runs. An id that was never registered is not alive. The file of one
/// that is gone is removed.
pub fn is_alive(state_dir: &Path, id: &str) -> bool {
    let path = folder(state_dir).join(id);
    let Ok(file) = File::open(&path) else { return false };
    match file.try_lock_shared() {
        Ok(()) => {
            // Its owner is gone: the file is litter.
            drop(file);
            if let Err(error) = fs::remove_file(&path) {
                tracing::debug!(%error, "stale instance file could not be removed");
            }
            false
        }
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(error)) => {
            tracing::warn!(%error, "instance lock cannot be read; taking its owner for alive");
            true
        }
    }
}

fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("instances")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_alive_exactly_while_it_holds_its_lock() {
        let state = tempfile::tempdir().unwrap();
        let instance = Instance::register(state.path(), "a1".into()).unwrap();
        assert!(is_alive(state.path(), "a1"));
        assert!(!is_alive(state.path(), "never-registered"));
        drop(instance);
        assert!(!is_alive(state.path(), "a1"));
    }

    #[test]
    fn a_file_without_a_lock_belongs_to_nobody_and_is_removed() {
        let state = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(state.path().join("instances")).unwrap();
        let litter = state.path().join("instances/dead");
        std::fs::write(&litter, "").unwrap();
        assert!(!is_alive(state.path(), "dead"));
        assert!(!litter.exists());
    }

    #[test]
    fn who_registers_removes_the_files_of_the_dead_and_spares_the_living() {
        let state = tempfile::tempdir().unwrap();
        let living = Instance::register(state.path(), "a1".into()).unwrap();
        let litter = state.path().join("instances/dead");
        std::fs::write(&litter, "").unwrap();
        let _own = Instance::register(state.path(), "a2".into()).unwrap();
        assert!(!litter.exists());
        assert!(is_alive(state.path(), living.id()));
    }
}
