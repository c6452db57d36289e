//! Compaction as a step of the pipeline: what is unfinished is finished first, and what cannot be is left alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::RunError;
use super::publisher::{Publisher, plan_of};
use super::sweep::prepare_state;
use crate::config::Config;
use crate::lake::Compacted;
use crate::queue::sqlite::{SqliteQueue, SqliteSettings};
use crate::telemetry::Reporter;

/// Makes one file of those of each table and closed day of the lake; `told` hears of each when it is done.
///
/// # Errors
/// When lake or ledger cannot be used, and for the first file that cannot be read.
pub async fn compact(
    config: &Config,
    reporter: Arc<Reporter>,
    rewrite_schema: bool,
    told: impl FnMut(&Compacted),
) -> Result<(), RunError> {
    prepare_state(&config.paths)?;
    let ledger = Arc::new(SqliteQueue::open(&config.queue.ledger, SqliteSettings::from(&config.queue))?);
    Publisher::open(config, ledger, reporter).await?.compact(rewrite_schema, told).await
}

impl Publisher {
    /// As [`compact`].
    pub(super) async fn compact(&self, rewrite_schema: bool, told: impl FnMut(&Compacted)) -> Result<(), RunError> {
        // What a crash interrupted would be put a second time if its files had become part of another.
        self.publish_all().await?;
        self.deliver().await?;
        let only_publisher = self.lock().await?;
        let open = self.batches.open_batches().await?;
        let in_work = open.iter().map(plan_of).collect::<Result<Vec<_>, _>>()?;
        let busy: BTreeSet<String> = in_work.iter().map(|plan| plan.dt.clone()).collect();
        self.lake.remove_leftovers(&in_work, &only_publisher.lake).await?;
        let today = self.lake.dt(Timestamp::now());
        let is_closed = |dt: &str| dt < today.as_str() && !busy.contains(dt);
        Ok(self.lake.compact(is_closed, rewrite_schema, &only_publisher.lake, told).await?)
    }
}
