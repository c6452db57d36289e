//! Recordings that lie in a folder: audio files and, beside each, what is known about the call.
//!
//! A recording with an `id` in its metadata is known by that id; any other by the SHA-256 of its content, so equal
//! content is one recording and the first path in sort order wins. Files are read in place and never changed.
//!
//! One bad file is data, not the end of the listing: a file that cannot be read or whose metadata is broken is listed
//! with what is known, and [`RecordingSource::fetch`] says what is wrong with it. File names may hold names and numbers
//! of callers, so none is logged.

mod metadata;
mod walk;

use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::{FetchedAudio, Listed, RecordingSource, Slice, SourceError, TimeWindow};
use crate::config::settings::FolderConfig;
use crate::domain::{AudioLocation, Failure, Reason, Recording, RecordingId, SourceKind, Stage, Treatment};
use crate::fetch::hash_file;
use metadata::{metadata_id, read_metadata};
use walk::Walk;

/// Recordings sent at once.
const PAGE: usize = 64;

/// The source of kind `folder`.
#[derive(Debug, Clone)]
pub struct FolderSource {
    root: PathBuf,
    pattern: glob::Pattern,
}

impl FolderSource {
    /// # Errors
    /// [`SourceError::Misconfigured`] when the folder is missing or `glob` is no pattern.
    pub fn new(config: &FolderConfig) -> Result<Self, SourceError> {
        let root = config.path.clone();
        if !root.is_dir() {
            let explanation = format!("folder.path: there is no folder {}", root.display());
            return Err(SourceError::Misconfigured { explanation });
        }
        let pattern = glob::Pattern::new(&config.glob).map_err(|error| SourceError::Misconfigured {
            explanation: format!("folder.glob: {:?} is no pattern (character {})", config.glob, error.pos),
        })?;
        Ok(Self { root, pattern })
    }

    fn list_blocking(
        &self,
        window: Option<TimeWindow>,
        found: &mpsc::Sender<Vec<Recording>>,
    ) -> Result<Listed, SourceError> {
        let mut listed = Listed::default();
        let mut seen = Seen::default();
        let mut page = Vec::new();
        let mut walk = Walk::new(&self.root, &self.pattern).map_err(|error| SourceError::Misconfigured {
            explanation: format!("folder.path: {} cannot be read ({})", self.root.display(), error.kind()),
        })?;
        for path in walk.by_ref() {
            if found.is_closed() {
                return Err(SourceError::Stopped);
            }
            let Some(described) = self.describe(&path, window) else { continue };
            if seen.is_repeated(&described) {
                listed.repeated += 1;
                continue;
            }
            listed.recordings += 1;
            page.push(described.recording);
            if page.len() == PAGE {
                found.blocking_send(std::mem::take(&mut page)).map_err(|_gone| SourceError::Stopped)?;
            }
        }
        if !page.is_empty() {
            found.blocking_send(page).map_err(|_gone| SourceError::Stopped)?;
        }
        listed.unusable = walk.unreadable_folders();
        Ok(listed)
    }

    /// What is known about the file at `path`; `None` when it lies outside `window`.
    fn describe(&self, path: &Path, window: Option<TimeWindow>) -> Option<Described> {
        let relative = path.strip_prefix(&self.root).unwrap_or(path);
        let modified = std::fs::metadata(path).ok().as_ref().and_then(modified_at);
        let metadata = read_metadata(path).ok().flatten();
        let own_id = metadata.as_ref().and_then(|metadata| metadata_id(metadata).ok().flatten());
        let placeholder = own_id.clone().unwrap_or_else(|| id_of_path(relative));
        let raw_id = relative.to_string_lossy().into_owned();
        let mut recording =
            Recording::bare(placeholder, raw_id, SourceKind::Folder, AudioLocation::File(path.to_owned()));
        if let Some(metadata) = metadata {
            metadata.apply(&mut recording);
        }
        let end = recording.end();
        if let Some(modified) = modified {
            recording.started_at = Some(recording.start(modified));
        }
        let selected_by = end.or(recording.started_at);
        let is_outside = |window: TimeWindow| selected_by.is_some_and(|at| at < window.since || at >= window.until);
        if window.is_some_and(is_outside) {
            return None;
        }
        let content = hash_file(path).ok().map(|hashed| hashed.sha256);
        if let (None, Some(sha256)) = (&own_id, &content) {
            recording.id = RecordingId::of_content(sha256);
        }
        Some(Described { recording, has_own_id: own_id.is_some(), content })
    }
}

#[async_trait]
impl RecordingSource for FolderSource {
    async fn list(&self, slice: &Slice, found: mpsc::Sender<Vec<Recording>>) -> Result<Listed, SourceError> {
        let (source, window) = (self.clone(), slice.window);
        let listing = tokio::task::spawn_blocking(move || source.list_blocking(window, &found)).await;
        listing.map_err(|error| SourceError::Unavailable {
            explanation: "the listing of the folder ended early".into(),
            source: Some(Box::new(error)),
        })?
    }

    /// Returns the file in place, hashed again. A file without an id of its own whose content changed since it was
    /// listed is another recording now: this one is gone, and the next listing finds the new one.
    async fn fetch(&self, recording: &Recording, _destination: &Path) -> Result<FetchedAudio, Failure> {
        let AudioLocation::File(path) = &recording.audio else {
            return Err(failure(Reason::NotFound, Treatment::Permanent, "code=not_a_file"));
        };
        let (path, id) = (path.clone(), recording.id.clone());
        let fetching = tokio::task::spawn_blocking(move || fetch_blocking(path, &id)).await;
        fetching.map_err(|_panicked| failure(Reason::Unreadable, Treatment::Transient, "code=reader_stopped"))?
    }
}

fn fetch_blocking(path: PathBuf, id: &RecordingId) -> Result<FetchedAudio, Failure> {
    let bad_metadata = |code: &str| failure(Reason::BadMetadata, Treatment::Permanent, code);
    let hashed = hash_file(&path).map_err(|error| {
        let is_settled = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied);
        let treatment = if is_settled { Treatment::Permanent } else { Treatment::Transient };
        failure(Reason::Unreadable, treatment, format!("errno={}", error.raw_os_error().unwrap_or(0)))
    })?;
    let metadata = read_metadata(&path).map_err(|bad| bad_metadata(bad.code()))?;
    let own_id = match &metadata {
        Some(metadata) => metadata_id(metadata).map_err(|bad| bad_metadata(bad.code()))?,
        None => None,
    };
    let id_now = own_id.unwrap_or_else(|| RecordingId::of_content(&hashed.sha256));
    if id_now != *id {
        return Err(failure(Reason::NotFound, Treatment::Permanent, "code=changed_since_listing"));
    }
    Ok(FetchedAudio { path, bytes: hashed.bytes, sha256: hashed.sha256, owned: false })
}

fn failure(reason: Reason, treatment: Treatment, detail: impl Into<String>) -> Failure {
    Failure::new(Stage::Fetch, reason, treatment, detail)
}

struct Described {
    recording: Recording,
    has_own_id: bool,
    /// SHA-256 of the file; absent when it could not be read.
    content: Option<String>,
}

/// What was listed already. Two files are one recording when their ids are equal, or when their content is and one of
/// them has no id of its own: two calls with ids stay two, even if both are silent.
#[derive(Default)]
struct Seen {
    ids: HashSet<RecordingId>,
    /// Content, and whether it was seen under an id of its own only.
    contents: HashMap<String, bool>,
}

impl Seen {
    fn is_repeated(&mut self, described: &Described) -> bool {
        let same_content = described.content.as_ref().and_then(|content| self.contents.get(content));
        let is_repeated = self.ids.contains(&described.recording.id)
            || same_content.is_some_and(|had_own_id| !(described.has_own_id && *had_own_id));
        if !is_repeated {
            self.ids.insert(described.recording.id.clone());
            if let Some(content) = &described.content {
                self.contents.entry(content.clone()).or_insert(described.has_own_id);
            }
        }
        is_repeated
    }
}

fn modified_at(metadata: &Metadata) -> Option<Timestamp> {
    Timestamp::try_from(metadata.modified().ok()?).ok()
}

/// Stands in for the content of a file that cannot be read.
fn id_of_path(relative: &Path) -> RecordingId {
    let mut hasher = Sha256::new();
    hasher.update(b"path\0");
    hasher.update(relative.as_os_str().as_encoded_bytes());
    RecordingId::of_content(&hex::encode(hasher.finalize()))
}

#[cfg(test)]
mod tests;
