//! One variant per observable fact. [`Reporter::emit`] makes the log line and moves the bars, so they cannot drift.

use std::time::Duration;

use crate::domain::{Failure, RecordingId, Stage};

use super::metrics;
use super::progress::Bars;

#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// The listing began.
    Listing {
        source: &'a str,
    },
    /// The listing goes on: so many are found so far, in this part of so many.
    ListingOn {
        found: u64,
        part: usize,
        parts: usize,
    },
    /// The listing ended; `audio_s` is the listed length of what is to be done.
    Listed {
        found: u64,
        done_before: u64,
        to_do: u64,
        audio_s: u64,
    },
    /// Claims of processes that died were taken back.
    TakenBack {
        jobs: u64,
    },
    /// What a crash left behind: transcripts that are taken up after all, and files that nobody needs.
    TidiedUp {
        adopted: usize,
        removed: usize,
    },
    /// A batch that a crash interrupted is written again.
    BatchResumed {
        dt: &'a str,
        recordings: usize,
    },
    /// The speech-to-text model is loaded.
    ModelLoaded {
        model: &'a str,
        workers: usize,
        elapsed: Duration,
    },
    Claimed {
        id: &'a RecordingId,
        attempt: i32,
        duration_s: Option<i32>,
    },
    Fetched {
        id: &'a RecordingId,
        size_bytes: u64,
        elapsed: Duration,
    },
    /// So much of the recording went through the decoder, in milliseconds from its start.
    Progress {
        id: &'a RecordingId,
        audio_ms: u64,
    },
    /// Its transcript is durable on this machine.
    Transcribed {
        id: &'a RecordingId,
        audio_ms: i64,
        segments: usize,
        elapsed: Duration,
    },
    /// It will be tried again.
    Retrying {
        id: &'a RecordingId,
        attempt: i32,
        failure: &'a Failure,
        wait: Duration,
    },
    /// The engine's process died while it was in flight.
    Crashed {
        id: &'a RecordingId,
        failure: &'a Failure,
    },
    /// It will not be tried again by itself.
    Dead {
        id: &'a RecordingId,
        attempt: i32,
        failure: &'a Failure,
    },
    /// Another process took the claim over; the work was dropped.
    ClaimLost {
        id: &'a RecordingId,
        stage: Stage,
    },
    /// Nothing can be done before the next retry is due.
    WaitingForRetries {
        jobs: u64,
        wait: Duration,
    },
    /// No new work is taken up from here on.
    Stopping {
        why: &'a str,
    },
    Published {
        dt: &'a str,
        recordings: usize,
        files: usize,
    },
}

/// Where events go.
#[derive(Debug, Default)]
pub struct Reporter {
    bars: Option<Bars>,
}

impl Reporter {
    /// Log lines only, or log lines above progress bars.
    #[must_use]
    pub fn new(bars: Option<Bars>) -> Self {
        Self { bars }
    }

    /// Logs the event and shows it on the bars.
    pub fn emit(&self, event: Event<'_>) {
        log(event);
        metrics::count(event);
        if let Some(bars) = &self.bars {
            bars.show(event);
        }
    }

    /// Takes the bars off the screen.
    pub fn finish(&self) {
        if let Some(bars) = &self.bars {
            bars.clear();
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Which recording it is, and which attempt, is in the fields of the span that the work on it is in.
fn log(event: Event<'_>) {
    match event {
        Event::Listing { source } => tracing::debug!(source, "listing recordings"),
        Event::ListingOn { found, part, parts } => tracing::debug!(found, part, parts, "listing goes on"),
        Event::Listed { found, done_before, to_do, audio_s } => {
            tracing::info!(found, done_before, to_do, audio_s, "recordings listed");
        }
        Event::TakenBack { jobs } => tracing::warn!(jobs, "took back recordings of a process that ended"),
        Event::TidiedUp { adopted, removed } => {
            tracing::warn!(adopted, removed, "tidied up after a run that was cut short");
        }
        Event::BatchResumed { dt, recordings } => {
            tracing::warn!(dt, recordings, "writing an interrupted batch again");
        }
        Event::ModelLoaded { model, workers, elapsed } => {
            tracing::info!(model, workers, elapsed_ms = millis(elapsed), "model loaded");
        }
        Event::Claimed { duration_s, .. } => {
            tracing::debug!(duration_s, "recording claimed");
        }
        Event::Fetched { size_bytes, elapsed, .. } => {
            tracing::debug!(size_bytes, elapsed_ms = millis(elapsed), "audio fetched");
        }
        Event::Progress { audio_ms, .. } => tracing::trace!(audio_ms, "decoding"),
        Event::Transcribed { audio_ms, segments, elapsed, .. } => {
            tracing::info!(audio_ms, segments, elapsed_ms = millis(elapsed), "transcribed");
        }
        Event::Retrying { failure, wait, .. } => tracing::warn!(
            stage = failure.stage.as_str(),
            reason = failure.reason.as_str(),
            detail = failure.detail,
            wait_ms = millis(wait),
            "will try again"
        ),
        Event::Crashed { failure, .. } => {
            tracing::warn!(detail = failure.detail, "the speech-to-text engine died with it in flight")
        }
        Event::Dead { failure, .. } => tracing::error!(
            stage = failure.stage.as_str(),
            reason = failure.reason.as_str(),
            detail = failure.detail,
            "recording goes to quarantine"
        ),
        Event::ClaimLost { stage, .. } => {
            tracing::warn!(stage = stage.as_str(), "another process took the recording over");
        }
        Event::WaitingForRetries { jobs, wait } => {
            tracing::info!(jobs, wait_ms = millis(wait), "waiting for the next retry");
        }
        Event::Stopping { why } => tracing::warn!(why, "taking up no new recordings"),
        Event::Published { dt, recordings, files } => {
            tracing::info!(dt, recordings, files, "published");
        }
    }
}
