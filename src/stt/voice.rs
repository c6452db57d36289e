//! Whether somebody speaks, frame by frame.
//!
//! One [`VoiceMeter`] follows one channel: it cuts whatever it is given into frames of [`FRAME_SAMPLES`] and yields a
//! probability of voice and a level for each. What a frame gets depends on the samples before it only, never on how
//! they were cut into blocks.
//!
//! The probability is Silero's; `benches/README.md` says why. Ring-back, busy and dial tones, noise and most music are
//! no voice to it, whatever they are mixed with; a voice is one even when it is faint or the line is loud.

mod network;

use network::Listener;

/// Samples of one frame: 32 ms at 16 kHz.
pub const FRAME_SAMPLES: usize = network::STEP_SAMPLES;

/// Mean square below which a frame is silence whatever the network says: −66 dB of full scale, far under the noise of
/// a telephone line.
const SILENCE_POWER: f32 = 2.5e-7;

/// What is known about 32 ms of sound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    /// Probability of voice, in [0, 1].
    pub voice: f32,
    /// Mean square.
    pub power: f32,
}

/// Follows one channel and judges each of its frames.
pub struct VoiceMeter {
    listener: Box<Listener>,
    partial: [f32; FRAME_SAMPLES],
    /// How much of `partial` is filled.
    filled: usize,
}

impl Default for VoiceMeter {
    fn default() -> Self {
        Self { listener: Box::default(), partial: [0.0; FRAME_SAMPLES], filled: 0 }
    }
}

impl VoiceMeter {
    /// Takes one sample in [-1, 1]; at the end of a frame returns what was found out about it.
    pub fn push(&mut self, sample: f32) -> Option<Frame> {
        self.partial[self.filled] = sample;
        self.filled += 1;
        (self.filled == FRAME_SAMPLES).then(|| self.judge())
    }

    /// Judges the last, shorter frame as if silence followed. `None` when no sample is left over.
    pub fn finish(&mut self) -> Option<Frame> {
        if self.filled == 0 {
            return None;
        }
        self.partial[self.filled..].fill(0.0);
        Some(self.judge())
    }

    fn judge(&mut self) -> Frame {
        self.filled = 0;
        let power = self.partial.iter().map(|sample| sample * sample).sum::<f32>() / FRAME_SAMPLES as f32;
        // The network hears every frame, so that its memory does not depend on the silence gate.
        let probability = self.listener.hear(&self.partial);
        Frame { voice: if power < SILENCE_POWER { 0.0 } else { probability }, power }
    }
}

/// A sample that the network and the engine can bear: not a number is silence, anything louder than full scale is full
/// scale.
#[must_use]
pub fn sanitised(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-1.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_and_a_very_faint_hum_have_no_voice() {
        let mut meter = VoiceMeter::default();
        for n in 0..16_000u16 {
            let hum = 1e-4 * (f32::from(n) * 0.04).sin();
            assert!(meter.push(hum).is_none_or(|frame| frame.voice == 0.0));
        }
    }

    #[test]
    fn a_remainder_is_judged_as_one_frame() {
        let mut meter = VoiceMeter::default();
        for _ in 0..FRAME_SAMPLES + 3 {
            meter.push(0.0);
        }
        assert_eq!(meter.finish(), Some(Frame { voice: 0.0, power: 0.0 }));
        assert_eq!(meter.finish(), None);
    }

    #[test]
    fn samples_that_are_no_sound_are_made_harmless() {
        assert_eq!(sanitised(f32::NAN), 0.0);
        assert_eq!(sanitised(f32::INFINITY), 1.0);
        assert_eq!(sanitised(-7.0), -1.0);
        assert_eq!(sanitised(0.25), 0.25);
    }
}
