//! Publishing: rows become objects that readers see.
//!
//! A batch is planned from its members' fingerprints alone, so that a plan can be recorded before the first put and be
//! done again after a crash: same members, same keys, same bytes. Puts create and never replace; an object that is
//! already there is the answer of an earlier try. `recordings` comes last, so no reader sees a recording without its
//! segments.
//!
//! The store writes under `<key>#<number>` and links the finished file to its key, so `*.parquet` never matches half a
//! file. A crash can leave such a name behind; the next try of the same batch removes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::LakeError;
use super::open::Lake;
use super::schema::{CoverageRow, QuarantineRow, RunRow, Table, TableRow};
use super::write::{Encoded, Encoder};
use crate::domain::{Fingerprint, FinishedTranscript};
use crate::failpoint;

/// One object that a batch creates, unless the batch has no rows for its table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchObject {
    pub table: Table,
    pub key: String,
}

/// What a batch will create. Recorded before the first put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchPlan {
    /// The partition, `YYYY-MM-DD`.
    pub dt: String,
    /// Names the batch: follows from its fingerprints.
    pub hash: String,
    /// The members, sorted, each once.
    pub fingerprints: Vec<Fingerprint>,
    /// In the order in which they are put.
    pub objects: Vec<BatchObject>,
}

/// One object that is now in the lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedObject {
    pub table: Table,
    pub key: String,
    pub rows: u64,
    pub bytes: u64,
    /// False when an earlier try had put it.
    pub created: bool,
}

/// What a batch left in the lake, in the order of the puts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    pub objects: Vec<PublishedObject>,
}

impl Lake {
    /// The objects that a batch of these members will create in the partition `dt`. Neither the order of the
    /// fingerprints nor repetitions matter.
    #[must_use]
    pub fn plan_batch(dt: &str, fingerprints: &[Fingerprint]) -> BatchPlan {
        let members: BTreeSet<&Fingerprint> = fingerprints.iter().collect();
        let hash = hash_of(members.iter().map(|fingerprint| fingerprint.as_str().as_bytes()));
        let object = |table| BatchObject { table, key: object_key(table, dt, &hash) };
        BatchPlan {
            dt: dt.to_owned(),
            objects: [Table::Words, Table::Segments, Table::Recordings].map(object).into(),
            fingerprints: members.into_iter().cloned().collect(),
            hash,
        }
    }

    /// Writes all tables of a batch. `members` are the transcripts that the plan names, in any order, as they come out
    /// of staging. May be repeated after any error or crash, with the same plan.
    ///
    /// # Errors
    /// [`LakeError::DiskFull`] and [`LakeError::NotWritable`] are this machine's trouble; the rest is a bug.
    /// Objects that were put before the error stay: they are complete, and readers join them by fingerprint.
    pub async fn publish(&self, plan: &BatchPlan, members: Vec<FinishedTranscript>) -> Result<Published, LakeError> {
        check_members(plan, &members)?;
        let members: Arc<[FinishedTranscript]> = members.into();
        let mut published = Published::default();
        for BatchObject { table, key } in &plan.objects {
            let encode = match table {
                Table::Words => Encoder::words,
                Table::Segments => Encoder::segments,
                Table::Recordings => Encoder::recordings,
                _other => return Err(LakeError::BatchMismatch { hash: plan.hash.clone() }),
            };
            let (encoder, members) = (self.encoder, Arc::clone(&members));
            let encoded = aside(move || encode(encoder, &members)).await?;
            if let Some(encoded) = encoded {
                published.objects.push(self.put(*table, key, encoded).await?);
                failpoint::pass("object-put");
            }
        }
        Ok(published)
    }

    /// Writes quarantine rows, one object per day; a row's day is that of its recording's start, else of its first
    /// sight. The key follows from the rows, so that the same rows are never written twice.
    ///
    /// # Errors
    /// As [`Lake::publish`].
    pub async fn write_quarantine(&self, rows: &[QuarantineRow]) -> Result<Published, LakeError> {
        let mut days: BTreeMap<String, Vec<QuarantineRow>> = BTreeMap::new();
        for row in rows {
            days.entry(self.dt(row.started_at.unwrap_or(row.first_seen_at))).or_default().push(row.clone());
        }
        let mut published = Published::default();
        for (dt, mut rows) in days {
            rows.sort_by(|one, other| {
                (&one.recording_id, one.last_tried_at).cmp(&(&other.recording_id, other.last_tried_at))
            });
            published.objects.push(self.write_rows(&dt, rows).await?);
        }
        Ok(published)
    }

    /// Writes what a comparison found as one object into the day on which it was made: a nightly one adds one file, not
    /// one for each day that it looked at. The days are in the rows.
    ///
    /// # Errors
    /// As [`Lake::publish`].
    pub async fn write_coverage(&self, rows: Vec<CoverageRow>) -> Result<Published, LakeError> {
        let Some(checked_at) = rows.first().map(|row| row.checked_at) else { return Ok(Published::default()) };
        Ok(Published { objects: vec![self.write_rows(&self.dt(checked_at), rows).await?] })
    }

    /// Writes the row of a run into the day on which the run started.
    ///
    /// # Errors
    /// As [`Lake::publish`].
    pub async fn write_run(&self, row: &RunRow) -> Result<PublishedObject, LakeError> {
        self.write_rows(&self.dt(row.started_at), vec![row.clone()]).await
    }

    /// Puts rows that belong to no batch, under a key that follows from the rows. `rows` is not empty.
    pub(super) async fn write_rows<R>(&self, dt: &str, rows: Vec<R>) -> Result<PublishedObject, LakeError>
    where
        R: TableRow + Serialize + Send + 'static,
    {
        let encoder = self.encoder;
        let (hash, encoded) = aside(move || {
            let json = rows.iter().map(serde_json::to_vec).collect::<Result<Vec<_>, _>>();
            let json = json.map_err(|error| LakeError::Encode {
                table: R::TABLE.as_str(),
                source: parquet::errors::ParquetError::External(Box::new(error)),
            })?;
            let hash = hash_of(json.iter().map(Vec::as_slice));
            let distinct = rows.len();
            Ok((hash, encoder.encode(rows.into_iter(), distinct)?))
        })
        .await?;
        let encoded = encoded.ok_or_else(|| LakeError::BatchMismatch { hash: hash.clone() })?;
        self.put(R::TABLE, &object_key(R::TABLE, dt, &hash), encoded).await
    }

    /// Creates an object unless it is there already. When this returns, the object survives a power cut.
    async fn put(&self, table: Table, key: &str, encoded: Encoded) -> Result<PublishedObject, LakeError> {
        let Encoded { bytes, rows } = encoded;
        let size = bytes.len() as u64;
        let created = self.store.create(key, bytes).await?;
        Ok(PublishedObject { table, key: key.to_owned(), rows, bytes: size, created })
    }
}

/// Runs `work` on a thread that may block.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LakeError> + Send + 'static,
) -> Result<T, LakeError> {
    tokio::task::spawn_blocking(work).await.map_err(|source| LakeError::EncoderDied { source })?
}

fn check_members(plan: &BatchPlan, members: &[FinishedTranscript]) -> Result<(), LakeError> {
    check_day(&plan.dt)?;
    let mut fingerprints: Vec<&Fingerprint> = members.iter().map(|member| &member.fingerprint).collect();
    fingerprints.sort();
    let same_day = members.iter().all(|member| member.dt == plan.dt);
    if same_day && fingerprints.into_iter().eq(&plan.fingerprints) {
        Ok(())
    } else {
        Err(LakeError::BatchMismatch { hash: plan.hash.clone() })
    }
}

/// A day becomes a folder's name, so it is checked before it becomes part of a key.
pub(super) fn check_day(day: &str) -> Result<(), LakeError> {
    match day.parse::<Date>() {
        Ok(date) if date.to_string() == day => Ok(()),
        _ => Err(LakeError::BadDay { day: day.to_owned() }),
    }
}

pub(super) fn object_key(table: Table, dt: &str, hash: &str) -> String {
    format!("{}/dt={dt}/part-{hash}.parquet", table.as_str())
}

/// The first 32 hex digits of the SHA-256 over the parts, each with its length before it.
pub(super) fn hash_of<'a>(parts: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut hash = hex::encode(hasher.finalize());
    hash.truncate(32);
    hash
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::lake::open::tests::config;
    use crate::lake::sample::finished;

    fn plan_for(members: &[FinishedTranscript]) -> BatchPlan {
        let fingerprints: Vec<_> = members.iter().map(|member| member.fingerprint.clone()).collect();
        Lake::plan_batch(&members[0].dt, &fingerprints)
    }

    #[test]
    fn a_plan_depends_on_its_members_only_not_on_their_order() {
        let members = [finished("aa"), finished("bb")];
        let mut turned = members.clone();
        turned.reverse();
        assert_eq!(plan_for(&members), plan_for(&turned));
        assert_ne!(plan_for(&members).hash, plan_for(&members[..1]).hash);
    }

    #[test]
    fn recordings_are_put_last() {
        let tables: Vec<_> = plan_for(&[finished("aa")]).objects.iter().map(|object| object.table).collect();
        assert_eq!(tables, [Table::Words, Table::Segments, Table::Recordings]);
    }

    #[tokio::test]
    async fn members_that_the_plan_does_not_name_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&config(folder.path(), "UTC")).await.unwrap();
        let plan = plan_for(&[finished("aa")]);
        let mut other_day = finished("aa");
        other_day.dt = "2026-11-03".into();
        for members in [vec![], vec![finished("bb")], vec![finished("aa"), finished("bb")], vec![other_day]] {
            let refused = lake.publish(&plan, members).await;
            assert!(matches!(refused, Err(LakeError::BatchMismatch { .. })));
        }
    }

    #[tokio::test]
    async fn a_day_that_leads_out_of_the_lake_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&config(folder.path(), "UTC")).await.unwrap();
        for day in ["../../x", "2026-11-02/..", "2026-1-2", "20261102", "", "2026-11-31", "2026-11-02T00:00"] {
            let mut member = finished("aa");
            member.dt = day.into();
            let refused = lake.publish(&plan_for(std::slice::from_ref(&member)), vec![member]).await;
            assert!(matches!(refused, Err(LakeError::BadDay { .. })), "{day}");
        }
    }

    #[tokio::test]
    async fn what_a_cut_short_put_left_is_removed_by_the_next_try() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&config(folder.path(), "UTC")).await.unwrap();
        let plan = plan_for(&[finished("aa")]);
        let half = folder.path().join(format!("{}#1", plan.objects[0].key));
        fs::create_dir_all(half.parent().unwrap()).unwrap();
        fs::write(&half, "half a file").unwrap();
        lake.publish(&plan, vec![finished("aa")]).await.unwrap();
        assert!(!half.exists());
    }

    #[tokio::test]
    async fn no_quarantine_rows_write_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&config(folder.path(), "UTC")).await.unwrap();
        assert_eq!(lake.write_quarantine(&[]).await.unwrap(), Published::default());
        assert!(!folder.path().join("quarantine").exists());
    }
}
