//! Reading back what the lake holds, for when the ledger that knew it is gone.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMillisecondType;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt, TryStreamExt};
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as NotAString;

use super::error::LakeError;
use super::open::Lake;
use super::publish::check_day;
use super::schema::Table;
use crate::domain::{Fingerprint, RecordingId};

/// A row of `recordings`, as far as it says what need not be done again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedId {
    /// The partition, `YYYY-MM-DD`.
    pub dt: String,
    pub recording_id: RecordingId,
    pub fingerprint: Fingerprint,
    pub transcribed_at: Timestamp,
}

impl Lake {
    /// The recordings that these partitions hold, ordered by id, then by (`transcribed_at`, `fingerprint`): of several
    /// rows of one recording the last is the current one. Only three columns are read; a partition that does not
    /// exist holds nothing.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] when an object there is not a `recordings` file.
    pub async fn published_ids(&self, dts: &[String]) -> Result<Vec<PublishedId>, LakeError> {
        let mut published = Vec::new();
        for dt in dts {
            check_day(dt)?;
            let prefix = format!("{}/dt={dt}", Table::Recordings.as_str());
            let path = Path::parse(&prefix).map_err(|error| unreadable(&prefix, error))?;
            let mut objects = self.store.list(Some(&path));
            while let Some(object) = objects.try_next().await.map_err(|error| unreadable(&prefix, error))? {
                let key = object.location.to_string();
                if !key.ends_with(".parquet") {
                    continue;
                }
                let file = ObjectFile { store: Arc::clone(&self.store), path: object.location, size: object.size };
                let rows = read_ids(file, dt).await.map_err(|source| LakeError::Unreadable { key, source })?;
                published.extend(rows);
            }
        }
        let order = |row: &PublishedId| (row.recording_id.clone(), row.transcribed_at, row.fingerprint.clone());
        published.sort_by_cached_key(order);
        Ok(published)
    }
}

fn unreadable(key: &str, error: impl Into<object_store::Error>) -> LakeError {
    LakeError::Unreadable { key: key.to_owned(), source: Box::new(error.into()) }
}

type ReadError = Box<dyn std::error::Error + Send + Sync>;

async fn read_ids(file: ObjectFile, dt: &str) -> Result<Vec<PublishedId>, ReadError> {
    let builder = ParquetRecordBatchStreamBuilder::new(file).await?;
    let columns = ["recording_id", "fingerprint", "transcribed_at"];
    let projection = ProjectionMask::columns(builder.parquet_schema(), columns);
    let mut batches = builder.with_projection(projection).build()?;
    let mut rows = Vec::new();
    while let Some(batch) = batches.try_next().await? {
        append_ids(&batch, dt, &mut rows)?;
    }
    Ok(rows)
}

fn append_ids(batch: &RecordBatch, dt: &str, rows: &mut Vec<PublishedId>) -> Result<(), ReadError> {
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| format!("column {name} is missing"));
    let wrong_type = "a column has another type";
    let ids = column("recording_id")?.as_string_opt::<i32>().ok_or(wrong_type)?;
    let fingerprints = column("fingerprint")?.as_string_opt::<i32>().ok_or(wrong_type)?;
    let times = column("transcribed_at")?.as_primitive_opt::<TimestampMillisecondType>().ok_or(wrong_type)?;
    for row in 0..batch.num_rows() {
        if ids.is_null(row) || fingerprints.is_null(row) || times.is_null(row) {
            return Err("a key column is null".into());
        }
        rows.push(PublishedId {
            dt: dt.to_owned(),
            recording_id: RecordingId::parse(ids.value(row))?,
            fingerprint: fingerprint(fingerprints.value(row))?,
            transcribed_at: Timestamp::from_millisecond(times.value(row))?,
        });
    }
    Ok(())
}

fn fingerprint(text: &str) -> Result<Fingerprint, NotAString> {
    Fingerprint::deserialize(IntoDeserializer::<NotAString>::into_deserializer(text))
}

/// One object of the store as the Parquet reader wants it: byte ranges on demand.
struct ObjectFile {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
}

impl AsyncFileReader for ObjectFile {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        self.store.get_range(&self.path, range).map_err(|error| ParquetError::External(Box::new(error))).boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        async move {
            let size = self.size;
            let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options);
            Ok(Arc::new(reader.load_and_finish(self, size).await?))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FinishedTranscript;
    use crate::lake::open::tests::config;
    use crate::lake::sample::finished;

    async fn publish(lake: &Lake, member: FinishedTranscript) {
        let plan = Lake::plan_batch(&member.dt, std::slice::from_ref(&member.fingerprint));
        lake.publish(&plan, vec![member]).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_published_is_found_by_day_with_the_current_row_last() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&config(folder.path(), "UTC")).unwrap();
        let first = finished("aa");
        let mut redone = finished("aa");
        redone.fingerprint = fingerprint(&"0".repeat(64)).unwrap();
        redone.transcribed_at = "2026-11-08T00:00:00Z".parse().unwrap();
        let mut elsewhere = finished("bb");
        elsewhere.dt = "2026-11-05".into();
        for member in [&redone, &first, &elsewhere] {
            publish(&lake, member.clone()).await;
        }
        let of = |member: &FinishedTranscript| PublishedId {
            dt: member.dt.clone(),
            recording_id: member.recording.id.clone(),
            fingerprint: member.fingerprint.clone(),
            transcribed_at: member.transcribed_at,
        };
        let found = lake.published_ids(&["2026-11-01".into(), "2026-11-02".into()]).await.unwrap();
        assert_eq!(found, [of(&first), of(&redone)]);
    }

    #[tokio::test]
    async fn an_object_that_is_no_parquet_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&config(folder.path(), "UTC")).unwrap();
        let day = folder.path().join("recordings/dt=2026-11-02");
        std::fs::create_dir_all(&day).unwrap();
        std::fs::write(day.join("README.txt"), "not ours").unwrap();
        assert_eq!(lake.published_ids(&["2026-11-02".into()]).await.unwrap(), []);
        for bytes in [&b""[..], b"PAR1", b"PAR1\xff\xff\xff\x7fPAR1", &[0; 4_096]] {
            std::fs::write(day.join("part-0.parquet"), bytes).unwrap();
            let error = lake.published_ids(&["2026-11-02".into()]).await.unwrap_err();
            assert!(
                matches!(&error, LakeError::Unreadable { key, .. } if key.ends_with("part-0.parquet")),
                "{error:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_day_from_outside_cannot_name_another_folder() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&config(folder.path(), "UTC")).unwrap();
        let refused = lake.published_ids(&["../segments".into()]).await;
        assert!(matches!(refused, Err(LakeError::BadDay { .. })));
    }
}
