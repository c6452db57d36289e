//! A file that exists only if it was finished.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

/// A file for this user's eyes only (mode 0600), removed on drop unless [`SpoolFile::finish`] was reached: also when
/// the future that writes it is dropped.
#[derive(Debug)]
pub struct SpoolFile {
    file: File,
    remove_on_drop: Option<PathBuf>,
}

impl SpoolFile {
    /// Makes the file, or empties one that a killed process left at `path`.
    ///
    /// # Errors
    /// When it cannot be created.
    pub async fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).await?;
        Ok(Self { file, remove_on_drop: Some(path.to_owned()) })
    }

    /// Appends `piece`.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub async fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all(piece).await
    }

    /// Throws away what was written so far.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0).await?;
        self.file.rewind().await.map(drop)
    }

    /// Hands the last bytes to the system and keeps the file.
    ///
    /// # Errors
    /// When a write fails; the file is then removed.
    pub async fn finish(mut self) -> io::Result<()> {
        self.file.flush().await?;
        self.remove_on_drop = None;
        Ok(())
    }
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        if let Some(path) = self.remove_on_drop.take()
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::warn!(kind = %error.kind(), "could not remove an unfinished download");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_finished_file_stays_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audio");
        let mut file = SpoolFile::create(&path).await.unwrap();
        file.write(b"sound").await.unwrap();
        file.finish().await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"sound");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_restarted_file_holds_only_what_came_after() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audio");
        let mut file = SpoolFile::create(&path).await.unwrap();
        file.write(b"wrong and long").await.unwrap();
        file.restart().await.unwrap();
        file.write(b"right").await.unwrap();
        file.finish().await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"right");
    }

    #[tokio::test]
    async fn an_unfinished_file_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audio");
        let mut file = SpoolFile::create(&path).await.unwrap();
        file.write(b"sou").await.unwrap();
        drop(file);
        assert!(!path.exists());
    }
}
