//! The one connection of a process, and transactions on it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, ffi};

use super::{SqliteSettings, schema};
use crate::queue::QueueError;

/// A handle on the ledger; clones share one connection.
#[derive(Clone)]
pub struct SqliteQueue {
    connection: Arc<Mutex<Connection>>,
    path: PathBuf,
    pub(super) settings: SqliteSettings,
}

impl std::fmt::Debug for SqliteQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteQueue").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SqliteQueue {
    /// Opens or creates the ledger, readable by its owner only, and brings an older schema up to date. Blocking.
    ///
    /// # Errors
    /// [`QueueError::TooNew`] for a ledger of a newer program, [`QueueError::Open`] when it cannot be opened.
    pub fn open(path: &Path, settings: SqliteSettings) -> Result<Self, QueueError> {
        let connection = schema::open(path).map_err(|error| local_trouble_told_apart(error, path))?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), path: path.to_owned(), settings })
    }

    /// Runs `step` in one write transaction on a blocking thread.
    pub(super) async fn transact<T, F>(&self, step: F) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, QueueError> + Send + 'static,
    {
        self.within(TransactionBehavior::Immediate, step).await
    }

    /// Writes the file anew without what was deleted, and empties its log.
    pub(super) async fn overwrite(&self) -> Result<(), QueueError> {
        let connection = Arc::clone(&self.connection);
        let outcome = tokio::task::spawn_blocking(move || {
            let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            // Statements that are kept prepared would hold the file open for reading.
            connection.flush_prepared_statement_cache();
            connection.execute_batch("VACUUM")?;
            let is_busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            if is_busy {
                let busy = ffi::Error::new(ffi::SQLITE_BUSY);
                return Err(QueueError::Sqlite(rusqlite::Error::SqliteFailure(busy, None)));
            }
            Ok(())
        });
        outcome.await.map_err(|_join| QueueError::Stopped)?.map_err(|error| local_trouble_told_apart(error, &self.path))
    }

    /// Runs a `question` that changes nothing and keeps no other process's writes waiting.
    pub(super) async fn look<T, F>(&self, question: F) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, QueueError> + Send + 'static,
    {
        self.within(TransactionBehavior::Deferred, question).await
    }

    async fn within<T, F>(&self, behavior: TransactionBehavior, step: F) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, QueueError> + Send + 'static,
    {
        let connection = Arc::clone(&self.connection);
        let outcome = tokio::task::spawn_blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction_with_behavior(behavior)?;
            let value = step(&transaction)?;
            transaction.commit()?;
            Ok(value)
        });
        outcome.await.map_err(|_join| QueueError::Stopped)?.map_err(|error| local_trouble_told_apart(error, &self.path))
    }
}

/// A full disk and a long lock are this machine's trouble, not this program's.
fn local_trouble_told_apart(error: QueueError, path: &Path) -> QueueError {
    let QueueError::Sqlite(source) = error else { return error };
    let path = path.to_owned();
    match (source.sqlite_error_code(), source.sqlite_extended_error_code()) {
        // A file beside the ledger could not grow: SQLite does not say why, and it is hardly ever anything else.
        (Some(ErrorCode::DiskFull), _) | (_, Some(ffi::SQLITE_IOERR_SHMSIZE)) => {
            QueueError::DiskFull { path, source: source.into() }
        }
        (Some(ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen), _) => {
            QueueError::Disk { path, source }
        }
        (Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase), _) => {
            QueueError::Open { path, source: source.into() }
        }
        (Some(ErrorCode::DatabaseBusy), _) => QueueError::Busy { path, source },
        _ => QueueError::Sqlite(source),
    }
}
