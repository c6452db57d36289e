//! What wakes the service: Zoom's events over a webhook or a WebSocket, and the clock.
//!
//! Events are hints. [`event`] reads one into notices, [`intake`] keeps notices in the ledger before the sender is
//! answered, [`calls`] tells of calls while they ring, and acting on the rest is the service's work. What no event told
//! is found by the next sweep.

pub mod calls;
pub mod event;
pub mod intake;
pub mod signature;
mod socket_file;
pub mod webhook;
pub mod websocket;

pub use calls::Calls;
pub use event::{NotAnEvent, Told};
pub use intake::{Intake, NotKept};
pub use webhook::{BindError, Webhook};
pub use websocket::WebSocketClient;
