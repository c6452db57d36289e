//! A file in, 16 kHz samples out: one block at a time, for one or two channels.
//!
//! ```text
//! sniff ─► demux (mpeg | wave, flac, mp4 through symphonia) ─► native (decode, trim, silence for losses)
//!                                          ─► channels (mono, stereo, folded) ─► resample ─► blocks
//! ```
//!
//! Invariants:
//! * What a file is, is decided by its content, never by its name.
//! * Time never shifts: a packet that is lost or cannot be decoded becomes silence of its own length and is counted.
//! * Memory does not depend on the length of the sound: no stage holds more than a few packets.
//! * A hostile file ends: no more samples come out than its bytes can hold, nor more than 48 hours. Symphonia calls run
//!   under one [`std::panic::catch_unwind`] here, so a panic in a parser is one undecodable recording and not the end
//!   of the process.
//!
//! Everything blocks: call it from a blocking thread.

mod channels;
mod demux;
mod edit_list;
mod error;
mod mpeg;
mod mpeg_header;
mod native;
mod resample;
mod sniff;
mod wave;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

pub use error::DecodeError;
pub use resample::To16k;

use crate::domain::ChannelMode;
use native::NativeStream;

/// Most samples per channel in one block: one second.
pub const BLOCK_SAMPLES: usize = 16_000;

/// What was found in a file, complete once [`AudioStream::next_block`] has returned `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeSummary {
    /// Samples per channel at 16 kHz.
    pub samples: u64,
    /// Channels in the file, before folding.
    pub file_channels: u32,
    /// Sample rate at the start of the file, in Hz.
    pub file_rate_hz: u32,
    /// Packets that were damaged or lost and became silence.
    pub damaged_packets: u64,
    /// Samples at 16 kHz that the header announced and the file lacks; 0 when the header says nothing.
    pub cut_short_samples: u64,
}

/// The sound of one file, block by block. After an error nothing more can be read.
pub struct AudioStream {
    native: NativeStream,
    mode: ChannelMode,
    resampler: Option<To16k>,
    ready: Vec<Vec<f32>>,
    block: Vec<Vec<f32>>,
    /// Samples of resamplers that are finished already.
    finished_samples: u64,
    file_channels: u32,
    file_rate_hz: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Drained,
    Failed,
}

impl AudioStream {
    /// Opens the file and decides how its channels are transcribed. A file with two channels is decoded once for that,
    /// up to the first second in which they differ.
    ///
    /// # Errors
    /// [`DecodeError`]: the file cannot be read, is no audio, or has not one sample that can be decoded.
    pub fn open(path: &Path) -> Result<Self, DecodeError> {
        guarded(|| {
            let mut first_look = NativeStream::open(path)?;
            let mode = channels::decide(&mut first_look)?;
            let native = NativeStream::open(path)?;
            let planes = mode.channels().len();
            Ok(Self {
                native,
                mode,
                resampler: None,
                ready: vec![Vec::new(); planes],
                block: vec![Vec::new(); planes],
                finished_samples: 0,
                file_channels: u32::try_from(first_look.planes().len()).unwrap_or(u32::MAX),
                file_rate_hz: 0,
                state: State::Running,
            })
        })
    }

    #[must_use]
    pub fn channel_mode(&self) -> ChannelMode {
        self.mode
    }

    /// The next samples: one plane per transcribed channel, in the order of [`ChannelMode::channels`], of equal length,
    /// between 1 and [`BLOCK_SAMPLES`] samples in [-1, 1]; `None` at the end.
    ///
    /// # Errors
    /// [`DecodeError`], also on every call after one.
    pub fn next_block(&mut self) -> Result<Option<&[Vec<f32>]>, DecodeError> {
        if self.state == State::Failed {
            return Err(DecodeError::Undecodable { code: "failed_before" });
        }
        let filled = guarded(|| self.fill());
        if filled.is_err() {
            self.state = State::Failed;
        }
        filled?;
        let length = self.ready.first().map_or(0, Vec::len).min(BLOCK_SAMPLES);
        if length == 0 {
            return Ok(None);
        }
        for (block, ready) in self.block.iter_mut().zip(&mut self.ready) {
            block.clear();
            block.extend(ready.drain(..length));
        }
        Ok(Some(&self.block))
    }

    /// What was found so far; complete after the end.
    #[must_use]
    pub fn summary(&self) -> DecodeSummary {
        let missing = u128::from(self.native.missing());
        let rate = u128::from(self.native.rate_hz().max(1));
        DecodeSummary {
            samples: self.finished_samples,
            file_channels: self.file_channels,
            file_rate_hz: self.file_rate_hz,
            damaged_packets: self.native.damaged_packets(),
            cut_short_samples: u64::try_from(missing * 16_000 / rate).unwrap_or(u64::MAX),
        }
    }

    /// Decodes until a whole block is ready or the file ends.
    fn fill(&mut self) -> Result<(), DecodeError> {
        while self.state == State::Running && self.ready.first().map_or(0, Vec::len) < BLOCK_SAMPLES {
            if !self.native.next()? {
                self.finish_resampler()?;
                self.state = State::Drained;
                if self.finished_samples == 0 {
                    return Err(DecodeError::Undecodable { code: "no_samples" });
                }
                break;
            }
            let rate_hz = self.native.rate_hz();
            if self.resampler.as_ref().is_none_or(|resampler| resampler.rate_hz() != rate_hz) {
                self.finish_resampler()?;
                self.resampler = Some(To16k::new(rate_hz, self.ready.len())?);
                if self.file_rate_hz == 0 {
                    self.file_rate_hz = rate_hz;
                }
            }
            let selected = channels::select(self.native.planes(), self.mode);
            if let Some(resampler) = &mut self.resampler {
                resampler.push(&selected, &mut self.ready)?;
            }
        }
        Ok(())
    }

    fn finish_resampler(&mut self) -> Result<(), DecodeError> {
        if let Some(resampler) = self.resampler.take() {
            self.finished_samples += resampler.finish(&mut self.ready)?;
        }
        Ok(())
    }
}

/// The one place where a panic of a decoder is caught. What it left behind is never used again: the stream is dropped
/// or marked as failed.
fn guarded<T>(work: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(DecodeError::Undecodable { code: "decoder_panicked" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_decoder_is_one_undecodable_recording() {
        let outcome = guarded(|| -> Result<(), DecodeError> { panic!("as a parser would") });
        assert!(matches!(outcome, Err(DecodeError::Undecodable { code: "decoder_panicked" })));
    }
}
