//! [`Insight`] in the ledger.

use async_trait::async_trait;

use super::SqliteQueue;
use super::rows::{corrupt, timestamp};
use crate::domain::RecordingId;
use crate::queue::{Insight, JobEvent, JobState, QueueError, StateLine};

#[async_trait]
impl Insight for SqliteQueue {
    async fn overview(&self) -> Result<Vec<StateLine>, QueueError> {
        self.look(|tx| {
            let mut statement = tx.prepare(
                "SELECT state, CASE WHEN state IN ('waiting', 'dead') THEN reason END AS why, count(*),
                        coalesce(sum(coalesce(audio_ms / 1000, duration_s)), 0),
                        min(updated_ms), max(updated_ms), min(not_before_ms)
                 FROM jobs GROUP BY 1, 2 ORDER BY 1, 2",
            )?;
            let mut rows = statement.query([])?;
            let mut lines = Vec::new();
            while let Some(row) = rows.next()? {
                let state: String = row.get(0)?;
                lines.push(StateLine {
                    state: JobState::parse(&state).ok_or_else(|| corrupt("state"))?,
                    reason: row.get(1)?,
                    jobs: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
                    audio_s: u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0),
                    oldest_change: timestamp(row.get(4)?)?,
                    newest_change: timestamp(row.get(5)?)?,
                    next_due: row.get::<_, Option<i64>>(6)?.map(timestamp).transpose()?,
                });
            }
            lines.sort_by(|one, other| (one.state, &one.reason).cmp(&(other.state, &other.reason)));
            Ok(lines)
        })
        .await
    }

    async fn life(&self, id: &RecordingId) -> Result<Vec<JobEvent>, QueueError> {
        let id = id.clone();
        self.transact(move |tx| {
            let mut statement = tx.prepare(
                "SELECT at_ms, step, attempt, run_id, stage, reason, detail FROM job_events
                 WHERE recording_id = ?1 ORDER BY event_id",
            )?;
            let mut rows = statement.query([id.as_str()])?;
            let mut events = Vec::new();
            while let Some(row) = rows.next()? {
                events.push(JobEvent {
                    at: timestamp(row.get(0)?)?,
                    step: row.get(1)?,
                    attempt: row.get(2)?,
                    run_id: row.get(3)?,
                    stage: row.get(4)?,
                    reason: row.get(5)?,
                    detail: row.get(6)?,
                });
            }
            Ok(events)
        })
        .await
    }
}
