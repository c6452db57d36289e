//! Mends the header of a WAV file before Symphonia reads it.
//!
//! Recorders that stream leave 0 or 0xFFFFFFFF as sizes, and a cut file promises more than it holds; Symphonia refuses
//! the first and stumbles over the second. [`MendedWave`] is the same file with both sizes corrected in passing.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

use super::error::DecodeError;
use super::sniff::read_at;

/// Chunks before the sound: more than this is no real file.
const MAX_CHUNKS: usize = 1000;
/// A packet buffer grows with the channels, so their number is bounded.
const MAX_CHANNELS: u16 = 64;
/// Sizes from here on are what streaming recorders write when they do not know better.
const UNKNOWN_SIZE: u32 = 0xffff_f000;

/// A WAV file whose size fields say what is really there.
pub(super) struct MendedWave {
    file: File,
    length: u64,
    position: u64,
    /// Four bytes to be read in place of the file's own, each at its offset.
    patches: [(u64, [u8; 4]); 2],
}

/// What the header announced about the sound, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WaveSize {
    pub(super) held: u64,
    /// Announced but not in the file; 0 when the recorder did not say.
    pub(super) missing: u64,
}

impl MendedWave {
    /// Finds the `data` chunk of the WAV file that begins at `start`.
    ///
    /// # Errors
    /// [`DecodeError::Undecodable`] without a format or a data chunk, [`DecodeError::Unsupported`] with more than 64
    /// channels.
    pub(super) fn open(mut file: File, start: u64, length: u64) -> Result<(Self, WaveSize), DecodeError> {
        let mut at = start + 12;
        let mut has_format = false;
        for _ in 0..MAX_CHUNKS {
            let head = read_at(&mut file, at, 12)?;
            let Some((&[a, b, c, d], rest)) = head.split_first_chunk::<4>() else { break };
            let Some(size) = rest.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes)) else { break };
            match [a, b, c, d] {
                [b'f', b'm', b't', b' '] => {
                    let channels = rest.get(6..8).and_then(|two| two.try_into().ok()).map_or(0, u16::from_le_bytes);
                    if channels == 0 || channels > MAX_CHANNELS {
                        return Err(DecodeError::Unsupported { code: "wav_channels" });
                    }
                    has_format = true;
                }
                [b'd', b'a', b't', b'a'] if has_format => return Self::mend(file, start, length, at, size),
                _ => {}
            }
            // Chunks begin at even offsets.
            at += 8 + u64::from(size) + u64::from(size & 1);
        }
        let code = if has_format { "wav_without_data" } else { "wav_without_format" };
        Err(DecodeError::Undecodable { code })
    }

    fn mend(
        mut file: File,
        start: u64,
        length: u64,
        data_at: u64,
        announced: u32,
    ) -> Result<(Self, WaveSize), DecodeError> {
        let there = length.saturating_sub(data_at + 8);
        let is_unknown = announced == 0 || announced >= UNKNOWN_SIZE;
        let held = if is_unknown { there } else { there.min(u64::from(announced)) };
        let missing = if is_unknown { 0 } else { u64::from(announced) - held };
        let mended = u32::try_from(held).unwrap_or(u32::MAX);
        let whole_file = u32::MAX;
        file.seek(SeekFrom::Start(start))?;
        let patches = [(start + 4, whole_file.to_le_bytes()), (data_at + 4, mended.to_le_bytes())];
        Ok((Self { file, length, position: start, patches }, WaveSize { held, missing }))
    }
}

impl Read for MendedWave {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read(into)?;
        for (offset, bytes) in &self.patches {
            for (index, byte) in bytes.iter().enumerate() {
                let place = (offset + index as u64).checked_sub(self.position);
                let target = place.and_then(|place| usize::try_from(place).ok()).filter(|place| *place < got);
                if let Some(target) = target.and_then(|place| into.get_mut(place)) {
                    *target = *byte;
                }
            }
        }
        self.position += got as u64;
        Ok(got)
    }
}

impl Seek for MendedWave {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = self.file.seek(to)?;
        Ok(self.position)
    }
}

impl MediaSource for MendedWave {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn header(riff: u32, data: u32) -> Vec<u8> {
        let mut bytes = b"RIFF".to_vec();
        bytes.extend(riff.to_le_bytes());
        bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data");
        bytes.extend(data.to_le_bytes());
        bytes.extend([0; 100]);
        bytes
    }

    fn open(bytes: &[u8]) -> Result<(MendedWave, WaveSize), DecodeError> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        MendedWave::open(file, 0, bytes.len() as u64)
    }

    #[test]
    fn sizes_that_a_streaming_recorder_left_are_filled_in() {
        for unknown in [0, u32::MAX] {
            let (mut wave, size) = open(&header(unknown, unknown)).unwrap();
            assert_eq!(size, WaveSize { held: 100, missing: 0 });
            let mut seen = Vec::new();
            wave.read_to_end(&mut seen).unwrap();
            assert_eq!(seen[4..8], u32::MAX.to_le_bytes());
            assert_eq!(seen[40..44], 100_u32.to_le_bytes());
        }
    }

    #[test]
    fn a_cut_file_says_how_much_is_missing() {
        let (_, size) = open(&header(1036, 1000)).unwrap();
        assert_eq!(size, WaveSize { held: 100, missing: 900 });
    }

    #[test]
    fn a_header_without_sound_chunks_is_an_error() {
        assert!(matches!(open(&header(0, 0)[..36]), Err(DecodeError::Undecodable { code: "wav_without_data" })));
        assert!(matches!(open(b"RIFF\0\0\0\0WAVE"), Err(DecodeError::Undecodable { code: "wav_without_format" })));
    }
}
