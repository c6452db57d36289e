//! Whether the service can do its work, as its parts last saw it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the service needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// The speech-to-text model is loaded.
    Model,
    /// The ledger can be written.
    Ledger,
    /// Zoom (or the folder) answers, and takes our credentials.
    Source,
    /// The lake can be written.
    Lake,
    /// What events told is acted upon.
    Events,
    /// Recordings are taken up.
    Work,
    /// The WebSocket, where it is wanted.
    Websocket,
}

impl Need {
    /// The word in `/readyz`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Ledger => "ledger",
            Self::Source => "source",
            Self::Lake => "lake",
            Self::Events => "events",
            Self::Work => "work",
            Self::Websocket => "websocket",
        }
    }
}

/// Shared by whoever sees and whoever asks.
#[derive(Debug, Default)]
pub struct Health {
    /// `None` = met; else why not.
    needs: Mutex<BTreeMap<Need, Option<String>>>,
}

impl Health {
    pub fn met(&self, need: Need) {
        self.needs().insert(need, None);
    }

    /// `why` is shown to whoever asks: no secret, nothing personal.
    pub fn missed(&self, need: Need, why: impl Into<String>) {
        self.needs().insert(need, Some(why.into()));
    }

    /// Every need that was looked at, and why it is not met.
    #[must_use]
    pub fn report(&self) -> Vec<(Need, Option<String>)> {
        self.needs().iter().map(|(need, why)| (*need, why.clone())).collect()
    }

    #[must_use]
    pub fn is_met(&self, need: Need) -> bool {
        matches!(self.needs().get(&need), Some(None))
    }

    /// Whether everything that was looked at is met.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.needs().values().all(Option::is_none)
    }

    fn needs(&self) -> MutexGuard<'_, BTreeMap<Need, Option<String>>> {
        self.needs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
