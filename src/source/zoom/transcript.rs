//! Zoom's own transcripts: one small file a recording, behind a redirect.

use async_trait::async_trait;

use super::ZoomSource;
use super::client::url;
use super::error::ZoomError;
use super::limits::Label;
use super::wire_transcript::lines_from_json;
use crate::fetch::DownloadError;
use crate::net::{BodyError, Missing};
use crate::source::{Absence, SourceError, TranscriptAnswer, TranscriptSource};

/// Zoom's transcripts end at 4 MiB, most of which are words that are not read here; the rest is room.
const MAX_TRANSCRIPT_BYTES: u64 = (4 << 20) + (256 << 10);

#[async_trait]
impl TranscriptSource for ZoomSource {
    async fn transcript(&self, raw_id: &str) -> Result<TranscriptAnswer, SourceError> {
        let fetched = self.client.with_token(Label::Light, Missing::IsFinal, |token| async move {
            let address = url(&token, &["phone", "recording_transcript", "download", raw_id], &[]);
            let file = self.downloader.fetch_bytes(address.as_str(), token.expose(), MAX_TRANSCRIPT_BYTES).await;
            file.map_err(ZoomError::from)
        });
        let file = match fetched.await {
            Ok(file) => file,
            Err(error) => return absence_of(&error).map(TranscriptAnswer::Absent).ok_or_else(|| source_error(error)),
        };
        let lines = serde_json::from_slice(&file).ok().and_then(|value| lines_from_json(&value));
        Ok(lines.map_or(TranscriptAnswer::Absent(Absence::NotDelivered), TranscriptAnswer::Lines))
    }
}

/// What an error says of this one transcript; `None` when it says something of Zoom or the network.
fn absence_of(error: &ZoomError) -> Option<Absence> {
    match error {
        ZoomError::Status { code: Some(12_000), .. } => Some(Absence::CannotBeMade),
        ZoomError::Status { code: Some(12_001), .. } => Some(Absence::Disabled),
        ZoomError::Status { code: Some(12_002), .. } => Some(Absence::InProgress),
        ZoomError::Status { code: Some(12_003), .. } => Some(Absence::NotDelivered),
        ZoomError::Status { .. } if error.is_missing_file() => Some(Absence::NoFile),
        ZoomError::Status { status: 400..500, .. } => Some(Absence::NotDelivered),
        ZoomError::Status { status: 500.., .. } => Some(Absence::Failed),
        ZoomError::Forbidden => Some(Absence::Forbidden),
        ZoomError::Download(error) => match **error {
            DownloadError::Body(BodyError::TooLarge { .. }) => Some(Absence::TooLarge),
            DownloadError::Address(_) => Some(Absence::ForbiddenAddress),
            DownloadError::FileHostStatus { status: 500.. } | DownloadError::TooSlow => Some(Absence::Failed),
            DownloadError::TooManyRedirects | DownloadError::FileHostStatus { .. } | DownloadError::Body(_) => {
                Some(Absence::NotDelivered)
            }
            _ => None,
        },
        _ => None,
    }
}

fn source_error(error: ZoomError) -> SourceError {
    match error {
        ZoomError::Status { .. } | ZoomError::Download(_) => {
            SourceError::Unavailable { explanation: error.to_string(), source: None }
        }
        other => other.into_source_error(),
    }
}
