//! Reading back what the lake holds, for when the ledger that knew it is gone.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::TimestampMillisecondType;
use arrow::error::ArrowError;
use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::ObjectMeta;
use parquet::arrow::arrow_reader::{ArrowPredicateFn, ArrowReaderOptions, RowFilter};
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::PageIndexPolicy;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as NotAString;

use super::error::LakeError;
use super::object::ObjectFile;
use super::open::Lake;
use super::publish::check_day;
use super::schema::Table;
use crate::domain::{Fingerprint, RecordingId, TranscriptOutcome};

/// A row of `recordings`, as far as it says what need not be done again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedId {
    /// The partition, `YYYY-MM-DD`.
    pub dt: String,
    pub recording_id: RecordingId,
    pub fingerprint: Fingerprint,
    /// SHA-256 of the audio file, lower-case hex.
    pub audio_sha256: String,
    pub transcribed_at: Timestamp,
}

impl Lake {
    /// The recordings that these partitions hold, ordered by id, then by (`transcribed_at`, `fingerprint`): of several
    /// rows of one recording the last is the current one. Only four columns are read; a partition that does not
    /// exist holds nothing.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] when an object there is not a `recordings` file.
    pub async fn published_ids(&self, dts: &[String]) -> Result<Vec<PublishedId>, LakeError> {
        let mut published = Vec::new();
        for dt in dts {
            let columns = ["recording_id", "fingerprint", "audio_sha256", "transcribed_at"];
            self.read_day(Table::Recordings, dt, &columns, |batch| append_ids(batch, dt, &mut published)).await?;
        }
        let order = |row: &PublishedId| (row.recording_id.clone(), row.transcribed_at, row.fingerprint.clone());
        published.sort_by_cached_key(order);
        Ok(published)
    }

    /// The current text of these recordings, of those that the partition `dt` holds.
    ///
    /// # Errors
    /// As [`Lake::published_ids`].
    pub async fn texts(
        &self,
        dt: &str,
        wanted: &BTreeSet<RecordingId>,
    ) -> Result<BTreeMap<RecordingId, OurText>, LakeError> {
        let mut texts = BTreeMap::new();
        let columns = ["recording_id", "fingerprint", "audio_sha256", "transcribed_at", "text"];
        let keep = |batch: &RecordBatch| keep_texts(batch, dt, wanted, &mut texts);
        self.read_day(Table::Recordings, dt, &columns, keep).await?;
        Ok(texts)
    }

    /// The recordings of the partition `dt` whose transcript by Zoom is in the lake.
    ///
    /// # Errors
    /// As [`Lake::published_ids`].
    pub async fn transcripts_fetched(&self, dt: &str) -> Result<BTreeSet<RecordingId>, LakeError> {
        let mut fetched = BTreeSet::new();
        let keep = |batch: &RecordBatch| {
            let (ids, outcomes) = (text_column(batch, "recording_id")?, text_column(batch, "outcome")?);
            for row in (0..batch.num_rows()).filter(|row| outcomes.value(*row) == TranscriptOutcome::Fetched.as_str()) {
                fetched.insert(RecordingId::parse(ids.value(row))?);
            }
            Ok(())
        };
        self.read_day(Table::ZoomTranscripts, dt, &["recording_id", "outcome"], keep).await?;
        Ok(fetched)
    }

    /// The form of every leg that the partition `dt` of `call_history` holds: leg id and hash, the current one last.
    ///
    /// # Errors
    /// As [`Lake::published_ids`].
    pub async fn written_legs(&self, dt: &str) -> Result<Vec<(String, String)>, LakeError> {
        let mut legs = Vec::new();
        let keep = |batch: &RecordBatch| {
            let (ids, hashes) = (text_column(batch, "leg_id")?, text_column(batch, "row_hash")?);
            let times = time_column(batch, "fetched_at")?;
            let rows = 0..batch.num_rows();
            legs.extend(rows.map(|row| (times.value(row), hashes.value(row).to_owned(), ids.value(row).to_owned())));
            Ok(())
        };
        self.read_day(Table::CallHistory, dt, &["leg_id", "row_hash", "fetched_at"], keep).await?;
        legs.sort();
        Ok(legs.into_iter().map(|(_fetched_at, hash, leg_id)| (leg_id, hash)).collect())
    }

    /// Reads these columns of every object of one partition, batch by batch; a partition that does not exist holds
    /// nothing.
    pub(super) async fn read_day(
        &self,
        table: Table,
        dt: &str,
        columns: &[&str],
        mut keep: impl FnMut(&RecordBatch) -> Result<(), ReadError>,
    ) -> Result<(), LakeError> {
        for file in self.files(table, dt).await? {
            read_file(file, columns, &mut keep).await?;
        }
        Ok(())
    }

    /// Reads these columns of one object of which only the key is known, batch by batch.
    pub(super) async fn read_object(
        &self,
        key: &str,
        columns: &[&str],
        mut keep: impl FnMut(&RecordBatch) -> Result<(), ReadError>,
    ) -> Result<(), LakeError> {
        let file = ObjectFile::new(self.store.objects(), self.store.meta(key).await?);
        read_file(file, columns, &mut keep).await
    }

    /// As [`Lake::read_day`], of the rows that match only.
    pub(super) async fn read_matching<A: Fn(&str) -> bool + Clone + Send + 'static>(
        &self,
        table: Table,
        dt: &str,
        columns: &[&str],
        matching: &Matching<A>,
        mut keep: impl FnMut(&RecordBatch) -> Result<(), ReadError>,
    ) -> Result<(), LakeError> {
        for file in self.files(table, dt).await? {
            read_file_matching(file, columns, matching, &mut keep).await?;
        }
        Ok(())
    }

    /// The objects of one partition that count.
    pub(super) async fn files(&self, table: Table, dt: &str) -> Result<Vec<ObjectFile>, LakeError> {
        check_day(dt)?;
        self.counting(self.store.list(&format!("{}/dt={dt}", table.as_str())).await?).await
    }

    /// The objects of all partitions that count, each with its partition.
    pub(super) async fn all_files(&self, table: Table) -> Result<Vec<(String, ObjectFile)>, LakeError> {
        let files = self.counting(self.store.list(table.as_str()).await?).await?;
        let dated = |file: ObjectFile| {
            let dt = file.path.as_ref().split('/').nth(1)?.strip_prefix("dt=")?.to_owned();
            Some((dt, file))
        };
        Ok(files.into_iter().filter_map(dated).collect())
    }

    /// A table's objects that count, by partition.
    pub(super) async fn days_of(&self, table: Table) -> Result<BTreeMap<String, Vec<ObjectFile>>, LakeError> {
        let mut days: BTreeMap<String, Vec<ObjectFile>> = BTreeMap::new();
        for (dt, file) in self.all_files(table).await? {
            days.entry(dt).or_default().push(file);
        }
        Ok(days)
    }

    /// Those of these objects that count.
    async fn counting(&self, objects: Vec<ObjectMeta>) -> Result<Vec<ObjectFile>, LakeError> {
        let files = objects.into_iter().filter(|object| object.location.as_ref().ends_with(".parquet"));
        let mut files: Vec<ObjectFile> = files.map(|object| ObjectFile::new(self.store.objects(), object)).collect();
        if files.len() > 1 {
            // Only where several are there one may stand in the place of others.
            let hidden = self.hidden().await?;
            files.retain(|file| !hidden.iter().any(|key| *key == file.path.as_ref()));
        }
        Ok(files)
    }
}

/// Which rows are read at all: those where one of the text columns `columns` is accepted.
pub(super) struct Matching<A> {
    pub(super) columns: &'static [&'static str],
    pub(super) accepts: A,
    /// The recording whose rows they all are, if it is one: of a file whose bloom filter does not know it, the footer is
    /// read and nothing else.
    pub(super) recording: Option<RecordingId>,
}

impl<A: Fn(&str) -> bool + Clone + Send + 'static> Matching<A> {
    fn filter(&self, builder: &ParquetRecordBatchStreamBuilder<ObjectFile>) -> RowFilter {
        let projection = ProjectionMask::columns(builder.parquet_schema(), self.columns.iter().copied());
        let accepts = self.accepts.clone();
        let predicate = ArrowPredicateFn::new(projection, move |batch: RecordBatch| {
            let texts: Option<Vec<&StringArray>> =
                batch.columns().iter().map(|column| column.as_string_opt::<i32>()).collect();
            let texts = texts.ok_or_else(|| ArrowError::SchemaError(WRONG_TYPE.to_owned()))?;
            let is_wanted = |row: usize| texts.iter().any(|text| text.is_valid(row) && accepts(text.value(row)));
            Ok((0..batch.num_rows()).map(|row| Some(is_wanted(row))).collect::<BooleanArray>())
        });
        RowFilter::new(vec![Box::new(predicate)])
    }

    /// The row groups that may hold a row that matches.
    async fn row_groups(&self, builder: &mut ParquetRecordBatchStreamBuilder<ObjectFile>) -> ParquetResult<Vec<usize>> {
        let all = 0..builder.metadata().num_row_groups();
        let Some(recording) = &self.recording else { return Ok(all.collect()) };
        let columns = builder.parquet_schema().columns();
        let Some(column) = columns.iter().position(|column| column.name() == "recording_id") else {
            return Ok(all.collect());
        };
        let mut groups = Vec::new();
        for group in all {
            let filter = builder.get_row_group_column_bloom_filter(group, column).await?;
            if filter.is_none_or(|filter| filter.check(recording.as_str())) {
                groups.push(group);
            }
        }
        Ok(groups)
    }
}

/// What a recording's current row says of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OurText {
    pub fingerprint: Fingerprint,
    pub transcribed_at: Timestamp,
    pub text: String,
}

pub(super) type ReadError = Box<dyn std::error::Error + Send + Sync>;

pub(super) async fn read_file(
    file: ObjectFile,
    columns: &[&str],
    keep: &mut impl FnMut(&RecordBatch) -> Result<(), ReadError>,
) -> Result<(), LakeError> {
    let key = file.key();
    let read = async { read_columns(ParquetRecordBatchStreamBuilder::new(file).await?, columns, keep).await };
    read.await.map_err(|source| LakeError::Unreadable { key, source })
}

/// Reads these columns of the rows of one object that match, batch by batch.
pub(super) async fn read_file_matching<A: Fn(&str) -> bool + Clone + Send + 'static>(
    file: ObjectFile,
    columns: &[&str],
    matching: &Matching<A>,
    keep: &mut impl FnMut(&RecordBatch) -> Result<(), ReadError>,
) -> Result<(), LakeError> {
    let key = file.key();
    let read = async {
        // With the index, pages without a match are not even fetched.
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let mut builder = ParquetRecordBatchStreamBuilder::new_with_options(file, options).await?;
        let row_groups = matching.row_groups(&mut builder).await?;
        if row_groups.is_empty() {
            return Ok(());
        }
        let filter = matching.filter(&builder);
        read_columns(builder.with_row_groups(row_groups).with_row_filter(filter), columns, keep).await
    };
    read.await.map_err(|source| LakeError::Unreadable { key, source })
}

async fn read_columns(
    builder: ParquetRecordBatchStreamBuilder<ObjectFile>,
    columns: &[&str],
    keep: &mut impl FnMut(&RecordBatch) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let projection = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let mut batches = builder.with_projection(projection).build()?;
    while let Some(batch) = batches.try_next().await? {
        keep(&batch)?;
    }
    Ok(())
}

pub(super) const WRONG_TYPE: &str = "a column has another type";

pub(super) fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ReadError> {
    Ok(batch.column_by_name(name).ok_or_else(|| format!("column {name} is missing"))?)
}

pub(super) fn text_column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray, ReadError> {
    Ok(column(batch, name)?.as_string_opt::<i32>().ok_or(WRONG_TYPE)?)
}

pub(super) fn time_column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a TimestampMillisecondArray, ReadError> {
    Ok(column(batch, name)?.as_primitive_opt::<TimestampMillisecondType>().ok_or(WRONG_TYPE)?)
}

/// Keeps the wanted texts, the current one of each recording.
fn keep_texts(
    batch: &RecordBatch,
    dt: &str,
    wanted: &BTreeSet<RecordingId>,
    texts: &mut BTreeMap<RecordingId, OurText>,
) -> Result<(), ReadError> {
    let mut ids = Vec::new();
    append_ids(batch, dt, &mut ids)?;
    let column = text_column(batch, "text")?;
    for (row, id) in ids.into_iter().enumerate().filter(|(_, id)| wanted.contains(&id.recording_id)) {
        let PublishedId { recording_id, fingerprint, transcribed_at, .. } = id;
        let is_newer = |known: &OurText| (transcribed_at, &fingerprint) > (known.transcribed_at, &known.fingerprint);
        if texts.get(&recording_id).is_none_or(is_newer) {
            let text = column.value(row).to_owned();
            texts.insert(recording_id, OurText { fingerprint, transcribed_at, text });
        }
    }
    Ok(())
}

fn append_ids(batch: &RecordBatch, dt: &str, rows: &mut Vec<PublishedId>) -> Result<(), ReadError> {
    let (ids, fingerprints) = (text_column(batch, "recording_id")?, text_column(batch, "fingerprint")?);
    let (times, audio) = (time_column(batch, "transcribed_at")?, text_column(batch, "audio_sha256")?);
    for row in 0..batch.num_rows() {
        if ids.is_null(row) || fingerprints.is_null(row) || times.is_null(row) {
            return Err("a key column is null".into());
        }
        rows.push(PublishedId {
            dt: dt.to_owned(),
            recording_id: RecordingId::parse(ids.value(row))?,
            fingerprint: fingerprint(fingerprints.value(row))?,
            audio_sha256: audio.value(row).to_owned(),
            transcribed_at: Timestamp::from_millisecond(times.value(row))?,
        });
    }
    Ok(())
}

pub(super) fn fingerprint(text: &str) -> Result<Fingerprint, NotAString> {
    Fingerprint::deserialize(IntoDeserializer::<NotAString>::into_deserializer(text))
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
        let lake = Lake::open(&config(folder.path(), "UTC")).await.unwrap();
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
            audio_sha256: member.audio.sha256.clone(),
            transcribed_at: member.transcribed_at,
        };
        let found = lake.published_ids(&["2026-11-01".into(), "2026-11-02".into()]).await.unwrap();
        assert_eq!(found, [of(&first), of(&redone)]);
    }

    #[tokio::test]
    async fn an_object_that_is_no_parquet_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&config(folder.path(), "UTC")).await.unwrap();
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
        let lake = Lake::open(&config(folder.path(), "UTC")).await.unwrap();
        let refused = lake.published_ids(&["../segments".into()]).await;
        assert!(matches!(refused, Err(LakeError::BadDay { .. })));
    }
}
