//! What Whisper's numbers are worth: the share of words that are right where it gives a number.
//!
//! Logistic curves, fitted to read and telephone English that was heard by `base` (benches/README.md says how and how far
//! they are off); monotonous, so that an order by the engine's own number stays an order.

/// Slope and offset for the log odds of a word's mean token probability.
const OF_WORD: (f64, f64) = (0.80, 0.93);
/// Slope and offset for the mean log probability of a text's tokens.
const OF_TEXT: (f64, f64) = (8.5, 4.3);

/// Probabilities closer to 0 and 1 than this are taken for this: no number of a model means never or always.
const LEAST: f64 = 1e-4;

/// The share of words that are right among those with this probability, both in [0, 1].
#[must_use]
pub fn word_confidence(probability: f64) -> f64 {
    let probability = probability.clamp(LEAST, 1.0 - LEAST);
    logistic(OF_WORD, (probability / (1.0 - probability)).ln())
}

/// The share of words that are right in texts with this mean natural log probability, in [0, 1].
#[must_use]
pub fn text_confidence(avg_logprob: f64) -> f64 {
    logistic(OF_TEXT, avg_logprob)
}

fn logistic((slope, offset): (f64, f64), x: f64) -> f64 {
    1.0 / (1.0 + (-(slope * x + offset)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_is_surer_of_is_right_more_often() {
        let steps = |of: fn(f64) -> f64, from: f64, to: f64| -> Vec<f64> {
            (0..=20).map(|step| of(from + (to - from) * f64::from(step) / 20.0)).collect()
        };
        for shares in [steps(word_confidence, 0.0, 1.0), steps(text_confidence, -20.0, 0.0)] {
            assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "{shares:?}");
            assert!(shares.windows(2).all(|pair| pair[0] <= pair[1]), "{shares:?}");
        }
    }

    #[test]
    fn nothing_is_certain() {
        assert!(word_confidence(0.0) > 0.0 && word_confidence(1.0) < 1.0);
        assert!(text_confidence(0.0) < 1.0);
    }
}
