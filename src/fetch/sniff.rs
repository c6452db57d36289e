//! Tells audio from error pages by the first bytes, not by names or headers.

/// How much of a file [`sniff`] looks at.
pub const SNIFF_BYTES: usize = 64 * 1024;

/// What a file's first bytes say it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sniffed {
    Mp3,
    Wav,
    Flac,
    /// An MPEG-4 container (m4a, mp4).
    M4a,
    /// Audio of a kind that is not supported, such as Ogg or AMR.
    OtherAudio,
    Html,
    Json,
    Empty,
    Unknown,
}

impl Sniffed {
    /// Whether it is audio that can be decoded.
    #[must_use]
    pub const fn is_supported_audio(self) -> bool {
        matches!(self, Self::Mp3 | Self::Wav | Self::Flac | Self::M4a)
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mp3 => "mp3",
            Self::Wav => "wav",
            Self::Flac => "flac",
            Self::M4a => "m4a",
            Self::OtherAudio => "other_audio",
            Self::Html => "html",
            Self::Json => "json",
            Self::Empty => "empty",
            Self::Unknown => "unknown",
        }
    }
}

/// Judges the beginning of a file: its first [`SNIFF_BYTES`] bytes, or all of it when it is shorter.
///
/// An MP3 may have rubbish before its first frame: two frame headers that agree and lie exactly one frame apart count.
#[must_use]
pub fn sniff(prefix: &[u8]) -> Sniffed {
    let prefix = prefix.get(..SNIFF_BYTES).unwrap_or(prefix);
    if prefix.is_empty() {
        return Sniffed::Empty;
    }
    if let Some(known) = by_signature(prefix) {
        return known;
    }
    if has_mpeg_frames(prefix) {
        return Sniffed::Mp3;
    }
    by_text(prefix).unwrap_or(Sniffed::Unknown)
}

fn by_signature(prefix: &[u8]) -> Option<Sniffed> {
    let at = |offset: usize, signature: &[u8]| prefix.get(offset..).is_some_and(|rest| rest.starts_with(signature));
    let form = |container: &[u8], kind: &[u8]| at(0, container) && at(8, kind);
    if is_id3(prefix) {
        Some(Sniffed::Mp3)
    } else if form(b"RIFF", b"WAVE") || form(b"RF64", b"WAVE") {
        Some(Sniffed::Wav)
    } else if at(0, b"fLaC") {
        Some(Sniffed::Flac)
    } else if at(4, b"ftyp") {
        Some(Sniffed::M4a)
    } else if at(0, b"OggS") || at(0, b"#!AMR") || form(b"FORM", b"AIF") || at(0, &[0x1a, 0x45, 0xdf, 0xa3]) {
        Some(Sniffed::OtherAudio)
    } else {
        None
    }
}

/// An ID3v2 tag: version and the seven-bit bytes of its size must be possible ones.
fn is_id3(prefix: &[u8]) -> bool {
    match prefix {
        [b'I', b'D', b'3', major, minor, _flags, size @ ..] if size.len() >= 4 => {
            *major != 0xff && *minor != 0xff && size.iter().take(4).all(|byte| *byte < 0x80)
        }
        _ => false,
    }
}

fn by_text(prefix: &[u8]) -> Option<Sniffed> {
    let text = prefix.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(prefix).trim_ascii_start();
    match text.first()? {
        b'<' => Some(Sniffed::Html),
        b'{' | b'[' => Some(Sniffed::Json),
        _ => None,
    }
}

/// The parts of an MPEG audio frame header that stay the same from frame to frame, and the frame's length.
#[derive(Debug, Clone, Copy)]
struct FrameHeader {
    /// Version, layer and sample rate, as they stand in the header.
    kind: (u8, u8, u8),
    bytes: usize,
}

fn has_mpeg_frames(prefix: &[u8]) -> bool {
    let header_at = |offset: usize| frame_header(prefix.get(offset..)?.first_chunk()?);
    (0..prefix.len()).any(|offset| {
        let Some(first) = header_at(offset) else { return false };
        match header_at(offset + first.bytes) {
            Some(second) => second.kind == first.kind,
            // A file of one frame has no second header.
            None => offset == 0 && prefix.len() < first.bytes + 4,
        }
    })
}

/// Kilobits per second of MPEG-1 layers I, II, III and of MPEG-2 layers I and II/III, by bitrate index 1–14.
const KBPS: [[u16; 14]; 5] = [
    [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

fn frame_header(header: &[u8; 4]) -> Option<FrameHeader> {
    let [sync, version_layer, rates, _] = *header;
    if sync != 0xff || version_layer & 0xe0 != 0xe0 {
        return None;
    }
    let version = (version_layer >> 3) & 3; // 0 = MPEG-2.5, 2 = MPEG-2, 3 = MPEG-1
    let layer = (version_layer >> 1) & 3; // 1 = III, 2 = II, 3 = I
    let rate_index = (rates >> 2) & 3;
    let is_mpeg1 = version == 3;
    let table = match (is_mpeg1, layer) {
        (true, 3) => 0,
        (true, 2) => 1,
        (true, 1) => 2,
        (false, 3) => 3,
        (false, 1 | 2) => 4,
        _ => return None,
    };
    let sample_rate: usize = match (version, rate_index) {
        (3, 0) => 44_100,
        (3, 1) => 48_000,
        (3, 2) => 32_000,
        (2, 0) => 22_050,
        (2, 1) => 24_000,
        (2, 2) => 16_000,
        (0, 0) => 11_025,
        (0, 1) => 12_000,
        (0, 2) => 8_000,
        _ => return None,
    };
    // Index 0 is a free bitrate: such a frame has no length of its own.
    let index = usize::from(rates >> 4).checked_sub(1)?;
    let bits = usize::from(*KBPS.get(table)?.get(index)?) * 1_000;
    let padding = usize::from((rates >> 1) & 1);
    let bytes = match (is_mpeg1, layer) {
        (_, 3) => (12 * bits / sample_rate + padding) * 4,
        (false, 1) => 72 * bits / sample_rate + padding,
        _ => 144 * bits / sample_rate + padding,
    };
    Some(FrameHeader { kind: (version, layer, rate_index), bytes })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Silent MPEG-2 Layer III frames as Zoom writes them: 16 kHz, mono, 128 kbit/s, 576 bytes each.
    fn mp3(frames: usize) -> Vec<u8> {
        let mut frame = vec![0; 576];
        frame[..4].copy_from_slice(&[0xff, 0xf3, 0xc8, 0xc4]);
        frame.repeat(frames)
    }

    #[test]
    fn a_frame_of_zooms_mp3_is_576_bytes_long() {
        assert_eq!(frame_header(&[0xff, 0xf3, 0xc8, 0xc4]).unwrap().bytes, 576);
        assert_eq!(frame_header(&[0xff, 0xfb, 0x90, 0x64]).unwrap().bytes, 417);
        assert_eq!(frame_header(&[0xff, 0xfb, 0x92, 0x64]).unwrap().bytes, 418);
    }

    #[test]
    fn audio_is_known_by_its_first_bytes() {
        assert_eq!(sniff(&mp3(3)), Sniffed::Mp3);
        assert_eq!(sniff(&mp3(1)), Sniffed::Mp3);
        assert_eq!(sniff(b"ID3\x04\x00\x00\x00\x00\x02\x01rest"), Sniffed::Mp3);
        assert_eq!(sniff(b"RIFF\x24\x00\x00\x00WAVEfmt "), Sniffed::Wav);
        assert_eq!(sniff(b"fLaC\x00\x00\x00\x22"), Sniffed::Flac);
        assert_eq!(sniff(b"\x00\x00\x00\x20ftypM4A "), Sniffed::M4a);
        assert_eq!(sniff(b"OggS\x00\x02"), Sniffed::OtherAudio);
    }

    #[test]
    fn error_pages_are_not_audio() {
        assert_eq!(sniff(b"\n <!DOCTYPE html><html>"), Sniffed::Html);
        assert_eq!(sniff(b"\xef\xbb\xbf<html>"), Sniffed::Html);
        assert_eq!(sniff(b"{\"code\":124}"), Sniffed::Json);
        assert_eq!(sniff(b""), Sniffed::Empty);
        assert_eq!(sniff(b"Service unavailable"), Sniffed::Unknown);
        assert_eq!(sniff(&[0; 4096]), Sniffed::Unknown);
        assert_eq!(sniff(&[0xff; 4096]), Sniffed::Unknown);
    }

    #[test]
    fn rubbish_before_the_first_frame_does_not_hide_it() {
        let mut file = b"{\xff\xfb\x00 rubbish \xff\xf3\xc8\xc4".to_vec();
        file.extend_from_slice(&[0; 5_000]);
        file.extend_from_slice(&mp3(4));
        assert_eq!(sniff(&file), Sniffed::Mp3);
    }

    #[test]
    fn one_lone_header_inside_rubbish_is_not_enough() {
        let mut file = vec![b'x'; 300];
        file.extend_from_slice(&[0xff, 0xf3, 0xc8, 0xc4]);
        file.extend_from_slice(&[b'x'; 9_000]);
        assert_eq!(sniff(&file), Sniffed::Unknown);
    }

    #[test]
    fn frames_beyond_the_prefix_are_not_looked_for() {
        let mut file = vec![0; SNIFF_BYTES];
        file.extend_from_slice(&mp3(4));
        assert_eq!(sniff(&file), Sniffed::Unknown);
    }

    proptest! {
        #[test]
        fn any_bytes_get_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..4_000)) {
            let answer = sniff(&bytes);
            prop_assert_eq!(answer == Sniffed::Empty, bytes.is_empty());
        }

        #[test]
        fn frames_after_any_rubbish_are_found(rubbish in proptest::collection::vec(0_u8..0xff, 0..2_000)) {
            prop_assume!(by_signature(&rubbish).is_none());
            let file = [rubbish, mp3(3)].concat();
            prop_assert_eq!(sniff(&file), Sniffed::Mp3);
        }
    }
}
