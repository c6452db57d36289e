//! The one way in which rows become the bytes of a Parquet file.
//!
//! The same rows give the same bytes: no clock, no random names, no map whose order changes. Free text and personal
//! columns have no statistics, so that nothing of them stands in a footer or a page index.

use std::io::Write;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{BloomFilterPosition, EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::LakeError;
use super::schema::{
    ColumnInfo, ColumnType, Content, RecordingRow, SCHEMA_VERSION, SegmentRow, TableRow, WordRow, arrow_schema,
    describe, record_batch,
};
use crate::domain::FinishedTranscript;

/// What readers see as the writing program; fixed, so that bytes do not depend on a library's version number.
const CREATED_BY: &str = concat!("transcribe version ", env!("CARGO_PKG_VERSION"));

/// The footer's `writer`.
const WRITER: &str = concat!("transcribe ", env!("CARGO_PKG_VERSION"));

/// Rows of one row group: what DuckDB reads with one thread.
const ROW_GROUP_ROWS: usize = 122_880;

/// Rows turned into Arrow at a time. Bounds the memory beside the file's own bytes, and keeps the text of a batch far
/// below the 2 GiB that an Arrow array can hold.
const BATCH_ROWS: usize = 8_192;

/// How often a bloom filter may say "perhaps" of a value that is not there.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// The bytes of one file and how many rows they hold.
#[derive(Debug, Clone)]
pub struct Encoded {
    pub bytes: Bytes,
    pub rows: u64,
}

/// Writes every file of the lake with one configuration.
#[derive(Debug, Clone, Copy)]
pub struct Encoder {
    level: ZstdLevel,
}

impl Encoder {
    /// An encoder that compresses with the ZSTD level `level`, 1–22.
    ///
    /// # Errors
    /// [`LakeError::CompressionLevel`] outside that range.
    pub fn new(level: i32) -> Result<Self, LakeError> {
        // ZSTD takes 0 and negative levels too, with meanings of their own.
        let known = Some(level).filter(|level| *level >= 1).and_then(|level| ZstdLevel::try_new(level).ok());
        known.map(|level| Self { level }).ok_or(LakeError::CompressionLevel { level })
    }

    /// The file of `recordings` for these transcripts, ordered by start and id; `None` without any.
    ///
    /// # Errors
    /// [`LakeError::Encode`].
    pub fn recordings(self, members: &[FinishedTranscript]) -> Result<Option<Encoded>, LakeError> {
        self.encode(by_start(members).into_iter().map(RecordingRow::of), members.len())
    }

    /// The file of `segments`, ordered by the recording's start, its id and the segment; `None` without any segment.
    ///
    /// # Errors
    /// [`LakeError::Encode`].
    pub fn segments(self, members: &[FinishedTranscript]) -> Result<Option<Encoded>, LakeError> {
        self.encode(by_start(members).into_iter().flat_map(SegmentRow::all_of), members.len())
    }

    /// The file of `words`, ordered by the recording's id, the segment and the word; `None` without any word.
    ///
    /// # Errors
    /// [`LakeError::Encode`].
    pub fn words(self, members: &[FinishedTranscript]) -> Result<Option<Encoded>, LakeError> {
        self.encode(by_id(members).into_iter().flat_map(WordRow::all_of), members.len())
    }

    /// A file of these rows in this order; `None` without any. `distinct` is how many values a looked-up column holds
    /// at most.
    ///
    /// # Errors
    /// [`LakeError::Encode`].
    pub fn encode<R: TableRow>(
        self,
        rows: impl Iterator<Item = R>,
        distinct: usize,
    ) -> Result<Option<Encoded>, LakeError> {
        let encode_error = |source| LakeError::Encode { table: R::TABLE.as_str(), source };
        self.encode_batches(rows, distinct).map_err(encode_error)
    }

    fn encode_batches<R: TableRow>(
        self,
        rows: impl Iterator<Item = R>,
        distinct: usize,
    ) -> Result<Option<Encoded>, ParquetError> {
        let schema = arrow_schema::<R>();
        let mut writer = self.writer(&describe(R::TABLE), &schema, distinct, Vec::new())?;
        let mut rows = rows.peekable();
        let mut written = 0_u64;
        while rows.peek().is_some() {
            let batch: Vec<R> = rows.by_ref().take(BATCH_ROWS).collect();
            written += batch.len() as u64;
            writer.write(&record_batch(&schema, &batch)?)?;
        }
        if written == 0 {
            return Ok(None);
        }
        Ok(Some(Encoded { bytes: writer.into_inner()?.into(), rows: written }))
    }

    /// A writer of a file with `schema`, whose columns are `columns` and what else there may be.
    pub(super) fn writer<W: Write + Send>(
        self,
        columns: &[ColumnInfo],
        schema: &SchemaRef,
        distinct: usize,
        to: W,
    ) -> Result<ArrowWriter<W>, ParquetError> {
        // Plain Parquet types say it all; the Arrow schema in the footer would only repeat them.
        let properties = self.properties(columns, distinct);
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        ArrowWriter::try_new_with_options(to, schema.clone(), options)
    }

    fn quick_level(self) -> ZstdLevel {
        ZstdLevel::try_new(1).unwrap_or(self.level)
    }

    fn properties(self, columns: &[ColumnInfo], distinct: usize) -> WriterProperties {
        let footer = vec![
            KeyValue::new("schema_version".to_owned(), SCHEMA_VERSION.to_string()),
            KeyValue::new("writer".to_owned(), WRITER.to_owned()),
        ];
        let mut properties = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_1_0)
            .set_created_by(CREATED_BY.to_owned())
            .set_compression(Compression::ZSTD(self.level))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            // Beside the footer, so that who looks a value up gets both at once.
            .set_bloom_filter_position(BloomFilterPosition::End)
            .set_key_value_metadata(Some(footer));
        for column in columns {
            let path = ColumnPath::from(column.name);
            if column.content != Content::Plain {
                properties = properties.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
            }
            if column.varied {
                properties = properties.set_column_dictionary_enabled(path.clone(), false);
                if column.column_type != ColumnType::Text {
                    // Numbers that hardly repeat gain nothing from a longer search.
                    properties = properties.set_column_compression(path.clone(), Compression::ZSTD(self.quick_level()));
                }
            }
            if column.looked_up {
                properties = properties
                    .set_column_bloom_filter_fpp(path.clone(), BLOOM_FALSE_POSITIVES)
                    .set_column_bloom_filter_max_ndv(path, distinct.max(1) as u64);
            }
        }
        properties.build()
    }
}

fn by_start(members: &[FinishedTranscript]) -> Vec<&FinishedTranscript> {
    let mut ordered: Vec<_> = members.iter().collect();
    ordered.sort_by_key(|member| (member.started_at, &member.recording.id, &member.fingerprint));
    ordered
}

fn by_id(members: &[FinishedTranscript]) -> Vec<&FinishedTranscript> {
    let mut ordered: Vec<_> = members.iter().collect();
    ordered.sort_by_key(|member| (&member.recording.id, &member.fingerprint));
    ordered
}

#[cfg(test)]
mod tests {
    use parquet::file::metadata::ParquetMetaDataReader;

    use super::*;
    use crate::lake::sample::finished;

    #[test]
    fn the_order_of_the_members_does_not_change_the_bytes() {
        let encoder = Encoder::new(3).unwrap();
        let mut members = vec![finished("aa"), finished("bb"), finished("cc")];
        members[0].started_at = "2026-11-02T09:00:00Z".parse().unwrap();
        let bytes = |members: &[FinishedTranscript]| {
            [Encoder::recordings, Encoder::segments, Encoder::words]
                .map(|encode| encode(encoder, members).unwrap().unwrap().bytes)
        };
        let forward = bytes(&members);
        members.reverse();
        assert_eq!(bytes(&members), forward);
    }

    #[test]
    fn no_rows_give_no_file() {
        let mut silent = finished("aa");
        silent.transcript.segments.clear();
        let encoder = Encoder::new(3).unwrap();
        assert!(encoder.segments(std::slice::from_ref(&silent)).unwrap().is_none());
        assert!(encoder.words(std::slice::from_ref(&silent)).unwrap().is_none());
        assert_eq!(encoder.recordings(&[silent]).unwrap().unwrap().rows, 1);
    }

    #[test]
    fn more_rows_than_a_batch_are_all_written() {
        let mut long = finished("aa");
        let segment = long.transcript.segments[0].clone();
        long.transcript.segments = vec![segment; BATCH_ROWS + 1];
        let encoded = Encoder::new(1).unwrap().segments(&[long]).unwrap().unwrap();
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&encoded.bytes).unwrap();
        assert_eq!(encoded.rows, (BATCH_ROWS + 1) as u64);
        assert_eq!(metadata.file_metadata().num_rows(), i64::try_from(BATCH_ROWS + 1).unwrap());
    }

    #[test]
    fn a_level_that_zstd_does_not_know_is_refused() {
        for level in [0, 23, -1, i32::MAX] {
            assert!(matches!(Encoder::new(level), Err(LakeError::CompressionLevel { .. })), "{level}");
        }
    }

    #[test]
    fn bloom_filters_stand_on_ids_only_and_stay_small() {
        let encoded = Encoder::new(3).unwrap().recordings(&[finished("aa")]).unwrap().unwrap();
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&encoded.bytes).unwrap();
        let columns = metadata.row_group(0).columns();
        let filtered = columns.iter().filter(|column| column.bloom_filter_offset().is_some());
        let filtered: Vec<_> = filtered.map(|column| column.column_path().string()).collect();
        assert_eq!(filtered, ["recording_id", "call_id"]);
        let sizes = columns.iter().filter_map(|column| column.bloom_filter_length());
        assert!(sizes.sum::<i32>() < 256);
    }
}
