//! By which columns the rows of a table belong to recordings and calls, when they happened, and where numbers stand.

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::TimestampMillisecondType;

use super::Erasure;
use crate::lake::read::{ReadError, WRONG_TYPE};
use crate::lake::schema::{ColumnType, Content, Table, describe};

/// Columns of ids of calls and legs.
pub(super) const fn call_columns(table: Table) -> &'static [&'static str] {
    match table {
        Table::Recordings => &["call_id", "call_log_id", "call_history_id", "call_element_id"],
        Table::CallHistory => &["leg_id", "call_element_id", "call_history_id", "call_log_id", "call_id"],
        Table::CallEvents | Table::Quarantine => &["call_id"],
        _ => &[],
    }
}

/// The times of which the first that is known says when it happened.
const fn time_columns(table: Table) -> &'static [&'static str] {
    match table {
        Table::Recordings | Table::Segments => &["started_at"],
        Table::Quarantine => &["started_at", "first_seen_at"],
        // One whose start is not known is of its partition's time.
        Table::CallHistory => &["started_at"],
        Table::CallEvents => &["event_at", "received_at"],
        _ => &[],
    }
}

/// Plain columns that people type into.
const TYPED: [&str; 2] = ["department", "cost_center"];

/// Columns in which a number may stand.
pub(super) fn text_columns(table: Table) -> Vec<&'static str> {
    let may_hold = |content: Content, name: &str| content != Content::Plain || TYPED.contains(&name);
    let columns = describe(table).into_iter().filter(|column| column.column_type == ColumnType::Text);
    columns.filter(|column| may_hold(column.content, column.name)).map(|column| column.name).collect()
}

/// Columns that hold a number and nothing else, or who speaks.
fn number_columns(table: Table) -> Vec<&'static str> {
    let columns = describe(table).into_iter().filter(|column| column.content == Content::Personal);
    columns.filter(|column| column.column_type == ColumnType::Text).map(|column| column.name).collect()
}

/// All that must be read to judge a row.
pub(super) fn columns_for(table: Table, with_numbers: bool) -> Vec<&'static str> {
    let mut columns = vec!["recording_id", "recording_ids", "fingerprint", "segment_index"];
    columns.extend(call_columns(table));
    columns.extend(time_columns(table));
    if with_numbers {
        columns.extend(text_columns(table));
    }
    columns
}

/// A batch as far as its rows can be told to belong to something.
pub(super) struct Sight<'a> {
    pub(super) table: Table,
    recording: Option<&'a StringArray>,
    /// Ids separated by commas.
    recordings: Option<&'a StringArray>,
    calls: Vec<&'a StringArray>,
    times: Vec<&'a TimestampMillisecondArray>,
    /// When the partition begins, in milliseconds since 1970.
    day: i64,
    numbers: Vec<&'a StringArray>,
}

impl<'a> Sight<'a> {
    pub(super) fn of(table: Table, day: i64, batch: &'a RecordBatch) -> Result<Self, ReadError> {
        let texts = |names: &[&str]| -> Result<Vec<&'a StringArray>, ReadError> {
            names.iter().filter_map(|name| text(batch, name).transpose()).collect()
        };
        let mut times = Vec::new();
        for name in time_columns(table) {
            if let Some(column) = batch.column_by_name(name) {
                times.push(column.as_primitive_opt::<TimestampMillisecondType>().ok_or(WRONG_TYPE)?);
            }
        }
        Ok(Self {
            table,
            recording: text(batch, "recording_id")?,
            recordings: text(batch, "recording_ids")?,
            calls: texts(call_columns(table))?,
            times,
            day,
            numbers: texts(&number_columns(table))?,
        })
    }

    /// The recordings that a row belongs to.
    pub(super) fn recordings(&self, row: usize) -> impl Iterator<Item = &'a str> {
        let several = self.recordings.and_then(|column| value(column, row)).unwrap_or_default();
        let one = self.recording.and_then(|column| value(column, row));
        one.into_iter().chain(several.split(',')).filter(|id| !id.is_empty())
    }

    /// All ids of the calls and legs that a row belongs to.
    pub(super) fn calls(&self, row: usize) -> impl Iterator<Item = &'a str> {
        self.calls.iter().copied().filter_map(move |column| value(column, row)).filter(|id| !id.is_empty())
    }

    /// When it happened, in milliseconds since 1970.
    pub(super) fn time(&self, row: usize) -> i64 {
        self.times.iter().find_map(|column| column.is_valid(row).then(|| column.value(row))).unwrap_or(self.day)
    }

    /// Whether a row has one of the numbers.
    pub(super) fn has_number(&self, row: usize, erasure: &Erasure) -> bool {
        let is_one = |text: &str| erasure.numbers.iter().any(|number| number.is(text));
        !erasure.numbers.is_empty() && self.numbers.iter().any(|column| value(column, row).is_some_and(is_one))
    }

    /// Whether a row is removed.
    pub(super) fn goes(&self, row: usize, erasure: &Erasure) -> bool {
        let among = |ids: &BTreeSet<String>, id: &str| ids.contains(id);
        let is_of_call = matches!(self.table, Table::CallHistory | Table::CallEvents);
        let before = erasure.before.map(jiff::Timestamp::as_millisecond);
        self.recordings(row).any(|id| among(&erasure.recordings, id))
            || (is_of_call && self.calls(row).any(|id| among(&erasure.calls, id)))
            || (is_of_call && before.is_some_and(|before| self.time(row) < before))
            || self.has_number(row, erasure)
    }
}

pub(super) fn text<'a>(batch: &'a RecordBatch, name: &str) -> Result<Option<&'a StringArray>, ReadError> {
    let Some(column) = batch.column_by_name(name) else { return Ok(None) };
    Ok(Some(column.as_string_opt::<i32>().ok_or(WRONG_TYPE)?))
}

pub(super) fn value(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}
