//! What was said before with a number: the recordings of one day in which it took part.

use arrow::array::{Array, RecordBatch};
use jiff::Timestamp;

use super::error::LakeError;
use super::open::Lake;
use super::read::{Matching, ReadError, text_column, time_column};
use super::schema::Table;

/// A recording as far as it reminds of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeardRecording {
    pub recording_id: String,
    pub call_id: Option<String>,
    pub started_at: Timestamp,
    pub transcribed_at: Timestamp,
    /// What was said; empty when nothing was.
    pub text: String,
}

impl Lake {
    /// The recordings of the partition `dt` whose caller's or callee's number is one that `is_wanted` accepts, in no
    /// order, those that were done anew several times. Of all others only the two numbers are read.
    ///
    /// # Errors
    /// As [`Lake::published_ids`].
    pub async fn heard_with(
        &self,
        dt: &str,
        is_wanted: impl Fn(&str) -> bool + Clone + Send + 'static,
    ) -> Result<Vec<HeardRecording>, LakeError> {
        const COLUMNS: [&str; 5] = ["recording_id", "call_id", "started_at", "transcribed_at", "text"];
        let mut heard = Vec::new();
        let matching = Matching { columns: &["caller_number", "callee_number"], accepts: is_wanted, recording: None };
        self.read_matching(Table::Recordings, dt, &COLUMNS, &matching, |batch| append(batch, &mut heard)).await?;
        Ok(heard)
    }
}

fn append(batch: &RecordBatch, heard: &mut Vec<HeardRecording>) -> Result<(), ReadError> {
    let (ids, calls) = (text_column(batch, "recording_id")?, text_column(batch, "call_id")?);
    let (starts, times) = (time_column(batch, "started_at")?, time_column(batch, "transcribed_at")?);
    let texts = text_column(batch, "text")?;
    for row in 0..batch.num_rows() {
        heard.push(HeardRecording {
            recording_id: ids.value(row).to_owned(),
            call_id: calls.is_valid(row).then(|| calls.value(row).to_owned()),
            started_at: Timestamp::from_millisecond(starts.value(row))?,
            transcribed_at: Timestamp::from_millisecond(times.value(row))?,
            text: texts.value(row).to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::open::tests::config;
    use crate::lake::sample::finished;

    #[tokio::test]
    async fn only_the_recordings_with_the_number_at_either_end_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&config(folder.path(), "UTC")).await.unwrap();
        let mut members: Vec<_> = ["aa", "bb", "cc", "dd"].map(finished).into();
        members[0].recording.caller.number = Some("+81355500123".into());
        members[1].recording.callee.number = Some("+81355500123".into());
        members[2].recording.caller.number = Some("+81355500999".into());
        let fingerprints: Vec<_> = members.iter().map(|member| member.fingerprint.clone()).collect();
        lake.publish(&Lake::plan_batch("2026-11-02", &fingerprints), members).await.unwrap();
        let heard = lake.heard_with("2026-11-02", |number| number == "+81355500123").await.unwrap();
        let mut ids: Vec<_> = heard.iter().map(|heard| (heard.recording_id.as_str(), heard.text.as_str())).collect();
        ids.sort_unstable();
        assert_eq!(ids, [("aa", "hello there"), ("bb", "hello there")]);
        assert_eq!(lake.heard_with("2026-11-02", |_| false).await.unwrap(), []);
        assert_eq!(lake.heard_with("2026-11-03", |_| true).await.unwrap(), []);
    }
}
