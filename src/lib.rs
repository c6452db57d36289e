//! `transcribe` turns phone recordings into Parquet tables.
//!
//! ```text
//! trigger ─► source.list ─► queue ─► fetch ─► decode ─► windows ─► stt ─► guard ─► staging ─► publish ─► lake
//!                             ▲ claim, heartbeat, retry, dead                 │                   │
//!                             └──────────────── settle ◄──────────────────────┴───────────────────┘
//! ```
//!
//! The native engine of `stt` works in a child process of this program ([`stt::process`]): when it crashes or hangs, a
//! window is lost and not the run.
//!
//! Data moves left to right and imports point one way: [`domain`] ← [`net`], [`privacy`] ← [`config`] ← [`source`], [`queue`],
//! [`fetch`], [`decode`], [`stt`], [`lake`] ← [`fleet`] ← [`pipeline`] ← [`trigger`] ← [`cli`]. Each outside library is named in one
//! place only: symphonia and rubato in [`decode`], whisper_rs in [`stt`], rusqlite in [`queue`], parquet in [`lake`],
//! async_nats in [`fleet`].

pub mod cli;
pub mod config;
pub mod decode;
pub mod domain;
mod failpoint;
pub mod fetch;
pub mod fleet;
pub mod lake;
pub mod net;
pub mod pipeline;
pub mod privacy;
pub mod queue;
pub mod source;
pub mod stt;
pub mod telemetry;
pub mod trigger;
