//! What a run does beside its recordings, once they are published: the call history and Zoom's own transcripts.
//!
//! Trouble here is a line of the summary and an exit code; it never keeps a recording from being published.

use jiff::Timestamp;

use super::error::source_exit_code;
use super::publisher::Publisher;
use super::sweep::{Sweep, Window, describe};
use super::{ExitCode, RunError, Stop, history, transcripts};
use crate::domain::RunId;
use crate::failpoint;
use crate::source::{RecordingSource, SourceError};

/// Rows of the outbox that are held at once.
const ROWS_AT_ONCE: u32 = 20_000;
/// Rows that wait in the outbox before they are written.
pub(super) const MOST_WAITING: u64 = 20_000;
/// So many troubles of single items in a row are the other side's.
pub(super) const MOST_TROUBLES: u32 = 5;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// For the summary, one each.
    pub(super) lines: Vec<String>,
    pub(super) troubles: Vec<String>,
    pub(super) codes: Vec<ExitCode>,
    /// When a used-up limit of the day ends.
    pub(super) resume_at: Option<Timestamp>,
    /// Rows that went into the lake.
    pub(super) rows: u64,
}

impl Beside {
    /// Notes that `what` ended early.
    pub(super) fn note_failure(&mut self, what: &str, failure: &SourceError) {
        self.codes.push(source_exit_code(failure));
        if let SourceError::LimitReached { resumes_at } = failure {
            self.resume_at = self.resume_at.max(Some(*resumes_at));
        }
        self.troubles.push(format!("{what}: {}", describe(failure)));
    }

    /// Notes that `what` was cut short, or never begun, because the run was to end.
    pub(super) fn note_stop(&mut self, what: &str) {
        self.codes.push(ExitCode::WorkRemains);
        self.troubles.push(format!("{what}: the run was told to stop"));
    }
}

/// Does all of it that the source offers. Recordings that were asked for by id come alone.
pub(super) async fn keep_beside(
    source: &dyn RecordingSource,
    publisher: &Publisher,
    sweep: &Sweep,
    run: &RunId,
    stop: &Stop,
) -> Result<Beside, RunError> {
    // First what an earlier crash left, whatever is wanted now.
    let mut beside = Beside { rows: publisher.deliver().await?, ..Beside::default() };
    if !sweep.recordings.is_empty() {
        return Ok(beside);
    }
    if let (Some(calls), Window::Span(window)) = (source.call_history(), &sweep.window) {
        history::keep(calls, publisher, *window, run, stop, &mut beside).await?;
    }
    if let Some(source) = source.transcripts() {
        transcripts::keep(source, publisher, stop, &mut beside).await?;
    }
    Ok(beside)
}

impl Publisher {
    /// Writes everything that is in the outbox; returns how many rows went into the lake. A crash between a put and
    /// its confirmation puts the same bytes under the same key again.
    pub(super) async fn deliver(&self) -> Result<u64, RunError> {
        let _only_publisher = self.lock().await?;
        self.deliver_alone().await
    }

    /// As [`Publisher::deliver`], by whoever holds the lock.
    pub(super) async fn deliver_alone(&self) -> Result<u64, RunError> {
        let mut rows = 0;
        while let Some((batch, parcels)) = self.outbox.next_parcels(ROWS_AT_ONCE).await? {
            for parcel in parcels {
                let put = self.lake.write_posted(&parcel.table, &parcel.dt, parcel.rows).await?;
                failpoint::pass("parcel-put");
                rows += put.rows;
            }
            self.outbox.delivered(batch).await?;
            failpoint::pass("parcels-delivered");
        }
        Ok(rows)
    }
}
