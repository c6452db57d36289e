//! Decodes a window again until its text can be trusted.
//!
//! Pure but for the attempt it is given. The order of the attempts and the choice among them depend on their results
//! only, so the same window always climbs the same way.

use super::guard::{Confidence, echo};
use super::{DecodedSegment, confidence_of};
use crate::config::settings::GuardConfig;
use crate::domain::{Span, Suppression};

/// How a window is decoded this time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attempt {
    pub temperature: f32,
    /// Whether several candidates are followed at once, as many as are configured: slower and more accurate.
    pub careful: bool,
    /// Whether the sound starts a little later in the engine's 30 s: the same words, cut into other frames.
    pub shifted: bool,
    /// Whether the engine gets the prompt.
    pub prompted: bool,
}

/// The text that counts, and how it was come by.
#[derive(Debug, Clone, PartialEq)]
pub struct Climbed {
    pub segments: Vec<DecodedSegment>,
    /// Attempts that were made.
    pub passes: u32,
    /// Why further attempts were made, in order and without repetition.
    pub refused_for: Vec<Suppression>,
}

/// What is known of a window before it is decoded.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    pub prompt: Option<Prompt<'a>>,
    /// Where somebody speaks in it, in order.
    pub voiced: &'a [Span],
    /// The fewest characters a second of speech that pass.
    pub min_chars_per_s: f64,
    /// The longest speech before, between and after the segments that passes, in seconds.
    pub max_unheard_s: f64,
    /// Whether more than one candidate is configured.
    pub can_be_careful: bool,
}

impl Expected<'_> {
    /// Whether a text is far too short for so much speech, or leaves out a part of it.
    fn exceeds(&self, segments: &[DecodedSegment]) -> bool {
        let chars: usize = segments.iter().map(|segment| segment.text.chars().count()).sum();
        let chars = f64::from(u32::try_from(chars).unwrap_or(u32::MAX));
        let voiced_s = self.voiced_s_between(i64::MIN, i64::MAX);
        (voiced_s >= LONG_SPEECH_S && chars < self.min_chars_per_s * voiced_s)
            || (!segments.is_empty() && self.unheard_s(segments) > self.max_unheard_s)
    }

    /// The longest speech that belongs to no segment.
    fn unheard_s(&self, segments: &[DecodedSegment]) -> f64 {
        let starts = segments.iter().map(|segment| segment.start_ms).chain([i64::MAX]);
        let ends = [i64::MIN].into_iter().chain(segments.iter().map(|segment| segment.end_ms));
        ends.zip(starts).map(|(from_ms, until_ms)| self.voiced_s_between(from_ms, until_ms)).fold(0.0, f64::max)
    }

    fn voiced_s_between(&self, from_ms: i64, until_ms: i64) -> f64 {
        let inside = |span: &Span| (span.end_ms().min(until_ms) - span.start_ms().max(from_ms)).max(0);
        let voiced_ms: i64 = self.voiced.iter().map(inside).sum();
        f64::from(i32::try_from(voiced_ms).unwrap_or(i32::MAX)) / 1_000.0
    }
}

/// From here on it is clear how much text there must be.
const LONG_SPEECH_S: f64 = 4.0;

/// The prompt of a window.
#[derive(Debug, Clone, Copy)]
pub struct Prompt<'a> {
    pub text: &'a str,
    /// Whether words are written apart.
    pub spaced: bool,
}

/// Decodes with `attempt` until one passes: quickly at the first temperature of the guard, with care where that left the
/// engine unsure, then with a shifted start, then at the other temperatures, in order. When none passes, the best one
/// counts: the likeliest among those that do not repeat themselves and are not far too short, else among those that do
/// not repeat themselves, else of all; the first of equals.
///
/// Text that is only too short, or of which the engine is only unsure, is not tried at other temperatures. Where a prompt
/// was given it may be what ended the text too early: it is left out from there on.
///
/// Text that may be the prompt read aloud is decoded once more without the prompt; where the words are missing then,
/// nobody said them, and the prompt is left out from there on.
///
/// # Errors
/// The first error of `attempt`.
pub fn climb<E>(
    guard: &GuardConfig,
    expected: Expected<'_>,
    mut attempt: impl FnMut(Attempt) -> Result<Vec<DecodedSegment>, E>,
) -> Result<Climbed, E> {
    let first = guard.temperatures.first().copied().unwrap_or(0.0);
    let quick = Attempt { temperature: first, careful: false, shifted: false, prompted: true };
    let careful = Attempt { careful: true, ..quick };
    let others = guard.temperatures.iter().skip(1).map(|temperature| Attempt { temperature: *temperature, ..quick });
    let steps = [quick, careful, Attempt { shifted: true, ..careful }].into_iter().chain(others);
    let mut climbed = Climbed { segments: Vec::new(), passes: 0, refused_for: Vec::new() };
    let mut prompt = expected.prompt;
    let mut best: Option<Rank> = None;
    let mut may_echo = true;
    for step in steps {
        if step == careful && !expected.can_be_careful {
            continue;
        }
        let calls_for_variety =
            |reason: &Suppression| !matches!(reason, Suppression::Unsure | Suppression::TooFewWords);
        if step.temperature > first && !climbed.refused_for.iter().any(calls_for_variety) {
            // Chance makes nothing longer or surer that is said clearly.
            break;
        }
        climbed.passes += 1;
        let given = prompt.filter(|_| step.temperature < HEEDED_BELOW);
        let mut tried = attempt(Attempt { prompted: given.is_some(), ..step })?;
        if let Some(given) = given.filter(|_| may_echo) {
            let suspicious = echo::suspicious_chars(given.text, &text_of(&tried), given.spaced);
            if suspicious > 0 {
                climbed.passes += 1;
                let plain = attempt(Attempt { prompted: false, ..step })?;
                // Once is enough to know.
                may_echo = false;
                if echo::is_echo(suspicious, &text_of(&tried), &text_of(&plain)) {
                    note(&mut climbed.refused_for, Suppression::PromptEcho);
                    (tried, prompt) = (plain, None);
                }
            }
        }
        let confidence = confidence_of(&tried);
        let is_silence = confidence.is_some_and(|confidence| confidence.denies_speech(guard));
        let too_short = !is_silence && expected.exceeds(&tried);
        let reason = confidence
            .and_then(|confidence| confidence.asks_for_retry(guard))
            .or(too_short.then_some(Suppression::TooFewWords))
            .or((step == quick && expected.can_be_careful && is_unsure(confidence, guard))
                .then_some(Suppression::Unsure));
        let rank = rank_of(&tried, too_short, guard);
        // Care is worth nothing where the quick pass was as good.
        let after_good = step == careful && climbed.refused_for == [Suppression::Unsure];
        if best.is_none_or(|best| is_greater(rank, best)) || (reason.is_none() && !after_good) {
            best = Some(rank);
            climbed.segments = tried;
        }
        if reason.is_none() || after_good {
            return Ok(climbed);
        }
        if reason == Some(Suppression::TooFewWords) {
            prompt = None;
        }
        reason.into_iter().for_each(|reason| note(&mut climbed.refused_for, reason));
    }
    Ok(climbed)
}

/// From this temperature on the engine leaves the prompt out of account (whisper.cpp's own limit).
const HEEDED_BELOW: f32 = 0.5;

/// Of two attempts the greater counts: it does not repeat itself, is long enough and likely enough, is the likelier.
type Rank = (bool, bool, f64);

fn rank_of(segments: &[DecodedSegment], too_short: bool, guard: &GuardConfig) -> Rank {
    let confidence = confidence_of(segments);
    let repeats = confidence.is_some_and(|confidence| confidence.compression_ratio > guard.max_compression_ratio);
    let logprob = confidence.map_or(f64::NEG_INFINITY, |confidence| confidence.avg_logprob);
    (!repeats, !too_short && logprob >= guard.min_avg_logprob, logprob)
}

/// Whether of two hearings of one window the later one counts: it has text, and does not ask for another pass unless the
/// earlier one did as well.
#[must_use]
pub(super) fn is_better(later: &[DecodedSegment], earlier: &[DecodedSegment], guard: &GuardConfig) -> bool {
    let refused =
        |segments| confidence_of(segments).is_none_or(|confidence| confidence.asks_for_retry(guard).is_some());
    confidence_of(later).is_some() && (!refused(later) || refused(earlier))
}

fn is_greater(one: Rank, other: Rank) -> bool {
    (one.0, one.1).cmp(&(other.0, other.1)).then(one.2.total_cmp(&other.2)).is_gt()
}

/// Whether a quick pass that is acceptable is worth a careful one. Sound that is no speech is not.
fn is_unsure(confidence: Option<Confidence>, guard: &GuardConfig) -> bool {
    confidence.is_some_and(|confidence| {
        confidence.avg_logprob < guard.sure_avg_logprob && confidence.no_speech_prob <= guard.max_no_speech_prob
    })
}

fn note(reasons: &mut Vec<Suppression>, reason: Suppression) {
    if !reasons.contains(&reason) {
        reasons.push(reason);
    }
}

fn text_of(segments: &[DecodedSegment]) -> String {
    segments.iter().map(|segment| segment.text.as_str()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    const NOTHING: Expected<'_> =
        Expected { prompt: None, voiced: &[], min_chars_per_s: 3.0, max_unheard_s: 2.0, can_be_careful: false };
    const TWENTY_SECONDS: [Span; 1] = [Span { start: 0, end: 20 * 16_000 }];

    fn guard(temperatures: &[f32]) -> GuardConfig {
        GuardConfig { temperatures: temperatures.to_vec(), ..GuardConfig::default() }
    }

    fn said(text: &str, temperature: f32, avg_logprob: f64, compression_ratio: f64) -> Vec<DecodedSegment> {
        vec![DecodedSegment {
            start_ms: 0,
            end_ms: 1_000,
            text: text.into(),
            words: Vec::new(),
            tokens: 4,
            temperature: f64::from(temperature),
            confidence: Confidence { avg_logprob, no_speech_prob: 0.1, compression_ratio },
        }]
    }

    /// Climbs over scripted results (log probability, compression ratio) and says which attempts were made and which
    /// of them won.
    fn climbed(temperatures: &[f32], script: &[(f64, f64)]) -> (Vec<(f32, bool)>, usize) {
        let mut tried = Vec::new();
        let won = climb(&guard(temperatures), NOTHING, |attempt| {
            let (avg_logprob, compression_ratio) = script[tried.len()];
            let text = tried.len().to_string();
            tried.push((attempt.temperature, attempt.shifted));
            Ok::<_, Infallible>(said(&text, attempt.temperature, avg_logprob, compression_ratio))
        })
        .unwrap();
        assert_eq!(usize::try_from(won.passes).unwrap(), tried.len());
        (tried, won.segments[0].text.parse().unwrap())
    }

    #[test]
    fn a_good_first_attempt_is_the_only_one() {
        assert_eq!(climbed(&[0.0, 0.2], &[(-0.3, 1.5)]), (vec![(0.0, false)], 0));
    }

    #[test]
    fn the_first_that_passes_wins_and_a_shifted_start_comes_before_higher_temperatures() {
        let script = [(-0.3, 3.0), (-0.2, 3.0), (-1.5, 1.0), (-0.9, 1.0), (-0.1, 1.0)];
        let tried = vec![(0.0, false), (0.0, true), (0.2, false), (0.4, false)];
        assert_eq!(climbed(&[0.0, 0.2, 0.4, 0.6], &script), (tried, 3));
    }

    #[test]
    fn when_none_passes_the_likeliest_without_a_loop_wins() {
        let (tried, won) = climbed(&[0.0, 0.2, 0.4], &[(-0.1, 9.0), (-1.5, 1.0), (-1.2, 1.0), (-1.9, 1.0)]);
        assert_eq!((tried.len(), won), (4, 2));
        assert_eq!(climbed(&[0.0], &[(-0.1, 9.0), (-0.5, 8.0)]).1, 0);
    }

    #[test]
    fn what_was_refused_is_told_once() {
        let results = [(-0.3, 3.0), (-1.5, 1.0), (-0.2, 3.0)];
        let mut at = 0;
        let won = climb(&guard(&[0.0, 0.2]), NOTHING, |attempt| {
            let (avg_logprob, ratio) = results[at];
            at += 1;
            Ok::<_, Infallible>(said("words", attempt.temperature, avg_logprob, ratio))
        });
        let expected = [Suppression::CompressionRatio, Suppression::LowLogProbability];
        assert_eq!(won.unwrap().refused_for, expected);
    }

    #[test]
    fn an_empty_text_is_no_reason_to_try_again() {
        let won = climb(&guard(&[0.0, 0.2]), NOTHING, |_| Ok::<_, Infallible>(Vec::new())).unwrap();
        assert_eq!((won.segments, won.passes), (Vec::new(), 1));
    }

    #[test]
    fn an_unsure_window_is_decoded_with_care_and_the_surer_text_counts() {
        let hear = |quick: f64, careful: f64| {
            let expected = Expected { can_be_careful: true, ..NOTHING };
            climb(&guard(&[0.0, 0.2]), expected, |attempt| {
                let (text, logprob) = if attempt.careful { ("careful", careful) } else { ("quick", quick) };
                Ok::<_, Infallible>(said(text, attempt.temperature, logprob, 1.0))
            })
            .unwrap()
        };
        let outcome = |climbed: Climbed| (climbed.segments[0].text.clone(), climbed.passes, climbed.refused_for);
        assert_eq!(outcome(hear(-0.2, -0.1)), ("quick".into(), 1, vec![]));
        assert_eq!(outcome(hear(-0.8, -0.6)), ("careful".into(), 2, vec![Suppression::Unsure]));
        assert_eq!(outcome(hear(-0.8, -0.9)), ("quick".into(), 2, vec![Suppression::Unsure]));
        assert_eq!(outcome(hear(-0.8, -1.4)), ("quick".into(), 2, vec![Suppression::Unsure]), "what was good stays");
    }

    #[test]
    fn two_words_for_twenty_seconds_of_speech_are_decoded_again() {
        let expected = Expected { voiced: &TWENTY_SECONDS, max_unheard_s: 28.0, ..NOTHING };
        let whole = "It was a bright cold day in April, and the clocks were striking thirteen as he came up.";
        let hear = |later: &'static str| {
            climb(&guard(&[0.0, 0.2]), expected, |attempt| {
                let text = if attempt.shifted { later } else { "Chapter one." };
                Ok::<_, Infallible>(said(text, attempt.temperature, -0.1, 1.0))
            })
            .unwrap()
        };
        let found = hear(whole);
        assert_eq!((found.segments[0].text.as_str(), found.passes), (whole, 2));
        assert_eq!(found.refused_for, [Suppression::TooFewWords]);
        let slow = hear("Chapter two.");
        assert_eq!((slow.segments[0].text.as_str(), slow.passes), ("Chapter one.", 2), "chance makes nothing longer");
    }

    /// A sentence for the first ten seconds, and one for the last eight.
    fn sentences(count: usize) -> Vec<DecodedSegment> {
        let each =
            [(0, 10_000, "They would select a respectable vocation"), (12_000, 20_000, "and all of them agreed")];
        let of = |(start_ms, end_ms, text)| DecodedSegment { start_ms, end_ms, ..said(text, 0.0, -0.1, 1.0).remove(0) };
        each.into_iter().take(count).map(of).collect()
    }

    #[test]
    fn a_voice_without_any_words_is_decoded_again_without_the_prompt() {
        let prompt = Some(Prompt { text: "Ronicky Doone", spaced: true });
        let expected = Expected { prompt, voiced: &TWENTY_SECONDS, ..NOTHING };
        let hear = |expected: Expected<'_>| {
            climb(&guard(&[0.0, 0.2]), expected, |attempt| {
                Ok::<_, Infallible>(sentences(if attempt.prompted { 1 } else { 2 }))
            })
            .unwrap()
        };
        let found = hear(expected);
        assert_eq!((found.segments.len(), found.passes), (2, 2));
        assert_eq!(found.refused_for, [Suppression::TooFewWords]);
        let silent_at_the_end = [Span { start: 0, end: 11 * 16_000 }];
        let found = hear(Expected { voiced: &silent_at_the_end, ..expected });
        assert_eq!((found.segments.len(), found.passes), (1, 1), "nobody speaks where there are no words");
    }

    #[test]
    fn the_prompt_read_aloud_gives_way_to_what_is_heard_without_it() {
        let prompt = Prompt { text: "Contoso Travel, Aiko Tanaka, Peter Miller", spaced: true };
        let hear = |plain: &'static str| {
            climb(&guard(&[0.0, 0.2]), Expected { prompt: Some(prompt), ..NOTHING }, |attempt| {
                let text = if attempt.prompted { "Contoso Travel, Aiko Tanaka, Peter Miller. Hello?" } else { plain };
                Ok::<_, Infallible>(said(text, attempt.temperature, -0.3, 1.0))
            })
            .unwrap()
        };
        let echoed = hear("Hello?");
        assert_eq!(echoed.segments[0].text, "Hello?");
        assert_eq!((echoed.passes, echoed.refused_for), (2, vec![Suppression::PromptEcho]));
        let said_in_earnest = hear("Contoso travel, I go Tanaka, Peter Miller. Hello?");
        assert!(said_in_earnest.segments[0].text.contains("Aiko"));
        assert_eq!((said_in_earnest.passes, said_in_earnest.refused_for), (2, Vec::new()));
    }

    #[test]
    fn an_error_ends_the_climb() {
        let error = climb(&guard(&[0.0, 0.2]), NOTHING, |_| Err::<Vec<DecodedSegment>, _>("broken")).unwrap_err();
        assert_eq!(error, "broken");
    }
}
