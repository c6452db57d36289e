//! Objects in the place of others, so that nobody who reads through the views sees a row twice or not at all.
//!
//! Several objects cannot be replaced at once, neither in a folder nor in a bucket. So there is a list of objects that
//! do not count, `hidden_files/current.parquet`, which is written in one put and which every view leaves out:
//!
//! 1. the new object is listed, then put: it is there and does not count;
//! 2. the old ones are listed in its stead: in that moment the new one counts and the old ones do not;
//! 3. the old ones are removed, then the list is emptied.
//!
//! What a crash leaves on the list never counts, so the next writer removes it: a new object that was not taken up, or
//! old ones that were replaced. Who reads the files without the views may see rows twice between 2 and 3, while the old
//! ones are removed, and nothing less.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::error::LakeError;
use super::open::Lake;
use super::publish::{hash_of, object_key};
use super::schema::Table;
use super::tidy::LakeLock;
use crate::failpoint;

/// The list of objects that do not count.
pub(super) const HIDDEN_KEY: &str = "hidden_files/current.parquet";

/// What stands behind the hash in the name of an object that was put in the place of others: nobody takes it for one of
/// a batch, of which each table has an object of the same name.
const SWAPPED: &str = "-swapped";

/// Why an object does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hidden {
    /// Not yet: it is to replace others.
    New,
    /// No longer: it was replaced.
    Old,
}

impl Hidden {
    const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Old => "old",
        }
    }
}

impl Lake {
    /// Puts an object with the bytes `new` in the place of the objects `old` of one table and day, or removes those where
    /// there is no new one. Its key follows from theirs. Whoever is killed in here leaves either all of the old ones or the
    /// new one.
    ///
    /// # Errors
    /// As [`Lake::publish`].
    pub(super) async fn swap(
        &self,
        table: Table,
        dt: &str,
        old: &[String],
        new: Option<Bytes>,
        _lock: &LakeLock,
    ) -> Result<(), LakeError> {
        if let Some(bytes) = new {
            let key = object_key(table, dt, &format!("{}{SWAPPED}", hash_of(old.iter().map(String::as_bytes))));
            self.hide(std::slice::from_ref(&key), Hidden::New).await?;
            failpoint::pass("swap-announced");
            self.store.create(&key, bytes).await?;
            failpoint::pass("swap-put");
        }
        self.hide(old, Hidden::Old).await?;
        failpoint::pass("swap-decided");
        self.remove_hidden(old).await
    }

    /// Ends what a crash interrupted; returns how many objects were removed.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] when the list is none of ours, and as [`Lake::publish`].
    pub async fn finish_swaps(&self, _lock: &LakeLock) -> Result<usize, LakeError> {
        let hidden = self.hidden().await?;
        if !hidden.is_empty() {
            self.remove_hidden(&hidden).await?;
        }
        Ok(hidden.len())
    }

    /// The keys of the objects that do not count.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`].
    pub(super) async fn hidden(&self) -> Result<Vec<String>, LakeError> {
        let Some(bytes) = self.store.read(HIDDEN_KEY).await? else { return Ok(Vec::new()) };
        keys(bytes).map_err(|source| LakeError::Unreadable { key: HIDDEN_KEY.to_owned(), source })
    }

    /// Makes sure that there is a list, for the views that read it.
    ///
    /// # Errors
    /// As [`Lake::publish`].
    pub(super) async fn have_hidden(&self) -> Result<(), LakeError> {
        self.store.create(HIDDEN_KEY, list(&[], Hidden::Old)?).await.map(drop)
    }

    async fn remove_hidden(&self, keys: &[String]) -> Result<(), LakeError> {
        self.store.remove_all(keys).await?;
        self.hide(&[], Hidden::Old).await
    }

    async fn hide(&self, keys: &[String], why: Hidden) -> Result<(), LakeError> {
        self.store.replace(HIDDEN_KEY, list(keys, why)?).await
    }
}

fn list(keys: &[String], why: Hidden) -> Result<Bytes, LakeError> {
    let write = || {
        let field = |name| Field::new(name, DataType::Utf8, true);
        let schema = Arc::new(Schema::new(vec![field("key"), field("state")]));
        let states = StringArray::from_iter_values(keys.iter().map(|_| why.as_str()));
        let columns: [Arc<dyn arrow::array::Array>; 2] =
            [Arc::new(StringArray::from_iter_values(keys)), Arc::new(states)];
        let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), None)?;
        writer.write(&RecordBatch::try_new(schema, columns.into())?)?;
        writer.into_inner()
    };
    write().map(Bytes::from).map_err(|source| LakeError::Encode { table: "hidden_files", source })
}

fn keys(bytes: Bytes) -> Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>> {
    let mut found = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()? {
        let batch = batch?;
        let keys = batch.column_by_name("key").and_then(|column| column.as_string_opt::<i32>());
        let keys = keys.ok_or("column key is missing")?;
        found.extend(keys.iter().flatten().map(str::to_owned));
    }
    Ok(found)
}
