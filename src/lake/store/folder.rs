//! A lake in a folder: what a file system asks for beside the puts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use crate::lake::durable;
use crate::lake::error::LakeError;

/// Creates the folder where it is missing, proves that it can be written to, and returns its real path.
pub(super) fn prepare(root: &Path) -> io::Result<PathBuf> {
    if !root.is_dir() {
        fs::create_dir_all(root)?;
        durable::sync_parent(root)?;
    }
    let root = fs::canonicalize(root)?;
    let probe = root.join(format!("_probe.{:016x}", rand::random::<u64>()));
    fs::OpenOptions::new().write(true).create_new(true).open(&probe)?;
    fs::remove_file(&probe)?;
    Ok(root)
}

pub(super) fn open(root: &Path) -> Result<Arc<dyn ObjectStore>, LakeError> {
    // Every put is synced, folders included: a settled recording must survive a power cut.
    let store = LocalFileSystem::new_with_prefix(root).map(|store| store.with_fsync(true));
    let store = store.map_err(|error| LakeError::from_io(root, io::Error::other(error)))?;
    Ok(Arc::new(store))
}

/// Makes it durable that `file` is there or is gone, even when the try that put it was cut short, and removes what such a
/// try left beside it.
pub(super) fn settle(root: &Path, file: &Path) -> io::Result<()> {
    let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else { return Ok(()) };
    if !folder.is_dir() {
        return Ok(());
    }
    let unfinished = [name.as_encoded_bytes(), b"#"].concat();
    for entry in entries(folder)? {
        if entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(&unfinished)) {
            remove(&entry)?;
        }
    }
    for path in file.ancestors().take_while(|path| *path != root) {
        durable::sync_parent(path)?;
    }
    Ok(())
}

/// Removes the unfinished objects below a folder; returns how many there were.
pub(super) fn remove_unfinished(folder: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for path in entries(folder)? {
        if path.is_dir() {
            removed += remove_unfinished(&path)?;
        } else if path.file_name().and_then(|name| name.to_str()).is_some_and(is_unfinished) && remove(&path)? {
            removed += 1;
        }
    }
    Ok(removed)
}

/// `<name>.parquet#<number>`: how the store calls an object until it is whole.
fn is_unfinished(name: &str) -> bool {
    let number = name.split_once(".parquet#").map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What is in a folder; nothing where there is none.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Whether there was one.
fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
