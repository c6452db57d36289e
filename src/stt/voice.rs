//! Whether somebody speaks, frame by frame.
//!
//! One [`VoiceMeter`] follows one channel: it cuts whatever it is given into frames of [`FRAME_SAMPLES`] and yields a
//! probability of voice and a level for each. What a frame gets depends on the samples before it only, never on how
//! they were cut into blocks.
//!
//! The detector takes ring-back and busy tones and even noise for a voice. [`is_steady`] tells them apart: their level
//! stands still, a speaker's never does for long.

use earshot::Detector;

/// Samples of one frame: 16 ms at 16 kHz.
pub const FRAME_SAMPLES: usize = 256;

/// Mean square below which a frame is silence whatever the detector says: −66 dB of full scale, far under the noise of
/// a telephone line.
const SILENCE_POWER: f32 = 2.5e-7;

/// Pre-emphasis of the level: without it the slow swell of low noise would look like syllables.
const PRE_EMPHASIS: f32 = 0.97;
/// The level is averaged over this many frames (80 ms), so that the beat of two tones does not show.
const LEVEL_FRAMES: usize = 5;
/// A level that stays within [`STEADY_RANGE_DB`] for this many frames (400 ms) stands still.
const STEADY_FRAMES: usize = 25;
const STEADY_RANGE_DB: f32 = 2.5;
/// Sound is no speech when at least this share of its voiced frames stands still. Measured: 0.8–1.0 for tones and noise,
/// at most 0.3 for speech.
const STEADY_SHARE: f64 = 0.7;

/// What is known about 16 ms of sound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    /// Probability of voice, in [0, 1].
    pub voice: f32,
    /// Mean square after pre-emphasis.
    pub power: f32,
}

/// Follows one channel and judges each of its frames.
pub struct VoiceMeter {
    detector: Box<Detector>,
    previous: f32,
    partial: Vec<f32>,
}

impl Default for VoiceMeter {
    fn default() -> Self {
        Self { detector: Box::default(), previous: 0.0, partial: Vec::with_capacity(FRAME_SAMPLES) }
    }
}

impl VoiceMeter {
    /// Takes one sample in [-1, 1]; at the end of a frame returns what was found out about it.
    pub fn push(&mut self, sample: f32) -> Option<Frame> {
        self.partial.push(sample);
        (self.partial.len() == FRAME_SAMPLES).then(|| self.judge())
    }

    /// Judges the last, shorter frame as if silence followed. `None` when no sample is left over.
    pub fn finish(&mut self) -> Option<Frame> {
        if self.partial.is_empty() {
            return None;
        }
        self.partial.resize(FRAME_SAMPLES, 0.0);
        Some(self.judge())
    }

    fn judge(&mut self) -> Frame {
        let mut energy = 0.0;
        let mut emphasised_energy = 0.0;
        for &sample in &self.partial {
            let emphasised = sample - PRE_EMPHASIS * self.previous;
            self.previous = sample;
            energy += sample * sample;
            emphasised_energy += emphasised * emphasised;
        }
        // The detector sees every frame, so that its memory does not depend on the silence gate.
        let probability = self.detector.predict_f32(&self.partial);
        let silent = energy < SILENCE_POWER * FRAME_SAMPLES as f32;
        self.partial.clear();
        Frame {
            voice: if silent { 0.0 } else { probability.clamp(0.0, 1.0) },
            power: emphasised_energy / FRAME_SAMPLES as f32,
        }
    }
}

/// Whether the frames that pass for voice (probability at least `floor`) are a tone or a noise rather than a speaker.
#[must_use]
pub fn is_steady(frames: &[Frame], floor: f32) -> bool {
    let levels: Vec<f32> = (0..frames.len())
        .map(|index| {
            let near =
                &frames[index.saturating_sub(LEVEL_FRAMES / 2)..(index + LEVEL_FRAMES / 2 + 1).min(frames.len())];
            10.0 * (near.iter().map(|frame| frame.power).sum::<f32>() / near.len() as f32 + 1e-12).log10()
        })
        .collect();
    let mut stands_still = vec![false; frames.len()];
    for (start, stretch) in levels.windows(STEADY_FRAMES).enumerate() {
        let highest = stretch.iter().copied().fold(f32::MIN, f32::max);
        let lowest = stretch.iter().copied().fold(f32::MAX, f32::min);
        if highest - lowest < STEADY_RANGE_DB {
            stands_still[start..start + STEADY_FRAMES].fill(true);
        }
    }
    let voiced = |(index, frame): (usize, &Frame)| (frame.voice >= floor).then(|| stands_still[index]);
    let verdicts: Vec<bool> = frames.iter().enumerate().filter_map(voiced).collect();
    let still = verdicts.iter().filter(|still| **still).count();
    !verdicts.is_empty() && still as f64 >= STEADY_SHARE * verdicts.len() as f64
}

/// A sample that the detector and the engine can bear: not a number is silence, anything louder than full scale is
/// full scale.
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
    fn a_level_that_stands_still_is_no_speaker() {
        let frame = |power: f32| Frame { voice: 0.9, power };
        let tone: Vec<Frame> = (0..100u8).map(|n| frame(if n % 2 == 0 { 0.010 } else { 0.012 })).collect();
        assert!(is_steady(&tone, 0.5));
        let syllables: Vec<Frame> = (0..100u8).map(|n| frame(if n % 16 < 8 { 0.010 } else { 0.0005 })).collect();
        assert!(!is_steady(&syllables, 0.5));
        let one_word = &syllables[..12];
        assert!(!is_steady(one_word, 0.5));
        assert!(!is_steady(&[], 0.5));
    }

    #[test]
    fn samples_that_are_no_sound_are_made_harmless() {
        assert_eq!(sanitised(f32::NAN), 0.0);
        assert_eq!(sanitised(f32::INFINITY), 1.0);
        assert_eq!(sanitised(-7.0), -1.0);
        assert_eq!(sanitised(0.25), 0.25);
    }
}
