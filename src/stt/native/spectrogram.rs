//! The logarithmic mel spectrogram of a window, as Whisper was trained with it: 25 ms Hann windows every 10 ms, mel bands,
//! logarithms within 8 of the loudest, shifted and scaled.

use std::sync::Arc;

use realfft::{RealFftPlanner, RealToComplex};

/// Samples of a transform.
const LENGTH: usize = 400;
/// Samples from one frame to the next.
pub(super) const STEP: usize = 160;
/// The same in ms.
pub(super) const FRAME_MS: usize = 10;
/// Frames of the 30 s that the model hears at once.
pub(super) const FRAMES: usize = 3_000;
/// The encoder makes one position of so many frames, and the model tells times in these steps: 20 ms.
pub(super) const FRAMES_PER_POSITION: usize = 2;
/// Frequencies of a transform.
const FREQUENCIES: usize = LENGTH / 2 + 1;
/// Powers below it count as this.
const LEAST_POWER: f32 = 1e-10;

/// Turns samples into frames. One for each model, shared by all workers.
pub(super) struct Spectrograph {
    transform: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    /// For each band, its first frequency and the weights from there on.
    bands: Vec<(usize, Vec<f32>)>,
}

impl Spectrograph {
    /// `bank` has a row of 201 weights for each band.
    pub(super) fn new(bank: &[f32]) -> Self {
        let trimmed = |row: &[f32]| {
            let first = row.iter().position(|weight| *weight != 0.0).unwrap_or(0);
            let end = row.iter().rposition(|weight| *weight != 0.0).map_or(first, |last| last + 1);
            (first, row[first..end].to_vec())
        };
        let angle = |n: usize| std::f32::consts::TAU * n as f32 / LENGTH as f32;
        Self {
            transform: RealFftPlanner::new().plan_fft_forward(LENGTH),
            window: (0..LENGTH).map(|n| 0.5 - 0.5 * angle(n).cos()).collect(),
            bands: bank.chunks_exact(FREQUENCIES).map(trimmed).collect(),
        }
    }

    /// The frames of samples of any number, with so many frames of silence before them.
    pub(super) fn of(&self, lead: usize, samples: &[f32]) -> Spectrogram {
        // The first frame is centred on the first sample: before it lies what follows it, mirrored.
        let half = LENGTH / 2;
        let length = lead * STEP + samples.len();
        let sounding = length.div_ceil(STEP) + half.div_ceil(STEP);
        let mut padded = vec![0.0; (sounding * STEP + LENGTH).max(2 * LENGTH)];
        padded[half + lead * STEP..][..samples.len()].copy_from_slice(samples);
        for n in 0..half {
            padded[half - 1 - n] = padded[half + 1 + n];
        }
        let bands = self.bands.len();
        let mut numbers = vec![0.0; sounding * bands];
        let (mut input, mut spectrum) = (self.transform.make_input_vec(), self.transform.make_output_vec());
        let mut scratch = self.transform.make_scratch_vec();
        let mut powers = [0.0; FREQUENCIES];
        for (frame, row) in numbers.chunks_exact_mut(bands).enumerate() {
            for ((to, sample), weight) in input.iter_mut().zip(&padded[frame * STEP..]).zip(&self.window) {
                *to = sample * weight;
            }
            // It fails for buffers of other lengths only.
            if self.transform.process_with_scratch(&mut input, &mut spectrum, &mut scratch).is_err() {
                continue;
            }
            for (power, number) in powers.iter_mut().zip(&spectrum) {
                *power = number.norm_sqr();
            }
            for (value, (first, weights)) in row.iter_mut().zip(&self.bands) {
                let power: f32 = weights.iter().zip(&powers[*first..]).map(|(weight, power)| weight * power).sum();
                *value = power.max(LEAST_POWER).log10();
            }
        }
        let silence = LEAST_POWER.log10();
        let loudest = numbers.iter().copied().fold(silence, f32::max);
        let scaled = |value: f32| (value.max(loudest - 8.0) + 4.0) / 4.0;
        numbers.iter_mut().for_each(|value| *value = scaled(*value));
        // As whisper.cpp counts: frames that lie in the sound with all of their samples.
        let frames = length.saturating_sub(LENGTH - half) / STEP + 1;
        Spectrogram { numbers, bands, silence: scaled(silence), frames }
    }
}

/// The frames of a window.
pub(super) struct Spectrogram {
    /// A row of one number a band for each frame that has sound; silence follows.
    numbers: Vec<f32>,
    bands: usize,
    silence: f32,
    frames: usize,
}

impl Spectrogram {
    /// How many frames the window has.
    pub(super) const fn frames(&self) -> usize {
        self.frames
    }

    /// [`FRAMES`] rows from one frame on.
    pub(super) fn from(&self, first: usize) -> Vec<f32> {
        let known = self.numbers.get(first * self.bands..).unwrap_or(&[]);
        let mut rows = known[..known.len().min(FRAMES * self.bands)].to_vec();
        rows.resize(FRAMES * self.bands, self.silence);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One band for each frequency.
    fn plain() -> Spectrograph {
        let mut bank = vec![0.0; FREQUENCIES * FREQUENCIES];
        (0..FREQUENCIES).for_each(|n| bank[n * FREQUENCIES + n] = 1.0);
        Spectrograph::new(&bank)
    }

    #[test]
    fn a_tone_is_loudest_in_its_own_frequency_for_as_long_as_it_lasts() {
        let tone: Vec<f32> =
            (0..16_000_u16).map(|n| (std::f32::consts::TAU * 1_000.0 * f32::from(n) / 16_000.0).sin()).collect();
        let frames = plain().of(0, &tone).from(0);
        assert_eq!(frames.len(), FRAMES * FREQUENCIES);
        let loudest = frames.iter().copied().fold(f32::MIN, f32::max);
        for (frame, row) in frames.chunks(FREQUENCIES).enumerate() {
            let top = (0..FREQUENCIES).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
            if (2..98).contains(&frame) {
                // 40 Hz from one frequency to the next.
                assert_eq!(top, 25, "frame {frame}");
                assert!(loudest - row[top] < 0.1);
            } else if frame > 102 {
                // 8 powers of ten below the loudest, a quarter of it.
                assert!(row.iter().all(|value| (loudest - value - 2.0).abs() < 1e-5), "frame {frame}");
            }
        }
    }

    #[test]
    fn silence_is_the_least_that_there_is() {
        let silence = plain().of(0, &[]).from(0);
        assert_eq!(silence.len(), FRAMES * FREQUENCIES);
        assert!(silence.iter().all(|value| *value == -1.5), "{:?}", &silence[..3]);
    }

    #[test]
    fn frames_are_the_same_from_wherever_they_are_taken() {
        let long: Vec<f32> = (0..400_000_u32).map(|n| 0.1 * (n as f32 * 0.01).sin()).collect();
        let whole = plain().of(0, &long);
        assert_eq!(whole.frames(), 400_000 / STEP - 1);
        assert!(whole.from(500)[..1_000 * FREQUENCIES] == whole.from(0)[500 * FREQUENCIES..1_500 * FREQUENCIES]);
        assert!(whole.from(9_000).iter().all(|value| *value == whole.silence));
        // Silence before the samples moves all that follows. Where sound begins something is louder or less so.
        let later = plain().of(40, &long);
        assert_eq!(later.frames(), whole.frames() + 40);
        let (later, whole) = (later.from(50), whole.from(10));
        let mut pairs = later.iter().zip(&whole).take(100 * FREQUENCIES);
        assert!(pairs.all(|(later, sooner)| (later - sooner).abs() < 0.01));
    }
}
