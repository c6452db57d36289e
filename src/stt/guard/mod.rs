//! Decides whether a decoded segment is trusted. Pure: numbers and text in, verdicts out.
//!
//! The layers, in the order in which they speak: numbers of the engine ([`Confidence`], here), text that repeats itself
//! ([`repetition`]), loops over several segments ([`loops`]), phrases that Whisper invents ([`phrases`]), words of the
//! prompt ([`echo`]), words of the other channel ([`bleed`]). Voice activity comes before all of them and keeps the rest
//! from being decoded at all.
//!
//! Distrusted text is kept and flagged, never dropped, so the thresholds may be strict without losing anything.

#[cfg(test)]
mod audio_tests;
pub mod bleed;
pub mod echo;
pub mod loops;
pub mod phrases;
pub mod repetition;

use serde::{Deserialize, Serialize};

use crate::config::settings::GuardConfig;
use crate::domain::Suppression;

/// How far below `min_avg_logprob` the log probability alone condemns a segment. Between the two, unlikely words are
/// kept as long as the engine hears speech: names and bad lines look like that.
const HOPELESS_MARGIN: f64 = 1.0;

/// What the engine says about its own words.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Confidence {
    /// Mean natural log probability of the tokens.
    pub avg_logprob: f64,
    pub no_speech_prob: f64,
    /// How well the window's text compresses, see [`repetition::compression_ratio`].
    pub compression_ratio: f64,
}

impl Confidence {
    /// Whether the engine itself takes the sound for no speech: it says so and is not sure of its words.
    #[must_use]
    pub fn denies_speech(&self, guard: &GuardConfig) -> bool {
        self.no_speech_prob > guard.max_no_speech_prob && self.avg_logprob < guard.min_avg_logprob
    }

    /// Why another pass is worth trying: the text repeats itself, or is unlikely although there is speech.
    #[must_use]
    pub fn asks_for_retry(&self, guard: &GuardConfig) -> Option<Suppression> {
        if self.compression_ratio > guard.max_compression_ratio {
            Some(Suppression::CompressionRatio)
        } else if self.avg_logprob < guard.min_avg_logprob && !self.denies_speech(guard) {
            Some(Suppression::LowLogProbability)
        } else {
            None
        }
    }

    /// Every objection that these numbers give to a segment with this text, the weightiest first.
    #[must_use]
    pub fn objections(&self, text: &str, guard: &GuardConfig) -> Vec<Suppression> {
        let hopeless = self.avg_logprob < guard.min_avg_logprob - HOPELESS_MARGIN;
        let layers = [
            (!text.chars().any(char::is_alphanumeric), Suppression::NoWords),
            (self.compression_ratio > guard.max_compression_ratio, Suppression::CompressionRatio),
            (self.denies_speech(guard), Suppression::NoSpeechProbability),
            (hopeless, Suppression::LowLogProbability),
        ];
        layers.into_iter().filter(|(objects, _)| *objects).map(|(_, layer)| layer).collect()
    }
}

/// Lower-case letters and digits, words parted by single spaces: two texts that sound the same are the same.
#[must_use]
pub fn folded(text: &str) -> String {
    let text: String = text.chars().map(narrow).collect();
    let mut folded = String::with_capacity(text.len());
    for piece in text.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|piece| !piece.is_empty()) {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.extend(piece.chars().flat_map(char::to_lowercase).filter(|c| *c != '\''));
    }
    folded
}

/// Full-width letters, digits and marks in their usual width; the typographic apostrophe as the plain one.
fn narrow(character: char) -> char {
    match character {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(character) - 0xfee0).unwrap_or(character),
        '\u{3000}' => ' ',
        '\u{2019}' => '\'',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_its_verdict() {
        use Suppression::{CompressionRatio, LowLogProbability, NoSpeechProbability};
        let cases: [(f64, f64, f64, &[Suppression]); 7] = [
            // avg_logprob, no_speech_prob, compression_ratio
            (-0.3, 0.1, 1.5, &[]),
            (-0.3, 0.9, 1.5, &[]),
            (-1.2, 0.1, 1.5, &[]),
            (-1.2, 0.9, 1.5, &[NoSpeechProbability]),
            (-2.1, 0.1, 1.5, &[LowLogProbability]),
            (-0.3, 0.1, 2.5, &[CompressionRatio]),
            (-2.5, 0.9, 9.0, &[CompressionRatio, NoSpeechProbability, LowLogProbability]),
        ];
        for (avg_logprob, no_speech_prob, compression_ratio, expected) in cases {
            let confidence = Confidence { avg_logprob, no_speech_prob, compression_ratio };
            assert_eq!(confidence.objections("words", &GuardConfig::default()), expected, "{confidence:?}");
        }
    }

    #[test]
    fn marks_are_no_words() {
        let sure = Confidence { avg_logprob: -0.01, no_speech_prob: 0.1, compression_ratio: 1.0 };
        assert_eq!(sure.objections("♪♪ …", &GuardConfig::default()), [Suppression::NoWords]);
        assert_eq!(sure.objections("明日。", &GuardConfig::default()), []);
    }

    #[test]
    fn a_retry_is_worth_it_for_loops_and_for_unlikely_speech_only() {
        let asks = |avg_logprob, no_speech_prob, compression_ratio| {
            Confidence { avg_logprob, no_speech_prob, compression_ratio }.asks_for_retry(&GuardConfig::default())
        };
        assert_eq!(asks(-0.3, 0.1, 1.5), None);
        assert_eq!(asks(-0.3, 0.1, 3.0), Some(Suppression::CompressionRatio));
        assert_eq!(asks(-1.3, 0.1, 1.0), Some(Suppression::LowLogProbability));
        assert_eq!(asks(-1.3, 0.9, 1.0), None, "silence stays silence at any temperature");
    }

    #[test]
    fn texts_that_sound_the_same_are_folded_into_one() {
        assert_eq!(folded("  Thank you, it's —  DONE! "), "thank you its done");
        assert_eq!(folded("ご視聴、ありがとう。"), "ご視聴 ありがとう");
        assert_eq!(folded("…♪"), "");
        assert_eq!(folded("１２３　ＡＢＣ、it’s"), "123 abc its");
    }
}
