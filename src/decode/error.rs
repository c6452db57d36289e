//! Why a file gave no sound, and how the pipeline must treat that.

use std::io;

use crate::domain::{Failure, Reason, Stage, Treatment};

/// A file that could not be decoded. Codes are fixed words of this program, never text out of the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The operating system could not read the file.
    #[error("the audio file cannot be read")]
    Read {
        #[source]
        source: io::Error,
    },
    /// The file has no bytes.
    #[error("the audio file is empty")]
    Empty,
    /// The file is a web page, a JSON error, or bytes without any sign of sound.
    #[error("the file is no audio")]
    NotAudio,
    /// Audio, but of a container, codec or rate that is not supported.
    #[error("the audio is of an unsupported kind ({code})")]
    Unsupported { code: &'static str },
    /// It claims to be audio, but it is malformed, or not one sample could be decoded.
    #[error("the audio cannot be decoded ({code})")]
    Undecodable { code: &'static str },
}

impl DecodeError {
    /// The failure of stage `decode` that this error is. A file that is gone or forbidden may come back; any other
    /// reading trouble is this machine's; everything else gives the same answer every time.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let (reason, treatment, detail) = match self {
            Self::Read { source } => {
                let gone = matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied);
                let (reason, treatment) =
                    if gone { (Reason::Unreadable, Treatment::Transient) } else { (Reason::Disk, Treatment::Local) };
                (reason, treatment, format!("errno={}", source.raw_os_error().unwrap_or(0)))
            }
            Self::Empty => (Reason::Empty, Treatment::Permanent, "bytes=0".to_owned()),
            Self::NotAudio => (Reason::NotAudio, Treatment::Permanent, "code=no_audio_found".to_owned()),
            Self::Unsupported { code } => (Reason::UnsupportedFormat, Treatment::Permanent, format!("code={code}")),
            Self::Undecodable { code } => (Reason::Undecodable, Treatment::Permanent, format!("code={code}")),
        };
        Failure::new(Stage::Decode, reason, treatment, detail)
    }
}

impl From<io::Error> for DecodeError {
    fn from(source: io::Error) -> Self {
        Self::Read { source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_tried_again_and_a_broken_disk_stops_claiming() {
        let missing = DecodeError::from(io::Error::from(io::ErrorKind::NotFound)).failure();
        assert_eq!((missing.reason, missing.treatment), (Reason::Unreadable, Treatment::Transient));
        let disk = DecodeError::from(io::Error::from_raw_os_error(5)).failure();
        assert_eq!((disk.reason, disk.treatment), (Reason::Disk, Treatment::Local));
        assert_eq!(disk.detail, "errno=5");
    }

    #[test]
    fn a_bad_file_is_permanent_and_names_its_code() {
        let failure = DecodeError::Undecodable { code: "no_samples" }.failure();
        assert_eq!((failure.stage, failure.reason), (Stage::Decode, Reason::Undecodable));
        assert_eq!(failure.treatment, Treatment::Permanent);
        assert_eq!(failure.detail, "code=no_samples");
    }
}
