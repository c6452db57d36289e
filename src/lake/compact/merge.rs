//! Many files of one table and day into one, in the order of the table. Every file is read once, a batch at a time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use bytes::Bytes;

use super::digest::Digester;
use super::file::{BATCH_ROWS, File, whole_schema};
use crate::lake::read::ReadError;
use crate::lake::schema::{Table, describe};
use crate::lake::write::Encoder;

/// A file of up to this many rows is read at once and closed: each column of an open file keeps a decompressor and a
/// page, which for the many small files of a day is far more than their rows.
const WHOLE_ROWS: usize = 32_768;

/// A file that holds the rows of several.
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) bytes: Bytes,
    pub(super) rows: u64,
}

/// The rows of all `files` of `table` in one file with every column of today. It was read back and holds the same rows.
pub(super) fn merge(table: Table, encoder: Encoder, files: &[File]) -> Result<Merged, ReadError> {
    let schema = whole_schema(table, files);
    let keys: Vec<usize> = table.order().iter().filter_map(|name| schema.index_of(name).ok()).collect();
    let fields = keys.iter().map(|key| SortField::new(schema.field(*key).data_type().clone())).collect();
    let converter = RowConverter::new(fields)?;
    let mut digester = Digester::new(&schema)?;
    let mut sources = Vec::with_capacity(files.len());
    for file in files {
        let is_whole = file.rows() <= WHOLE_ROWS || !is_in_order(file, &schema.project(&keys)?, &converter)?;
        sources.push(Source::open(file, &schema, is_whole)?);
    }
    let mut merger = Merger { keys, converter, sources, digester: &mut digester, heap: BinaryHeap::new() };
    for index in 0..merger.sources.len() {
        merger.advance(index)?;
    }
    let distinct = files.iter().map(File::rows).sum();
    let mut writer = encoder.writer(&describe(table), &schema, distinct, Vec::new())?;
    while let Some(batch) = merger.next_batch(&schema)? {
        writer.write(&batch)?;
    }
    let bytes = Bytes::from(writer.into_inner()?);
    let wanted = digester.digest();
    let found = File::open(bytes.clone())?.digest(&schema)?;
    if found == wanted {
        Ok(Merged { bytes, rows: wanted.rows })
    } else {
        Err(format!("{} rows were to be written and {} others would be", wanted.rows, found.rows).into())
    }
}

/// Whether the rows stand in the order of `keys`. Those of other versions may not.
fn is_in_order(file: &File, keys: &Schema, converter: &RowConverter) -> Result<bool, ReadError> {
    let mut last: Option<OwnedRow> = None;
    for batch in file.batches(&Arc::new(keys.clone()), BATCH_ROWS)? {
        let rows = converter.convert_columns(batch?.columns())?;
        let follows = last.is_none_or(|last| rows.iter().next().is_none_or(|first| last.row() <= first));
        if !follows || !ascends(&rows) {
            return Ok(false);
        }
        last = rows.iter().last().map(|row| row.owned());
    }
    Ok(true)
}

fn ascends(rows: &Rows) -> bool {
    (1..rows.num_rows()).all(|row| rows.row(row - 1) <= rows.row(row))
}

/// One file on its way into another.
struct Source {
    batches: Box<dyn Iterator<Item = Result<RecordBatch, ReadError>>>,
    /// The batch at hand with the keys of its rows, and the next of them.
    batch: Option<(RecordBatch, Rows)>,
    next: usize,
}

impl Source {
    fn open(file: &File, schema: &SchemaRef, is_whole: bool) -> Result<Self, ReadError> {
        let batches: Box<dyn Iterator<Item = _>> = if is_whole {
            let batches = file.batches(schema, WHOLE_ROWS)?.collect::<Result<Vec<_>, _>>()?;
            let whole = concat_batches(schema, &batches)?;
            Box::new((whole.num_rows() > 0).then_some(Ok(whole)).into_iter())
        } else {
            Box::new(file.batches(schema, BATCH_ROWS)?)
        };
        Ok(Self { batches, batch: None, next: 0 })
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
        let Some(mut batch) = source.batches.next().transpose()? else { return Ok(()) };
        self.digester.add(&batch)?;
        let columns = |batch: &RecordBatch| -> Vec<ArrayRef> {
            self.keys.iter().map(|key| Arc::clone(batch.column(*key))).collect()
        };
        let mut rows = self.converter.convert_columns(&columns(&batch))?;
        if !ascends(&rows) {
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

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int32Type;

    use super::*;
    use crate::domain::FinishedTranscript;
    use crate::lake::sample::{finished, segment};
    use crate::lake::schema::WordRow;

    /// A recording of `count` segments of one word each.
    fn member(id: &str, count: usize) -> FinishedTranscript {
        let mut member = finished(id);
        member.transcript.segments = (0..).take(count).map(|at| segment(at, at + 1, "word")).collect();
        member
    }

    /// The words of a recording, forwards or backwards.
    fn file(member: &FinishedTranscript, is_turned: bool) -> File {
        let mut rows: Vec<_> = WordRow::all_of(member).collect();
        if is_turned {
            rows.reverse();
        }
        let encoded = Encoder::new(1).unwrap().encode(rows.into_iter(), 1).unwrap();
        File::open(encoded.unwrap().bytes).unwrap()
    }

    /// Id and segment of every row.
    fn keys(bytes: Bytes) -> Vec<(String, usize)> {
        let file = File::open(bytes).unwrap();
        let schema = whole_schema(Table::Words, std::slice::from_ref(&file));
        let mut keys = Vec::new();
        for batch in file.batches(&schema, BATCH_ROWS).unwrap() {
            let batch = batch.unwrap();
            let ids = batch.column_by_name("recording_id").unwrap().as_string::<i32>();
            let segments = batch.column_by_name("segment_index").unwrap().as_primitive::<Int32Type>();
            let pairs = ids.iter().zip(segments);
            keys.extend(pairs.map(|(id, segment)| (id.unwrap().to_owned(), segment.unwrap().try_into().unwrap())));
        }
        keys
    }

    #[test]
    fn large_and_small_files_become_one_in_order_whatever_order_they_have() {
        let (large, small) = (WHOLE_ROWS + BATCH_ROWS + 1, BATCH_ROWS + 1);
        let members = [("aa", small), ("bb", large), ("cc", small), ("dd", large)];
        let expected: Vec<_> =
            members.iter().flat_map(|(id, rows)| (0..*rows).map(move |row| ((*id).to_owned(), row))).collect();
        for is_turned in [false, true] {
            let files = [2, 1, 3, 0].map(|at: usize| file(&member(members[at].0, members[at].1), is_turned));
            let merged = merge(Table::Words, Encoder::new(1).unwrap(), &files).unwrap();
            assert_eq!(merged.rows, expected.len() as u64);
            assert!(keys(merged.bytes) == expected, "turned: {is_turned}");
        }
    }

    #[test]
    fn every_row_group_of_a_small_file_is_taken() {
        let plain = file(&member("aa", 30), false);
        let schema = whole_schema(Table::Words, std::slice::from_ref(&plain));
        let encoder = Encoder::new(1).unwrap();
        let mut writer = encoder.writer(&describe(Table::Words), &schema, 30, Vec::new()).unwrap();
        for batch in plain.batches(&schema, 10).unwrap() {
            writer.write(&batch.unwrap()).unwrap();
            writer.flush().unwrap();
        }
        let grouped = File::open(Bytes::from(writer.into_inner().unwrap())).unwrap();
        assert_eq!(grouped.rows(), 30);
        let merged = merge(Table::Words, encoder, &[file(&member("bb", 5), false), grouped]).unwrap();
        let expected = [("aa", 30), ("bb", 5)].map(|(id, rows)| (0..rows).map(move |row| (id.to_owned(), row)));
        assert_eq!(keys(merged.bytes), expected.into_iter().flatten().collect::<Vec<_>>());
    }
}
