//! One coordinator at a time: whoever made the card, for as long as it is renewed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::jetstream::kv::{CreateErrorKind, Operation, Store, UpdateErrorKind};
use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::wire::LeaderCard;
use super::{FleetError, Link};

const KEY: &str = "coordinator";

/// This process leads until it is dropped, [`Leadership::lost`], or dead for a lease.
#[derive(Debug)]
pub struct Leadership {
    link: Link,
    revision: Arc<AtomicU64>,
    lost: CancellationToken,
    keeper: JoinHandle<()>,
}

impl Leadership {
    /// Takes the lead. That of a process which shared our state folder and `is_gone` is taken over at once; another's, when
    /// it has not been renewed for a lease.
    ///
    /// # Errors
    /// [`FleetError::Led`]; [`FleetError::Unreachable`].
    pub async fn take(link: &Link, card: &LeaderCard, is_gone: impl Fn(&str) -> bool) -> Result<Self, FleetError> {
        let bytes = Bytes::from(serde_json::to_vec(card).expect("a card is plain text"));
        let revision = loop {
            match link.kept.leader.create(KEY, bytes.clone()).await {
                Ok(revision) => break revision,
                Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
                Err(error) => {
                    // It may be there and have lost everything, and no worker may be there to notice.
                    link.mend().await;
                    return Err(link.unreachable(error));
                }
            }
            let entry = link.kept.leader.entry(KEY).await.map_err(|error| link.unreachable(error))?;
            // Gone in between.
            let Some(entry) = entry.filter(|entry| entry.operation == Operation::Put) else { continue };
            let other: Option<LeaderCard> = serde_json::from_slice(&entry.value).ok();
            let Some(other) = other else { return Err(FleetError::Led { who: "of another version".into() }) };
            if other.ledger != card.ledger || !is_gone(&other.instance) {
                return Err(FleetError::Led { who: other.name() });
            }
            if let Ok(revision) = link.kept.leader.update(KEY, bytes.clone(), entry.revision).await {
                break revision;
            }
        };
        let (revision, lost) = (Arc::new(AtomicU64::new(revision)), CancellationToken::new());
        let keeper = tokio::spawn(keep(link.clone(), bytes, Arc::clone(&revision), lost.clone()));
        Ok(Self { link: link.clone(), revision, lost, keeper })
    }

    /// Cancelled when another coordinator leads.
    #[must_use]
    pub fn lost(&self) -> CancellationToken {
        self.lost.clone()
    }

    /// Lets the next one lead at once.
    pub async fn end(self) {
        self.keeper.abort();
        let _already_gone =
            self.link.kept.leader.delete_expect_revision(KEY, Some(self.revision.load(Ordering::Relaxed))).await;
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Renews the card. While the server cannot be reached nobody else can lead either.
async fn keep(link: Link, card: Bytes, revision: Arc<AtomicU64>, lost: CancellationToken) {
    let mut beat = tokio::time::interval(link.kept.lease / 3);
    beat.tick().await;
    loop {
        beat.tick().await;
        match renewed(&link.kept.leader, &card, revision.load(Ordering::Relaxed)).await {
            Ok(Some(next)) => revision.store(next, Ordering::Relaxed),
            Ok(None) => {
                tracing::error!("another coordinator took the lead");
                return lost.cancel();
            }
            Err(error) => tracing::warn!(%error, "the lead could not be renewed; trying again"),
        }
    }
}

/// The card's new revision; `None` when it is another's.
async fn renewed(bucket: &Store, card: &Bytes, revision: u64) -> Result<Option<u64>, async_nats::Error> {
    match bucket.update(KEY, card.clone(), revision).await {
        Ok(next) => return Ok(Some(next)),
        Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {}
        Err(error) => return Err(error.into()),
    }
    // It lapsed while the server was away, or an answer was lost on its way to us.
    match bucket.create(KEY, card.clone()).await {
        Ok(next) => Ok(Some(next)),
        Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {
            let entry = bucket.entry(KEY).await?;
            Ok(entry.filter(|entry| entry.value == *card).map(|entry| entry.revision))
        }
        Err(error) => Err(error.into()),
    }
}
