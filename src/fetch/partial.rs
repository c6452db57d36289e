//! What of one file has arrived so far, over all attempts at it.
//!
//! A connection that breaks off after an hour must not cost that hour again: the next attempt asks for the rest. Only
//! a server that proves to send the rest of the same file (its validator, or at least its length) is believed.

use std::path::Path;

use reqwest::Response;
use reqwest::header::{CONTENT_RANGE, ETAG};

use super::digest::{FileDigest, RunningDigest};
use super::download::DownloadError;
use super::sniff::{SNIFF_BYTES, Sniffed, sniff};
use super::spool::SpoolFile;
use crate::net::BodyError;

/// The part of a download that is on the disk. Dropping it removes the file.
#[derive(Debug, Default)]
pub struct Partial {
    file: Option<SpoolFile>,
    digest: RunningDigest,
    /// The first bytes, until there are enough of them to be judged.
    prefix: Vec<u8>,
    is_judged: bool,
    /// Length of the whole file, where it was announced.
    total: Option<u64>,
    /// The strong `ETag` of the file, where there was one.
    validator: Option<String>,
}

impl Partial {
    /// Bytes on the disk.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.digest.bytes()
    }

    /// The `ETag` that the rest must have.
    #[must_use]
    pub fn validator(&self) -> Option<&str> {
        self.validator.as_deref()
    }

    /// Whether there is something whose rest can be asked for.
    #[must_use]
    pub const fn can_resume(&self) -> bool {
        self.bytes() > 0 && (self.validator.is_some() || self.total.is_some())
    }

    /// Starts from nothing with the file that `response` brings.
    pub(super) async fn begin(&mut self, response: &Response, destination: &Path) -> Result<(), DownloadError> {
        self.forget().await?;
        self.total = response.content_length();
        self.validator = strong_validator(response);
        if self.file.is_none() {
            self.file = Some(SpoolFile::create(destination).await.map_err(DownloadError::Disk)?);
        }
        Ok(())
    }

    /// Throws away what came so far.
    pub(super) async fn forget(&mut self) -> Result<(), DownloadError> {
        let mut file = self.file.take();
        if let Some(file) = &mut file {
            file.restart().await.map_err(DownloadError::Disk)?;
        }
        *self = Self { file, ..Self::default() };
        Ok(())
    }

    /// Whether a 206 brings the rest of this very file, or a part of the rest; learns its length from it.
    pub(super) fn is_continued_by(&mut self, response: &Response) -> bool {
        let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let Some((start, total)) = range.and_then(content_range) else { return false };
        let same_file = match (&self.validator, strong_validator(response)) {
            (Some(ours), Some(theirs)) => *ours == theirs,
            _ => self.total.is_some() && total == self.total,
        };
        if start != self.bytes() || !same_file || (self.total.is_some() && total.is_some() && total != self.total) {
            return false;
        }
        self.total = self.total.or(total);
        true
    }

    /// Takes the next piece, judging the first bytes as soon as there are enough of them.
    pub(super) async fn push(&mut self, piece: &[u8]) -> Result<(), DownloadError> {
        let Some(file) = &mut self.file else { return Err(DownloadError::Empty) };
        self.digest.update(piece);
        file.write(piece).await.map_err(DownloadError::Disk)?;
        if !self.is_judged {
            let missing = SNIFF_BYTES.saturating_sub(self.prefix.len());
            self.prefix.extend_from_slice(piece.get(..missing).unwrap_or(piece));
            if self.prefix.len() >= SNIFF_BYTES {
                self.judge()?;
            }
        }
        Ok(())
    }

    /// Keeps the file, if all of it is there: a server may send less of the rest than it was asked for.
    pub(super) async fn finish(&mut self) -> Result<FileDigest, DownloadError> {
        if let Some(total) = self.total
            && total != self.bytes()
        {
            let cut = BodyError::Cut { got: self.bytes(), expected: Some(total), source: None };
            return Err(DownloadError::Body(cut));
        }
        if !self.is_judged {
            self.judge()?;
        }
        let Self { file, digest, .. } = std::mem::take(self);
        let file = file.ok_or(DownloadError::Empty)?;
        file.finish().await.map_err(DownloadError::Disk)?;
        Ok(digest.finish())
    }

    fn judge(&mut self) -> Result<(), DownloadError> {
        match sniff(&self.prefix) {
            Sniffed::Empty => return Err(DownloadError::Empty),
            audio if audio.is_supported_audio() => {}
            other => return Err(DownloadError::NotAudio(other)),
        }
        self.is_judged = true;
        self.prefix = Vec::new();
        Ok(())
    }
}

fn strong_validator(response: &Response) -> Option<String> {
    let tag = response.headers().get(ETAG)?.to_str().ok()?;
    tag.starts_with('"').then(|| tag.to_owned())
}

/// Start and total length of `bytes START-END/TOTAL`; the total may be `*`.
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end): (u64, u64) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
    (start <= end).then(|| (start, total.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_read_or_not_believed() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for senseless in ["", "bytes */10", "bytes 9-5/10", "5-9/10", "bytes -5/10", "bytes 5/10", "lines 1-2/3"] {
            assert_eq!(content_range(senseless), None, "{senseless}");
        }
    }
}
