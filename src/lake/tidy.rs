//! What crashes leave in the lake, and its removal.
//!
//! A reader never sees any of it doubled or half: an unfinished object has a name that no pattern of ours matches, and
//! `segments` and `words` are joined to `recordings`, which a batch puts last. But an object that no row of `recordings`
//! refers to would stay for ever, and double the rows that a later batch writes for the same members.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

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
    _file: File,
}

impl Lake {
    /// Waits until nobody else writes to the lake, whatever ledger they work from.
    ///
    /// # Errors
    /// When the lock cannot be made or taken.
    pub async fn lock(&self) -> Result<LakeLock, LakeError> {
        let root = self.root.clone();
        aside(move || {
            let lock = |path: PathBuf| {
                let file = File::options().create(true).append(true).open(path)?;
                file.lock()?;
                Ok(file)
            };
            lock(root.join(LOCK_FILE)).map(|file| LakeLock { _file: file }).map_err(|e| LakeError::from_io(&root, e))
        })
        .await
    }

    /// Removes unfinished objects, and those objects of batches that were given up: no `recordings` object has their
    /// name and none of the batches `in_work` will put one. Returns how many. `_lock` keeps other writers out; one with
    /// another ledger whose batch was interrupted puts what it needs again.
    ///
    /// # Errors
    /// When a folder cannot be read or an object cannot be removed.
    pub async fn remove_leftovers(&self, in_work: &[BatchPlan], _lock: &LakeLock) -> Result<usize, LakeError> {
        let root = self.root.clone();
        let wanted: BTreeSet<String> =
            in_work.iter().flat_map(|plan| &plan.objects).map(|object| object.key.clone()).collect();
        aside(move || remove_leftovers(&root, &wanted).map_err(|source| LakeError::from_io(&root, source))).await
    }

    /// Removes the objects of a batch that is given up. None of its rows may be in `recordings`.
    ///
    /// # Errors
    /// When an object cannot be removed.
    pub async fn remove_batch(&self, plan: &BatchPlan, _lock: &LakeLock) -> Result<(), LakeError> {
        let (root, plan) = (self.root.clone(), plan.clone());
        aside(move || {
            let remove = |key: &String| remove_file(&root.join(key)).map(drop);
            plan.objects.iter().map(|object| &object.key).try_for_each(remove).map_err(|e| LakeError::from_io(&root, e))
        })
        .await
    }
}

fn remove_leftovers(root: &Path, wanted: &BTreeSet<String>) -> io::Result<usize> {
    let mut removed = 0;
    for table in Table::ALL {
        for day in entries(&root.join(table.as_str()))? {
            let mut recorded = None;
            for path in entries(&day)? {
                let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
                let is_leftover = if is_unfinished(name) {
                    true
                } else if matches!(table, Table::Segments | Table::Words) && is_of_a_batch(name) {
                    let recordings = match &recorded {
                        Some(names) => names,
                        None => &*recorded.insert(recordings_beside(root, &day)?),
                    };
                    let key = path.strip_prefix(root).ok().and_then(Path::to_str);
                    !recordings.contains(name) && !key.is_some_and(|key| wanted.contains(key))
                } else {
                    false
                };
                if is_leftover && remove_file(&path)? {
                    removed += 1;
                }
            }
        }
    }
    Ok(removed)
}

/// `part-<32 hex digits>.parquet`: a name that a batch gives.
fn is_of_a_batch(name: &str) -> bool {
    let hash = name.strip_prefix("part-").and_then(|rest| rest.strip_suffix(".parquet"));
    hash.is_some_and(|hash| hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// `<name>.parquet#<number>`: how the store calls an object until it is whole.
fn is_unfinished(name: &str) -> bool {
    let number = name.split_once(".parquet#").map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The names of the `recordings` objects of the same day.
fn recordings_beside(root: &Path, day: &Path) -> io::Result<BTreeSet<String>> {
    let Some(partition) = day.file_name() else { return Ok(BTreeSet::new()) };
    let paths = entries(&root.join(Table::Recordings.as_str()).join(partition))?;
    Ok(paths.iter().filter_map(|path| path.file_name()?.to_str()).map(str::to_owned).collect())
}

/// What is in a folder; nothing where there is none.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Whether there was one.
fn remove_file(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
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
            for day in entries(&root.join(table.as_str())).unwrap() {
                let names = entries(&day).unwrap();
                found.extend(names.iter().map(|path| path.strip_prefix(root).unwrap().display().to_string()));
            }
        }
        found.sort();
        found
    }

    #[tokio::test]
    async fn only_what_nobody_refers_to_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&config(folder.path(), "UTC")).unwrap();
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
    async fn a_batch_that_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&config(folder.path(), "UTC")).unwrap();
        let members = [finished("aa")];
        lake.publish(&plan(&members), members.to_vec()).await.unwrap();
        let lock = lake.lock().await.unwrap();
        lake.remove_batch(&plan(&members), &lock).await.unwrap();
        lake.remove_batch(&plan(&members), &lock).await.unwrap();
        assert!(objects(folder.path()).is_empty());
    }
}
