//! What wakes the service: Zoom's events over a webhook or a WebSocket, and the clock.
//!
//! Events are hints. [`event`] reads one into notices, [`intake`] keeps notices in the ledger before the sender is
//! answered, and acting on them is the service's work. What no event told is found by the next sweep.

pub mod event;
pub mod intake;
pub mod websocket;
pub mod signature;
pub mod webhook;

pub use event::{NotAnEvent, Told};
pub use intake::{Intake, NotKept};
pub use websocket::WebSocketClient;
pub use webhook::{BindError, Webhook};
