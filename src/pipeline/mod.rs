//! Wiring: one sweep from listing to lake.
//!
//! * [`sweep`] runs the stages and decides when to stop.
//! * `discover` turns a listing into jobs of the ledger.
//! * `process` claims for as long as there is work, `floor` keeps a bounded number of recordings in work.
//! * `item` takes one claimed recording from fetch to staging, `verdict` says what becomes of one that failed.
//! * `shop` is what this process works with; `lead` and `dispatch` let the workers of a fleet do it, of which each is a
//!   [`Hired`].
//! * `publisher` turns staged transcripts into tables.
//! * `tidy` takes up or removes what a run left when it was cut short.
//! * `beside` keeps what stands beside the recordings, after them: `history`, `transcripts`.
//! * [`Service`] runs the same stages for as long as the process lives.
//! * [`post_call_events`] turns what was told of calls while they rang into rows.
//! * [`plan`] lists and counts without changing anything.
//! * [`purge`] forgets recordings and calls everywhere.
//! * [`reconcile`] compares what is listed with what the lake holds.
//!
//! A stage knows nothing of its neighbours; what they share is wired here.

mod beside;
mod call_events;
mod compact;
mod discover;
mod dispatch;
mod error;
mod exit_code;
mod floor;
mod hired;
mod history;
mod item;
mod lead;
mod pace;
mod pages;
mod plan;
mod process;
mod publisher;
mod purge;
mod reconcile;
mod service;
mod shop;
mod stop;
mod summary;
mod sweep;
mod tidy;
mod transcripts;
mod verdict;

pub use call_events::post_call_events;
pub use compact::compact;
pub use error::RunError;
pub use exit_code::ExitCode;
pub use hired::{Hired, Worked};
pub use lead::{Hands, Lead};
pub use plan::{DayPlan, Plan, plan};
pub use purge::{PurgeCount, PurgeOrder, plan_purge, purge};
pub use reconcile::{Coverage, DayCoverage, Tally, Trace, Unexplained, reconcile};
pub use service::{Bell, Service, Tunables};
pub use stop::Stop;
pub use summary::Summary;
pub use sweep::{RedoOrder, Sweep, Window, prepare_state, run_sweep};
