//! The SHA-256 of files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

/// Length and SHA-256 of a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDigest {
    pub bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
}

/// A digest that is fed piece by piece.
#[derive(Debug, Default)]
pub struct RunningDigest {
    bytes: u64,
    hasher: Sha256,
}

impl RunningDigest {
    pub fn update(&mut self, piece: &[u8]) {
        self.bytes = self.bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        self.hasher.update(piece);
    }

    /// Bytes so far.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    #[must_use]
    pub fn finish(self) -> FileDigest {
        FileDigest { bytes: self.bytes, sha256: hex::encode(self.hasher.finalize()) }
    }
}

/// Reads a whole file in small pieces. Blocks: call it on a blocking thread.
///
/// # Errors
/// When the file cannot be opened or read.
pub fn hash_file(path: &Path) -> io::Result<FileDigest> {
    let mut file = File::open(path)?;
    let mut piece = vec![0; 64 * 1024];
    let mut digest = RunningDigest::default();
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(digest.finish()),
            Ok(length) => digest.update(piece.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_published_digest_of_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned();
        assert_eq!(hash_file(&path).unwrap(), FileDigest { bytes: 3, sha256 });
    }

    #[test]
    fn pieces_and_the_whole_have_the_same_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        let content: Vec<u8> = (0..200_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        std::fs::write(&path, &content).unwrap();
        let mut running = RunningDigest::default();
        content.chunks(777).for_each(|piece| running.update(piece));
        assert_eq!(hash_file(&path).unwrap(), running.finish());
    }

    #[test]
    fn a_missing_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(hash_file(&folder.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
