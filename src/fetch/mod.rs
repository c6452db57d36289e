//! From an address to a verified file on this machine's disk.
//!
//! [`download`] makes one attempt at one address; who it belongs to, what an error status means and whether to try
//! again is the source's business. [`sniff`] tells audio from error pages by its first bytes. [`slot`] is the place
//! and the share of the spool that a download gets.

pub mod digest;
pub mod download;
pub mod kept;
pub mod partial;
pub mod slot;
pub mod sniff;
pub mod spool;

pub use digest::{FileDigest, hash_file};
pub use download::{DownloadError, DownloadLimits, Downloader};
pub use partial::Partial;
pub use sniff::{SNIFF_BYTES, Sniffed, sniff};
