//! A batch that is published again after a crash: the same keys, the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::scene::{RUN, assert_nothing_is_left_over, finish, good_clips, workspace};
use crate::support::ZoomServer;
use crate::workspace::Workspace;

/// Every object of the tables that batches write, by its key.
fn objects(workspace: &Workspace) -> BTreeMap<PathBuf, Vec<u8>> {
    let is_of_a_batch = |key: &PathBuf| ["recordings", "segments", "words"].iter().any(|table| key.starts_with(table));
    let files = workspace.snapshot().into_keys();
    let keyed = files.map(|path| (path.strip_prefix(workspace.lake()).unwrap().to_owned(), fs::read(&path).unwrap()));
    keyed.filter(|(key, _)| is_of_a_batch(key)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_a_kill_interrupted_is_published_again_under_the_same_keys_with_the_same_bytes() {
    let clips = good_clips();
    let recordings = clips.len();
    let zoom = ZoomServer::start(clips).await;
    // All transcripts are finished and no batch is begun: what follows depends on the staged files alone.
    let staged = workspace(&zoom);
    assert!(staged.dies_at(&RUN, "settled", recordings - 1));
    assert_eq!(fs::read_dir(staged.path().join("state/staged")).unwrap().count(), recordings);
    assert!(objects(&staged).is_empty());
    let uninterrupted = staged.copy();
    finish(&uninterrupted);
    let expected = objects(&uninterrupted);
    let keys = |objects: &BTreeMap<PathBuf, Vec<u8>>| objects.keys().cloned().collect::<Vec<_>>();

    let mut kills = BTreeMap::new();
    for boundary in ["batch-recorded", "object-put", "batch-put", "batch-closed", "staged-removed"] {
        for passed in 0.. {
            let interrupted = staged.copy();
            if !interrupted.dies_at(&RUN, boundary, passed) {
                break;
            }
            let what = format!("{boundary} was passed {passed} times");
            let half_way = objects(&interrupted);
            assert!(half_way.iter().all(|(key, bytes)| expected.get(key) == Some(bytes)), "{what}: other bytes");
            finish(&interrupted);
            let published = objects(&interrupted);
            assert_eq!(keys(&published), keys(&expected), "{what}");
            assert!(published == expected, "{what}: other bytes");
            assert_nothing_is_left_over(&interrupted, &what);
            *kills.entry(boundary).or_insert(0) += 1;
        }
    }
    // Three days are three batches; each object is put once.
    let batches = 3;
    let expected_kills = [
        ("batch-recorded", batches),
        ("object-put", expected.len()),
        ("batch-put", batches),
        ("batch-closed", batches),
        ("staged-removed", batches),
    ];
    assert_eq!(kills, expected_kills.into());
}
