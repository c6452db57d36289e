//! What a file is, by its content alone: names and extensions lie.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::error::DecodeError;

/// The containers that can be opened. MPEG is also what remains when nothing else fits: its frames may come after
/// bytes that are no audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    Mpeg,
    Wave,
    Flac,
    IsoMp4,
}

/// Where the sound of a file begins, after any tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sniffed {
    pub(super) container: Container,
    /// Offset of the container's first byte.
    pub(super) start: u64,
    /// Whether the bytes themselves say that this is audio; without it, finding no MPEG frame means "no audio".
    pub(super) claims_audio: bool,
}

/// Tags before the sound: nobody writes more than a few.
const MAX_LEADING_TAGS: usize = 8;

/// First bytes of audio and video files that are not supported, and the code that says so.
const UNSUPPORTED: [(&[u8], &str); 9] = [
    (b"OggS", "ogg"),
    (b"FORM", "aiff"),
    (b"caff", "caf"),
    (b"#!AMR", "amr"),
    (b"RF64", "rf64"),
    (b"BW64", "rf64"),
    (b"\x1a\x45\xdf\xa3", "matroska"),
    (b"\x30\x26\xb2\x75", "asf"),
    (b".snd", "au"),
];

/// Reads the head of `file` and says what it is.
///
/// # Errors
/// [`DecodeError::Empty`], [`DecodeError::Unsupported`] for a known container that is not supported, and read errors.
pub(super) fn sniff(file: &mut File, length: u64) -> Result<Sniffed, DecodeError> {
    if length == 0 {
        return Err(DecodeError::Empty);
    }
    let mut start = 0;
    let mut claims_audio = false;
    for _ in 0..MAX_LEADING_TAGS {
        let head = read_at(file, start, 16)?;
        if let Some(tag_bytes) = id3v2_bytes(&head) {
            start += tag_bytes;
            claims_audio = true;
            continue;
        }
        let container = match head.as_slice() {
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Container::Wave,
            [b'f', b'L', b'a', b'C', ..] => Container::Flac,
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => Container::IsoMp4,
            other => {
                if let Some((_, code)) = UNSUPPORTED.iter().find(|(magic, _)| other.starts_with(magic)) {
                    return Err(DecodeError::Unsupported { code });
                }
                return Ok(Sniffed { container: Container::Mpeg, start, claims_audio });
            }
        };
        return Ok(Sniffed { container, start, claims_audio: true });
    }
    Ok(Sniffed { container: Container::Mpeg, start, claims_audio })
}

/// The whole length of the ID3v2 tag at the start of `head`, if there is one: 10 bytes and a 28-bit size.
pub(super) fn id3v2_bytes(head: &[u8]) -> Option<u64> {
    let [b'I', b'D', b'3', major, revision, flags, a, b, c, d, ..] = *head else { return None };
    let is_sane = major < 0xff && revision < 0xff && (a | b | c | d) < 0x80;
    if !is_sane {
        return None;
    }
    let body = [a, b, c, d].iter().fold(0_u64, |size, byte| (size << 7) | u64::from(*byte));
    let footer = if flags & 0x10 == 0 { 0 } else { 10 };
    Some(10 + body + footer)
}

/// Up to `count` bytes from `offset`; fewer at the end of the file.
pub(super) fn read_at(file: &mut File, offset: u64, count: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.by_ref().take(count).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn sniff_bytes(bytes: &[u8]) -> Result<Sniffed, DecodeError> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        sniff(&mut file, bytes.len() as u64)
    }

    #[test]
    fn a_container_is_known_by_its_bytes_even_behind_a_tag() {
        let wave = sniff_bytes(b"RIFF\x00\x00\x00\x00WAVEfmt ").unwrap();
        assert_eq!((wave.container, wave.start), (Container::Wave, 0));
        let tagged = sniff_bytes(b"ID3\x03\x00\x00\x00\x00\x00\x02\x00\x00fLaC").unwrap();
        assert_eq!((tagged.container, tagged.start), (Container::Flac, 12));
    }

    #[test]
    fn a_tag_without_sound_still_claims_to_be_audio() {
        let tag = sniff_bytes(b"ID3\x03\x00\x00\x00\x00\x00\x02\x00\x00").unwrap();
        assert!(tag.claims_audio);
        assert!(!sniff_bytes(b"<!doctype html>").unwrap().claims_audio);
    }

    #[test]
    fn an_unsupported_container_is_named() {
        assert!(matches!(sniff_bytes(b"OggS\x00\x02"), Err(DecodeError::Unsupported { code: "ogg" })));
        assert!(matches!(sniff_bytes(b""), Err(DecodeError::Empty)));
    }
}
