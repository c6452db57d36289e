//! The lake: Parquet tables under `<lake>/<table>/dt=YYYY-MM-DD/part-<hash>.parquet`.
//!
//! * [`schema`] says what the tables are; [`write`] turns rows into the bytes of a file.
//! * [`staging`] keeps a finished transcript on disk until it is published.
//! * `shared` is where the machines of a fleet hand it over.
//! * [`publish`] groups staged transcripts of one day into one file per table, under keys that follow from their
//!   fingerprints, with puts that create and never replace. Doing the same batch again writes the same bytes.
//! * `posted` writes the rows of the ledger's outbox the same way.
//! * `store` is the folder or the bucket that holds the objects; `swap` puts some of them in the place of others.
//! * `tidy` keeps writers apart and removes what crashes leave.
//! * `compact` makes one file of a closed day's.
//! * `init` writes what readers start from: views, catalogues, queries, snippets.
//! * `purge` removes what is to be forgotten, and leaves tombstones.
//! * [`read`] finds out from the lake alone what it already holds; [`audit`] goes through all that it holds.
//! * `earlier` finds what was said before with a number; `find` one recording by its id, with its `transcript`;
//!   [`search`] words in what was said.
//!
//! This module knows nothing of the queue: who may publish, and when a recording is settled, is decided elsewhere.

pub mod audit;
mod compact;
pub(crate) mod durable;
mod earlier;
mod error;
mod find;
mod init;
mod object;
mod open;
mod posted;
pub mod publish;
mod purge;
pub mod read;
mod row;
#[cfg(test)]
mod sample;
pub mod schema;
pub mod search;
mod shared;
pub mod staging;
mod store;
mod swap;
mod tidy;
mod transcript;
pub mod write;

pub use audit::HeldRow;
pub use compact::Compacted;
pub use earlier::HeardRecording;
pub use error::{LakeError, LakeErrorKind};
pub use find::{Held, HeldFailure};
pub use init::{Prepared, dictionary};
pub use open::Lake;
pub use publish::{BatchObject, BatchPlan, Published, PublishedObject};
pub use purge::{Erased, Erasure, Quarry};
pub use read::{OurText, PublishedId};
pub use schema::{CoverageRow, QuarantineRow, RunRow, SCHEMA_VERSION, Table, ZoomSegmentRow, ZoomTranscriptRow};
pub use shared::SharedStaging;
pub use staging::{StagedRef, Staging, StagingError};
pub use tidy::LakeLock;
pub use transcript::{HeldSegment, HeldTranscript, HeldWindow, HeldWord};
