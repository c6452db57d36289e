//! The tables of the lake: one file per table, each column written down once.
//!
//! A [`Column`] holds its name, type, meaning, how private it is, and how it is read from a row. The Arrow schema and
//! the record batches are both made from that list, so names, order and values cannot drift apart.
//!
//! The schema only grows: columns are added at the end of a list, nullable; none is renamed, retyped or removed.

mod call_events;
mod call_history;
mod coverage;
mod derived;
mod quarantine;
mod recordings;
mod runs;
mod segments;
mod tombstones;
mod words;
mod zoom_segments;
mod zoom_transcripts;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, RecordBatch, StringBuilder,
    TimestampMillisecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use jiff::Timestamp;

pub use coverage::CoverageRow;
pub use quarantine::QuarantineRow;
pub use recordings::RecordingRow;
pub use runs::RunRow;
pub use segments::SegmentRow;
pub use words::WordRow;
pub use zoom_segments::ZoomSegmentRow;
pub use zoom_transcripts::ZoomTranscriptRow;

use crate::domain::{CallEvent, CallHistoryRow, Tombstone};

/// The version of all tables together: raised when a column is added. It is part of every fingerprint and stands in
/// each file's footer.
pub const SCHEMA_VERSION: i32 = 2;

/// A table of the lake; its name is the first folder of its objects' keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    Recordings,
    Segments,
    Words,
    Quarantine,
    Runs,
    CallHistory,
    ZoomSegments,
    ZoomTranscripts,
    Coverage,
    CallEvents,
    Tombstones,
}

impl Table {
    pub const ALL: [Self; 11] = [
        Self::Recordings,
        Self::Segments,
        Self::Words,
        Self::Quarantine,
        Self::Runs,
        Self::Coverage,
        Self::CallHistory,
        Self::ZoomSegments,
        Self::ZoomTranscripts,
        Self::CallEvents,
        Self::Tombstones,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recordings => "recordings",
            Self::Segments => "segments",
            Self::Words => "words",
            Self::Quarantine => "quarantine",
            Self::Runs => "runs",
            Self::CallHistory => "call_history",
            Self::ZoomSegments => "zoom_segments",
            Self::ZoomTranscripts => "zoom_transcripts",
            Self::Coverage => "coverage",
            Self::CallEvents => "call_events",
            Self::Tombstones => "tombstones",
        }
    }

    /// One line for the data dictionary.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Recordings => "One row per recording and result: who, when, how long, and all that was said",
            Self::Segments => {
                "One row per span of a recording: who said what from when to when; suppressed spans are flagged"
            }
            Self::Words => "One row per word of the segments that count, with its time",
            Self::Quarantine => "One row per recording that a run gave up on, and why",
            Self::Runs => "One row per run that did something",
            Self::Coverage => {
                "What Zoom lists against what the lake holds: a row per day, check and reason of a difference"
            }
            Self::CallHistory => "One row per leg of a call, and a further one whenever something about it changed",
            Self::ZoomSegments => "The lines of Zoom's own transcripts",
            Self::ZoomTranscripts => {
                "One row per look for Zoom's own transcript of a recording, and how far it agrees with ours"
            }
            Self::CallEvents => "One row per event of a call that rang here, as a running transcribe serve heard it",
            Self::Tombstones => "One row per recording or call that was purged, so that it does not come back",
        }
    }

    /// The columns by which the rows of a file are ordered.
    #[must_use]
    pub const fn order(self) -> &'static [&'static str] {
        match self {
            Self::Recordings => &["started_at", "recording_id", "fingerprint"],
            Self::Segments => &["started_at", "recording_id", "fingerprint", "segment_index"],
            Self::Words => &["recording_id", "fingerprint", "segment_index", "word_index"],
            Self::Quarantine => &["recording_id", "last_tried_at"],
            Self::Runs => &["started_at", "run_id"],
            Self::CallHistory => &["started_at", "leg_id", "fetched_at"],
            Self::ZoomSegments => &["recording_id", "segment_index"],
            Self::ZoomTranscripts => &["recording_id", "fetched_at"],
            Self::Coverage => &["checked_at", "day", "reason"],
            Self::CallEvents => &["event_at", "call_id", "event", "callee_user_id"],
            Self::Tombstones => &["purged_at", "recording_id", "call_id"],
        }
    }
}

/// What a column may give away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Ids, numbers, times and codes. May have statistics.
    Plain,
    /// Words that somebody said or typed. Never in statistics.
    FreeText,
    /// Tells who somebody is or how to reach them. Never in statistics.
    Personal,
}

/// The type of a column, the same in every file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8.
    Text,
    Int32,
    Int64,
    Double,
    Boolean,
    /// Milliseconds since 1970 in UTC.
    Timestamp,
}

impl ColumnType {
    pub(super) fn arrow(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        }
    }
}

/// How a column is read from a row of type `R`; the variant fixes its type.
enum Read<R> {
    Text(fn(&R) -> Option<&str>),
    Int32(fn(&R) -> Option<i32>),
    Int64(fn(&R) -> Option<i64>),
    Double(fn(&R) -> Option<f64>),
    Boolean(fn(&R) -> Option<bool>),
    Timestamp(fn(&R) -> Option<Timestamp>),
}

/// One column of the table whose rows are `R`.
pub struct Column<R> {
    pub name: &'static str,
    /// One line for the data dictionary.
    pub meaning: &'static str,
    pub content: Content,
    /// Whether single values are looked up, so that a bloom filter pays.
    pub looked_up: bool,
    /// Whether few rows of a file share a value, so that a dictionary costs more than it saves.
    pub varied: bool,
    read: Read<R>,
}

impl<R> Column<R> {
    const fn new(name: &'static str, meaning: &'static str, read: Read<R>) -> Self {
        Self { name, meaning, content: Content::Plain, looked_up: false, varied: false, read }
    }

    const fn text(name: &'static str, meaning: &'static str, read: fn(&R) -> Option<&str>) -> Self {
        Self::new(name, meaning, Read::Text(read))
    }

    const fn int32(name: &'static str, meaning: &'static str, read: fn(&R) -> Option<i32>) -> Self {
        Self::new(name, meaning, Read::Int32(read))
    }

    const fn int64(name: &'static str, meaning: &'static str, read: fn(&R) -> Option<i64>) -> Self {
        Self::new(name, meaning, Read::Int64(read))
    }

    const fn double(name: &'static str, meaning: &'static str, read: fn(&R) -> Option<f64>) -> Self {
        Self::new(name, meaning, Read::Double(read))
    }

    const fn boolean(name: &'static str, meaning: &'static str, read: fn(&R) -> Option<bool>) -> Self {
        Self::new(name, meaning, Read::Boolean(read))
    }

    const fn timestamp(name: &'static str, meaning: &'static str, read: fn(&R) -> Option<Timestamp>) -> Self {
        Self::new(name, meaning, Read::Timestamp(read))
    }

    const fn free_text(mut self) -> Self {
        self.content = Content::FreeText;
        self
    }

    const fn personal(mut self) -> Self {
        self.content = Content::Personal;
        self
    }

    const fn looked_up(mut self) -> Self {
        self.looked_up = true;
        self
    }

    const fn varied(mut self) -> Self {
        self.varied = true;
        self
    }

    #[must_use]
    pub const fn column_type(&self) -> ColumnType {
        match self.read {
            Read::Text(_) => ColumnType::Text,
            Read::Int32(_) => ColumnType::Int32,
            Read::Int64(_) => ColumnType::Int64,
            Read::Double(_) => ColumnType::Double,
            Read::Boolean(_) => ColumnType::Boolean,
            Read::Timestamp(_) => ColumnType::Timestamp,
        }
    }

    fn array(&self, rows: &[R]) -> ArrayRef {
        match self.read {
            Read::Text(read) => {
                let bytes = rows.iter().filter_map(read).map(str::len).sum();
                let mut builder = StringBuilder::with_capacity(rows.len(), bytes);
                builder.extend(rows.iter().map(read));
                Arc::new(builder.finish())
            }
            Read::Int32(read) => {
                let mut builder = Int32Builder::with_capacity(rows.len());
                builder.extend(rows.iter().map(read));
                Arc::new(builder.finish())
            }
            Read::Int64(read) => {
                let mut builder = Int64Builder::with_capacity(rows.len());
                builder.extend(rows.iter().map(read));
                Arc::new(builder.finish())
            }
            Read::Double(read) => {
                let mut builder = Float64Builder::with_capacity(rows.len());
                builder.extend(rows.iter().map(read));
                Arc::new(builder.finish())
            }
            Read::Boolean(read) => {
                let mut builder = BooleanBuilder::with_capacity(rows.len());
                builder.extend(rows.iter().map(read));
                Arc::new(builder.finish())
            }
            Read::Timestamp(read) => {
                let mut builder = TimestampMillisecondBuilder::with_capacity(rows.len()).with_timezone("UTC");
                builder.extend(rows.iter().map(|row| read(row).map(|at| at.as_millisecond())));
                Arc::new(builder.finish())
            }
        }
    }
}

/// A row of one table.
pub trait TableRow: Sized {
    const TABLE: Table;

    /// The columns in the order of the file.
    fn columns() -> Vec<Column<Self>>;
}

/// A column without the way in which it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnInfo {
    pub name: &'static str,
    pub column_type: ColumnType,
    pub meaning: &'static str,
    pub content: Content,
    pub looked_up: bool,
    pub varied: bool,
}

/// The columns of a table, in the order of its files.
#[must_use]
pub fn describe(table: Table) -> Vec<ColumnInfo> {
    match table {
        Table::Recordings => columns_of::<RecordingRow<'_>>(),
        Table::Segments => columns_of::<SegmentRow<'_>>(),
        Table::Words => columns_of::<WordRow<'_>>(),
        Table::Quarantine => columns_of::<QuarantineRow>(),
        Table::Runs => columns_of::<RunRow>(),
        Table::CallHistory => columns_of::<CallHistoryRow>(),
        Table::ZoomSegments => columns_of::<ZoomSegmentRow>(),
        Table::ZoomTranscripts => columns_of::<ZoomTranscriptRow>(),
        Table::Coverage => columns_of::<CoverageRow>(),
        Table::CallEvents => columns_of::<CallEvent>(),
        Table::Tombstones => columns_of::<Tombstone>(),
    }
}

fn columns_of<R: TableRow>() -> Vec<ColumnInfo> {
    let info = |column: Column<R>| ColumnInfo {
        name: column.name,
        column_type: column.column_type(),
        meaning: column.meaning,
        content: column.content,
        looked_up: column.looked_up,
        varied: column.varied,
    };
    R::columns().into_iter().map(info).collect()
}

/// The Arrow schema of a table. Every column is nullable, so that columns added later look like the older ones.
#[must_use]
pub fn arrow_schema<R: TableRow>() -> SchemaRef {
    let field = |column: &Column<R>| Field::new(column.name, column.column_type().arrow(), true);
    let fields: Vec<Field> = R::columns().iter().map(field).collect();
    Arc::new(Schema::new(fields))
}

/// The rows as one batch of `schema`, which is [`arrow_schema`] of the same row type.
///
/// # Errors
/// When `schema` belongs to another table.
pub(super) fn record_batch<R: TableRow>(schema: &SchemaRef, rows: &[R]) -> Result<RecordBatch, ArrowError> {
    let arrays = R::columns().iter().map(|column| column.array(rows)).collect();
    RecordBatch::try_new(Arc::clone(schema), arrays)
}

/// A count as the lake stores it. More than 2,147,483,647 of anything in one row stays at that number.
fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
