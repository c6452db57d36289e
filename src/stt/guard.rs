//! Decides whether a decoded segment is trusted. Pure: numbers in, verdict out.
//!
//! Distrusted text is kept and flagged, never dropped, so the thresholds may be strict without losing anything.

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
    /// Bytes of the window's text over bytes after zlib.
    pub compression_ratio: f64,
}

impl Confidence {
    /// Whether the engine itself takes the sound for no speech: it says so and is not sure of its words.
    #[must_use]
    pub fn denies_speech(&self, guard: &GuardConfig) -> bool {
        self.no_speech_prob > guard.max_no_speech_prob && self.avg_logprob < guard.min_avg_logprob
    }

    /// Whether another temperature is worth trying: the text repeats itself, or is unlikely although there is speech.
    #[must_use]
    pub fn asks_for_retry(&self, guard: &GuardConfig) -> bool {
        let repeats = self.compression_ratio > guard.max_compression_ratio;
        repeats || (self.avg_logprob < guard.min_avg_logprob && !self.denies_speech(guard))
    }

    /// Why the segment with this text is not trusted; `None` when it is.
    #[must_use]
    pub fn suppression(&self, text: &str, guard: &GuardConfig) -> Option<Suppression> {
        if !text.chars().any(char::is_alphanumeric) {
            Some(Suppression::NoWords)
        } else if self.compression_ratio > guard.max_compression_ratio {
            Some(Suppression::CompressionRatio)
        } else if self.denies_speech(guard) {
            Some(Suppression::NoSpeechProbability)
        } else if self.avg_logprob < guard.min_avg_logprob - HOPELESS_MARGIN {
            Some(Suppression::LowLogProbability)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> GuardConfig {
        GuardConfig {
            speech_threshold: 0.5,
            max_no_speech_prob: 0.6,
            min_avg_logprob: -1.0,
            max_compression_ratio: 2.4,
            temperatures: vec![0.0],
        }
    }

    #[test]
    fn each_number_has_its_verdict() {
        let cases = [
            // avg_logprob, no_speech_prob, compression_ratio
            (-0.3, 0.1, 1.5, None),
            (-0.3, 0.9, 1.5, None),
            (-1.2, 0.1, 1.5, None),
            (-1.2, 0.9, 1.5, Some(Suppression::NoSpeechProbability)),
            (-2.1, 0.1, 1.5, Some(Suppression::LowLogProbability)),
            (-0.3, 0.1, 2.5, Some(Suppression::CompressionRatio)),
            (-2.5, 0.9, 9.0, Some(Suppression::CompressionRatio)),
        ];
        for (avg_logprob, no_speech_prob, compression_ratio, expected) in cases {
            let confidence = Confidence { avg_logprob, no_speech_prob, compression_ratio };
            assert_eq!(confidence.suppression("words", &guard()), expected, "{confidence:?}");
        }
    }

    #[test]
    fn marks_are_no_words() {
        let sure = Confidence { avg_logprob: -0.01, no_speech_prob: 0.1, compression_ratio: 1.0 };
        assert_eq!(sure.suppression("♪♪ …", &guard()), Some(Suppression::NoWords));
        assert_eq!(sure.suppression("明日。", &guard()), None);
    }

    #[test]
    fn a_retry_is_worth_it_for_loops_and_for_unlikely_speech_only() {
        let confidence = |avg_logprob, no_speech_prob, compression_ratio| Confidence {
            avg_logprob,
            no_speech_prob,
            compression_ratio,
        };
        assert!(!confidence(-0.3, 0.1, 1.5).asks_for_retry(&guard()));
        assert!(confidence(-0.3, 0.1, 3.0).asks_for_retry(&guard()));
        assert!(confidence(-1.3, 0.1, 1.0).asks_for_retry(&guard()));
        assert!(!confidence(-1.3, 0.9, 1.0).asks_for_retry(&guard()), "silence stays silence at any temperature");
    }
}
