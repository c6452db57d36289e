//! One consumer per subscription: a second one would end the connection of the first, and the first that of the second,
//! for as long as both run. Whoever holds the lock listens, the others of this machine stand by.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::timings::Timings;

/// The file whose lock is the right to listen. It stays: removing it would let two processes lock different files.
#[derive(Debug)]
pub struct Turn {
    file: Arc<File>,
    path: PathBuf,
}

/// The right to listen, for as long as it lives.
#[derive(Debug)]
pub struct Held {
    _file: Arc<File>,
}

impl Turn {
    /// Opens the file of this subscription in `state_dir`. Blocking.
    ///
    /// # Errors
    /// When it cannot be made; the path is that of the file.
    pub fn open(state_dir: &Path, subscription: &str) -> Result<Self, (PathBuf, io::Error)> {
        let digest = hex::encode(&Sha256::digest(subscription)[..8]);
        let path = state_dir.join(format!("websocket-{digest}.lock"));
        match File::options().create(true).append(true).mode(0o600).open(&path) {
            Ok(file) => Ok(Self { file: Arc::new(file), path }),
            Err(error) => Err((path, error)),
        }
    }

    /// Waits until no other process listens; `None` when `stop` comes first.
    pub async fn wait(self, timings: &Timings, stop: &CancellationToken) -> Option<Held> {
        let mut stands_by = false;
        while !stop.is_cancelled() {
            let file = Arc::clone(&self.file);
            match tokio::task::spawn_blocking(move || file.try_lock()).await {
                Ok(Ok(())) => {
                    if stands_by {
                        tracing::info!("the process that listened has ended: this one takes over the WebSocket");
                    }
                    return Some(Held { _file: self.file });
                }
                Ok(Err(TryLockError::WouldBlock)) if !stands_by => {
                    stands_by = true;
                    tracing::info!("another process of this machine listens to the WebSocket: this one stands by");
                }
                Ok(Err(TryLockError::WouldBlock)) | Err(_) => {}
                Ok(Err(TryLockError::Error(error))) => {
                    let path = self.path.display();
                    tracing::error!(%path, %error, "whether another process listens to the WebSocket cannot be told");
                }
            }
            stop.run_until_cancelled(tokio::time::sleep(timings.standby)).await;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(state: &Path, subscription: &str) -> Turn {
        Turn::open(state, subscription).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_stands_by_takes_over_when_the_other_ends() {
        let (state, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let timings = Timings::default();
        let first = open(state.path(), "s1").wait(&timings, &stop).await.unwrap();
        let second = open(state.path(), "s1").wait(&timings, &stop);
        tokio::pin!(second);
        assert!(tokio::time::timeout(timings.standby * 10, &mut second).await.is_err());
        drop(first);
        assert!(second.await.is_some());
    }

    #[tokio::test]
    async fn another_subscription_is_another_turn() {
        let (state, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let timings = Timings::default();
        let _first = open(state.path(), "s1").wait(&timings, &stop).await.unwrap();
        assert!(open(state.path(), "s2").wait(&timings, &stop).await.is_some());
    }

    #[tokio::test]
    async fn whoever_stands_by_can_be_stopped() {
        let (state, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let timings = Timings::default();
        let _first = open(state.path(), "s1").wait(&timings, &stop).await.unwrap();
        let (second, ()) = tokio::join!(open(state.path(), "s1").wait(&timings, &stop), async { stop.cancel() });
        assert!(second.is_none());
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_that_names_the_file() {
        let (path, error) = Turn::open(Path::new("/nonexistent/state"), "s1").unwrap_err();
        assert!(path.starts_with("/nonexistent/state"));
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
