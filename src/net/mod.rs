//! What every conversation over the network needs: the only retry loop, the rate limiter, the rules on which addresses
//! may be contacted, and addresses that cannot print a credential.
//!
//! Nothing here knows Zoom.

pub mod address;
pub mod body;
pub mod clock;
pub mod http;
pub mod limiter;
pub mod redacted;
pub mod retry;
pub mod retry_after;

pub use address::{AddressError, DownloadHosts, Reach};
pub use body::{Answer, BodyError, BoundedBody};
pub use clock::{Clock, SystemClock};
pub use http::HttpClients;
pub use limiter::{RateLimitExhausted, RateLimiter};
pub use redacted::Redacted;
pub use retry::{Classify, Missing, Retry, RetryPolicy, Verdict};
