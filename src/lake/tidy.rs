//! What crashes leave in the lake, and its removal.
//!
//! A reader never sees any of it doubled or half: an unfinished object has a name that no pattern of ours matches, and
//! `segments` and `words` are joined to `recordings`, which a batch puts last. But an object that no row of `recordings`
//! refers to would stay for ever, and double the rows that a later batch writes for the same members.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;

use super::error::LakeError;
use super::open::Lake;
use super::publish::{BatchPlan, aside};
use super::schema::Table;

/// Locked by whoever writes to the lake.
const LOCK_FILE: &str = "_publish.lock";

/// The lake is this process's alone to write to, until this is dropped. The kernel frees the lock however the process
/// ends.
#[derive(Debug)]
pub struct LakeLock {
    /// Absent in a bucket: there the lock of the ledger has to do.
    _file: Option<File>,
}

impl Lake {
    /// Waits until nobody else writes to the lake, whatever ledger they work from. A bucket has no such lock: one ledger
    /// writes to it.
    ///
    /// # Errors
    /// When the lock cannot be made or taken.
    pub async fn lock(&self) -> Result<LakeLock, LakeError> {
        let Some(root) = self.store.folder().map(ToOwned::to_owned) else { return Ok(LakeLock { _file: None }) };
        aside(move || {
            let lock = |path: PathBuf| {
                let file = File::options().create(true).append(true).open(path)?;
                file.lock()?;
                Ok(file)
            };
            let locked = lock(root.join(LOCK_FILE)).map_err(|error| LakeError::from_io(&root, error));
            locked.map(|file| LakeLock { _file: Some(file) })
        })
        .await
    }

    /// Removes unfinished objects, those that a crash in the middle of a swap left, and those of batches that were given
    /// up: no row of `recordings` has one of their fingerprints and none of the batches `in_work` will put one. Returns how
    /// many. `lock` keeps other writers out; one with another ledger whose batch was interrupted puts what it needs again.
    ///
    /// # Errors
    /// When a folder cannot be read or an object cannot be removed.
    pub async fn remove_leftovers(&self, in_work: &[BatchPlan], lock: &LakeLock) -> Result<usize, LakeError> {
        let mut removed = self.finish_swaps(lock).await?;
        removed += self.store.remove_unfinished(&Table::ALL.map(Table::as_str)).await?;
        let wanted: BTreeSet<&str> =
            in_work.iter().flat_map(|plan| &plan.objects).map(|object| object.key.as_str()).collect();
        let recordings = self.batch_objects(Table::Recordings).await?;
        for table in [Table::Words, Table::Segments] {
            for (dt, names) in self.batch_objects(table).await? {
                let beside = recordings.get(&dt);
                for name in names.iter().filter(|name| !beside.is_some_and(|beside| beside.contains(*name))) {
                    let key = format!("{}/dt={dt}/{name}", table.as_str());
                    if !wanted.contains(key.as_str()) && !self.is_referred_to(&dt, &key).await? {
                        self.store.remove(&key).await?;
                        removed += 1;
                    }
                }
            }
        }
        Ok(removed)
    }

    /// Removes the objects of a batch that is given up. None of its rows may be in `recordings`.
    ///
    /// # Errors
    /// When an object cannot be removed.
    pub async fn remove_batch(&self, plan: &BatchPlan, _lock: &LakeLock) -> Result<(), LakeError> {
        for object in &plan.objects {
            self.store.remove(&object.key).await?;
        }
        Ok(())
    }

    /// The names of a table's objects that a batch has put, by day.
    async fn batch_objects(&self, table: Table) -> Result<BTreeMap<String, BTreeSet<String>>, LakeError> {
        let mut days: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (dt, files) in self.days_of(table).await? {
            let names = files.iter().filter_map(|file| file.path.filename()).filter(|name| is_of_a_batch(name));
            days.insert(dt, names.map(str::to_owned).collect());
        }
        Ok(days)
    }

    /// Whether a row of `recordings` of the same day has a fingerprint of this object: it was merged or purged, and this
    /// one was not yet.
    async fn is_referred_to(&self, dt: &str, key: &str) -> Result<bool, LakeError> {
        let published: BTreeSet<String> = self
            .published_ids(&[dt.to_owned()])
            .await?
            .into_iter()
            .map(|row| row.fingerprint.as_str().to_owned())
            .collect();
        let mut is_referred_to = false;
        self.each_fingerprint(key, |fingerprint| is_referred_to |= published.contains(fingerprint)).await?;
        Ok(is_referred_to)
    }
}

/// `part-<32 hex digits>.parquet`: a name that a batch gives.
fn is_of_a_batch(name: &str) -> bool {
    let hash = name.strip_prefix("part-").and_then(|rest| rest.strip_suffix(".parquet"));
    hash.is_some_and(|hash| hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::domain::FinishedTranscript;
    use crate::lake::open::tests::config;
    use crate::lake::sample::finished;

    fn plan(members: &[FinishedTranscript]) -> BatchPlan {
        let fingerprints: Vec<_> = members.iter().map(|member| member.fingerprint.clone()).collect();
        Lake::plan_batch(&members[0].dt, &fingerprints)
    }

    fn objects(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for table in Table::ALL {
            let Ok(days) = fs::read_dir(root.join(table.as_str())) else { continue };
            for day in days.map(|day| day.unwrap().path()) {
                let names = fs::read_dir(day).unwrap().map(|entry| entry.unwrap().path());
                found.extend(names.map(|path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()));
            }
        }
        found.sort();
        found
    }

    #[tokio::test]
    async fn only_what_nobody_refers_to_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&config(folder.path(), "UTC")).await.unwrap();
        let (whole, given_up, in_work) = ([finished("aa")], [finished("bb")], [finished("cc")]);
        lake.publish(&plan(&whole), whole.to_vec()).await.unwrap();
        for members in [&given_up, &in_work] {
            lake.publish(&plan(members), members.to_vec()).await.unwrap();
            let recordings = &plan(members).objects[2];
            assert_eq!(recordings.table, Table::Recordings);
            fs::remove_file(folder.path().join(&recordings.key)).unwrap();
        }
        let key = &plan(&whole).objects[0].key;
        fs::write(folder.path().join(format!("{key}#7")), "half").unwrap();
        let day = folder.path().join(key).parent().unwrap().to_owned();
        fs::write(day.join("mine.parquet"), "somebody else's").unwrap();
        fs::write(day.join("notes.txt"), "mine").unwrap();

        let before = objects(folder.path());
        let lock = lake.lock().await.unwrap();
        assert_eq!(lake.remove_leftovers(&[plan(&in_work)], &lock).await.unwrap(), 3);
        let mut expected = before;
        let gone = [plan(&given_up).objects[0].key.clone(), plan(&given_up).objects[1].key.clone(), format!("{key}#7")];
        expected.retain(|object| !gone.contains(object));
        assert_eq!(objects(folder.path()), expected);
        assert_eq!(lake.remove_leftovers(&[plan(&in_work)], &lock).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_compacted_file_is_nobodys_leftover_and_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&config(folder.path(), "UTC")).await.unwrap();
        for members in [[finished("aa")], [finished("bb")]] {
            lake.publish(&plan(&members), members.to_vec()).await.unwrap();
        }
        let lock = lake.lock().await.unwrap();
        lake.compact(|_dt| true, false, &lock, |_compacted| ()).await.unwrap();
        let compacted = objects(folder.path());
        assert_eq!(compacted.len(), 3, "{compacted:?}");
        for key in compacted.iter().filter(|key| !key.starts_with("recordings")) {
            fs::write(folder.path().join(key), "who reads this fails").unwrap();
        }
        assert_eq!(lake.remove_leftovers(&[], &lock).await.unwrap(), 0);
        assert_eq!(objects(folder.path()), compacted);
    }

    #[tokio::test]
    async fn a_batch_that_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&config(folder.path(), "UTC")).await.unwrap();
        let members = [finished("aa")];
        lake.publish(&plan(&members), members.to_vec()).await.unwrap();
        let lock = lake.lock().await.unwrap();
        lake.remove_batch(&plan(&members), &lock).await.unwrap();
        lake.remove_batch(&plan(&members), &lock).await.unwrap();
        assert!(objects(folder.path()).is_empty());
    }
}
