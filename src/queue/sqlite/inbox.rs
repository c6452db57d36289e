//! [`Inbox`] in the ledger.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::params;

use super::SqliteQueue;
use super::rows::{corrupt, timestamp};
use crate::queue::QueueError;
use crate::queue::inbox::{Inbox, Notice, Subject, Via};

#[async_trait]
impl Inbox for SqliteQueue {
    async fn receive(&self, notices: Vec<Notice>) -> Result<u64, QueueError> {
        self.transact(move |tx| {
            let mut insert = tx.prepare_cached(
                "INSERT INTO inbox (key, subject, via, event_ms, received_ms, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (key) DO NOTHING",
            )?;
            let mut new = 0;
            for Notice { key, subject, via, event_at, received_at, body } in notices {
                new += insert.execute(params![
                    key,
                    subject.as_str(),
                    via.as_str(),
                    event_at.map(Timestamp::as_millisecond),
                    received_at.as_millisecond(),
                    body
                ])? as u64;
            }
            Ok(new)
        })
        .await
    }

    async fn received(&self, limit: u32) -> Result<Vec<(i64, Notice)>, QueueError> {
        self.transact(move |tx| {
            let mut statement = tx.prepare_cached(
                "SELECT number, key, subject, via, event_ms, received_ms, body FROM inbox ORDER BY number LIMIT ?1",
            )?;
            let mut rows = statement.query([limit])?;
            let mut notices = Vec::new();
            while let Some(row) = rows.next()? {
                let (subject, via): (String, String) = (row.get(2)?, row.get(3)?);
                let notice = Notice {
                    key: row.get(1)?,
                    subject: Subject::parse(&subject).ok_or_else(|| corrupt("subject"))?,
                    via: Via::parse(&via).ok_or_else(|| corrupt("via"))?,
                    event_at: row.get::<_, Option<i64>>(4)?.map(timestamp).transpose()?,
                    received_at: timestamp(row.get(5)?)?,
                    body: row.get(6)?,
                };
                notices.push((row.get(0)?, notice));
            }
            Ok(notices)
        })
        .await
    }

    async fn waiting(&self) -> Result<u64, QueueError> {
        self.look(|tx| {
            let waiting: i64 = tx.query_row("SELECT count(*) FROM inbox", [], |row| row.get(0))?;
            Ok(u64::try_from(waiting).unwrap_or(0))
        })
        .await
    }

    async fn acted_upon(&self, numbers: Vec<i64>) -> Result<(), QueueError> {
        self.transact(move |tx| {
            let mut delete = tx.prepare_cached("DELETE FROM inbox WHERE number = ?1")?;
            for number in numbers {
                delete.execute([number])?;
            }
            Ok(())
        })
        .await
    }
}
