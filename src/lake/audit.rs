//! Going through all that the lake holds, day by day, to prove that it is whole.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use jiff::Timestamp;
use jiff::civil::Date;

use super::error::LakeError;
use super::open::Lake;
use super::read::{ReadError, WRONG_TYPE, column, fingerprint, text_column, time_column};
use super::schema::Table;
use crate::domain::{Fingerprint, Reason, RecordingId};

/// A row of `recordings`, as far as it is compared with a listing and with the other tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRow {
    pub recording_id: RecordingId,
    pub fingerprint: Fingerprint,
    pub transcribed_at: Timestamp,
    /// `zoom` or `folder`.
    pub source: String,
    pub owner_id: Option<String>,
    pub started_at: Timestamp,
    /// As listed.
    pub ended_at: Option<Timestamp>,
    pub audio_ms: i64,
    /// How many rows of `segments` belong to it.
    pub segments: u64,
    /// How many rows of `words` belong to it; absent where words cannot be counted. When words were not asked for
    /// there are none, whatever stands here.
    pub words: Option<u64>,
}

impl Lake {
    /// The days for which one of these tables has a partition.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] when a table cannot be listed.
    pub async fn days(&self, tables: &[Table]) -> Result<BTreeSet<Date>, LakeError> {
        let mut days = BTreeSet::new();
        for table in tables {
            let names = self.store.folders(table.as_str()).await?;
            days.extend(names.iter().filter_map(|name| name.strip_prefix("dt=")?.parse::<Date>().ok()));
        }
        Ok(days)
    }

    /// All rows of `recordings` in the partition `dt`, in no order.
    ///
    /// # Errors
    /// As [`Lake::published_ids`].
    pub async fn held(&self, dt: &str) -> Result<Vec<HeldRow>, LakeError> {
        const COLUMNS: [&str; 11] = [
            "recording_id",
            "fingerprint",
            "transcribed_at",
            "source",
            "owner_id",
            "started_at",
            "ended_at",
            "audio_ms",
            "segment_count",
            "suppressed_count",
            "word_count",
        ];
        let mut held = Vec::new();
        self.read_day(Table::Recordings, dt, &COLUMNS, |batch| append_held(batch, &mut held)).await?;
        Ok(held)
    }

    /// Hands every row of `table` (`segments` or `words`) in the partition `dt` to `keep`: its recording's id and
    /// fingerprint.
    ///
    /// # Errors
    /// As [`Lake::published_ids`].
    pub async fn each_row(&self, table: Table, dt: &str, mut keep: impl FnMut(&str, &str)) -> Result<(), LakeError> {
        self.read_day(table, dt, &["recording_id", "fingerprint"], |batch| {
            let (ids, fingerprints) = (text_column(batch, "recording_id")?, text_column(batch, "fingerprint")?);
            (0..batch.num_rows()).for_each(|row| keep(ids.value(row), fingerprints.value(row)));
            Ok(())
        })
        .await
    }

    /// Hands the fingerprint of every row of one object to `keep`.
    pub(super) async fn each_fingerprint(&self, key: &str, mut keep: impl FnMut(&str)) -> Result<(), LakeError> {
        self.read_object(key, &["fingerprint"], |batch| {
            text_column(batch, "fingerprint")?.iter().flatten().for_each(&mut keep);
            Ok(())
        })
        .await
    }

    /// The recordings that the partition `dt` of `quarantine` names, each with its last reason.
    ///
    /// # Errors
    /// As [`Lake::published_ids`].
    pub async fn quarantined(&self, dt: &str) -> Result<BTreeMap<RecordingId, Option<Reason>>, LakeError> {
        let mut rows = Vec::new();
        self.read_day(Table::Quarantine, dt, &["recording_id", "reason", "last_tried_at"], |batch| {
            let (ids, reasons) = (text_column(batch, "recording_id")?, text_column(batch, "reason")?);
            let times = time_column(batch, "last_tried_at")?;
            for row in 0..batch.num_rows() {
                rows.push((times.value(row), RecordingId::parse(ids.value(row))?, Reason::parse(reasons.value(row))));
            }
            Ok(())
        })
        .await?;
        rows.sort_by_key(|(tried_at, ..)| *tried_at);
        Ok(rows.into_iter().map(|(_tried_at, id, reason)| (id, reason)).collect())
    }
}

fn append_held(batch: &RecordBatch, held: &mut Vec<HeldRow>) -> Result<(), ReadError> {
    let (ids, fingerprints) = (text_column(batch, "recording_id")?, text_column(batch, "fingerprint")?);
    let (sources, owners) = (text_column(batch, "source")?, text_column(batch, "owner_id")?);
    let (starts, ends) = (time_column(batch, "started_at")?, time_column(batch, "ended_at")?);
    let (times, lengths) = (time_column(batch, "transcribed_at")?, long_column(batch, "audio_ms")?);
    let (spoken, suppressed) = (int_column(batch, "segment_count")?, int_column(batch, "suppressed_count")?);
    let words = int_column(batch, "word_count")?;
    let count = |column: &Int32Array, row| u64::try_from(column.value(row)).unwrap_or(0);
    for row in 0..batch.num_rows() {
        held.push(HeldRow {
            recording_id: RecordingId::parse(ids.value(row))?,
            fingerprint: fingerprint(fingerprints.value(row))?,
            transcribed_at: Timestamp::from_millisecond(times.value(row))?,
            source: sources.value(row).to_owned(),
            owner_id: owners.is_valid(row).then(|| owners.value(row).to_owned()),
            started_at: Timestamp::from_millisecond(starts.value(row))?,
            ended_at: ends.is_valid(row).then(|| Timestamp::from_millisecond(ends.value(row))).transpose()?,
            audio_ms: lengths.value(row),
            segments: count(spoken, row) + count(suppressed, row),
            words: words.is_valid(row).then(|| count(words, row)),
        });
    }
    Ok(())
}

fn int_column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a Int32Array, ReadError> {
    Ok(column(batch, name)?.as_primitive_opt::<Int32Type>().ok_or(WRONG_TYPE)?)
}

fn long_column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a Int64Array, ReadError> {
    Ok(column(batch, name)?.as_primitive_opt::<Int64Type>().ok_or(WRONG_TYPE)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::open::tests::config;
    use crate::lake::sample::finished;

    #[tokio::test]
    async fn what_is_held_says_how_many_rows_belong_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&config(folder.path(), "UTC")).await.unwrap();
        assert_eq!(lake.days(&[Table::Recordings]).await.unwrap(), BTreeSet::new());
        let member = finished("aa");
        let plan = Lake::plan_batch(&member.dt, std::slice::from_ref(&member.fingerprint));
        lake.publish(&plan, vec![member.clone()]).await.unwrap();
        let days = lake.days(&[Table::Recordings, Table::Segments]).await.unwrap();
        assert_eq!(days.into_iter().map(|day| day.to_string()).collect::<Vec<_>>(), ["2026-11-02"]);
        let held = lake.held("2026-11-02").await.unwrap();
        assert_eq!((held.len(), &held[0].recording_id, held[0].audio_ms), (1, &member.recording.id, 10_000));
        let expected = [(Table::Segments, held[0].segments), (Table::Words, held[0].words.unwrap())];
        for (table, expected) in expected {
            let mut rows = 0;
            let belongs = |id: &str, of: &str| rows += u64::from(id == "aa" && of == member.fingerprint.as_str());
            lake.each_row(table, "2026-11-02", belongs).await.unwrap();
            assert_eq!(rows, expected, "{}", table.as_str());
        }
    }
}
