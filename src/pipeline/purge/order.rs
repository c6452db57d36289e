//! What somebody wants to be forgotten.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::domain::{PurgeReason, RecordingId};
use crate::privacy::WantedNumber;

/// One way of naming it; the others are empty.
#[derive(Debug, Clone)]
pub struct PurgeOrder {
    /// With them go the rows of their calls; other recordings of those calls stay.
    pub recordings: BTreeSet<RecordingId>,
    /// Any of Zoom's ids of calls: all of their recordings go.
    pub calls: BTreeSet<String>,
    /// All calls in which one of them took part go, and it is masked where others mention it.
    pub numbers: Vec<WantedNumber>,
    /// What began before.
    pub before: Option<Timestamp>,
    pub reason: PurgeReason,
}

impl Default for PurgeOrder {
    fn default() -> Self {
        let (recordings, calls) = (BTreeSet::new(), BTreeSet::new());
        Self { recordings, calls, numbers: Vec::new(), before: None, reason: PurgeReason::Recording }
    }
}
