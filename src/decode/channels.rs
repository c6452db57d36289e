//! Which channels of a file are transcribed.

use super::error::DecodeError;
use super::native::{NativeStream, mean};
use crate::domain::ChannelMode;

/// Two channels carry the same sound in a second when the energy of their difference is below this share of the energy
/// of both (-20 dB) …
const MOST_DIFFERENCE: f64 = 0.01;
/// … or when it is below -60 dBFS, mean square per sample: nobody hears that.
const INAUDIBLE: f64 = 1e-6;

/// Reads `stream` as far as it takes to decide how its channels are transcribed.
///
/// Two channels are folded only if they carry the same sound in *every* second, so that a side that speaks once in an
/// hour is not lost; the first second that differs ends the reading. A silent channel is a real side: it differs.
///
/// # Errors
/// What decoding met.
pub(super) fn decide(stream: &mut NativeStream) -> Result<ChannelMode, DecodeError> {
    let mut second = Second::default();
    while stream.next()? {
        match stream.planes() {
            [] => {}
            [_] => return Ok(ChannelMode::Mono),
            [left, right] => {
                for (left, right) in left.iter().zip(right) {
                    second.add(f64::from(*left), f64::from(*right));
                    if second.samples >= stream.rate_hz() {
                        if second.differs() {
                            return Ok(ChannelMode::Stereo);
                        }
                        second = Second::default();
                    }
                }
            }
            _ => return Ok(ChannelMode::Folded),
        }
    }
    Ok(if second.differs() { ChannelMode::Stereo } else { ChannelMode::Folded })
}

/// The channels of `planes` that `mode` transcribes, in its order.
pub(super) fn select(planes: &[Vec<f32>], mode: ChannelMode) -> Vec<Vec<f32>> {
    match mode {
        ChannelMode::Stereo => planes.iter().take(2).cloned().collect(),
        ChannelMode::Mono | ChannelMode::Folded => vec![mean(planes)],
    }
}

#[derive(Default)]
struct Second {
    samples: u32,
    both: f64,
    difference: f64,
}

impl Second {
    fn add(&mut self, left: f64, right: f64) {
        self.samples += 1;
        self.both += left * left + right * right;
        self.difference += (left - right) * (left - right);
    }

    fn differs(&self) -> bool {
        self.difference > MOST_DIFFERENCE * self.both && self.difference > INAUDIBLE * f64::from(self.samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(left: impl Fn(u32) -> f64, right: impl Fn(u32) -> f64) -> Second {
        let mut second = Second::default();
        (0..16_000).for_each(|index| second.add(left(index), right(index)));
        second
    }

    fn voice(index: u32) -> f64 {
        0.3 * (f64::from(index) * 0.05).sin()
    }

    #[test]
    fn a_silent_side_differs_from_one_that_speaks() {
        assert!(second(voice, |_| 0.0).differs());
        assert!(second(voice, |index| 0.3 * (f64::from(index) * 0.07).sin()).differs());
    }

    #[test]
    fn the_same_sound_with_coding_noise_is_the_same() {
        assert!(!second(voice, voice).differs());
        assert!(!second(voice, |index| voice(index) + 0.001 * (f64::from(index) * 1.7).sin()).differs());
        assert!(!second(|_| 0.0, |index| 0.0003 * (f64::from(index) * 1.7).sin()).differs());
    }

    #[test]
    fn folding_mixes_every_channel_and_stereo_keeps_two() {
        let planes = vec![vec![0.9, 0.0], vec![0.0, 0.3], vec![0.0, 0.0]];
        let folded = select(&planes, ChannelMode::Folded);
        assert!((folded[0][0] - 0.3).abs() < 1e-6 && (folded[0][1] - 0.1).abs() < 1e-6);
        assert_eq!(select(&planes, ChannelMode::Stereo), planes[..2]);
    }
}
