//! Looking for one recording by its id, on whatever day it is.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::error::LakeError;
use super::object::ObjectFile;
use super::open::Lake;
use super::read::{Matching, ReadError, read_file_matching};
use super::row::{Row, known, rows_of};
use super::schema::Table;
use super::transcript::{
    HeldSegment, HeldTranscript, RECORDING_COLUMNS, SEGMENT_COLUMNS, WORD_COLUMNS, recording, segment, word,
};
use crate::domain::RecordingId;

/// How many files are looked into at once: a store answers a request in tens of milliseconds, a year has 365 files.
const FILES_AT_ONCE: usize = 16;

/// What the lake knows under an id.
#[derive(Debug, Clone, PartialEq)]
pub enum Held {
    /// The current transcript.
    Transcript(Box<HeldTranscript>),
    /// There is no transcript: a run gave the recording up.
    Quarantined(HeldFailure),
    /// The id is the beginning of several ids.
    Several(Vec<RecordingId>),
    Nothing,
}

/// The last row of `quarantine` of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldFailure {
    pub recording_id: RecordingId,
    /// The code, as it was written.
    pub reason: String,
    pub last_tried_at: Timestamp,
}

impl Lake {
    /// What is held of the recording with this id, or with the only id that begins with it. Without a day all of them are
    /// looked through: a recording that was done anew may have moved to another one. Of a file without the recording
    /// no more than the end is read, where its footer and its bloom filters are.
    ///
    /// # Errors
    /// As [`Lake::published_ids`].
    pub async fn find(&self, id: &RecordingId, day: Option<&str>) -> Result<Held, LakeError> {
        for wanted in [Wanted::Exactly(id), Wanted::BeginningWith(id)] {
            let found = self.find_wanted(&wanted, day).await?;
            if found != Held::Nothing {
                return Ok(found);
            }
        }
        Ok(Held::Nothing)
    }

    async fn find_wanted(&self, wanted: &Wanted<'_>, day: Option<&str>) -> Result<Held, LakeError> {
        match only(self.current_rows(wanted, day).await?) {
            Choice::One((_, current)) => self.transcript(&current).await.map(|found| Held::Transcript(Box::new(found))),
            Choice::Several(ids) => Ok(Held::Several(ids)),
            Choice::None => Ok(match only(self.failures(wanted, day).await?) {
                Choice::One((recording_id, (last_tried_at, reason))) => {
                    Held::Quarantined(HeldFailure { recording_id, reason, last_tried_at })
                }
                Choice::Several(ids) => Held::Several(ids),
                Choice::None => Held::Nothing,
            }),
        }
    }

    /// Where the current transcript of each wanted recording is.
    async fn current_rows(
        &self,
        wanted: &Wanted<'_>,
        day: Option<&str>,
    ) -> Result<BTreeMap<RecordingId, Current>, LakeError> {
        self.greatest(Table::Recordings, wanted, day, &["recording_id", "fingerprint", "transcribed_at"], |row, dt| {
            let transcribed_at = known("transcribed_at", row.time("transcribed_at")?)?;
            let fingerprint = known("fingerprint", row.text("fingerprint")?)?;
            Ok(Current { transcribed_at, fingerprint, recording_id: row.id()?, dt: dt.to_owned() })
        })
        .await
    }

    /// The last failure of each wanted recording in quarantine: when, and the reason's code.
    async fn failures(
        &self,
        wanted: &Wanted<'_>,
        day: Option<&str>,
    ) -> Result<BTreeMap<RecordingId, (Timestamp, String)>, LakeError> {
        self.greatest(Table::Quarantine, wanted, day, &["recording_id", "reason", "last_tried_at"], |row, _dt| {
            let last_tried_at = known("last_tried_at", row.time("last_tried_at")?)?;
            Ok((last_tried_at, row.text("reason")?.unwrap_or_default()))
        })
        .await
    }

    /// The greatest of what `read` makes of the rows of each wanted recording.
    async fn greatest<T: Ord>(
        &self,
        table: Table,
        wanted: &Wanted<'_>,
        day: Option<&str>,
        columns: &[&str],
        read: impl Fn(&Row<'_>, &str) -> Result<T, ReadError>,
    ) -> Result<BTreeMap<RecordingId, T>, LakeError> {
        let files = match day {
            Some(dt) => self.files(table, dt).await?.into_iter().map(|file| (dt.to_owned(), file)).collect(),
            None => self.all_files(table).await?,
        };
        let (read, matching) = (&read, &wanted.matching());
        let rows_of_file = |(dt, file): (String, ObjectFile)| async move {
            let mut found = Vec::new();
            read_file_matching(file, columns, matching, &mut |batch| {
                for row in rows_of(batch) {
                    found.push((row.id()?, read(&row, &dt)?));
                }
                Ok(())
            })
            .await?;
            Ok::<_, LakeError>(found)
        };
        let mut found = stream::iter(files).map(rows_of_file).buffer_unordered(FILES_AT_ONCE);
        let mut greatest = BTreeMap::new();
        while let Some(rows) = found.try_next().await? {
            for (id, row) in rows {
                match greatest.entry(id) {
                    Entry::Vacant(entry) => drop(entry.insert(row)),
                    Entry::Occupied(mut entry) if row > *entry.get() => drop(entry.insert(row)),
                    Entry::Occupied(_) => {}
                }
            }
        }
        Ok(greatest)
    }

    async fn transcript(&self, current: &Current) -> Result<HeldTranscript, LakeError> {
        let mut transcripts = Vec::new();
        self.read_rows(Table::Recordings, current, &RECORDING_COLUMNS, |row| {
            transcripts.push(recording(row)?);
            Ok(())
        })
        .await?;
        // A row that is there twice says the same twice.
        let mut transcript = transcripts.pop().ok_or_else(|| self.gone(current))?;
        transcript.segments = self.segments(current).await?;
        Ok(transcript)
    }

    async fn segments(&self, current: &Current) -> Result<Vec<HeldSegment>, LakeError> {
        let mut segments = BTreeMap::new();
        self.read_rows(Table::Segments, current, &SEGMENT_COLUMNS, |row| {
            let segment = segment(row)?;
            segments.insert(segment.index, segment);
            Ok(())
        })
        .await?;
        let mut words = BTreeMap::new();
        self.read_rows(Table::Words, current, &WORD_COLUMNS, |row| {
            let place =
                (known("segment_index", row.int("segment_index")?)?, known("word_index", row.int("word_index")?)?);
            words.insert(place, word(row)?);
            Ok(())
        })
        .await?;
        for ((segment_index, _), word) in words {
            if let Some(segment) = segments.get_mut(&segment_index) {
                segment.words.push(word);
            }
        }
        Ok(segments.into_values().collect())
    }

    /// Hands the rows of one transcript to `keep`.
    async fn read_rows(
        &self,
        table: Table,
        current: &Current,
        columns: &[&str],
        mut keep: impl FnMut(&Row<'_>) -> Result<(), ReadError>,
    ) -> Result<(), LakeError> {
        let fingerprint = current.fingerprint.clone();
        let matching = Matching {
            columns: &["fingerprint"],
            accepts: move |text: &str| text == fingerprint.as_str(),
            recording: Some(current.recording_id.clone()),
        };
        self.read_matching(table, &current.dt, columns, &matching, |batch| {
            rows_of(batch).try_for_each(|row| keep(&row))
        })
        .await
    }

    /// A file that was there a moment ago was taken away.
    fn gone(&self, current: &Current) -> LakeError {
        let key = format!("{}/dt={}", Table::Recordings.as_str(), current.dt);
        LakeError::Unreadable { key, source: "a row is gone while it was read".into() }
    }
}

/// Where a transcript is. The greatest is the current one of its recording.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Current {
    transcribed_at: Timestamp,
    fingerprint: String,
    recording_id: RecordingId,
    dt: String,
}

/// Whose rows are looked for.
enum Wanted<'a> {
    Exactly(&'a RecordingId),
    BeginningWith(&'a RecordingId),
}

impl Wanted<'_> {
    fn matching(&self) -> Matching<impl Fn(&str) -> bool + Clone + Send + 'static> {
        let (text, recording) = match self {
            Self::Exactly(id) => (id.as_str().to_owned(), Some((*id).clone())),
            Self::BeginningWith(id) => (id.as_str().to_owned(), None),
        };
        let whole = recording.is_some();
        let accepts = move |id: &str| if whole { id == text } else { id.starts_with(&text) };
        Matching { columns: &["recording_id"], accepts, recording }
    }
}

enum Choice<T> {
    One((RecordingId, T)),
    Several(Vec<RecordingId>),
    None,
}

fn only<T>(mut found: BTreeMap<RecordingId, T>) -> Choice<T> {
    if found.len() > 1 {
        return Choice::Several(found.into_keys().collect());
    }
    found.pop_first().map_or(Choice::None, Choice::One)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::{Path, PathBuf};

    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::domain::{Decoding, FinishedTranscript, Suppression};
    use crate::lake::HeldWindow;
    use crate::lake::open::tests::config;
    use crate::lake::sample::finished;

    async fn publish(folder: &Path, members: &[FinishedTranscript]) -> Lake {
        let lake = Lake::open(&config(folder, "UTC")).await.unwrap();
        for member in members {
            let plan = Lake::plan_batch(&member.dt, std::slice::from_ref(&member.fingerprint));
            lake.publish(&plan, vec![member.clone()]).await.unwrap();
        }
        lake
    }

    async fn transcript(lake: &Lake, id: &str) -> HeldTranscript {
        match lake.find(&RecordingId::parse(id).unwrap(), None).await.unwrap() {
            Held::Transcript(transcript) => *transcript,
            other => panic!("{other:?}"),
        }
    }

    /// The transcript of [`finished`] with a segment that was decoded twice.
    fn decoded_twice() -> FinishedTranscript {
        let mut member = finished("aa");
        member.transcript.segments[0].decoding = Some(Decoding {
            window_start_ms: 0,
            window_end_ms: 2_000,
            passes: 2,
            refused_for: vec![Suppression::CompressionRatio, Suppression::Loop],
            objections: vec![Suppression::Loop],
            first: None,
        });
        member
    }

    #[tokio::test]
    async fn a_transcript_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let member = decoded_twice();
        let lake = publish(folder.path(), &[member.clone(), finished("bb")]).await;
        let found = transcript(&lake, "aa").await;
        assert_eq!((found.recording_id.as_str(), found.audio_ms, found.status.as_str()), ("aa", 10_000, "transcribed"));
        assert_eq!((found.language_prob, found.language_margin), (Some(0.9), Some(0.8)));
        assert_eq!(found.transcribed_at, member.transcribed_at);
        let [segment] = &found.segments[..] else { panic!("{:?}", found.segments) };
        assert_eq!(
            (segment.text.as_str(), segment.start_ms, segment.suppressed.as_deref()),
            ("hello there", 500, None)
        );
        assert_eq!(segment.window, Some(HeldWindow { start_ms: 0, end_ms: 2_000, passes: 2 }));
        assert_eq!(
            (segment.retry_reasons.join("+"), segment.objections.join("+")),
            ("compression_ratio+loop".into(), "loop".into())
        );
        let words: Vec<&str> = segment.words.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(words, ["hello", "there"]);
    }

    #[tokio::test]
    async fn columns_that_an_older_file_does_not_have_read_like_empty_ones() {
        let folder = tempfile::tempdir().unwrap();
        let lake = publish(folder.path(), &[decoded_twice()]).await;
        keep_columns(&only_file(&folder.path().join("segments/dt=2026-11-02")), 19);
        let found = transcript(&lake, "aa").await;
        let segment = &found.segments[0];
        assert_eq!((segment.text.as_str(), segment.window), ("hello there", None));
        assert!(segment.retry_reasons.is_empty() && segment.objections.is_empty());
    }

    #[tokio::test]
    async fn the_beginning_of_an_id_finds_it_where_there_is_only_one() {
        let folder = tempfile::tempdir().unwrap();
        let lake = publish(folder.path(), &[finished("abc1"), finished("abc2"), finished("ab")]).await;
        assert_eq!(transcript(&lake, "abc1").await.recording_id.as_str(), "abc1");
        assert_eq!(transcript(&lake, "ab").await.recording_id.as_str(), "ab", "a whole id is clear");
        let ids = ["abc1", "abc2"].map(|id| RecordingId::parse(id).unwrap());
        assert_eq!(lake.find(&RecordingId::parse("abc").unwrap(), None).await.unwrap(), Held::Several(ids.into()));
        assert_eq!(lake.find(&RecordingId::parse("b").unwrap(), None).await.unwrap(), Held::Nothing);
    }

    fn only_file(folder: &Path) -> PathBuf {
        let paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(paths.len(), 1);
        paths.into_iter().next().unwrap()
    }

    /// Writes a file again with its first columns only, as a version did that had no more.
    fn keep_columns(path: &Path, count: usize) {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
        let first: Vec<usize> = (0..count).collect();
        let batches: Vec<_> = reader.map(|batch| batch.unwrap().project(&first).unwrap()).collect();
        let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batches[0].schema(), None).unwrap();
        for batch in &batches {
            writer.write(batch).unwrap();
        }
        writer.close().unwrap();
    }
}
