//! What an engine asks while it works on a window: whether to stop. That it asks is its sign of life.

use std::fmt;

use tokio_util::sync::CancellationToken;

/// The caller's wish to stop, and the caller's ear for the engine's questions.
pub struct Watch {
    cancel: CancellationToken,
    asked: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Watch {
    /// Only passes the wish to stop on.
    #[must_use]
    pub fn new(cancel: &CancellationToken) -> Self {
        Self { cancel: cancel.clone(), asked: None }
    }

    /// Also calls `asked` each time the engine asks: often, on the engine's own thread. It must not panic.
    #[must_use]
    pub fn with_ear(cancel: &CancellationToken, asked: impl Fn() + Send + Sync + 'static) -> Self {
        Self { cancel: cancel.clone(), asked: Some(Box::new(asked)) }
    }

    /// Whether the engine should stop. Engines call this as they get on, and only then: one that is stuck is silent.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        if let Some(asked) = &self.asked {
            asked();
        }
        self.cancel.is_cancelled()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("cancelled", &self.cancel.is_cancelled()).finish_non_exhaustive()
    }
}
