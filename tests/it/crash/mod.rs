//! What a crash costs: time, never a row. The real process is ended at every boundary between two stages and at random
//! moments, and what the lake holds in the end is compared with the lake of a run that nobody disturbed.

mod blame;
pub(crate) mod boundaries;
mod kill_loop;
mod lost_state;
mod reader;
mod resumed;
mod same_bytes;
mod scene;
mod soak;
mod together;
