//! What every sweep forgets by age.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::PurgeOrder;
use crate::domain::PurgeReason;
use crate::pipeline::RunError;
use crate::pipeline::item::before;
use crate::pipeline::publisher::Publisher;

impl Publisher {
    /// Removes audio and purges recordings and calls that are older than they may be. Whole days of the lake go: when none
    /// is due, nothing is read but the names of its files.
    pub(in crate::pipeline) async fn forget_what_is_old(&self) -> Result<(), RunError> {
        let (audio, stays) = (self.kept_audio.clone(), self.audio_retention);
        let removing = tokio::task::spawn_blocking(move || audio.remove_old(stays, SystemTime::now()));
        let removed = removing.await.map_err(RunError::Stage)?;
        let removed = removed.map_err(|source| RunError::State { path: self.state_dir.clone(), source })?;
        if removed > 0 {
            tracing::info!(files = removed, "removed audio that was kept long enough (privacy.audio_retention)");
        }
        let Some(retention) = self.transcript_retention else { return Ok(()) };
        self.forget_before(retention).await
    }

    async fn forget_before(&self, retention: Duration) -> Result<(), RunError> {
        let day_starts = self.lake.start_of(&self.lake.dt(before(Timestamp::now(), retention)))?;
        if !self.lake.has_older(day_starts).await? && !self.graves.has_older(day_starts).await? {
            return Ok(());
        }
        let order = PurgeOrder { before: Some(day_starts), reason: PurgeReason::Retention, ..PurgeOrder::default() };
        let count = self.purge(&order).await?;
        let (recordings, rows) = (count.recordings, count.erased.rows);
        tracing::info!(recordings, rows, "purged what is older than privacy.transcript_retention");
        Ok(())
    }
}
