//! Model files: where they come from, how they are checked, and how one becomes another.
//!
//! ```text
//! manifest ──► pull ─────────────┐
//! bundle (folder, wheels)        ├─► <models_dir>/<name>.bin ─► resolve ─► the engine
//!   └─► ctranslate2 ─► convert ──┤        │        ▲
//!                     (import)   │        └► quantize
//! ```
//!
//! Invariants: a file appears under its final name complete, durable and checked, or not at all; a file under the name of
//! a published model is that published file; sizes that a file claims are compared with its length before anything is
//! allocated, so no file can make this code panic, hang or fill the memory.
//!
//! [`layout`] says what a Whisper model consists of, [`ggml`] reads and writes the file format.

mod bounded;
mod bundle;
mod convert;
mod ctranslate2;
mod draft;
mod error;
mod error_rate;
mod ggml;
mod ggml_library;
mod half;
mod import;
mod layout;
mod lock;
mod manifest;
mod mel;
mod name;
mod pull;
mod quantize;
#[cfg(any(test, fuzzing))]
pub mod sample;
mod tensors;
mod verify;
mod vocabulary;
mod wheel;

pub use draft::Digests;
pub use error::{FormatError, ModelError, ModelErrorKind};
pub use error_rate::{ErrorRate, TranscribeSample, compare, measure};
pub use import::{Imported, import};
pub use layout::Header;
pub use manifest::{Manifest, Mismatch, ModelFormat, PublishedModel};
pub use pull::{PullOptions, Pulled, pull};
pub(crate) use tensors::Tensors;

pub use quantize::{ClassLoss, Quantization, Quantized, UnknownQuantization, quantize};
pub use verify::{Assurance, Listed, ModelFile, Verified, list, resolve, verify};
