//! Where the workers of a fleet put finished transcripts for the coordinator to take: `_staging/<recording>/<fingerprint>.staged`
//! in the lake's store. Readers of tables never see them: no table begins with `_`, and no name ends in `.parquet`.

use bytes::Bytes;

use super::LakeError;
use super::staging::stem_of;
use super::store::Store;
use crate::config::LakePlace;
use crate::domain::{Fingerprint, RecordingId};

const FOLDER: &str = "_staging";

/// Finished transcripts on their way between machines.
#[derive(Debug, Clone)]
pub struct SharedStaging {
    store: Store,
}

impl SharedStaging {
    /// # Errors
    /// As [`Lake::open`](super::Lake::open).
    pub async fn open(place: &LakePlace) -> Result<Self, LakeError> {
        Ok(Self { store: Store::open(place).await? })
    }

    /// Puts a transcript, unless there is one of this recording and fingerprint: then that one stays.
    ///
    /// # Errors
    /// What keeps the store from being written to.
    pub async fn put(&self, id: &RecordingId, fingerprint: &Fingerprint, bytes: Bytes) -> Result<(), LakeError> {
        self.store.create(&key(id, fingerprint), bytes).await.map(drop)
    }

    /// # Errors
    /// [`LakeError::Unreadable`].
    pub async fn read(&self, id: &RecordingId, fingerprint: &Fingerprint) -> Result<Option<Bytes>, LakeError> {
        self.store.read(&key(id, fingerprint)).await
    }

    /// Removes a transcript, if it is there.
    ///
    /// # Errors
    /// What keeps the store from being written to.
    pub async fn remove(&self, id: &RecordingId, fingerprint: &Fingerprint) -> Result<(), LakeError> {
        self.store.remove(&key(id, fingerprint)).await
    }

    /// Removes all transcripts of a recording.
    ///
    /// # Errors
    /// What keeps the store from being read or written to.
    pub async fn remove_all_of(&self, id: &RecordingId) -> Result<(), LakeError> {
        let there = self.store.list(&folder_of(id)).await?;
        let keys: Vec<String> = there.into_iter().map(|object| object.location.to_string()).collect();
        self.store.remove_all(&keys).await
    }
}

fn folder_of(id: &RecordingId) -> String {
    format!("{FOLDER}/{}", stem_of(id))
}

fn key(id: &RecordingId, fingerprint: &Fingerprint) -> String {
    format!("{}/{}.staged", folder_of(id), fingerprint.as_str())
}
