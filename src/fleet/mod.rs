//! Many machines and one ledger: a coordinator hands out what it claimed, workers take it, work, and report.
//!
//! ```text
//!  coordinator: ledger ── Claim ──► jobs (one message a claim) ──► worker: fetch, decode, Whisper
//!                 ▲                                                   │
//!                 │                                                   ▼
//!            settle ◄── reports (how a claim ended) ◄── finished transcript in the lake's store
//! ```
//!
//! * [`Link`] is the connection to the message server (NATS with JetStream) and what is kept there.
//! * [`wire`] is what is said over it.
//! * [`Leadership`] lets one coordinator lead at a time; [`Hand`] is a worker's side; [`Roll`] tells who works.
//!
//! The life of a job is decided in one place, the coordinator's ledger ([`crate::queue::state`]); the server only carries
//! what was decided. A message stands for one claim and its fencing token:
//!
//! * A worker keeps its message alive while it works. When it dies or stands still for a lease, the server hands the
//!   message to another, who does not work on it but reports that the claim was lost. The ledger counts the death, and
//!   claims anew.
//! * A report of a claim that is not the current one settles nothing, however late its sender wakes up. What it put into
//!   the store is created under a key that follows from its content, and never replaced.
//! * Nothing is on its way that is not either in the jobs, in the reports, or in nobody's hands: a coordinator that starts
//!   posts again what its ledger says is out, and the server refuses what it still holds.
//!
//! So a server that loses everything costs time: the ledger knows what was out. A ledger that is lost finds in the lake
//! what was published, as on one machine.

mod error;
mod hand;
mod leader;
mod link;
mod office;
mod roll;
pub mod wire;

pub use error::FleetError;
pub use hand::{Hand, Taken};
pub use leader::Leadership;
pub use link::Link;
pub use office::{Arrived, Office};
pub use roll::{Pace, Roll, WorkerCard};

/// Who holds what was handed out, in the ledger: no process of the coordinator's machine, and never gone.
pub const HOLDER: &str = "fleet";
