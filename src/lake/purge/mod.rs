//! Forgetting: rows of recordings and calls are removed from every table, a number is masked where the rows of others
//! mention it, and what is gone is proven to be gone by reading everything again.
//!
//! * `quarry` finds out which recordings and calls are meant.
//! * `identity` says by which columns a table's rows belong to them.
//! * `rewrite` makes of a file one without their rows.
//! * `tombstones` keeps them from coming back.
//!
//! Only files that hold such rows are written anew, each in the place of the old one: a crash leaves the one or the
//! other.

mod identity;
mod quarry;
mod rewrite;
mod tombstones;

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use jiff::Timestamp;

use self::identity::{Sight, columns_for};
use self::rewrite::{Rewritten, rewritten};
use super::error::LakeError;
use super::object::ObjectFile;
use super::open::Lake;
use super::publish::aside;
use super::read::{ReadError, read_file};
use super::schema::Table;
use super::tidy::LakeLock;
use crate::failpoint;
use crate::privacy::WantedNumber;

pub use quarry::Quarry;

/// What goes: by now it is known which recordings and calls are meant.
#[derive(Debug, Clone, Default)]
pub struct Erasure {
    /// Ids of recordings.
    pub recordings: BTreeSet<String>,
    /// Any ids of calls and legs.
    pub calls: BTreeSet<String>,
    /// Rows of calls that began before this, whatever their ids.
    pub before: Option<Timestamp>,
    /// Rows with one of these numbers go; texts that mention one are masked.
    pub numbers: Vec<WantedNumber>,
}

/// How much went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Rows that are gone.
    pub rows: u64,
    /// Rows of others in which a number was masked.
    pub masked: u64,
    /// Files that were written anew or removed.
    pub files: u64,
}

impl Erased {
    const fn add(&mut self, file: Self) {
        self.rows += file.rows;
        self.masked += file.masked;
        self.files += file.files;
    }
}

/// The tables in the order in which they lose rows: no reader sees a recording without its segments.
const TABLES: [Table; 8] = [
    Table::Recordings,
    Table::Segments,
    Table::Words,
    Table::Quarantine,
    Table::ZoomTranscripts,
    Table::ZoomSegments,
    Table::CallHistory,
    Table::CallEvents,
];

/// Tables whose day is that of a call.
const OF_CALLS: [Table; 4] = [Table::Recordings, Table::Quarantine, Table::CallHistory, Table::CallEvents];

impl Lake {
    /// Whether a file lies in a partition that ended by `start`, which begins one. Only names are looked at.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] when a table cannot be listed.
    pub async fn has_older(&self, start: Timestamp) -> Result<bool, LakeError> {
        let first = self.dt(start);
        for table in OF_CALLS {
            if self.days_of(table).await?.keys().any(|dt| *dt < first) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How much [`Lake::erase`] would remove.
    ///
    /// # Errors
    /// As [`Lake::published_ids`].
    pub async fn count_erasure(&self, erasure: &Erasure) -> Result<Erased, LakeError> {
        let mut counted = Erased::default();
        for table in TABLES {
            for (dt, files) in self.days_of(table).await? {
                for file in files {
                    counted.add(self.concerned(table, &dt, file, erasure).await?);
                }
            }
        }
        Ok(counted)
    }

    /// Removes all that is meant from every table, then reads every table again for what is left of it. May be done
    /// again after any crash.
    ///
    /// # Errors
    /// [`LakeError::NotPurged`] when something is left; [`LakeError::Unreadable`]; otherwise as [`Lake::publish`].
    pub async fn erase(&self, erasure: &Erasure, lock: &LakeLock) -> Result<Erased, LakeError> {
        self.finish_swaps(lock).await?;
        let mut erased = Erased::default();
        for table in TABLES {
            for (dt, files) in self.days_of(table).await? {
                for file in files {
                    let key = file.key();
                    if self.concerned(table, &dt, file, erasure).await?.files > 0 {
                        erased.add(self.rewrite(table, &dt, key, erasure, lock).await?);
                        failpoint::pass("purge-rewritten");
                    }
                }
            }
        }
        for table in TABLES {
            for (dt, files) in self.days_of(table).await? {
                for file in files {
                    let key = file.key();
                    if self.concerned(table, &dt, file, erasure).await?.files > 0 {
                        return Err(LakeError::NotPurged { key });
                    }
                }
            }
        }
        Ok(erased)
    }

    /// What of one object is meant. Only the columns that tell are read.
    async fn concerned(
        &self,
        table: Table,
        dt: &str,
        file: ObjectFile,
        erasure: &Erasure,
    ) -> Result<Erased, LakeError> {
        let key = file.key();
        let columns = columns_for(table, !erasure.numbers.is_empty());
        let day = self.start_of(dt)?.as_millisecond();
        let mut batches = Vec::new();
        let mut counted = Erased::default();
        // The words of a segment are judged together, so those of a file are.
        let is_whole = table == Table::Words && !erasure.numbers.is_empty();
        read_file(file, &columns, &mut |batch| {
            if is_whole {
                batches.push(batch.clone());
            } else {
                counted.add(judged(table, day, batch, erasure)?);
            }
            Ok(())
        })
        .await?;
        if let Some(first) = batches.first() {
            let unreadable = |source: ReadError| LakeError::Unreadable { key: key.clone(), source };
            let whole = arrow::compute::concat_batches(&first.schema(), &batches);
            let whole = whole.map_err(|error| unreadable(error.into()))?;
            counted.add(judged(table, day, &whole, erasure).map_err(unreadable)?);
        }
        counted.files = u64::from(counted.rows + counted.masked > 0);
        Ok(counted)
    }

    async fn rewrite(
        &self,
        table: Table,
        dt: &str,
        key: String,
        erasure: &Erasure,
        lock: &LakeLock,
    ) -> Result<Erased, LakeError> {
        let gone = || LakeError::Unreadable { key: key.clone(), source: "it is gone".into() };
        let file = self.store.read(&key).await?.ok_or_else(gone)?;
        let (encoder, erasure, named) = (self.encoder, erasure.clone(), key.clone());
        let day = self.start_of(dt)?.as_millisecond();
        let done = aside(move || {
            rewritten(table, day, encoder, file, &erasure)
                .map_err(|source| LakeError::Unreadable { key: named, source })
        });
        let Rewritten { bytes, rows, masked } = done.await?;
        self.swap(table, dt, &[key], bytes, lock).await?;
        Ok(Erased { rows, masked, files: 1 })
    }
}

fn judged(table: Table, day: i64, batch: &RecordBatch, erasure: &Erasure) -> Result<Erased, ReadError> {
    let sight = Sight::of(table, day, batch)?;
    let rows = (0..batch.num_rows()).filter(|row| sight.goes(*row, erasure)).count();
    let masked = rewrite::masked_rows(table, batch, &sight, erasure)?;
    Ok(Erased { rows: rows as u64, masked: masked as u64, files: 0 })
}

#[cfg(test)]
mod tests;
