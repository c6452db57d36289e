//! Tries a window at rising temperatures until its text can be trusted.
//!
//! Pure but for the attempt it is given. The order of the attempts and the choice among them depend on their results
//! only, so the same window always climbs the same way.

use super::WindowTranscript;
use crate::config::settings::GuardConfig;

/// Decodes with `attempt` at each temperature of the guard, in order, until one passes. When none does, the best one
/// counts: the likeliest among those that do not repeat themselves, else the likeliest of all; the first of equals.
///
/// # Errors
/// The first error of `attempt`.
pub fn climb<E>(
    guard: &GuardConfig,
    mut attempt: impl FnMut(f32) -> Result<WindowTranscript, E>,
) -> Result<WindowTranscript, E> {
    let mut best: Option<WindowTranscript> = None;
    for &temperature in &guard.temperatures {
        let tried = attempt(temperature)?;
        let Some(confidence) = tried.confidence() else { return Ok(tried) };
        if !confidence.asks_for_retry(guard) {
            return Ok(tried);
        }
        let rank = |window: &WindowTranscript| {
            window.confidence().map_or((false, f64::NEG_INFINITY), |confidence| {
                (confidence.compression_ratio <= guard.max_compression_ratio, confidence.avg_logprob)
            })
        };
        if best.as_ref().is_none_or(|best| {
            let ((tried_clean, tried_logprob), (best_clean, best_logprob)) = (rank(&tried), rank(best));
            tried_clean.cmp(&best_clean).then(tried_logprob.total_cmp(&best_logprob)).is_gt()
        }) {
            best = Some(tried);
        }
    }
    match best {
        Some(best) => Ok(best),
        // No temperature is configured: the plain one is meant.
        None => attempt(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::DecodedSegment;
    use super::super::guard::Confidence;
    use super::*;
    use std::convert::Infallible;

    fn guard(temperatures: &[f32]) -> GuardConfig {
        GuardConfig {
            speech_threshold: 0.5,
            max_no_speech_prob: 0.6,
            min_avg_logprob: -1.0,
            max_compression_ratio: 2.4,
            temperatures: temperatures.to_vec(),
        }
    }

    fn result(temperature: f32, avg_logprob: f64, compression_ratio: f64) -> WindowTranscript {
        WindowTranscript {
            segments: vec![DecodedSegment {
                start_ms: 0,
                end_ms: 1_000,
                text: "words".into(),
                words: Vec::new(),
                tokens: 4,
                temperature: f64::from(temperature),
                confidence: Confidence { avg_logprob, no_speech_prob: 0.1, compression_ratio },
            }],
        }
    }

    /// Climbs over scripted results and says which temperatures were tried and which one won.
    fn climbed(script: &[(f32, f64, f64)]) -> (usize, f64) {
        let temperatures: Vec<f32> = script.iter().map(|(temperature, ..)| *temperature).collect();
        let mut tried = 0;
        let won = climb(&guard(&temperatures), |temperature| {
            let (_, avg_logprob, compression_ratio) = script[tried];
            tried += 1;
            Ok::<_, Infallible>(result(temperature, avg_logprob, compression_ratio))
        })
        .unwrap();
        (tried, (won.segments[0].temperature * 10.0).round() / 10.0)
    }

    #[test]
    fn a_good_first_attempt_is_the_only_one() {
        assert_eq!(climbed(&[(0.0, -0.3, 1.5), (0.2, -0.1, 1.5)]), (1, 0.0));
    }

    #[test]
    fn the_first_that_passes_wins() {
        assert_eq!(climbed(&[(0.0, -0.3, 3.0), (0.2, -1.5, 1.0), (0.4, -0.9, 1.0), (0.6, -0.1, 1.0)]), (3, 0.4));
    }

    #[test]
    fn when_none_passes_the_likeliest_without_a_loop_wins() {
        assert_eq!(climbed(&[(0.0, -0.1, 9.0), (0.2, -1.5, 1.0), (0.4, -1.2, 1.0), (0.6, -1.9, 1.0)]), (4, 0.4));
        assert_eq!(climbed(&[(0.0, -0.1, 9.0), (0.2, -0.5, 8.0)]), (2, 0.0));
    }

    #[test]
    fn an_empty_text_is_no_reason_to_try_again() {
        let mut tried = 0;
        let won = climb(&guard(&[0.0, 0.2]), |_| {
            tried += 1;
            Ok::<_, Infallible>(WindowTranscript { segments: Vec::new() })
        })
        .unwrap();
        assert!(won.segments.is_empty());
        assert_eq!(tried, 1);
    }

    #[test]
    fn an_error_ends_the_climb() {
        let error = climb(&guard(&[0.0, 0.2]), |_| Err::<WindowTranscript, _>("broken")).unwrap_err();
        assert_eq!(error, "broken");
    }
}
