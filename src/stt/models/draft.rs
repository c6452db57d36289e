//! Files appear under their final name complete and durable, or not at all; and their checksums.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::error::ModelError;

/// What identifies the content of a file. The checksums are lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    pub sha256: String,
    pub sha1: String,
    pub bytes: u64,
}

impl Digests {
    /// Streams the file at `path`.
    ///
    /// # Errors
    /// [`ModelError::Disk`] when it cannot be read.
    pub fn of_file(path: &Path) -> Result<Self, ModelError> {
        let unreadable = |source| ModelError::Disk { doing: "read", path: path.to_owned(), source };
        let mut file = File::open(path).map_err(unreadable)?;
        let mut hashes = Hashes::default();
        let mut buffer = vec![0; 1 << 18];
        loop {
            match file.read(&mut buffer).map_err(unreadable)? {
                0 => return Ok(hashes.finish()),
                count => hashes.update(&buffer[..count]),
            }
        }
    }
}

#[derive(Default)]
struct Hashes {
    sha256: Sha256,
    sha1: Sha1,
    bytes: u64,
}

impl Hashes {
    fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.sha1.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    fn finish(self) -> Digests {
        Digests {
            sha256: hex::encode(self.sha256.finalize()),
            sha1: hex::encode(self.sha1.finalize()),
            bytes: self.bytes,
        }
    }
}

/// Removes a temporary file when it goes out of scope.
pub(super) struct Scratch(pub(super) PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "could not remove a temporary file");
        }
    }
}

/// A file that is being written under a temporary name, with its checksums growing along.
pub(super) struct Draft {
    file: BufWriter<File>,
    hashes: Hashes,
    scratch: Scratch,
}

impl Draft {
    /// Starts anew at `path`; what lies there from an earlier, broken attempt is overwritten.
    pub(super) fn create(path: PathBuf) -> Result<Self, ModelError> {
        let file =
            File::create(&path).map_err(|source| ModelError::Disk { doing: "create", path: path.clone(), source })?;
        Ok(Self { file: BufWriter::with_capacity(1 << 18, file), hashes: Hashes::default(), scratch: Scratch(path) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.scratch.0
    }

    /// Makes the content durable. The file keeps its temporary name and still goes away with the result.
    pub(super) fn finish(self) -> Result<(Digests, Scratch), ModelError> {
        let Self { file, hashes, scratch } = self;
        let synced = file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
        synced.map_err(|source| ModelError::Disk { doing: "write", path: scratch.0.clone(), source })?;
        Ok((hashes.finish(), scratch))
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hashes.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Gives the durable file `from` its final name `to` in the same folder.
pub(super) fn publish(from: &Path, to: &Path) -> Result<(), ModelError> {
    let folder = to.parent().unwrap_or(Path::new("."));
    fs::rename(from, to).and_then(|()| File::open(folder)?.sync_all()).map_err(|source| ModelError::Disk {
        doing: "write",
        path: to.to_owned(),
        source,
    })
}

/// Makes the folder for models where it does not exist.
pub(super) fn create_folder(folder: &Path) -> Result<(), ModelError> {
    fs::create_dir_all(folder).map_err(|source| ModelError::Disk { doing: "create", path: folder.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_appears_only_when_published_and_knows_its_checksums() {
        let folder = tempfile::tempdir().unwrap();
        let (temporary, target) = (folder.path().join("a.part"), folder.path().join("a.bin"));
        let mut draft = Draft::create(temporary.clone()).unwrap();
        draft.write_all(b"hello").unwrap();
        let (digests, scratch) = draft.finish().unwrap();
        assert!(!target.exists());
        publish(&scratch.0, &target).unwrap();
        drop(scratch);
        assert_eq!(fs::read(&target).unwrap(), b"hello");
        assert!(!temporary.exists());
        assert_eq!(digests, Digests::of_file(&target).unwrap());
        assert_eq!(digests.sha1, "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d");
        assert_eq!(digests.sha256, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
        assert_eq!(digests.bytes, 5);
    }

    #[test]
    fn an_abandoned_draft_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.part");
        let mut draft = Draft::create(path.clone()).unwrap();
        draft.write_all(b"hello").unwrap();
        drop(draft);
        assert!(!path.exists());
    }
}
