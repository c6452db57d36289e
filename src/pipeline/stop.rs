//! How a run is told to end: take up nothing new, or drop what is in work as well.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Two steps of stopping, shared by everything in the run.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    drain: CancellationToken,
    abort: CancellationToken,
    interrupt: CancellationToken,
}

impl Stop {
    /// Claims stop; what is in work is finished.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Claims stop and what is in work is dropped, its attempt given back.
    pub fn abort(&self) {
        self.drain.cancel();
        self.abort.cancel();
    }

    /// An abort that was not planned: the process says so in its exit code.
    pub fn interrupt(&self) {
        self.interrupt.cancel();
        self.abort();
    }

    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.interrupt.is_cancelled()
    }

    /// Cancelled when claims stop, for whatever else ends then.
    #[must_use]
    pub fn drained(&self) -> CancellationToken {
        self.drain.child_token()
    }

    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    #[must_use]
    pub fn is_aborting(&self) -> bool {
        self.abort.is_cancelled()
    }

    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    pub async fn aborting(&self) {
        self.abort.cancelled().await;
    }

    /// Drains when `after` has passed; ends with the runtime.
    pub fn drain_after(&self, after: Duration) {
        let drain = self.drain.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            drain.cancel();
        });
    }

    /// Aborts when `after` has passed; ends with the runtime.
    pub fn abort_after(&self, after: Duration) {
        let stop = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            stop.abort();
        });
    }

    /// The first interrupt, termination or hang-up aborts; the second ends the process at once with exit code 130.
    ///
    /// # Errors
    /// When the process cannot listen for signals.
    pub fn on_signals(&self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let stop = self.clone();
        tokio::spawn(async move {
            for _ in 0..2 {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                if stop.is_aborting() {
                    std::process::exit(130);
                }
                stop.abort();
            }
        });
        Ok(())
    }
}
