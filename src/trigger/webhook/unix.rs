//! The Unix socket: a file that strangers cannot open, and that is gone when nobody listens.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use tokio::net::{UnixListener, UnixStream};

use super::BindError;
use crate::trigger::socket_file::SocketFile;

/// A listener that removes its file when it is dropped.
#[derive(Debug)]
pub(super) struct UnixSocket {
    listener: UnixListener,
    _file: SocketFile,
}

impl UnixSocket {
    /// Listens at `path`, which then has these permissions; a file that a dead process left there is replaced.
    pub(super) async fn bind(path: &Path, mode: u32) -> Result<Self, BindError> {
        let failed = |source| BindError::Socket { path: path.to_owned(), source };
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale(path).await?;
                UnixListener::bind(path)
            }
            outcome => outcome,
        };
        let listener = listener.map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)?;
        let file = SocketFile::of(path).map_err(failed)?;
        Ok(Self { listener, _file: file })
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

/// Removes the socket at `path` if nobody listens on it.
async fn remove_stale(path: &Path) -> Result<(), BindError> {
    let failed = |source| BindError::Socket { path: path.to_owned(), source };
    if !fs::symlink_metadata(path).map_err(failed)?.file_type().is_socket() {
        return Err(BindError::NotASocket { path: path.to_owned() });
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(failed),
        Err(error) => Err(failed(error)),
        Ok(_somebody) => Err(BindError::SocketTaken { path: path.to_owned() }),
    }
}
