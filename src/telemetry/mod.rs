//! What the program tells about itself: events, from which log lines and progress bars are made.
//!
//! Workers emit [`Event`]s and never print. Everything here goes to stderr; stdout belongs to results.

mod events;
mod logs;
mod progress;

pub use events::{Event, Reporter};
pub use logs::{LogSettings, Verbosity, init_logs};
pub use progress::Bars;
