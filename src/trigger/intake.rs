//! From listeners to the ledger: notices of many senders are committed together, and each sender waits for the commit
//! that holds its own.
//!
//! A group is whatever arrived while the one before was being committed, so nobody waits for company.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::queue::{Inbox, Notice};

/// Senders that wait at the same time; further ones wait for a place.
const WAITING: usize = 4_096;
/// Senders of one commit.
const GROUP: usize = 512;

/// The notices could not be kept: the sender must send them again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event could not be kept")]
pub struct NotKept;

struct Delivery {
    notices: Vec<Notice>,
    kept: oneshot::Sender<Result<(), NotKept>>,
}

/// Where listeners bring what they received.
#[derive(Debug, Clone)]
pub struct Intake {
    deliveries: mpsc::Sender<Delivery>,
}

impl Intake {
    /// Starts to commit; ends with the last clone. `kept` is told of notices when they are durable, new or not.
    pub fn start(inbox: Arc<dyn Inbox>, kept: impl Fn(&[Notice]) + Send + Sync + 'static) -> Self {
        let (deliveries, arriving) = mpsc::channel(WAITING);
        tokio::spawn(commit(inbox, arriving, kept));
        Self { deliveries }
    }

    /// Returns when the notices are durable.
    ///
    /// # Errors
    /// [`NotKept`] when they are not: the ledger cannot be written, or the service ends.
    pub async fn keep(&self, notices: Vec<Notice>) -> Result<(), NotKept> {
        if notices.is_empty() {
            return Ok(());
        }
        let (kept, is_kept) = oneshot::channel();
        self.deliveries.send(Delivery { notices, kept }).await.map_err(|_ended| NotKept)?;
        is_kept.await.unwrap_or(Err(NotKept))
    }
}

async fn commit(inbox: Arc<dyn Inbox>, mut arriving: mpsc::Receiver<Delivery>, kept: impl Fn(&[Notice])) {
    let mut group = Vec::with_capacity(GROUP);
    while arriving.recv_many(&mut group, GROUP).await > 0 {
        let notices: Vec<Notice> = group.iter().flat_map(|delivery| delivery.notices.iter().cloned()).collect();
        let outcome = match inbox.receive(notices.clone()).await {
            Ok(_new) => Ok(()),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "events could not be kept");
                Err(NotKept)
            }
        };
        if outcome.is_ok() {
            kept(&notices);
        }
        for delivery in group.drain(..) {
            if delivery.kept.send(outcome).is_err() {
                tracing::debug!("the sender of an event went away before it was answered");
            }
        }
    }
}
