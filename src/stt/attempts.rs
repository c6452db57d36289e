//! One window through an engine: attempts until the text can be trusted, in the language that is heard.

use super::ladder::{self, Attempt, Climbed};
use super::{DecodedSegment, EngineError, Hints, SpeechWindow, WindowTranscript, language};
use crate::config::settings::GuardConfig;
use crate::domain::Language;

/// Silence before a window that is decoded with a shifted start, in ms. Windows leave 2 s of an engine's 30.
pub(super) const SHIFT_MS: usize = 400;
/// The longest prompt, in tokens: the decoder has room for 223 before the text, and a shorter one leaves more of it.
pub(super) const MAX_PROMPT_TOKENS: usize = 200;
/// How long the prompt seems to have taken, in the model's steps of 20 ms: 5 s.
pub(super) const PROMPT_TIMES: u16 = 250;

/// What an engine does with the one window that it is working on.
pub(super) trait Attempts {
    /// Decodes the window once.
    ///
    /// # Errors
    /// As [`Transcriber::transcribe`](super::Transcriber::transcribe).
    fn attempt(
        &mut self,
        language: &Language,
        prompt: Option<&str>,
        attempt: Attempt,
    ) -> Result<Vec<DecodedSegment>, EngineError>;

    /// The probability of each of these languages, as the sound has it. Asked after an attempt.
    ///
    /// # Errors
    /// As [`Transcriber::detect_language`](super::Transcriber::detect_language).
    fn languages_heard(&mut self, asked: &[&Language]) -> Result<Vec<(Language, f64)>, EngineError>;
}

/// Decodes the window in the language of the hints, and in another one where that is what is heard.
pub(super) fn hear(
    attempts: &mut impl Attempts,
    guard: &GuardConfig,
    beam_size: u32,
    window: &SpeechWindow,
    hints: &Hints,
) -> Result<WindowTranscript, EngineError> {
    let prompt = hints.prompt.as_deref();
    let known = climb(attempts, guard, beam_size, window, &hints.language, prompt)?;
    let mut heard = Vec::new();
    if !hints.alternatives.is_empty() {
        let asked: Vec<&Language> = std::iter::once(&hints.language).chain(&hints.alternatives).collect();
        heard = attempts.languages_heard(&asked)?;
        if let Some(other) = language::other_than(&hints.language, &heard, guard.switch_margin) {
            let climbed = climb(attempts, guard, beam_size, window, &other, prompt)?;
            let passes = known.passes + climbed.passes;
            let Climbed { segments, refused_for, .. } = climbed;
            return Ok(WindowTranscript { segments, language: other, heard, passes, refused_for });
        }
    }
    let Climbed { segments, passes, refused_for } = known;
    Ok(WindowTranscript { segments, language: hints.language.clone(), heard, passes, refused_for })
}

/// The probability of each of these languages, when what speaks for each is known and it must be one of them. A language
/// that is there twice counts once.
pub(super) fn one_of(languages: impl Iterator<Item = (Language, f32)>) -> Vec<(Language, f64)> {
    let mut found: Vec<(Language, f32)> = Vec::new();
    for (language, logit) in languages {
        if !found.iter().any(|(known, _)| *known == language) {
            found.push((language, logit));
        }
    }
    let logits: Vec<f32> = found.iter().map(|(_, logit)| *logit).collect();
    found.into_iter().zip(softmax(&logits)).map(|((language, _), share)| (language, share)).collect()
}

/// The probability of each token, when what speaks for each is known.
pub(super) fn softmax(logits: &[f32]) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f32::MIN, f32::max);
    let weights: Vec<f64> = logits.iter().map(|logit| f64::from(logit - highest).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}

/// Decodes the window in one language until its text can be trusted.
fn climb(
    attempts: &mut impl Attempts,
    guard: &GuardConfig,
    beam_size: u32,
    window: &SpeechWindow,
    language: &Language,
    prompt: Option<&str>,
) -> Result<Climbed, EngineError> {
    let expected = ladder::Expected {
        prompt: prompt.map(|text| ladder::Prompt { text, spaced: language.is_spaced() }),
        voiced: &window.voiced,
        max_unheard_s: guard.max_unheard_s,
        can_be_careful: beam_size > 1,
        min_chars_per_s: if language.is_dense() { guard.min_chars_per_s / 2.0 } else { guard.min_chars_per_s },
    };
    ladder::climb(guard, expected, |attempt| attempts.attempt(language, prompt.filter(|_| attempt.prompted), attempt))
}
