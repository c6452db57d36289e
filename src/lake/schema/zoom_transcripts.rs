//! `zoom_transcripts`: what became of the search for Zoom's own transcript of a recording.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Column, Table, TableRow};
use crate::domain::{Fingerprint, RecordingId, TranscriptOutcome};

/// A row of `zoom_transcripts`. Of several rows of one recording the last fetched counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ZoomTranscriptRow {
    pub recording_id: RecordingId,
    pub fetched_at: Timestamp,
    pub outcome: TranscriptOutcome,
    /// How far Zoom's words and ours agree, from 0 to 1.
    pub agreement: Option<f64>,
    /// The transcript of ours that was compared.
    pub fingerprint: Option<Fingerprint>,
}

impl TableRow for ZoomTranscriptRow {
    const TABLE: Table = Table::ZoomTranscripts;

    fn columns() -> Vec<Column<Self>> {
        type C = Column<ZoomTranscriptRow>;
        vec![
            C::text("recording_id", "The recording, as in recordings", |row| Some(row.recording_id.as_str()))
                .looked_up(),
            C::timestamp("fetched_at", "When Zoom was asked", |row| Some(row.fetched_at)),
            C::text("outcome", "What came of it: fetched, none, failed or disabled", |row| Some(row.outcome.as_str())),
            C::double("agreement", "Share of words on which Zoom's text and ours agree, from 0 to 1", |row| {
                row.agreement
            }),
            C::text("fingerprint", "Our result that was compared, as in recordings", |row| {
                row.fingerprint.as_ref().map(Fingerprint::as_str)
            }),
        ]
    }
}
