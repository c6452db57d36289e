//! [`ListingMarks`] in the ledger.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::SqliteQueue;
use super::rows::timestamp;
use crate::domain::SourceKind;
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

    async fn mark_sweep(&self, source: SourceKind, began: Timestamp) -> Result<(), QueueError> {
        self.transact(move |tx| {
            tx.execute(
                "INSERT INTO sweeps (source, began_ms) VALUES (?1, ?2)
                 ON CONFLICT (source) DO UPDATE SET began_ms = max(began_ms, excluded.began_ms)",
                params![source.as_str(), began.as_millisecond()],
            )?;
            Ok(())
        })
        .await
    }

    async fn last_sweep(&self, source: SourceKind) -> Result<Option<Timestamp>, QueueError> {
        self.transact(move |tx| {
            let began: Option<i64> = tx
                .query_row("SELECT began_ms FROM sweeps WHERE source = ?1", [source.as_str()], |row| row.get(0))
                .optional()?;
            began.map(timestamp).transpose()
        })
        .await
    }
}
