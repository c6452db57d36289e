//! What is known about a call, from the JSON file beside its audio: one recording object in Zoom's own shape.
//!
//! It is read as leniently as a listing. Only what is no JSON object at all, or an id that cannot name a recording, is an
//! error.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::domain::RecordingId;
use crate::source::zoom::wire::RecordingFields;

/// A recording object has a few kilobytes.
const MAX_METADATA_BYTES: u64 = 1 << 20;

/// Metadata that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadMetadata {
    #[error("the metadata file cannot be read")]
    Unreadable,
    #[error("the metadata file is larger than {MAX_METADATA_BYTES} bytes")]
    TooLarge,
    #[error("the metadata file is no JSON object")]
    NotAnObject,
    #[error("the metadata has an id that cannot name a recording")]
    Id,
}

impl BadMetadata {
    /// A fixed word for the ledger.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "code=metadata_unreadable",
            Self::TooLarge => "code=metadata_too_large",
            Self::NotAnObject => "code=metadata_no_object",
            Self::Id => "code=metadata_id",
        }
    }
}

/// Reads `<audio>.json`, else `<stem>.json`; `None` when there is neither.
pub(super) fn read_metadata(audio: &Path) -> Result<Option<RecordingFields>, BadMetadata> {
    let mut beside = OsString::from(audio);
    beside.push(".json");
    for path in [PathBuf::from(beside), audio.with_extension("json")] {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(_) => return Err(BadMetadata::Unreadable),
        };
        let mut bytes = Vec::new();
        let read = file.take(MAX_METADATA_BYTES + 1).read_to_end(&mut bytes);
        let length = read.map_err(|_unreadable| BadMetadata::Unreadable)? as u64;
        if length > MAX_METADATA_BYTES {
            return Err(BadMetadata::TooLarge);
        }
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let value: Value = serde_json::from_slice(text).map_err(|_malformed| BadMetadata::NotAnObject)?;
        return RecordingFields::read(&value).map(Some).ok_or(BadMetadata::NotAnObject);
    }
    Ok(None)
}

/// The recording's own id, normalised; `None` when the metadata has none.
pub(super) fn metadata_id(metadata: &RecordingFields) -> Result<Option<RecordingId>, BadMetadata> {
    let id = metadata.id.as_deref().map(RecordingId::parse);
    id.transpose().map_err(|_invalid| BadMetadata::Id)
}
