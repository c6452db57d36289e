//! [`ListingMarks`] in the ledger.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::params;

use super::SqliteQueue;
use super::rows::timestamp;
use crate::queue::QueueError;
use crate::queue::marks::{LIFE, ListedSlice, ListingMarks};
use crate::source::{Slice, TimeWindow};

#[async_trait]
impl ListingMarks for SqliteQueue {
    async fn mark_listed(&self, slice: &Slice, now: Timestamp) -> Result<(), QueueError> {
        let Slice { owner, window: Some(window) } = slice.clone() else { return Ok(()) };
        self.transact(move |tx| {
            tx.execute(
                "INSERT OR REPLACE INTO listed_slices (owner, since_ms, until_ms, listed_ms) VALUES (?1, ?2, ?3, ?4)",
                params![owner, window.since.as_millisecond(), window.until.as_millisecond(), now.as_millisecond()],
            )?;
            Ok(())
        })
        .await
    }

    async fn listed_slices(&self) -> Result<Vec<ListedSlice>, QueueError> {
        self.transact(|tx| {
            let mut statement = tx.prepare("SELECT owner, since_ms, until_ms, listed_ms FROM listed_slices")?;
            let mut rows = statement.query([])?;
            let mut slices = Vec::new();
            while let Some(row) = rows.next()? {
                slices.push(ListedSlice {
                    owner: row.get(0)?,
                    window: TimeWindow { since: timestamp(row.get(1)?)?, until: timestamp(row.get(2)?)? },
                    listed_at: timestamp(row.get(3)?)?,
                });
            }
            Ok(slices)
        })
        .await
    }

    async fn forget_listed(&self, window: TimeWindow, now: Timestamp) -> Result<(), QueueError> {
        let oldest = now.checked_sub(LIFE).unwrap_or(Timestamp::MIN).as_millisecond();
        self.transact(move |tx| {
            tx.execute(
                "DELETE FROM listed_slices WHERE (until_ms > ?1 AND until_ms <= ?2) OR listed_ms < ?3",
                params![window.since.as_millisecond(), window.until.as_millisecond(), oldest],
            )?;
            Ok(())
        })
        .await
    }
}
