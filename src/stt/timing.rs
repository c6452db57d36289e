//! Moves the times of words to where there is sound.
//!
//! The engine's times are rough: the first word of a window seems to begin with the window, the last one to last until
//! its end, and where the engine knows nothing several words share one moment. Sound is what the samples say.

use super::DecodedSegment;
use crate::domain::{SAMPLE_RATE_HZ, Span, TimeSource, Word, samples_to_ms};

/// Samples of one level: 10 ms.
const STEP: usize = SAMPLE_RATE_HZ as usize / 100;
const STEP_MS: i64 = 10;
/// Sound is so far above the quietest tenth of the window...
const ABOVE_FLOOR_DB: f32 = 12.0;
/// ...and at most so far below its loudest moment.
const BELOW_PEAK_DB: f32 = 35.0;
/// Digital silence and everything below it.
const SILENCE_DB: f32 = -90.0;
/// A word that the engine puts into silence is moved on by at most this.
const FARTHEST_MS: i64 = 600;
/// No word is shorter.
const SHORTEST_MS: i64 = 20;

/// How loud a window is, moment by moment.
#[derive(Debug, Clone)]
pub struct Levels {
    start_ms: i64,
    end_ms: i64,
    /// Of each 10 ms, in dB of full scale.
    db: Vec<f32>,
    threshold_db: f32,
}

impl Levels {
    /// Measures the samples of the window at `span`.
    #[must_use]
    pub fn of(samples: &[f32], span: Span) -> Self {
        let db: Vec<f32> = samples.chunks(STEP).map(level_db).collect();
        let mut ranked = db.clone();
        ranked.sort_by(f32::total_cmp);
        let floor = ranked.get(ranked.len() / 10).copied().unwrap_or(SILENCE_DB);
        let peak = ranked.last().copied().unwrap_or(SILENCE_DB);
        let threshold_db = (floor + ABOVE_FLOOR_DB).max(peak - BELOW_PEAK_DB).min(peak);
        Self { start_ms: samples_to_ms(span.start), end_ms: samples_to_ms(span.end), db, threshold_db }
    }

    /// Mean power between two moments, in dB of full scale.
    #[must_use]
    pub fn mean_db(&self, start_ms: i64, end_ms: i64) -> f64 {
        let (from, to) = (self.index(start_ms), self.index(end_ms.max(start_ms + STEP_MS)));
        let part = self.db.get(from..to.min(self.db.len())).unwrap_or_default();
        let power: f64 = part.iter().map(|db| 10_f64.powf(f64::from(*db) / 10.0)).sum();
        let count = f64::from(u32::try_from(part.len().max(1)).unwrap_or(u32::MAX));
        10.0 * (power / count).max(1e-9).log10()
    }

    /// Moves segments and words to the sound: ordered, inside the window, every word at least [`SHORTEST_MS`] long where
    /// there is room.
    pub fn refine(&self, segments: &mut [DecodedSegment]) {
        let mut from_ms = self.start_ms;
        for segment in segments {
            spread(&mut segment.words, segment.start_ms, segment.end_ms);
            for word in &mut segment.words {
                self.settle(word, from_ms);
                from_ms = word.end_ms;
            }
            if let (Some(first), Some(last)) = (segment.words.first(), segment.words.last()) {
                (segment.start_ms, segment.end_ms) = (first.start_ms, last.end_ms);
            } else {
                segment.start_ms = self.sound_from(segment.start_ms.max(from_ms), segment.end_ms);
                segment.end_ms = self.sound_until(segment.start_ms, segment.end_ms);
                from_ms = segment.end_ms;
            }
        }
    }

    fn settle(&self, word: &mut Word, from_ms: i64) {
        let start_ms = word.start_ms.max(from_ms).min(self.end_ms);
        word.start_ms = self.sound_from(start_ms, word.end_ms.max(start_ms + FARTHEST_MS));
        let end_ms = self.sound_until(word.start_ms, word.end_ms);
        word.end_ms = end_ms.max(word.start_ms + SHORTEST_MS).min(self.end_ms);
        word.start_ms = word.start_ms.min(word.end_ms);
    }

    /// The first moment with sound from `start_ms` on; `start_ms` where there is none before `until_ms`.
    fn sound_from(&self, start_ms: i64, until_ms: i64) -> i64 {
        let (from, to) = (self.index(start_ms), self.index(until_ms));
        let found = (from..to.min(self.db.len())).find(|at| self.db[*at] >= self.threshold_db);
        found.map_or(start_ms, |at| start_ms.max(self.moment(at)))
    }

    /// The end of the last moment with sound before `end_ms`; `end_ms` where there is none after `start_ms`.
    fn sound_until(&self, start_ms: i64, end_ms: i64) -> i64 {
        let (from, to) = (self.index(start_ms), self.index(end_ms));
        let found = (from..to.min(self.db.len())).rev().find(|at| self.db[*at] >= self.threshold_db);
        found.map_or(end_ms, |at| end_ms.min(self.moment(at + 1)))
    }

    fn index(&self, ms: i64) -> usize {
        usize::try_from((ms - self.start_ms).max(0) / STEP_MS).unwrap_or(0)
    }

    fn moment(&self, index: usize) -> i64 {
        let ms = i64::try_from(index).unwrap_or(i64::MAX).saturating_mul(STEP_MS);
        self.start_ms.saturating_add(ms).min(self.end_ms)
    }
}

fn level_db(samples: &[f32]) -> f32 {
    let power = samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len().max(1) as f32;
    (10.0 * (power + 1e-12).log10()).max(SILENCE_DB)
}

/// Gives words that share one moment, or have none of their own, a share of the time around them by their length.
fn spread(words: &mut [Word], start_ms: i64, end_ms: i64) {
    let mut at = 0;
    while at < words.len() {
        let is_bare = |word: &Word| word.end_ms <= word.start_ms || word.time_source == TimeSource::Interpolated;
        let run = words[at..].iter().take_while(|word| is_bare(word)).count();
        if run == 0 {
            at += 1;
            continue;
        }
        let from_ms = if at == 0 { start_ms } else { words[at - 1].end_ms };
        let until_ms = words.get(at + run).map_or(end_ms, |next| next.start_ms).max(from_ms);
        let lengths: Vec<i64> = words[at..at + run]
            .iter()
            .map(|word| i64::try_from(word.text.chars().count()).unwrap_or(i64::MAX).clamp(1, 1_000))
            .collect();
        let total: i64 = lengths.iter().sum();
        let mut done = 0;
        for (word, length) in words[at..at + run].iter_mut().zip(lengths) {
            word.start_ms = from_ms + (until_ms - from_ms) * done / total;
            done += length;
            word.end_ms = from_ms + (until_ms - from_ms) * done / total;
            word.time_source = TimeSource::Interpolated;
        }
        at += run;
    }
}

#[cfg(test)]
mod tests {
    use super::super::guard::Confidence;
    use super::*;
    use proptest::prelude::*;

    fn word(text: &str, start_ms: i64, end_ms: i64) -> Word {
        Word { start_ms, end_ms, text: text.into(), probability: 0.9, time_source: TimeSource::Token }
    }

    fn segment(words: Vec<Word>, start_ms: i64, end_ms: i64) -> DecodedSegment {
        DecodedSegment {
            start_ms,
            end_ms,
            text: "words".into(),
            words,
            tokens: 3,
            temperature: 0.0,
            confidence: Confidence { avg_logprob: -0.2, no_speech_prob: 0.1, compression_ratio: 1.0 },
        }
    }

    /// Two seconds of faint noise from second 10 on, with a tone from 10.3 to 11.5.
    fn window() -> (Vec<f32>, Span) {
        let samples = (0..32_000_u16)
            .map(|n| {
                let noise = 0.001 * f32::from(n % 7) / 7.0;
                let loud = (4_800..24_000).contains(&n);
                noise + if loud { 0.2 * (f32::from(n) * 0.2).sin() } else { 0.0 }
            })
            .collect();
        (samples, Span { start: 160_000, end: 192_000 })
    }

    #[test]
    fn words_begin_and_end_with_the_sound() {
        let (samples, span) = window();
        let mut segments =
            [segment(vec![word("good", 10_000, 10_700), word("morning", 10_700, 12_000)], 10_000, 12_000)];
        Levels::of(&samples, span).refine(&mut segments);
        let times: Vec<_> = segments[0].words.iter().map(|word| (word.start_ms, word.end_ms)).collect();
        assert_eq!(times, [(10_300, 10_700), (10_700, 11_500)]);
        assert_eq!((segments[0].start_ms, segments[0].end_ms), (10_300, 11_500));
    }

    #[test]
    fn a_word_before_the_sound_is_moved_to_it() {
        let (samples, span) = window();
        let mut segments = [segment(vec![word("oh", 10_000, 10_100), word("yes", 10_400, 10_800)], 10_000, 12_000)];
        Levels::of(&samples, span).refine(&mut segments);
        let words = &segments[0].words;
        assert_eq!((words[0].start_ms, words[0].end_ms), (10_300, 10_320));
        assert_eq!((words[1].start_ms, words[1].end_ms), (10_400, 10_800));
    }

    #[test]
    fn words_that_share_a_moment_share_the_time_around_it() {
        let mut words =
            [word("call", 0, 300), word("555", 300, 300), word("0142", 300, 300), word("please", 1_000, 1_400)];
        spread(&mut words, 0, 1_400);
        assert_eq!((words[1].start_ms, words[1].end_ms), (300, 600));
        assert_eq!((words[2].start_ms, words[2].end_ms), (600, 1_000));
        let sources = words.map(|word| word.time_source);
        use TimeSource::{Interpolated, Token};
        assert_eq!(sources, [Token, Interpolated, Interpolated, Token]);
    }

    #[test]
    fn the_level_of_a_stretch_is_measured() {
        let levels = Levels::of(&[0.0; 1_600], Span { start: 0, end: 1_600 });
        assert!((levels.mean_db(0, 100) - -90.0).abs() < 0.1);
        let (samples, span) = window();
        let levels = Levels::of(&samples, span);
        assert!(levels.mean_db(10_500, 11_000) > levels.mean_db(10_000, 10_200) + 30.0);
    }

    proptest! {
        #[test]
        fn times_stay_in_the_window_and_in_order(
            times in proptest::collection::vec((9_000_i64..13_000, 9_000_i64..13_000), 0..12),
            seed in any::<u32>(),
        ) {
            let mut state = seed;
            let samples: Vec<f32> = (0..32_000).map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 16) as f32 / 65_536.0 - 0.5
            }).collect();
            let span = Span { start: 160_000, end: 192_000 };
            let words = times.iter().map(|(start, end)| word("w", *start, *end)).collect();
            let mut segments = [segment(words, 10_000, 12_000)];
            Levels::of(&samples, span).refine(&mut segments);
            let mut at = 10_000;
            for word in &segments[0].words {
                prop_assert!(at <= word.start_ms && word.start_ms <= word.end_ms && word.end_ms <= 12_000);
                at = word.end_ms;
            }
        }
    }
}
