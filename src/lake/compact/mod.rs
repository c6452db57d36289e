//! Compaction: the files of a closed day become one for each table, in the order of the table.
//!
//! Days are never merged with one another. Rows are neither dropped nor changed: the new file is read back and its digest
//! compared with that of the old ones before any of them goes. Files of older versions get the columns of today, empty.

pub(super) mod digest;
pub(super) mod merge;

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::error::LakeError;
use super::open::Lake;
use super::publish::aside;
use super::schema::{SCHEMA_VERSION, Table};
use super::tidy::LakeLock;
use merge::{Merged, merge};

/// How many objects of a bucket are asked for at a time.
const READS_AT_A_TIME: usize = 16;

/// What became of the files of one table and day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compacted {
    pub table: Table,
    pub dt: String,
    /// How many files there were.
    pub files: usize,
    /// Their bytes together.
    pub bytes_before: u64,
    /// The bytes of the one that is there now.
    pub bytes_after: u64,
    pub rows: u64,
}

/// One table and day with its files.
#[derive(Debug)]
struct Work {
    table: Table,
    dt: String,
    keys: Vec<String>,
}

impl Lake {
    /// Makes one file of those of each table and closed day. `rewrite_schema` writes single files of older versions anew
    /// as well. `told` hears of each table and day when it is done.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] for the first file that cannot be read or would lose a row: it stays, and with it
    /// what was not done yet. Otherwise as [`Lake::publish`].
    pub async fn compact(
        &self,
        is_closed: impl Fn(&str) -> bool,
        rewrite_schema: bool,
        lock: &LakeLock,
        mut told: impl FnMut(&Compacted),
    ) -> Result<(), LakeError> {
        self.finish_swaps(lock).await?;
        let mut work = Vec::new();
        for table in Table::ALL {
            for (dt, keys) in self.days_of(table).await? {
                if is_closed(&dt) && (keys.len() > 1 || (rewrite_schema && !keys.is_empty())) {
                    work.push(Work { table, dt, keys });
                }
            }
        }
        let at_a_time = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let merging = work.into_iter().map(|work| self.merged(work, rewrite_schema));
        let mut merged = futures::stream::iter(merging).buffered(at_a_time);
        while let Some(done) = merged.try_next().await? {
            let Some((work, bytes_before, merged)) = done else { continue };
            let Merged { bytes, rows } = merged;
            let compacted = Compacted {
                table: work.table,
                dt: work.dt,
                files: work.keys.len(),
                bytes_before,
                bytes_after: bytes.len() as u64,
                rows,
            };
            self.swap(compacted.table, &compacted.dt, &work.keys, Some(bytes), lock).await?;
            told(&compacted);
        }
        Ok(())
    }

    /// The keys of a table's files, by day.
    pub(super) async fn days_of(&self, table: Table) -> Result<BTreeMap<String, Vec<String>>, LakeError> {
        let mut days: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for object in self.store.list(table.as_str()).await? {
            let key = object.location.as_ref();
            let day = key.split('/').nth(1).and_then(|folder| folder.strip_prefix("dt="));
            if let Some(dt) = day.filter(|_| key.ends_with(".parquet")) {
                days.entry(dt.to_owned()).or_default().push(key.to_owned());
            }
        }
        Ok(days)
    }

    async fn merged(&self, work: Work, rewrite_schema: bool) -> Result<Option<(Work, u64, Merged)>, LakeError> {
        let gone = |key: &str| LakeError::Unreadable { key: key.to_owned(), source: "it is gone".into() };
        let read = |key: String| async move { self.store.read(&key).await?.ok_or_else(|| gone(&key)) };
        let files: Vec<Bytes> =
            futures::stream::iter(work.keys.clone()).map(read).buffered(READS_AT_A_TIME).try_collect().await?;
        let key = format!("{}/dt={}", work.table.as_str(), work.dt);
        let unreadable = move |source| LakeError::Unreadable { key: key.clone(), source };
        if let ([file], true) = (files.as_slice(), rewrite_schema)
            && schema_version(file).map_err(&unreadable)? == Some(SCHEMA_VERSION)
        {
            return Ok(None);
        }
        let bytes = files.iter().map(|file| file.len() as u64).sum();
        let (table, encoder) = (work.table, self.encoder);
        let merged = aside(move || merge(table, encoder, &files).map_err(unreadable)).await?;
        Ok(Some((work, bytes, merged)))
    }
}

/// The version in a file's footer.
fn schema_version(file: &Bytes) -> Result<Option<i32>, super::read::ReadError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file.clone())?;
    let footer = builder.metadata().file_metadata().key_value_metadata();
    let entry = footer.into_iter().flatten().find(|entry| entry.key == "schema_version");
    Ok(entry.and_then(|entry| entry.value.as_deref()?.parse().ok()))
}
