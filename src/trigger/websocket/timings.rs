//! Every time span of the WebSocket client, so that tests can shrink them.

use std::time::Duration;

/// How long the client waits for what. The defaults are what Zoom asks for, and what others found to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// From one heartbeat to the next; Zoom asks for 30 s.
    pub heartbeat: Duration,
    /// A connection on which nothing came for so long is given up; 60 s, since each heartbeat is answered.
    pub silence: Duration,
    /// How long connecting may take, and then the first answer; 20 s each.
    pub answer: Duration,
    /// How long one of the host's addresses may take to accept; 5 s.
    pub per_address: Duration,
    /// The first wait before connecting again, doubled by every further failure; 1 s.
    pub first_pause: Duration,
    /// No wait is longer than this and its jitter, and a connection that held this long begins anew with the first; 30 s.
    pub longest_pause: Duration,
    /// The wait after Zoom has refused the app itself, which only a person can change; 5 min.
    pub refused_pause: Duration,
    /// A token older than this opens no connection, and a connection does not outlive it; 50 min of its 60.
    pub token_age: Duration,
    /// How often a process that stands by looks whether the other has ended; 5 s.
    pub standby: Duration,
    /// How long saying goodbye may take; 2 s.
    pub goodbye: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(30),
            silence: Duration::from_secs(60),
            answer: Duration::from_secs(20),
            per_address: Duration::from_secs(5),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
            refused_pause: Duration::from_secs(300),
            token_age: Duration::from_secs(50 * 60),
            standby: Duration::from_secs(5),
            goodbye: Duration::from_secs(2),
        }
    }
}
