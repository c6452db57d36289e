//! One file of `segments`: which of its rows have the words, then those rows with their neighbours.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int32Type;
use futures::TryStreamExt;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, RowSelection};
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};

use super::current::Current;
use super::fold::{fold, is_unspaced};
use super::query::Terms;
use super::{Hit, Line, Search};
use crate::lake::error::LakeError;
use crate::lake::object::ObjectFile;
use crate::lake::read::{ReadError, WRONG_TYPE, column, text_column, time_column};
use crate::lake::row::{Row, known, rows_of};

/// Rows decoded at a time.
const BATCH_ROWS: usize = 8_192;

/// What decides whether a row is a hit, and where its recording begins.
const LOOKED_AT: [&str; 5] = ["started_at", "segment_index", "channel", "text", "suppressed"];

/// What is shown of a row.
const SHOWN: [&str; 9] =
    ["recording_id", "call_id", "started_at", "channel", "speaker", "start_ms", "end_ms", "text", "fingerprint"];

/// A file whose texts were looked through.
pub(super) struct Scanned {
    file: ObjectFile,
    metadata: ArrowReaderMetadata,
    search: Arc<Search>,
    rows: Rows,
}

/// What is known of the rows of a file.
#[derive(Default)]
struct Rows {
    /// Of each row, whether its text counts.
    spoken: Vec<bool>,
    /// The first rows of the recordings, in order.
    begins: Vec<usize>,
    matches: Vec<Match>,
}

/// A row that has every word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Match {
    row: usize,
    /// The row in which it ends, where that is another one.
    ends_in: Option<usize>,
}

/// A row as it is shown.
struct Shown {
    recording_id: String,
    call_id: Option<String>,
    started_at: jiff::Timestamp,
    fingerprint: String,
    line: Line,
}

impl Scanned {
    /// Looks through the texts of a file.
    pub(super) async fn read(mut file: ObjectFile, search: Arc<Search>) -> Result<Self, LakeError> {
        let key = file.key();
        let read = async {
            let metadata = ArrowReaderMetadata::load_async(&mut file, Default::default()).await?;
            let mut scanner = Scanner {
                search: &search,
                rows: Rows::default(),
                open: Default::default(),
                last: -1,
                folded: String::new(),
            };
            let mut batches = batches(&file, &metadata, &LOOKED_AT, None)?;
            while let Some(batch) = batches.try_next().await? {
                scanner.add(&batch)?;
            }
            let mut rows = scanner.rows;
            // What runs on is known a row later.
            rows.matches.sort_unstable();
            Ok((metadata, rows))
        };
        let read: Result<_, ReadError> = read.await;
        let (metadata, rows) = read.map_err(|source| LakeError::Unreadable { key, source })?;
        Ok(Self { file, metadata, search, rows })
    }

    pub(super) const fn has_matches(&self) -> bool {
        !self.rows.matches.is_empty()
    }

    /// The hits of the newest recordings, until there are more than the limit.
    pub(super) async fn hits(&self, dt: &str, current: &HashMap<String, Current>) -> Result<Vec<Hit>, LakeError> {
        let unreadable = |source| LakeError::Unreadable { key: self.file.key(), source };
        let mut hits = Vec::new();
        let mut left = self.rows.matches.as_slice();
        while hits.len() <= self.search.limit && !left.is_empty() {
            let (rest, newest) = left.split_at(self.rows.newest(left, self.search.limit + 1));
            left = rest;
            hits.extend(self.shown(newest, dt, current).await.map_err(unreadable)?);
        }
        Ok(hits)
    }

    /// These matches with their context, of current rows only.
    async fn shown(
        &self,
        matches: &[Match],
        dt: &str,
        current: &HashMap<String, Current>,
    ) -> Result<Vec<Hit>, ReadError> {
        let mut wanted = BTreeSet::new();
        for found in matches {
            wanted.insert(found.row);
            wanted.extend(found.ends_in);
            let (before, after) = self.rows.around(*found, self.search.context);
            wanted.extend(before.into_iter().chain(after));
        }
        let ranges = wanted.iter().map(|row| *row..row + 1);
        let selection = RowSelection::from_consecutive_ranges(ranges, self.rows.spoken.len());
        let mut batches = batches(&self.file, &self.metadata, &SHOWN, Some(selection))?;
        let mut numbers = wanted.iter();
        let mut rows = BTreeMap::new();
        while let Some(batch) = batches.try_next().await? {
            for row in rows_of(&batch) {
                rows.insert(*numbers.next().ok_or("there are more rows than were asked for")?, shown(&row)?);
            }
        }
        let line = |row: usize| -> Result<&Shown, ReadError> { Ok(rows.get(&row).ok_or("a row was not read")?) };
        let lines = |rows: Vec<usize>| -> Result<Vec<Line>, ReadError> {
            rows.into_iter().map(|row| line(row).map(|shown| shown.line.clone())).collect()
        };
        let mut hits = Vec::new();
        for found in matches {
            let first = line(found.row)?;
            let Some(current) = current.get(&first.recording_id) else { continue };
            if current.fingerprint != first.fingerprint {
                continue;
            }
            let (before, after) = self.rows.around(*found, self.search.context);
            let last = found.ends_in.map(line).transpose()?;
            hits.push(Hit {
                dt: dt.to_owned(),
                recording_id: first.recording_id.clone(),
                call_id: first.call_id.clone(),
                started_at: first.started_at,
                caller: current.caller.clone(),
                callee: current.callee.clone(),
                line: last.map_or_else(|| first.line.clone(), |last| joined(&first.line, &last.line)),
                before: lines(before)?,
                after: lines(after)?,
            });
        }
        Ok(hits)
    }
}

fn batches(
    file: &ObjectFile,
    metadata: &ArrowReaderMetadata,
    columns: &[&str],
    selection: Option<RowSelection>,
) -> Result<parquet::arrow::async_reader::ParquetRecordBatchStream<ObjectFile>, ReadError> {
    let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(file.clone(), metadata.clone());
    let projection = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let mut builder = builder.with_projection(projection).with_batch_size(BATCH_ROWS);
    if let Some(selection) = selection {
        builder = builder.with_row_selection(selection);
    }
    Ok(builder.build()?)
}

fn shown(row: &Row<'_>) -> Result<Shown, ReadError> {
    Ok(Shown {
        recording_id: known("recording_id", row.text("recording_id")?)?,
        call_id: row.text("call_id")?,
        started_at: known("started_at", row.time("started_at")?)?,
        fingerprint: known("fingerprint", row.text("fingerprint")?)?,
        line: Line {
            start_ms: known("start_ms", row.long("start_ms")?)?,
            end_ms: known("end_ms", row.long("end_ms")?)?,
            channel: known("channel", row.text("channel")?)?,
            speaker: row.text("speaker")?,
            text: row.text("text")?.unwrap_or_default(),
        },
    })
}

fn joined(first: &Line, last: &Line) -> Line {
    let (start, end) = (first.text.trim_end(), last.text.trim_start());
    let is_unspaced = |c: Option<char>| c.is_none_or(is_unspaced);
    let space = if is_unspaced(start.chars().next_back()) || is_unspaced(end.chars().next()) { "" } else { " " };
    Line { end_ms: last.end_ms, text: [start, space, end].concat(), ..first.clone() }
}

impl Rows {
    /// How many of `matches`, which are ordered, come before those of the newest recordings that have at least `wanted`
    /// together.
    fn newest(&self, matches: &[Match], wanted: usize) -> usize {
        let Some(first_wanted) = matches.get(matches.len().saturating_sub(wanted)) else { return 0 };
        let begin = self.recording(first_wanted.row).start;
        matches.partition_point(|found| found.row < begin)
    }

    /// The rows of the recording to which a row belongs.
    fn recording(&self, row: usize) -> std::ops::Range<usize> {
        let next = self.begins.partition_point(|begin| *begin <= row);
        let start = next.checked_sub(1).map_or(0, |index| self.begins[index]);
        start..self.begins.get(next).copied().unwrap_or(self.spoken.len())
    }

    /// The rows before and after a match in which the same recording goes on, at most `context` of each.
    fn around(&self, found: Match, context: usize) -> (Vec<usize>, Vec<usize>) {
        let recording = self.recording(found.row);
        let is_spoken = |row: &usize| self.spoken[*row];
        let before = (recording.start..found.row).rev().filter(is_spoken).take(context);
        let mut before: Vec<usize> = before.collect();
        before.reverse();
        let after = (found.row + 1..recording.end).filter(is_spoken).filter(|row| Some(*row) != found.ends_in);
        (before, after.take(context).collect())
    }
}

/// Looks through rows in the order of the file.
struct Scanner<'a> {
    search: &'a Search,
    rows: Rows,
    /// The last text of each channel: what comes next may end a word that it begins.
    open: [Option<Open>; 3],
    /// The last row's `segment_index`.
    last: i32,
    folded: String,
}

#[derive(Default)]
struct Open {
    row: usize,
    folded: String,
    found: Terms,
}

impl Scanner<'_> {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), ReadError> {
        let (texts, channels) = (text_column(batch, "text")?, text_column(batch, "channel")?);
        let starts = time_column(batch, "started_at")?;
        let indexes = column(batch, "segment_index")?.as_primitive_opt::<Int32Type>().ok_or(WRONG_TYPE)?;
        let suppressed = column(batch, "suppressed")?.as_boolean_opt().ok_or(WRONG_TYPE)?;
        let window = self.search.since.as_millisecond()..self.search.until.as_millisecond();
        for row in 0..batch.num_rows() {
            let index = indexes.value(row);
            if index <= self.last || self.rows.spoken.is_empty() {
                self.rows.begins.push(self.rows.spoken.len());
                self.open = Default::default();
            }
            self.last = index;
            let is_spoken = texts.is_valid(row) && !texts.value(row).is_empty() && !suppressed.value(row);
            if is_spoken && window.contains(&starts.value(row)) {
                let channel = match channels.value(row) {
                    "left" => 0,
                    "right" => 1,
                    _ => 2,
                };
                self.look(texts.value(row), channel);
            }
            self.rows.spoken.push(is_spoken);
        }
        Ok(())
    }

    fn look(&mut self, text: &str, channel: usize) {
        let (query, row) = (&self.search.query, self.rows.spoken.len());
        let open = self.open[channel].get_or_insert_default();
        if query.rules_out(text) {
            *open = Open::default();
            return;
        }
        fold(text, &mut self.folded);
        let found = query.within(&self.folded);
        if !query.has_all(open.found) && query.runs_on(open.found, &open.folded, &self.folded) {
            self.rows.matches.push(Match { row: open.row, ends_in: Some(row) });
        }
        if query.has_all(found) {
            self.rows.matches.push(Match { row, ends_in: None });
        }
        open.row = row;
        open.found = found;
        std::mem::swap(&mut open.folded, &mut self.folded);
    }
}
