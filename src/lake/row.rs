//! One row of a batch that was read. A column that its file does not have reads like one that holds nothing, since
//! columns are only ever added.

use arrow::array::{Array, ArrowPrimitiveType, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimestampMillisecondType};
use jiff::Timestamp;

use super::read::{ReadError, WRONG_TYPE};
use crate::domain::RecordingId;

pub(super) struct Row<'a> {
    batch: &'a RecordBatch,
    index: usize,
}

pub(super) fn rows_of(batch: &RecordBatch) -> impl Iterator<Item = Row<'_>> {
    (0..batch.num_rows()).map(move |index| Row { batch, index })
}

impl Row<'_> {
    pub(super) fn id(&self) -> Result<RecordingId, ReadError> {
        Ok(RecordingId::parse(&known("recording_id", self.text("recording_id")?)?)?)
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, ReadError> {
        let Some(column) = self.batch.column_by_name(name) else { return Ok(None) };
        let texts = column.as_string_opt::<i32>().ok_or(WRONG_TYPE)?;
        Ok(texts.is_valid(self.index).then(|| texts.value(self.index).to_owned()))
    }

    /// The codes of a list that is separated by commas.
    pub(super) fn codes(&self, name: &str) -> Result<Vec<String>, ReadError> {
        let list = self.text(name)?.unwrap_or_default();
        Ok(list.split(',').filter(|code| !code.is_empty()).map(str::to_owned).collect())
    }

    pub(super) fn int(&self, name: &str) -> Result<Option<i32>, ReadError> {
        self.number::<Int32Type>(name)
    }

    pub(super) fn long(&self, name: &str) -> Result<Option<i64>, ReadError> {
        self.number::<Int64Type>(name)
    }

    pub(super) fn double(&self, name: &str) -> Result<Option<f64>, ReadError> {
        self.number::<Float64Type>(name)
    }

    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, ReadError> {
        let millis = self.number::<TimestampMillisecondType>(name)?;
        Ok(millis.map(Timestamp::from_millisecond).transpose()?)
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, ReadError> {
        let Some(column) = self.batch.column_by_name(name) else { return Ok(None) };
        let flags = column.as_boolean_opt().ok_or(WRONG_TYPE)?;
        Ok(flags.is_valid(self.index).then(|| flags.value(self.index)))
    }

    fn number<T: ArrowPrimitiveType>(&self, name: &str) -> Result<Option<T::Native>, ReadError> {
        let Some(column) = self.batch.column_by_name(name) else { return Ok(None) };
        let numbers = column.as_primitive_opt::<T>().ok_or(WRONG_TYPE)?;
        Ok(numbers.is_valid(self.index).then(|| numbers.value(self.index)))
    }
}

/// A value that every row has.
pub(super) fn known<T>(name: &str, value: Option<T>) -> Result<T, ReadError> {
    Ok(value.ok_or_else(|| format!("column {name} is missing or null"))?)
}
