//! Many files of one table and day into one, in the order of the table. Every file is read once, a batch at a time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::digest::{Digest, Digester};
use crate::lake::read::{ReadError, WRONG_TYPE};
use crate::lake::schema::{Table, describe};
use crate::lake::write::Encoder;

/// Rows of a file that are in memory at a time.
const BATCH_ROWS: usize = 4_096;

/// A file that holds the rows of several.
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) bytes: Bytes,
    pub(super) rows: u64,
}

/// The rows of all `files` of `table` in one file with every column of today. It was read back and holds the same rows.
pub(super) fn merge(table: Table, encoder: Encoder, files: &[Bytes]) -> Result<Merged, ReadError> {
    let schema = whole_schema(table, files)?;
    let keys: Vec<usize> = table.order().iter().filter_map(|name| schema.index_of(name).ok()).collect();
    let fields = keys.iter().map(|key| SortField::new(schema.field(*key).data_type().clone())).collect();
    let converter = RowConverter::new(fields)?;
    let mut digester = Digester::new(&schema)?;
    let mut sources = Vec::with_capacity(files.len());
    for file in files {
        sources.push(Source::open(file, &schema)?);
    }
    let mut merger = Merger { keys, converter, sources, digester: &mut digester, heap: BinaryHeap::new() };
    for index in 0..merger.sources.len() {
        merger.advance(index)?;
    }
    let distinct = files.iter().map(|file| row_count(file)).sum::<Result<usize, ReadError>>()?;
    let mut writer = encoder.writer(&describe(table), &schema, distinct, Vec::new())?;
    while let Some(batch) = merger.next_batch(&schema)? {
        writer.write(&batch)?;
    }
    let bytes = Bytes::from(writer.into_inner()?);
    let wanted = digester.digest();
    let found = digest(&bytes, &schema)?;
    if found == wanted {
        Ok(Merged { bytes, rows: wanted.rows })
    } else {
        Err(format!("{} rows were to be written and {} others would be", wanted.rows, found.rows).into())
    }
}

pub(in crate::lake) fn row_count(file: &Bytes) -> Result<usize, ReadError> {
    let metadata = ParquetRecordBatchReaderBuilder::try_new(file.clone())?;
    Ok(usize::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or(0))
}

pub(in crate::lake) fn digest(file: &Bytes, schema: &SchemaRef) -> Result<Digest, ReadError> {
    let mut digester = Digester::new(schema)?;
    let mut source = Source::open(file, schema)?;
    while let Some(batch) = source.read()? {
        digester.add(&batch)?;
    }
    Ok(digester.digest())
}

/// The columns of today, then those that a file has and this version does not know.
pub(in crate::lake) fn whole_schema(table: Table, files: &[Bytes]) -> Result<SchemaRef, ReadError> {
    let known = describe(table);
    let mut fields: Vec<Arc<Field>> =
        known.iter().map(|column| Arc::new(Field::new(column.name, column.column_type.arrow(), true))).collect();
    for file in files {
        for field in ParquetRecordBatchReaderBuilder::try_new(file.clone())?.schema().fields() {
            if !fields.iter().any(|known| known.name() == field.name()) {
                fields.push(Arc::clone(field));
            }
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// One file, read batch by batch as if it had every column.
pub(in crate::lake) struct Source {
    reader: ParquetRecordBatchReader,
    schema: SchemaRef,
    /// The batch at hand with the keys of its rows, and the next of them.
    batch: Option<(RecordBatch, Rows)>,
    next: usize,
}

impl Source {
    pub(in crate::lake) fn open(file: &Bytes, schema: &SchemaRef) -> Result<Self, ReadError> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone())?.with_batch_size(BATCH_ROWS).build()?;
        Ok(Self { reader, schema: Arc::clone(schema), batch: None, next: 0 })
    }

    pub(in crate::lake) fn read(&mut self) -> Result<Option<RecordBatch>, ReadError> {
        let Some(batch) = self.reader.next().transpose()? else { return Ok(None) };
        let column = |field: &Arc<Field>| -> Result<ArrayRef, ReadError> {
            match batch.column_by_name(field.name()) {
                Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
                Some(_other) => Err(WRONG_TYPE.into()),
                None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            }
        };
        let columns = self.schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(RecordBatch::try_new(Arc::clone(&self.schema), columns)?))
    }
}

/// Takes the rows of all sources in order.
struct Merger<'a> {
    /// Which columns give the order.
    keys: Vec<usize>,
    converter: RowConverter,
    sources: Vec<Source>,
    digester: &'a mut Digester,
    /// The key of the next row of each source that has one.
    heap: BinaryHeap<Reverse<(OwnedRow, usize)>>,
}

impl Merger<'_> {
    /// The next rows, about a batch of them.
    fn next_batch(&mut self, schema: &SchemaRef) -> Result<Option<RecordBatch>, ReadError> {
        let mut runs = Vec::new();
        let mut rows = 0;
        while rows < BATCH_ROWS {
            let Some(Reverse((_key, index))) = self.heap.pop() else { break };
            let run = self.run(index)?;
            rows += run.num_rows();
            runs.push(run);
        }
        if runs.is_empty() { Ok(None) } else { Ok(Some(concat_batches(schema, &runs)?)) }
    }

    /// The rows of one source that come before every other source's next.
    fn run(&mut self, index: usize) -> Result<RecordBatch, ReadError> {
        let source = &mut self.sources[index];
        let Some((batch, keys)) = &source.batch else { return Err("a source without a batch".into()) };
        let from = source.next;
        let mut to = from + 1;
        let limit = self.heap.peek().map(|Reverse((key, other))| (key.row(), *other));
        while to < batch.num_rows() && limit.is_none_or(|limit| (keys.row(to), index) < limit) {
            to += 1;
        }
        let run = batch.slice(from, to - from);
        if to < batch.num_rows() {
            let key = keys.row(to).owned();
            source.next = to;
            self.heap.push(Reverse((key, index)));
        } else {
            self.advance(index)?;
        }
        Ok(run)
    }

    /// Reads the next batch of a source and enters its first row.
    fn advance(&mut self, index: usize) -> Result<(), ReadError> {
        let source = &mut self.sources[index];
        source.batch = None;
        let Some(mut batch) = source.read()? else { return Ok(()) };
        self.digester.add(&batch)?;
        let columns = |batch: &RecordBatch| -> Vec<ArrayRef> {
            self.keys.iter().map(|key| Arc::clone(batch.column(*key))).collect()
        };
        let mut rows = self.converter.convert_columns(&columns(&batch))?;
        if !(1..rows.num_rows()).all(|row| rows.row(row - 1) <= rows.row(row)) {
            // Files of other versions, and tables whose rows are written in another order.
            let mut order: Vec<u32> = (0..).take(rows.num_rows()).collect();
            order.sort_by_key(|row| rows.row(*row as usize));
            batch = take_record_batch(&batch, &UInt32Array::from(order))?;
            rows = self.converter.convert_columns(&columns(&batch))?;
        }
        self.heap.push(Reverse((rows.row(0).owned(), index)));
        let source = &mut self.sources[index];
        source.batch = Some((batch, rows));
        source.next = 0;
        Ok(())
    }
}
