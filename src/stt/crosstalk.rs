//! Mutes what one channel picks up from the other before anything listens to it.
//!
//! Where one channel is much softer than the other and carries the same sound, what it carries is the other side's
//! voice, leaked through the line. It is silence as far as this side's speaker is concerned: not decoding it is cheaper
//! and safer than decoding it and finding the words twice ([`guard::bleed`](super::guard::bleed) does that for echoes that
//! come late).

/// A leak is softer than its source by at least this, as a ratio of powers: 9 dB.
const SOFTER: f32 = 8.0;
/// And correlates with it at least this much. Measured on read speech: a leak at −20 dB through MP3 is above 0.9 while
/// the other side is silent, two people who speak at once are below 0.3.
const ALIKE: f32 = 0.7;
/// Frames that are judged together, with the current one last: 96 ms.
const FRAMES: usize = 3;

/// Follows both channels and says which of them carries a leak.
#[derive(Debug, Default)]
pub(super) struct LeakMeter {
    /// Left power, right power and cross product of the last frames.
    sums: Vec<[f32; 3]>,
}

/// What a frame of the two channels is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leak {
    None,
    /// The left channel carries the right one's sound.
    Left,
    /// The other way round.
    Right,
}

impl LeakMeter {
    /// Judges the next frame of both channels, of one length.
    pub(super) fn judge(&mut self, left: &[f32], right: &[f32]) -> Leak {
        let mut sums = [0.0; 3];
        for (left, right) in left.iter().zip(right) {
            sums[0] += left * left;
            sums[1] += right * right;
            sums[2] += left * right;
        }
        if self.sums.len() == FRAMES {
            self.sums.remove(0);
        }
        self.sums.push(sums);
        let [left, right, cross] = self.sums.iter().fold([0.0_f32; 3], |mut total, sums| {
            total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
            total
        });
        let alike = cross.abs() >= ALIKE * (left * right).sqrt() && cross != 0.0;
        match (alike, left * SOFTER < right, right * SOFTER < left) {
            (true, true, _) => Leak::Left,
            (true, _, true) => Leak::Right,
            _ => Leak::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::windows::tests::babble;
    use super::*;

    const FRAME: usize = super::super::voice::FRAME_SAMPLES;

    fn judged(left: &[f32], right: &[f32]) -> Vec<Leak> {
        let mut meter = LeakMeter::default();
        left.chunks(FRAME).zip(right.chunks(FRAME)).map(|(left, right)| meter.judge(left, right)).collect()
    }

    fn share(leaks: &[Leak], which: Leak) -> f64 {
        leaks.iter().filter(|leak| **leak == which).count() as f64 / leaks.len() as f64
    }

    #[test]
    fn a_copy_at_minus_20_db_is_a_leak_on_the_softer_side() {
        let voice = babble(32_000);
        let copy: Vec<f32> = voice.iter().map(|sample| 0.1 * sample).collect();
        assert!(share(&judged(&voice, &copy), Leak::Right) > 0.95);
        assert!(share(&judged(&copy, &voice), Leak::Left) > 0.95);
    }

    #[test]
    fn another_voice_is_none_however_soft() {
        let voice = babble(48_000);
        let (one, other) = (&voice[..32_000], &voice[16_000..]);
        let soft: Vec<f32> = other.iter().rev().map(|sample| 0.1 * sample).collect();
        assert!(share(&judged(one, &soft), Leak::None) > 0.9);
        assert_eq!(share(&judged(&voice, &voice), Leak::None), 1.0, "as loud is no leak");
        assert_eq!(share(&judged(&voice, &vec![0.0; 48_000]), Leak::None), 1.0, "silence is no leak");
    }
}
