//! A sound that every build knows, for asking an engine what it thinks of it.

/// 3 s of syllables: harmonics of a voice that rises and falls, through two resonances that wander. 16 kHz.
#[must_use]
pub fn known_sound() -> Vec<f32> {
    const LENGTH: u16 = 3 * 16_000;
    const HARMONICS: u8 = 30;
    let turn = |hertz: f32, at: f32| (std::f32::consts::TAU * hertz * at).sin();
    let near = |hertz: f32, center: f32, width: f32| 1.0 / (1.0 + ((hertz - center) / width).powi(2));
    let mut phase = 0.0_f32;
    (0..LENGTH)
        .map(|n| {
            let at = f32::from(n) / 16_000.0;
            let pitch = 130.0 + 25.0 * turn(0.7, at);
            phase = (phase + pitch / 16_000.0).fract();
            let (first, second) = (550.0 + 250.0 * turn(1.3, at), 1_600.0 + 600.0 * turn(0.9, at));
            let voice: f32 = (1..=HARMONICS)
                .map(|harmonic| {
                    let hertz = f32::from(harmonic) * pitch;
                    let weight = near(hertz, first, 120.0) + 0.5 * near(hertz, second, 180.0);
                    weight * (std::f32::consts::TAU * (f32::from(harmonic) * phase).fract()).sin()
                })
                .sum();
            0.15 * voice * turn(2.0, at).max(0.0)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_loud_enough_and_never_clipped() {
        let sound = known_sound();
        let peak = sound.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        assert!((0.1..1.0).contains(&peak), "{peak}");
        assert_eq!(sound, known_sound());
    }
}
