//! The mel filter bank that every Whisper model carries: Slaney's scale and normalisation, for 16 kHz and a 400-point
//! transform. The rounding steps are those of the published files, so the bytes are equal.

const SAMPLE_RATE_HZ: f64 = 16_000.0;
/// Frequencies of a 400-point transform of real samples.
pub(super) const FREQUENCIES: u32 = 201;
const HZ_PER_BIN: f64 = SAMPLE_RATE_HZ / 400.0;

/// Below this the scale is linear, above it logarithmic.
const KNEE_HZ: f64 = 1000.0;
const HZ_PER_LINEAR_MEL: f64 = 200.0 / 3.0;
const KNEE_MEL: f64 = KNEE_HZ / HZ_PER_LINEAR_MEL;

fn log_step() -> f64 {
    6.4_f64.ln() / 27.0
}

fn hz_to_mel(hz: f64) -> f64 {
    if hz >= KNEE_HZ { KNEE_MEL + (hz / KNEE_HZ).ln() / log_step() } else { hz / HZ_PER_LINEAR_MEL }
}

fn mel_to_hz(mel: f64) -> f64 {
    if mel >= KNEE_MEL { KNEE_HZ * (log_step() * (mel - KNEE_MEL)).exp() } else { HZ_PER_LINEAR_MEL * mel }
}

/// `bands` rows of [`FREQUENCIES`] weights.
pub(super) fn filter_bank(bands: u32) -> Vec<f32> {
    let top = hz_to_mel(SAMPLE_RATE_HZ / 2.0);
    let step = top / f64::from(bands + 1);
    let corners: Vec<f64> = (0..=bands + 1)
        .map(|corner| mel_to_hz(if corner == bands + 1 { top } else { f64::from(corner) * step }))
        .collect();
    let mut bank = Vec::new();
    for triangle in corners.windows(3) {
        let &[low, middle, high] = triangle else { continue };
        let normalisation = 2.0 / (high - low);
        for bin in 0..FREQUENCIES {
            let hz = f64::from(bin) * HZ_PER_BIN;
            let rising = (hz - low) / (middle - low);
            let falling = (high - hz) / (high - middle);
            let triangle = to_f32(rising.min(falling).max(0.0));
            bank.push(to_f32(f64::from(triangle) * normalisation).max(0.0));
        }
    }
    bank
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what the published files were made with")]
fn to_f32(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_band_is_a_triangle_of_area_one() {
        for bands in [80, 128] {
            let bank = filter_bank(bands);
            assert_eq!(bank.len(), (bands * FREQUENCIES) as usize);
            assert!(bank.iter().all(|weight| weight.is_finite() && weight.is_sign_positive()));
            for row in bank.chunks(FREQUENCIES as usize).skip(bands as usize / 2) {
                let area: f64 = row.iter().map(|&weight| f64::from(weight) * HZ_PER_BIN).sum();
                assert!((area - 1.0).abs() < 0.2, "{area}");
            }
        }
    }

    #[test]
    fn the_scale_and_its_inverse_agree_on_both_sides_of_the_knee() {
        for hz in [0.0, 40.0, 999.0, 1000.0, 1001.0, 8000.0] {
            assert!((mel_to_hz(hz_to_mel(hz)) - hz).abs() < 1e-9);
        }
    }
}
