//! The engine in a process of its own, one for all workers.
//!
//! ```text
//! worker ─► RemoteEngine ─┐            ┌─ pipe ─► serve ─► pool of states ─► engine
//! worker ─► RemoteEngine ─┴─ Host ─────┴─ pipe ◄──────────────────────────────┘
//! ```
//!
//! A native engine can end its process (an assertion in ggml, memory that runs out) or hang. In a child that costs the
//! windows in flight and the loading of the model, not the run: ledger, downloads and finished transcripts live in the
//! parent, which starts the next child.
//!
//! * The child is this program's hidden subcommand; it ends as soon as its stdin does, so it never outlives the parent.
//! * It is given settings and samples, and nothing of Zoom's: its environment is a short list of variables.
//! * When it dies, every window in flight may be to blame and fails with [`EngineError::Died`]; who really is, the ledger
//!   finds out.
//! * When a window shows no sign of life for [`NO_SIGN_OF_LIFE`], the child is killed. That window fails with
//!   [`EngineError::TimedOut`]; the others are known to be innocent and go to the next child unseen.
//!
//! Why one child for all workers: measured in turns with the engine in this process (`benches/engine_process.rs`,
//! `benches/README.md`), the pipes cost 0.2 % of the CPU time of the smallest model's windows, 11 MiB of memory and less
//! than 0.2 s at the start, and the text is the same bit for bit. A child per worker would hold the weights once each. A
//! child per recording would blame the right one at once, but load the model for each. Neither saves what the ledger's
//! rule needs anyway, for a death of the parent itself.
//!
//! [`EngineError::Died`]: super::EngineError::Died
//! [`EngineError::TimedOut`]: super::EngineError::TimedOut

mod connection;
mod host;
mod program;
mod protocol;
mod serve;

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use serde::{Deserialize, Serialize};

pub use host::{Host, RemoteEngine};
pub use program::{EngineProgram, NO_SIGN_OF_LIFE};
pub use protocol::{Hello, ProtocolError, Refusal, Settings};
pub use serve::{Loaded, serve};

/// How the child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// The number of the signal that ended it: 6 when it aborted, 9 when the system took it for its memory.
    Signal(i32),
    /// The code with which it exited by itself.
    Exit(i32),
    /// It said something that is no reply, and was killed.
    Garbled,
}

impl From<ExitStatus> for Ending {
    fn from(status: ExitStatus) -> Self {
        match (status.signal(), status.code()) {
            (Some(signal), _) => Self::Signal(signal),
            (None, Some(code)) => Self::Exit(code),
            (None, None) => Self::Garbled,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(signal) => write!(f, "signal={signal}"),
            Self::Exit(code) => write!(f, "exit={code}"),
            Self::Garbled => f.write_str("garbled"),
        }
    }
}
