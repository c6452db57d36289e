//! The table `tombstones`: what keeps purged recordings and calls from coming back when the ledger is lost.

use std::collections::BTreeSet;

use crate::domain::{Departed, PurgeReason, RecordingId, Tombstone};
use crate::lake::error::LakeError;
use crate::lake::open::Lake;
use crate::lake::read::{ReadError, read_file};
use crate::lake::row::{known, rows_of};
use crate::lake::schema::Table;

impl Lake {
    /// Writes tombstones that are not there yet into the day on which they were set.
    ///
    /// # Errors
    /// As [`Lake::publish`].
    pub async fn write_tombstones(&self, mut stones: Vec<Tombstone>) -> Result<(), LakeError> {
        let all = self.tombstones_beside(&BTreeSet::new()).await?;
        let there: BTreeSet<&Tombstone> = all.iter().flat_map(|(_file, stones)| stones).collect();
        stones.retain(|stone| !there.contains(stone));
        stones.sort();
        stones.dedup();
        let Some(dt) = stones.iter().map(|stone| self.dt(stone.purged_at)).max() else { return Ok(()) };
        self.write_rows(&dt, stones).await.map(drop)
    }

    /// The objects of the table that are not among `read`, each with its tombstones.
    ///
    /// # Errors
    /// As [`Lake::published_ids`].
    pub async fn tombstones_beside(&self, read: &BTreeSet<String>) -> Result<Vec<(String, Vec<Tombstone>)>, LakeError> {
        let mut found = Vec::new();
        for file in self.days_of(Table::Tombstones).await?.into_values().flatten() {
            let key = file.key();
            if read.contains(&key) {
                continue;
            }
            let mut stones = Vec::new();
            read_file(file, &["recording_id", "call_id", "purged_at", "reason"], &mut |batch| {
                for row in rows_of(batch) {
                    let of = match (row.text("recording_id")?, row.text("call_id")?) {
                        (Some(id), _) => Departed::Recording(RecordingId::parse(&id)?),
                        (None, Some(id)) => Departed::Call(id),
                        (None, None) => return Err(ReadError::from("a tombstone names nothing")),
                    };
                    let reason = known("reason", row.text("reason")?)?;
                    // A reason of a later version: that it was purged is what counts.
                    let reason = PurgeReason::parse(&reason).unwrap_or(PurgeReason::Recording);
                    stones.push(Tombstone { of, purged_at: known("purged_at", row.time("purged_at")?)?, reason });
                }
                Ok(())
            })
            .await?;
            found.push((key, stones));
        }
        Ok(found)
    }
}
