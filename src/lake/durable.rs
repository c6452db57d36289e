//! Small files that are either there in full or not at all, also after a power cut.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How the name of an unfinished file ends.
pub(super) const UNFINISHED: &str = ".tmp";

/// Writes `bytes` as `path`, in place of what may be there, with the permissions `mode`.
///
/// # Errors
/// Whatever the file system says; the unfinished file is removed again.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let unfinished = write_beside(path, bytes, mode)?;
    std::fs::rename(&unfinished, path).inspect_err(|_| discard(&unfinished))?;
    sync_parent(path)
}

/// Makes the entries of the folder that holds `path` survive a power cut.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

fn write_beside(path: &Path, bytes: &[u8], mode: u32) -> io::Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{:016x}{UNFINISHED}", rand::random::<u64>()));
    let unfinished = PathBuf::from(name);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let mut file = options.open(&unfinished)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).inspect_err(|_| discard(&unfinished))?;
    Ok(unfinished)
}

/// Removes a file that nobody will miss.
fn discard(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::debug!(%error, "an unfinished file could not be removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn replacing_twice_keeps_the_last_bytes_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        replace(&path, b"first", 0o600).unwrap();
        replace(&path, b"second", 0o600).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        std::fs::create_dir(&path).unwrap();
        replace(&path, b"bytes", 0o600).unwrap_err();
        assert_eq!(names(folder.path()), ["taken"]);
    }
}
