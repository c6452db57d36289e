//! One process at a time writes a model: an advisory lock on a file beside it, which the system releases when the process
//! ends, however it ends.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::error::ModelError;

/// Held as long as it lives. The lock file stays: removing it would let two processes lock different files.
pub(super) struct ModelLock {
    _file: File,
}

impl ModelLock {
    /// Waits until the lock is free.
    pub(super) fn wait(models_dir: &Path, name: &str) -> Result<Self, ModelError> {
        let (path, file) = open(models_dir, name)?;
        file.lock().map_err(|source| ModelError::Disk { doing: "lock", path, source })?;
        Ok(Self { _file: file })
    }

    /// The lock, or `None` while another holds it.
    pub(super) fn try_take(models_dir: &Path, name: &str) -> Result<Option<Self>, ModelError> {
        let (path, file) = open(models_dir, name)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(ModelError::Disk { doing: "lock", path, source }),
        }
    }
}

fn open(models_dir: &Path, name: &str) -> Result<(PathBuf, File), ModelError> {
    let path = models_dir.join(format!(".{name}.lock"));
    match File::options().create(true).append(true).open(&path) {
        Ok(file) => Ok((path, file)),
        Err(source) => Err(ModelError::Disk { doing: "create", path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let held = ModelLock::wait(folder.path(), "base").unwrap();
        assert!(ModelLock::try_take(folder.path(), "base").unwrap().is_none());
        assert!(ModelLock::try_take(folder.path(), "tiny").unwrap().is_some());
        drop(held);
        assert!(ModelLock::try_take(folder.path(), "base").unwrap().is_some());
    }
}
