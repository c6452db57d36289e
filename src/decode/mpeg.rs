//! Cuts an MPEG Layer III stream into frames and tells how much is missing between them.
//!
//! Symphonia's own reader skips damaged bytes without a word, which shifts everything after them. Here every byte is
//! accounted for: bytes that are neither a frame nor a tag become [`Cut::Lost`] with the number of frames they stood
//! for, so that the decoder can put silence in their place. At most 64 KiB of the file are in memory.

use std::io::{self, Read};

use super::mpeg_header::{FrameHeader, InfoTag, MAX_FRAME_BYTES};
use super::sniff::id3v2_bytes;

/// Bytes that may come before the first frame.
const MAX_LEADING_JUNK: u64 = 1 << 20;
/// Headers that must follow at the right distance before a frame of an unknown kind is believed; one fewer when it is
/// like those before it, none when it also begins where the last one ended.
const CHAIN: usize = 3;
/// Enough of the file to judge a chain.
const LOOKAHEAD: usize = (CHAIN + 1) * MAX_FRAME_BYTES + 4;
const BUFFER_BYTES: usize = 64 * 1024;

/// One piece of the stream, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// A whole frame; its bytes are in [`Frames::frame`].
    Frame(FrameHeader),
    /// This many frames were here and cannot be found any more.
    Lost(u64),
    End,
}

/// The frames of one stream.
pub(super) struct Frames<R> {
    input: R,
    buffer: Vec<u8>,
    /// The unread bytes of `buffer` begin here.
    at: usize,
    input_ended: bool,
    current: Vec<u8>,
    like: Option<FrameHeader>,
    info: InfoTag,
    queued: Option<FrameHeader>,
    frames: u64,
    frame_bytes: u64,
}

impl<R: Read> Frames<R> {
    /// Finds the first frame and reads the tag it may carry; `None` when there is no frame within the first MiB.
    pub(super) fn open(input: R) -> io::Result<Option<Self>> {
        let mut frames = Self {
            input,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            at: 0,
            input_ended: false,
            current: Vec::with_capacity(MAX_FRAME_BYTES),
            like: None,
            info: InfoTag::default(),
            queued: None,
            frames: 0,
            frame_bytes: 0,
        };
        let Some(first) = frames.advance()?.frame() else { return Ok(None) };
        match InfoTag::parse(&frames.current, first) {
            Some(tag) => {
                frames.info = tag;
                frames.frames = 0;
                frames.frame_bytes = 0;
            }
            None => frames.queued = Some(first),
        }
        Ok(Some(frames))
    }

    /// What the tag of the first frame said; all zero without one.
    pub(super) fn info(&self) -> InfoTag {
        self.info
    }

    /// Samples per channel in a frame of the first stream.
    pub(super) fn samples_per_frame(&self) -> u64 {
        self.like.map_or(0, |header| u64::from(header.samples()))
    }

    /// The bytes of the frame that [`Frames::next`] returned last.
    pub(super) fn frame(&self) -> &[u8] {
        &self.current
    }

    pub(super) fn next(&mut self) -> io::Result<Cut> {
        if let Some(header) = self.queued.take() {
            return Ok(Cut::Frame(header));
        }
        loop {
            let cut = self.advance()?;
            // A tag in the middle begins a second file that was appended: it has no sound.
            let is_tag = cut.frame().is_some_and(|header| InfoTag::parse(&self.current, header).is_some());
            if !is_tag {
                return Ok(cut);
            }
        }
    }

    fn advance(&mut self) -> io::Result<Cut> {
        let mut skipped = 0_u64;
        loop {
            self.fill()?;
            let unread = self.buffer.get(self.at..).unwrap_or_default();
            if unread.len() < 4 {
                return Ok(Cut::End);
            }
            if let Some(tag_bytes) = tag_bytes(unread, self.input_ended) {
                self.discard(tag_bytes)?;
                continue;
            }
            if let Some(header) = self.believable(unread, skipped) {
                if skipped > 0 && self.frames > 0 {
                    let lost = self.frames_in(skipped);
                    if lost > 0 {
                        // The frame stays in the buffer: the next call takes it.
                        self.like = self.like.filter(|like| like.is_like(header));
                        return Ok(Cut::Lost(lost));
                    }
                }
                self.take(header);
                return Ok(Cut::Frame(header));
            }
            self.at += 1;
            skipped += 1;
            if self.frames == 0 && skipped > MAX_LEADING_JUNK {
                return Ok(Cut::End);
            }
        }
    }

    /// The header at the start of `unread`, if it is a frame: expected there and of the known kind, or followed by
    /// enough others of its own kind.
    fn believable(&self, unread: &[u8], skipped: u64) -> Option<FrameHeader> {
        let header = FrameHeader::parse(unread)?;
        if unread.len() < header.bytes {
            return None;
        }
        let is_known = self.like.is_some_and(|like| like.is_like(header) && like.channels == header.channels);
        let needed = match (is_known, skipped) {
            (true, 0) => 0,
            (true, _) => CHAIN - 1,
            (false, _) => CHAIN,
        };
        chain_holds(unread, header, needed).then_some(header)
    }

    fn take(&mut self, header: FrameHeader) {
        let end = self.at + header.bytes;
        self.current.clear();
        self.current.extend_from_slice(self.buffer.get(self.at..end).unwrap_or_default());
        self.at = end;
        self.like = Some(header);
        self.frames += 1;
        self.frame_bytes += header.bytes as u64;
    }

    /// How many frames `bytes` held, by the mean length of the frames so far, rounded to the nearest.
    fn frames_in(&self, bytes: u64) -> u64 {
        (bytes * self.frames + self.frame_bytes / 2) / self.frame_bytes.max(1)
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.input_ended || self.buffer.len() - self.at >= LOOKAHEAD {
            return Ok(());
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        let wanted = (BUFFER_BYTES - self.buffer.len()) as u64;
        let got = self.input.by_ref().take(wanted).read_to_end(&mut self.buffer)?;
        self.input_ended = (got as u64) < wanted;
        Ok(())
    }

    /// Drops `bytes`, which may be more than the buffer holds.
    fn discard(&mut self, bytes: u64) -> io::Result<()> {
        let held = (self.buffer.len() - self.at) as u64;
        match usize::try_from(bytes) {
            Ok(within) if bytes <= held => self.at += within,
            _ => {
                self.at = self.buffer.len();
                let beyond = bytes - held;
                let dropped = io::copy(&mut self.input.by_ref().take(beyond), &mut io::sink())?;
                self.input_ended = self.input_ended || dropped < beyond;
            }
        }
        Ok(())
    }
}

impl Cut {
    fn frame(self) -> Option<FrameHeader> {
        match self {
            Self::Frame(header) => Some(header),
            Self::Lost(_) | Self::End => None,
        }
    }
}

/// Whether `needed` more frames like `first` follow it, or as many as the file still has.
fn chain_holds(unread: &[u8], first: FrameHeader, needed: usize) -> bool {
    let mut end = first.bytes;
    for _ in 0..needed {
        let Some(rest) = unread.get(end..).filter(|rest| rest.len() >= 4) else { return true };
        // A tag may follow the last frame.
        if rest.starts_with(b"TAG") || rest.starts_with(b"ID3") || rest.starts_with(b"APET") {
            return true;
        }
        match FrameHeader::parse(rest) {
            Some(header) if header.is_like(first) && header.channels == first.channels => end += header.bytes,
            _ => return false,
        }
    }
    true
}

/// The length of the tag at the start of `unread`: an ID3v2 tag anywhere, an ID3v1 tag as the last 128 bytes.
fn tag_bytes(unread: &[u8], input_ended: bool) -> Option<u64> {
    if input_ended && unread.len() == 128 && unread.starts_with(b"TAG") {
        return Some(128);
    }
    id3v2_bytes(unread)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 16 kHz mono, 32 kbit/s: 144 bytes a frame, with a body that holds no header.
    fn frame(fill: u8) -> Vec<u8> {
        let mut bytes = vec![fill; 144];
        bytes[..4].copy_from_slice(&[0xff, 0xf3, 0x48, 0xc4]);
        bytes
    }

    fn cuts(bytes: &[u8]) -> Vec<Cut> {
        let Some(mut frames) = Frames::open(bytes).unwrap() else { return Vec::new() };
        let mut seen = Vec::new();
        loop {
            match frames.next().unwrap() {
                Cut::End => return seen,
                cut => seen.push(cut),
            }
        }
    }

    fn shape(bytes: &[u8]) -> Vec<u64> {
        let number = |cut: &Cut| if let Cut::Lost(frames) = cut { *frames } else { 0 };
        cuts(bytes).iter().map(number).collect()
    }

    #[test]
    fn overwritten_frames_are_counted_as_lost() {
        let mut bytes: Vec<u8> = (0..12).flat_map(|_| frame(7)).collect();
        bytes[3 * 144 + 20..6 * 144 + 20].fill(0x55);
        // Frames 0–3 keep their headers, 4–6 lose theirs, 7–11 are found again.
        assert_eq!(shape(&bytes), [0, 0, 0, 0, 3, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn bytes_before_the_first_frame_are_no_loss() {
        let mut bytes = vec![0x55; 5000];
        bytes.extend((0..5).flat_map(|_| frame(7)));
        assert_eq!(shape(&bytes), [0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_frame_cut_off_by_the_end_of_the_file_is_dropped() {
        let bytes: Vec<u8> = (0..5).flat_map(|_| frame(7)).collect();
        assert_eq!(cuts(&bytes[..4 * 144 + 50]).len(), 4);
    }

    #[test]
    fn tags_between_and_after_frames_are_no_loss() {
        let mut bytes: Vec<u8> = (0..4).flat_map(|_| frame(7)).collect();
        bytes.extend(b"ID3\x04\x00\x00\x00\x00\x01\x00");
        bytes.extend([0x33; 128]);
        bytes.extend((0..4).flat_map(|_| frame(7)));
        bytes.extend(b"TAG");
        bytes.extend([0xff; 125]);
        assert_eq!(shape(&bytes), [0; 8]);
    }

    #[test]
    fn a_second_stream_of_another_rate_is_taken_up() {
        let mut bytes: Vec<u8> = (0..4).flat_map(|_| frame(7)).collect();
        for _ in 0..4 {
            let mut other = vec![7; 417];
            other[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0xc4]);
            bytes.extend(other);
        }
        let rates: Vec<u32> = cuts(&bytes).iter().filter_map(|cut| cut.frame()).map(|header| header.rate_hz).collect();
        assert_eq!(rates, [16_000, 16_000, 16_000, 16_000, 44_100, 44_100, 44_100, 44_100]);
    }

    #[test]
    fn text_has_no_frames() {
        assert_eq!(cuts(b"<html>not a sound</html>".repeat(100).as_slice()), []);
        assert_eq!(cuts(b""), []);
    }
}
