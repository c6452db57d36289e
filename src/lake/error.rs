//! What can go wrong with the lake, and whose trouble it is.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::config::BucketConfig;

/// Whose trouble an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LakeErrorKind {
    /// The configuration or the place it names must be mended: exit code 3.
    Configuration,
    /// This machine's disk: the recordings are innocent and keep their attempts; exit code 5.
    Local,
    /// A bug in this program: exit code 1.
    Bug,
}

/// Why the lake could not be opened, written or read. No message holds anything of a row.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LakeError {
    #[error("the lake at {} is not writable", .path.display())]
    NotWritable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the disk of the lake at {} is full", .path.display())]
    DiskFull {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "the lake's days are those of time zone {remembered}, but lake.partition_timezone is {configured}; \
         set it back, or start a new lake"
    )]
    TimezoneChanged { remembered: String, configured: String },
    #[error(
        "the lake is divided by {remembered}, but lake.partition is \"{configured}\"; set it back, or start a new lake"
    )]
    PartitionChanged { remembered: &'static str, configured: &'static str },
    #[error("lake.partition_timezone must be a time zone with a name")]
    TimezoneUnnamed,
    #[error("lake.compression must be a ZSTD level from 1 to 22, not {level}")]
    CompressionLevel { level: i32 },
    #[error("{path} does not describe a lake that this version can read: {problem}")]
    Settings { path: String, problem: String },
    #[error("the lake at {url} cannot be opened: {problem}")]
    Credentials { url: String, problem: String },
    #[error("the store of the lake at {url} puts objects over those that are there: it must know If-None-Match")]
    WritesTwice { url: String },
    #[error("the store of the lake at {url} said no: check the credentials and what they allow")]
    Refused {
        url: String,
        #[source]
        source: Box<object_store::Error>,
    },
    #[error("object {key} of the lake could not be read")]
    Unreadable {
        key: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("object {key} of the lake could not be written")]
    Store {
        key: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("object {key} of the lake still holds what was to be purged")]
    NotPurged { key: String },
    #[error("the members of batch {hash} are not those of its plan")]
    BatchMismatch { hash: String },
    #[error("a row for table {table} cannot be read back")]
    BadRow {
        table: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("{day} is not a day of the form YYYY-MM-DD")]
    BadDay { day: String },
    #[error("table {table} could not be encoded")]
    Encode {
        table: &'static str,
        #[source]
        source: parquet::errors::ParquetError,
    },
    #[error("a reading thread died")]
    ReaderDied {
        #[source]
        source: tokio::task::JoinError,
    },
    #[error("the encoding thread died")]
    EncoderDied {
        #[source]
        source: tokio::task::JoinError,
    },
}

impl LakeError {
    #[must_use]
    pub const fn kind(&self) -> LakeErrorKind {
        match self {
            Self::NotWritable { .. }
            | Self::TimezoneChanged { .. }
            | Self::PartitionChanged { .. }
            | Self::TimezoneUnnamed
            | Self::CompressionLevel { .. }
            | Self::Settings { .. }
            | Self::Credentials { .. }
            | Self::WritesTwice { .. }
            | Self::Refused { .. } => LakeErrorKind::Configuration,
            Self::DiskFull { .. } | Self::Unreadable { .. } | Self::Store { .. } => LakeErrorKind::Local,
            Self::BatchMismatch { .. }
            | Self::NotPurged { .. }
            | Self::BadRow { .. }
            | Self::BadDay { .. }
            | Self::Encode { .. }
            | Self::ReaderDied { .. }
            | Self::EncoderDied { .. } => LakeErrorKind::Bug,
        }
    }

    /// A file-system error below `path`, which is known to be a write.
    pub(super) fn from_io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        if is_disk_full(&source) { Self::DiskFull { path, source } } else { Self::NotWritable { path, source } }
    }

    /// Why the store of a bucket cannot be opened.
    pub(super) fn unusable(bucket: &BucketConfig, problem: &dyn Error) -> Self {
        Self::Credentials { url: bucket.url(), problem: problem.to_string() }
    }

    /// A failed put of `key` below `root`: a full disk and a refused write are told apart from everything else.
    pub(super) fn from_put(root: PathBuf, key: &str, error: object_store::Error) -> Self {
        match io_kind(&error) {
            Some(kind) if is_full_kind(kind) => Self::DiskFull { path: root, source: io::Error::new(kind, error) },
            Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
                Self::NotWritable { path: root, source: io::Error::other(error) }
            }
            _ => Self::Store { key: key.to_owned(), source: Box::new(error) },
        }
    }
}

/// Whether the device, the quota or the largest file size is exhausted.
pub(super) fn is_disk_full(error: &io::Error) -> bool {
    is_full_kind(error.kind())
}

fn is_full_kind(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// The kind of the first I/O error in the chain of causes.
fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_error(errno: i32) -> object_store::Error {
        let cause = io::Error::from_raw_os_error(errno);
        object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(cause) }
    }

    #[test]
    fn a_full_disk_and_a_full_quota_are_this_machines_trouble() {
        const NO_SPACE: i32 = 28;
        const OVER_QUOTA: i32 = 122;
        for errno in [NO_SPACE, OVER_QUOTA] {
            let error = LakeError::from_put("lake".into(), "words/x.parquet", put_error(errno));
            assert!(matches!(error, LakeError::DiskFull { .. }), "{error:?}");
            assert_eq!(error.kind(), LakeErrorKind::Local);
        }
    }

    #[test]
    fn a_refused_write_is_the_configurations_trouble() {
        const NOT_PERMITTED: i32 = 13;
        const READ_ONLY: i32 = 30;
        for errno in [NOT_PERMITTED, READ_ONLY] {
            let error = LakeError::from_put("lake".into(), "words/x.parquet", put_error(errno));
            assert_eq!(error.kind(), LakeErrorKind::Configuration, "{error:?}");
        }
    }
}
