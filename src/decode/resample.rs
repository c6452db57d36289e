//! Any rate to 16 kHz, in chunks, without shifting or losing a sample.

use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Indexing, Resampler};

use super::error::DecodeError;
use crate::domain::SAMPLE_RATE_HZ;

/// Input samples per step, at least: long enough for a steep filter, short enough for the cache.
const STEP: usize = 1024;

/// Resamples planar sound in [-1, 1] to 16 kHz in [-1, 1] and removes the filter's own delay.
///
/// Over a whole stream of `n` samples at `rate` exactly `round(n * 16_000 / rate)` come out; the tail is flushed.
/// At 16 kHz samples pass unchanged.
pub struct To16k {
    rate_hz: u32,
    filter: Option<Filter>,
    taken: u64,
    given: u64,
}

struct Filter {
    fft: Fft<f32>,
    pending: Vec<Vec<f32>>,
    chunk: Vec<Vec<f32>>,
    delay_left: usize,
}

impl To16k {
    /// `rate_hz` is in 4,000–192,000, `channels` at least 1.
    ///
    /// # Errors
    /// [`DecodeError::Unsupported`] when the rate is outside its range.
    pub fn new(rate_hz: u32, channels: usize) -> Result<Self, DecodeError> {
        let unsupported = DecodeError::Unsupported { code: "sample_rate" };
        if !(4_000..=192_000).contains(&rate_hz) {
            return Err(unsupported);
        }
        let filter = if rate_hz == SAMPLE_RATE_HZ {
            None
        } else {
            let (Ok(from), Ok(to)) = (usize::try_from(rate_hz), usize::try_from(SAMPLE_RATE_HZ)) else {
                return Err(unsupported);
            };
            let Ok(fft) = Fft::<f32>::new(from, to, STEP, channels, FixedSync::Both) else { return Err(unsupported) };
            let chunk = vec![vec![0.0; fft.output_frames_max()]; channels];
            let delay_left = fft.output_delay();
            Some(Filter { fft, pending: vec![Vec::new(); channels], chunk, delay_left })
        };
        Ok(Self { rate_hz, filter, taken: 0, given: 0 })
    }

    #[must_use]
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Takes `planes` (one per channel, of equal length) and appends to `out` what is ready.
    ///
    /// # Errors
    /// [`DecodeError::Undecodable`] when the planes do not fit the channels that were asked for.
    pub fn push(&mut self, planes: &[Vec<f32>], out: &mut [Vec<f32>]) -> Result<(), DecodeError> {
        self.taken += planes.first().map_or(0, Vec::len) as u64;
        let Some(filter) = &mut self.filter else {
            for (target, plane) in out.iter_mut().zip(planes) {
                target.extend_from_slice(plane);
            }
            self.given = self.taken;
            return Ok(());
        };
        for (pending, plane) in filter.pending.iter_mut().zip(planes) {
            pending.extend_from_slice(plane);
        }
        let step = filter.fft.input_frames_next();
        let available = filter.pending.first().map_or(0, Vec::len);
        let mut used = 0;
        while available - used >= step {
            self.given += filter.step(used, None, u64::MAX, out)?;
            used += step;
        }
        for pending in &mut filter.pending {
            pending.drain(..used);
        }
        Ok(())
    }

    /// Appends the tail to `out` and returns how many samples per channel came out in all.
    ///
    /// # Errors
    /// As for [`To16k::push`].
    pub fn finish(mut self, out: &mut [Vec<f32>]) -> Result<u64, DecodeError> {
        let rate = u64::from(self.rate_hz);
        let whole = (self.taken * u64::from(SAMPLE_RATE_HZ) + rate / 2) / rate;
        if let Some(filter) = &mut self.filter {
            let mut rest = filter.pending.first().map_or(0, Vec::len);
            while self.given < whole {
                self.given += filter.step(0, Some(rest), whole - self.given, out)?;
                rest = 0;
            }
        }
        // The filter works in whole steps, so the last one of a push may have given a little too much.
        let excess = usize::try_from(self.given - whole).unwrap_or(0);
        for target in out {
            target.truncate(target.len().saturating_sub(excess));
        }
        Ok(whole)
    }
}

impl Filter {
    /// Resamples one step that begins at `from`, `length` samples of it (the rest is silence), and appends at most
    /// `most` samples. Returns how many.
    fn step(
        &mut self,
        from: usize,
        length: Option<usize>,
        most: u64,
        out: &mut [Vec<f32>],
    ) -> Result<u64, DecodeError> {
        let failed = |_: &dyn std::error::Error| DecodeError::Undecodable { code: "resampler" };
        let channels = self.pending.len();
        let available = self.pending.first().map_or(0, Vec::len);
        let room = self.chunk.first().map_or(0, Vec::len);
        let input = SequentialSliceOfVecs::new(&self.pending, channels, available).map_err(|e| failed(&e))?;
        let mut output = SequentialSliceOfVecs::new_mut(&mut self.chunk, channels, room).map_err(|e| failed(&e))?;
        let mut indexing = Indexing::new().input_offset(from);
        if let Some(length) = length {
            indexing = indexing.partial_len(length);
        }
        let (_, made) = self.fft.process_into_buffer(&input, &mut output, Some(&indexing)).map_err(|e| failed(&e))?;
        let skip = self.delay_left.min(made);
        self.delay_left -= skip;
        let take = (made - skip).min(usize::try_from(most).unwrap_or(usize::MAX));
        for (target, chunk) in out.iter_mut().zip(&self.chunk) {
            // The filter overshoots at hard edges, as clipped sound has them.
            let ready = chunk.get(skip..skip + take).unwrap_or_default();
            target.extend(ready.iter().map(|sample| sample.clamp(-1.0, 1.0)));
        }
        Ok(take as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use super::*;

    const RATES: [u32; 12] =
        [4_000, 8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 191_999];

    /// Feeds `input` in pieces of odd sizes.
    fn resample(rate_hz: u32, input: &[f32]) -> Vec<f32> {
        let mut resampler = To16k::new(rate_hz, 1).unwrap();
        let mut out = vec![Vec::new()];
        for (index, piece) in input.chunks(577).enumerate() {
            let (head, tail) = piece.split_at(piece.len().min(index % 7));
            resampler.push(&[head.to_vec()], &mut out).unwrap();
            resampler.push(&[tail.to_vec()], &mut out).unwrap();
        }
        let whole = resampler.finish(&mut out).unwrap();
        assert_eq!(whole, out[0].len() as u64);
        out.remove(0)
    }

    fn sine(rate_hz: u32, tone_hz: f32, seconds: u32) -> Vec<f32> {
        let step = TAU * tone_hz / rate_hz as f32;
        (0..rate_hz * seconds).map(|index| 0.5 * (step * index as f32).sin()).collect()
    }

    fn rms(samples: &[f32]) -> f32 {
        (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32).sqrt()
    }

    #[test]
    fn the_length_is_exact_for_every_rate_and_for_short_clips() {
        for rate in RATES {
            for length in [0_u64, 1, 2, 100, 1023, 1024, 1025, 30_011] {
                let made = resample(rate, &vec![0.1; usize::try_from(length).unwrap()]).len() as u64;
                let expected = (2 * 16_000 * length + u64::from(rate)) / (2 * u64::from(rate));
                assert_eq!(made, expected, "{length} samples at {rate} Hz");
            }
        }
    }

    #[test]
    fn an_impulse_lands_where_it_was() {
        for rate in RATES {
            let second = usize::try_from(rate).unwrap();
            for at in [0, second / 3, second - 1, second * 3 / 2] {
                let mut input = vec![0.0; second * 2];
                input[at] = 1.0;
                let out = resample(rate, &input);
                let loudest = out.iter().enumerate().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())).unwrap().0;
                let expected = at as f64 * 16_000.0 / f64::from(rate);
                assert!((loudest as f64 - expected).abs() <= 1.0, "{at} at {rate} Hz landed at {loudest}");
            }
        }
    }

    #[test]
    fn a_tone_keeps_its_strength_and_one_above_the_band_disappears() {
        for rate in RATES {
            let out = resample(rate, &sine(rate, 1000.0, 1));
            let level = rms(&out[1600..out.len() - 1600]);
            assert!((level - 0.5 / 2.0_f32.sqrt()).abs() < 0.01, "{level} at {rate} Hz");
            if rate > 20_000 {
                let out = resample(rate, &sine(rate, 9_500.0, 1));
                assert!(rms(&out[1600..out.len() - 1600]) < 0.001, "aliasing at {rate} Hz");
            }
        }
    }

    #[test]
    fn a_rate_that_no_recorder_has_is_refused() {
        assert!(matches!(To16k::new(3_999, 1), Err(DecodeError::Unsupported { code: "sample_rate" })));
        assert!(matches!(To16k::new(192_001, 1), Err(DecodeError::Unsupported { code: "sample_rate" })));
    }
}
