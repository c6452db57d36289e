//! `zoom_segments`: the lines of Zoom's own transcripts.

use serde::{Deserialize, Serialize};

use super::{Column, Table, TableRow};
use crate::domain::{Channel, RecordingId, SpokenLine};

/// A row of `zoom_segments`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoomSegmentRow {
    pub recording_id: RecordingId,
    /// Position in the transcript, from 0.
    pub segment_index: i32,
    pub line: SpokenLine,
}

impl TableRow for ZoomSegmentRow {
    const TABLE: Table = Table::ZoomSegments;

    fn columns() -> Vec<Column<Self>> {
        type C = Column<ZoomSegmentRow>;
        vec![
            C::text("recording_id", "The recording, as in recordings", |row| Some(row.recording_id.as_str()))
                .looked_up(),
            C::int32("segment_index", "Position in Zoom's transcript, from 0", |row| Some(row.segment_index)),
            C::text("channel", "left or right by Zoom's mark; null without one", |row| {
                row.line.channel.map(Channel::as_str)
            }),
            C::text("speaker", "Who speaks: a name, an extension or a number", |row| row.line.speaker.as_deref())
                .personal(),
            C::int64("start_ms", "Start, in milliseconds from the start of the recording", |row| {
                Some(row.line.start_ms)
            })
            .varied(),
            C::int64("end_ms", "End, in milliseconds from the start of the recording", |row| Some(row.line.end_ms))
                .varied(),
            C::text("text", "What was said, says Zoom", |row| Some(&row.line.text)).free_text().varied(),
        ]
    }
}
