//! Spoken samples and models for the unit tests of this module.

use std::path::{Path, PathBuf};

use crate::decode::AudioStream;

/// A file of `.cache`.
pub(super) fn cached(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache").join(path);
    assert!(path.exists(), "{} is missing: run make setup models fixtures", path.display());
    path
}

/// The samples of a fixture.
pub(super) fn speech(name: &str) -> Vec<f32> {
    let mut stream = AudioStream::open(&cached(&format!("fixtures/speech/{name}.mp3"))).unwrap();
    let mut samples = Vec::new();
    while let Some(blocks) = stream.next_block().unwrap() {
        samples.extend_from_slice(&blocks[0]);
    }
    samples
}
