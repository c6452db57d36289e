//! One file without the rows that go, and with the numbers masked that rows of others mention.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow::compute::{concat_batches, filter_record_batch};
use bytes::Bytes;

use super::Erasure;
use super::identity::{Sight, text, text_columns, value};
use crate::lake::compact::digest::Digester;
use crate::lake::compact::file::{BATCH_ROWS, File, whole_schema};
use crate::lake::read::ReadError;
use crate::lake::schema::{Table, describe};
use crate::lake::write::Encoder;

/// What became of a file.
pub(super) struct Rewritten {
    /// None when no row stays.
    pub(super) bytes: Option<Bytes>,
    /// Rows that went.
    pub(super) rows: u64,
    /// Rows in which a number was masked.
    pub(super) masked: u64,
}

/// The file without what goes, with every column of today. It was read back and holds the other rows as they were.
pub(super) fn rewritten(
    table: Table,
    day: i64,
    encoder: Encoder,
    file: Bytes,
    erasure: &Erasure,
) -> Result<Rewritten, ReadError> {
    let file = File::open(file)?;
    let schema = whole_schema(table, std::slice::from_ref(&file));
    let mut writer = encoder.writer(&describe(table), &schema, file.rows(), Vec::new())?;
    let mut digester = Digester::new(&schema)?;
    let (mut kept, mut rows, mut masked) = (0, 0, 0);
    let mut take = |batch: &RecordBatch| -> Result<(), ReadError> {
        let sight = Sight::of(table, day, batch)?;
        let stays: BooleanArray = (0..batch.num_rows()).map(|row| Some(!sight.goes(row, erasure))).collect();
        let (batch, changed) = mask(table, batch, &sight, erasure)?;
        let batch = filter_record_batch(&batch, &stays)?;
        masked += changed;
        rows += stays.false_count();
        kept += batch.num_rows();
        digester.add(&batch)?;
        Ok(writer.write(&batch)?)
    };
    if table == Table::Words && !erasure.numbers.is_empty() {
        // The words of a segment are one text, whatever batches they come in.
        let batches = file.batches(&schema, BATCH_ROWS)?.collect::<Result<Vec<_>, _>>()?;
        take(&concat_batches(&schema, &batches)?)?;
    } else {
        for batch in file.batches(&schema, BATCH_ROWS)? {
            take(&batch?)?;
        }
    }
    let (rows, masked) = (rows as u64, masked as u64);
    if kept == 0 {
        return Ok(Rewritten { bytes: None, rows, masked });
    }
    let bytes = Bytes::from(writer.into_inner()?);
    if File::open(bytes.clone())?.digest(&schema)? != digester.digest() {
        return Err(format!("{kept} rows were to stay and others would be written").into());
    }
    Ok(Rewritten { bytes: Some(bytes), rows, masked })
}

/// How many rows stay and mention a number.
pub(super) fn masked_rows(
    table: Table,
    batch: &RecordBatch,
    sight: &Sight<'_>,
    erasure: &Erasure,
) -> Result<usize, ReadError> {
    Ok(mask(table, batch, sight, erasure)?.1)
}

/// The batch with every mention of a number masked in rows that stay, and in how many rows there was one.
fn mask(
    table: Table,
    batch: &RecordBatch,
    sight: &Sight<'_>,
    erasure: &Erasure,
) -> Result<(RecordBatch, usize), ReadError> {
    let mut changed = vec![false; batch.num_rows()];
    let mut batch = batch.clone();
    for number in &erasure.numbers {
        for name in text_columns(table) {
            let Ok(index) = batch.schema().index_of(name) else { continue };
            let masked = {
                let Some(column) = text(&batch, name)? else { continue };
                let mut masked: Vec<Option<String>> =
                    (0..arrow::array::Array::len(column)).map(|row| number.mask(value(column, row)?)).collect();
                if table == Table::Words {
                    mask_words(&batch, column, number, &mut masked)?;
                }
                for (row, text) in masked.iter_mut().enumerate() {
                    if sight.goes(row, erasure) {
                        *text = None;
                    }
                    changed[row] |= text.is_some();
                }
                if masked.iter().all(Option::is_none) {
                    continue;
                }
                let texts = masked.iter().enumerate().map(|(row, text)| text.as_deref().or(value(column, row)));
                texts.collect::<StringArray>()
            };
            let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
            columns[index] = Arc::new(masked);
            batch = RecordBatch::try_new(batch.schema(), columns)?;
        }
    }
    Ok((batch, changed.into_iter().filter(|changed| *changed).count()))
}

/// Masks a number that several words of one segment make up. The words stay as many as the recording says that it has:
/// those that went into a marker are empty.
fn mask_words(
    batch: &RecordBatch,
    words: &StringArray,
    number: &crate::privacy::WantedNumber,
    masked: &mut [Option<String>],
) -> Result<(), ReadError> {
    let fingerprints = text(batch, "fingerprint")?.ok_or("column fingerprint is missing")?;
    let segments = batch.column_by_name("segment_index").ok_or("column segment_index is missing")?;
    let segments = arrow::array::AsArray::as_primitive_opt::<arrow::datatypes::Int32Type>(segments)
        .ok_or(crate::lake::read::WRONG_TYPE)?;
    let of = |row: usize| (value(fingerprints, row), segments.value(row));
    let mut start = 0;
    while start < batch.num_rows() {
        let end = (start..batch.num_rows()).find(|row| of(*row) != of(start)).unwrap_or(batch.num_rows());
        let said: Vec<&str> = (start..end).map(|row| value(words, row).unwrap_or_default()).collect();
        for (row, text) in (start..end).zip(number.mask_words(&said)) {
            if text.is_some() {
                masked[row] = text;
            }
        }
        start = end;
    }
    Ok(())
}
