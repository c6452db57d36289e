//! What the program tells about itself: events, from which log lines and progress bars are made.
//!
//! Workers emit [`Event`]s and never print. Everything here goes to stderr; stdout belongs to results.

mod events;
mod health;
mod logs;
mod metrics;
mod ops;
mod progress;
#[cfg(feature = "otlp")]
mod traces;

pub use events::{Event, Reporter};
pub use health::{Health, Need};
pub use logs::{LogSettings, SpanLayer, Verbosity, init_logs};
pub use metrics::Metrics;
pub use ops::{Ops, Refresh};
pub use progress::Bars;
#[cfg(feature = "otlp")]
pub use traces::{Traces, TracesError};
