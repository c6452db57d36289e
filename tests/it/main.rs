//! One integration binary, so that there is one link step. Each module drives real parts and observes outcomes.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its scene has failed")]

#[cfg(feature = "azure")]
mod azure;
mod bench;
mod call_history;
mod calls;
mod chaos;
mod check;
mod compact;
#[path = "../support/counted.rs"]
mod counted;
mod crash;
#[path = "../support/days.rs"]
mod days;
mod decode;
mod disk_full;
mod engine_process;
mod events_follow;
mod evolution;
mod export;
mod fleet;
mod guard;
mod hostile;
mod lake;
mod ledger;
mod log_lines;
mod main_job;
mod models;
#[path = "../support/nats_server.rs"]
mod nats_server;
mod otlp;
mod privacy;
mod purge;
mod readers;
mod reconcile;
mod s3;
#[path = "../support/s3_server.rs"]
mod s3_server;
mod search;
mod serve;
mod sign_in;
#[path = "../support/signed.rs"]
mod signed;
mod small_disk;
mod started;
mod state_folder;
mod stt;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "the server is a program too, and choosing its port is for that")]
mod support;
#[path = "../support/transcripts.rs"]
mod transcripts;
mod webhook;
mod websocket;
mod workspace;
mod zoom;
mod zoom_transcript;
