//! Compaction: the files of a closed day become one for each table, in the order of the table.
//!
//! Days are never merged with one another. Rows are neither dropped nor changed: the new file is read back and its digest
//! compared with that of the old ones before any of them goes. Files of older versions get the columns of today, empty.

pub(super) mod digest;
pub(super) mod file;
mod merge;

use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::error::LakeError;
use super::object::ObjectFile;
use super::open::Lake;
use super::schema::{SCHEMA_VERSION, Table};
use super::tidy::LakeLock;
use file::File;
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

/// What was merged, and how many bytes it had before.
type Done = Option<(Work, u64, Merged)>;

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
            for (dt, files) in self.days_of(table).await? {
                let keys: Vec<String> = files.iter().map(ObjectFile::key).collect();
                if is_closed(&dt) && (keys.len() > 1 || (rewrite_schema && !keys.is_empty())) {
                    work.push(Work { table, dt, keys });
                }
            }
        }
        let (mut merged, mut threads) = self.merging(work, rewrite_schema);
        while let Some(done) = merged.recv().await {
            let Some((work, bytes_before, Merged { bytes, rows })) = done? else { continue };
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
        while let Some(ended) = threads.join_next().await {
            ended.map_err(|source| LakeError::EncoderDied { source })?;
        }
        Ok(())
    }

    /// Merges on as many threads as there are cores. Each does one after the other: the allocator keeps what a thread has
    /// used, so more of them would hold far more memory. They end when the receiver is gone.
    fn merging(&self, work: Vec<Work>, rewrite_schema: bool) -> (mpsc::Receiver<Result<Done, LakeError>>, JoinSet<()>) {
        let (sender, receiver) = mpsc::channel(1);
        let work = Arc::new(Mutex::new(work.into_iter()));
        let mut threads = JoinSet::new();
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZero::get) {
            let (lake, work, sender) = (self.clone(), Arc::clone(&work), sender.clone());
            let runtime = Handle::current();
            threads.spawn_blocking(move || {
                let next = || work.lock().unwrap_or_else(PoisonError::into_inner).next();
                while let Some(work) = next() {
                    let files = runtime.block_on(lake.read_files(&work));
                    let merged = files.and_then(|files| lake.merged(work, files, rewrite_schema));
                    let failed = merged.is_err();
                    if sender.blocking_send(merged).is_err() || failed {
                        return;
                    }
                }
            });
        }
        (receiver, threads)
    }

    async fn read_files(&self, work: &Work) -> Result<Vec<Bytes>, LakeError> {
        let gone = |key: &str| LakeError::Unreadable { key: key.to_owned(), source: "it is gone".into() };
        let read = |key: String| async move { self.store.read(&key).await?.ok_or_else(|| gone(&key)) };
        futures::stream::iter(work.keys.clone()).map(read).buffered(READS_AT_A_TIME).try_collect().await
    }

    /// None when there is nothing to write anew.
    fn merged(&self, work: Work, files: Vec<Bytes>, rewrite_schema: bool) -> Result<Done, LakeError> {
        let unreadable = |key: &str, source| LakeError::Unreadable { key: key.to_owned(), source };
        let bytes_before = files.iter().map(|file| file.len() as u64).sum();
        let open = |(bytes, key): (Bytes, &String)| File::open(bytes).map_err(|source| unreadable(key, source));
        let files = files.into_iter().zip(&work.keys).map(open).collect::<Result<Vec<_>, _>>()?;
        if let ([file], true) = (files.as_slice(), rewrite_schema)
            && file.schema_version() == Some(SCHEMA_VERSION)
        {
            return Ok(None);
        }
        let partition = format!("{}/dt={}", work.table.as_str(), work.dt);
        let merged = merge(work.table, self.encoder, &files).map_err(|source| unreadable(&partition, source))?;
        Ok(Some((work, bytes_before, merged)))
    }
}
