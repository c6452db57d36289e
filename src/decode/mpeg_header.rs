//! The four header bytes of an MPEG audio Layer III frame, and the Xing/Info tag of a first frame.

/// Longest possible Layer III frame in bytes: 320 kbit/s at 32 kHz, padded.
pub(super) const MAX_FRAME_BYTES: usize = 1441;

/// The decoder's own delay in samples, counted into the encoder's delay by convention (LAME tag).
const DECODER_DELAY: u32 = 529;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Mpeg1,
    Mpeg2,
    Mpeg25,
}

/// One Layer III frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    version: Version,
    pub(super) rate_hz: u32,
    pub(super) channels: u8,
    /// The whole frame, header included; 24 to [`MAX_FRAME_BYTES`].
    pub(super) bytes: usize,
    has_checksum: bool,
}

impl FrameHeader {
    /// Parses a header; `None` for anything that is not Layer III with a stated bit rate.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let &[sync, kind, rates, mode, ..] = bytes else { return None };
        if sync != 0xff || kind & 0xe0 != 0xe0 || kind & 0x06 != 0x02 {
            return None;
        }
        let version = match (kind >> 3) & 3 {
            0 => Version::Mpeg25,
            2 => Version::Mpeg2,
            3 => Version::Mpeg1,
            _ => return None,
        };
        let kbits_table: [u32; 15] = match version {
            Version::Mpeg1 => [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
            Version::Mpeg2 | Version::Mpeg25 => [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
        };
        let kbits = *kbits_table.get(usize::from(rates >> 4))?;
        if kbits == 0 {
            return None;
        }
        let rate_table: [u32; 3] = match version {
            Version::Mpeg1 => [44_100, 48_000, 32_000],
            Version::Mpeg2 => [22_050, 24_000, 16_000],
            Version::Mpeg25 => [11_025, 12_000, 8_000],
        };
        let rate_hz = *rate_table.get(usize::from((rates >> 2) & 3))?;
        let slots = if version == Version::Mpeg1 { 144 } else { 72 };
        let padding = u32::from((rates >> 1) & 1);
        let bytes = usize::try_from(slots * kbits * 1000 / rate_hz + padding).ok()?;
        let channels = if mode >> 6 == 3 { 1 } else { 2 };
        Some(Self { version, rate_hz, channels, bytes, has_checksum: kind & 1 == 0 })
    }

    /// Samples per channel in the frame.
    pub(super) const fn samples(self) -> u32 {
        match self.version {
            Version::Mpeg1 => 1152,
            Version::Mpeg2 | Version::Mpeg25 => 576,
        }
    }

    /// Whether both frames can belong to one stream; bit rate and stereo mode may change from frame to frame.
    pub(super) fn is_like(self, other: Self) -> bool {
        self.version == other.version && self.rate_hz == other.rate_hz
    }

    /// Offset of the Xing/Info tag: behind the header and the side information.
    const fn tag_offset(self) -> usize {
        let side_information = match (self.version, self.channels) {
            (Version::Mpeg1, 1) => 17,
            (Version::Mpeg1, _) => 32,
            (_, 1) => 9,
            (_, _) => 17,
        };
        4 + side_information
    }
}

/// What a first frame without sound says about the stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct InfoTag {
    /// Frames of sound that follow; absent when the tag does not say.
    pub(super) frames: Option<u32>,
    /// Samples to drop at the start: the encoder's delay and the decoder's.
    pub(super) delay: u32,
    /// Samples to drop at the end.
    pub(super) padding: u32,
}

impl InfoTag {
    /// Reads the Xing, Info or VBRI tag of `frame`; `None` when the frame carries sound.
    pub(super) fn parse(frame: &[u8], header: FrameHeader) -> Option<Self> {
        let silent_until = |offset: usize| {
            let first = if header.has_checksum { 6 } else { 4 };
            frame.get(first..offset).is_some_and(|side| side.iter().all(|byte| *byte == 0))
        };
        let offset = header.tag_offset();
        if matches!(frame.get(offset..offset + 4), Some(b"Xing" | b"Info")) && silent_until(offset) {
            return Some(Self::parse_xing(frame.get(offset + 4..)?));
        }
        if frame.get(36..40) == Some(b"VBRI") && silent_until(36) {
            return Some(Self { frames: be_u32(frame, 50), ..Self::default() });
        }
        None
    }

    fn parse_xing(body: &[u8]) -> Self {
        let Some(flags) = be_u32(body, 0) else { return Self::default() };
        let frames = if flags & 1 == 0 { None } else { be_u32(body, 4) };
        let fields = [(1, 4), (2, 4), (4, 100), (8, 4)];
        let lame_at = fields.iter().fold(4, |at, (flag, size)| if flags & flag == 0 { at } else { at + size });
        let encoder = body.get(lame_at..lame_at + 4);
        let trim = body.get(lame_at + 21..lame_at + 24);
        let (Some(b"LAME" | b"Lavf" | b"Lavc"), Some(&[high, middle, low])) = (encoder, trim) else {
            return Self { frames, ..Self::default() };
        };
        let delay = (u32::from(high) << 4) | (u32::from(middle) >> 4);
        let padding = (u32::from(middle & 0x0f) << 8) | u32::from(low);
        Self { frames, delay: delay + DECODER_DELAY, padding: padding.saturating_sub(DECODER_DELAY) }
    }
}

fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(four))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_gives_rate_channels_and_length() {
        let mono_16k = FrameHeader::parse(&[0xff, 0xf3, 0xc8, 0xc4]).unwrap();
        assert_eq!((mono_16k.rate_hz, mono_16k.channels, mono_16k.bytes, mono_16k.samples()), (16_000, 1, 576, 576));
        let stereo = FrameHeader::parse(&[0xff, 0xfb, 0x92, 0x64]).unwrap();
        assert_eq!((stereo.rate_hz, stereo.channels, stereo.bytes, stereo.samples()), (44_100, 2, 418, 1152));
    }

    #[test]
    fn no_header_is_longer_than_the_longest_frame() {
        let lengths = (0..=u16::MAX).filter_map(|word| {
            let [kind, rates] = word.to_be_bytes();
            FrameHeader::parse(&[0xff, kind, rates, 0]).map(|header| header.bytes)
        });
        let (shortest, longest) = lengths.fold((usize::MAX, 0), |(low, high), n| (low.min(n), high.max(n)));
        assert_eq!((shortest, longest), (24, MAX_FRAME_BYTES));
    }

    #[test]
    fn the_delay_of_a_lame_tag_includes_the_decoder_and_its_padding_does_not() {
        let header = FrameHeader::parse(&[0xff, 0xfb, 0x90, 0x64]).unwrap();
        let mut frame = vec![0_u8; header.bytes];
        frame[36..40].copy_from_slice(b"Info");
        frame[43] = 1;
        frame[44..48].copy_from_slice(&77_u32.to_be_bytes());
        frame[48..52].copy_from_slice(b"LAME");
        frame[69..72].copy_from_slice(&[0x24, 0x05, 0x00]);
        let tag = InfoTag::parse(&frame, header).unwrap();
        assert_eq!(tag, InfoTag { frames: Some(77), delay: 576 + 529, padding: 1280 - 529 });
        frame[10] = 1;
        assert_eq!(InfoTag::parse(&frame, header), None);
    }
}
