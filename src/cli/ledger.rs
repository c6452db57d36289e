//! The ledger without a run: opened when it is there, and never made.

use std::future::Future;

use super::Session;
use crate::pipeline::RunError;
use crate::queue::QueueError;
use crate::queue::sqlite::{SqliteQueue, SqliteSettings};

/// Opens the ledger; `None` when no run has made one yet.
pub(super) fn open(session: &Session) -> anyhow::Result<Option<SqliteQueue>> {
    let queue = &session.config.queue;
    if !queue.ledger.exists() {
        return Ok(None);
    }
    let settings = SqliteSettings { lease: queue.lease, max_attempts: queue.max_attempts };
    Ok(Some(SqliteQueue::open(&queue.ledger, settings).map_err(RunError::from)?))
}

/// Asks it something.
pub(super) fn ask<T>(question: impl Future<Output = Result<T, QueueError>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(question).map_err(RunError::from)?)
}
