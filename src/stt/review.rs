//! Which transcripts a person should look at, and why.

use std::collections::BTreeMap;

use crate::config::settings::GuardConfig;
use crate::domain::{Doubt, Segment, Suppression, Transcript};

/// Doubtful words are much from this share of the spoken time on.
const MUCH_DOUBTFUL: f64 = 0.25;
/// Suppressed text is much from this share of the decoded time on.
const MUCH_SUPPRESSED: f64 = 0.2;
/// Another language is a part of the call, not a word of it, from this share of the spoken time on.
const MUCH_OTHER: f64 = 0.1;

/// Why the transcript should be looked at; empty = nothing stands out.
#[must_use]
pub(super) fn doubts(transcript: &Transcript, guard: &GuardConfig) -> Vec<Doubt> {
    let spoken = time_of(transcript.spoken());
    let unsure = |segment: &&Segment| segment.avg_logprob.is_some_and(|logprob| logprob < guard.doubtful_avg_logprob);
    let doubtful = time_of(transcript.spoken().filter(unsure));
    let is_refused = |segment: &&Segment| match segment.suppressed {
        // Nothing was lost where nobody spoke, and the other channel has what leaked from it.
        None | Some(Suppression::NonSpeech | Suppression::CrossTalk) => false,
        // A long voice without a word is another matter than a tone.
        Some(Suppression::NoWords) => was_too_short(segment),
        Some(_) => true,
    };
    let refused = time_of(transcript.segments.iter().filter(is_refused));
    let margin = transcript.language.as_ref().map(|verdict| verdict.margin);
    let reasons = [
        (margin.is_some_and(|margin| margin < guard.min_language_margin), Doubt::Language),
        (other_languages(transcript) >= MUCH_OTHER * spoken && spoken > 0.0, Doubt::MixedLanguages),
        (doubtful > 0.0 && doubtful >= MUCH_DOUBTFUL * spoken, Doubt::LowConfidence),
        (refused > 0.0 && refused >= MUCH_SUPPRESSED * (spoken + refused), Doubt::MuchSuppressed),
    ];
    reasons.into_iter().filter(|(applies, _)| *applies).map(|(_, doubt)| doubt).collect()
}

/// Whether the engine found too few words for so much speech.
fn was_too_short(segment: &Segment) -> bool {
    segment.decoding.as_ref().is_some_and(|decoding| decoding.refused_for.contains(&Suppression::TooFewWords))
}

/// Milliseconds.
fn time_of<'a>(segments: impl Iterator<Item = &'a Segment>) -> f64 {
    segments.map(length).sum()
}

fn length(segment: &Segment) -> f64 {
    f64::from(i32::try_from(segment.end_ms.saturating_sub(segment.start_ms)).unwrap_or(i32::MAX)).max(0.0)
}

/// Spoken time that is not in the language in which most is spoken, in milliseconds.
fn other_languages(transcript: &Transcript) -> f64 {
    let mut of_each = BTreeMap::new();
    for segment in transcript.spoken() {
        if let Some(language) = &segment.language {
            *of_each.entry(language).or_insert(0.0) += length(segment);
        }
    }
    let most = of_each.values().copied().fold(0.0, f64::max);
    let all: f64 = of_each.values().sum();
    // Without a second language there is nothing to measure, not even the error of the sum.
    if of_each.len() < 2 { -1.0 } else { all - most }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Channel, Decoding, Language, LanguageVerdict};

    fn said(start_ms: i64, end_ms: i64, language: &str, avg_logprob: f64) -> Segment {
        Segment {
            channel: Channel::Mono,
            start_ms,
            end_ms,
            text: "words".into(),
            language: Some(Language(language.into())),
            avg_logprob: Some(avg_logprob),
            no_speech_prob: Some(0.1),
            compression_ratio: Some(1.0),
            temperature: Some(0.0),
            suppressed: None,
            words: Vec::new(),
            speaker: None,
            decoding: None,
        }
    }

    fn found(segments: Vec<Segment>, margin: f64) -> Vec<Doubt> {
        let language = Some(LanguageVerdict { language: Language("en".into()), probability: 0.9, margin });
        let transcript = Transcript { language, segments, speech_ms: 10_000, talk: None, doubts: Vec::new() };
        doubts(&transcript, &GuardConfig::default())
    }

    #[test]
    fn clear_speech_in_one_language_needs_nobody() {
        assert_eq!(found(vec![said(0, 9_000, "en", -0.3), said(9_000, 10_000, "en", -1.4)], 0.9), []);
        assert_eq!(found(Vec::new(), 1.0), []);
    }

    #[test]
    fn each_doubt_is_told() {
        assert_eq!(found(vec![said(0, 9_000, "en", -0.3)], 0.05), [Doubt::Language]);
        let mixed = vec![said(0, 8_000, "en", -0.3), said(8_000, 10_000, "ja", -0.3)];
        assert_eq!(found(mixed, 0.6), [Doubt::MixedLanguages]);
        let unsure = vec![said(0, 6_000, "en", -0.3), said(6_000, 10_000, "en", -1.2)];
        assert_eq!(found(unsure, 0.9), [Doubt::LowConfidence]);
        let mut looped = said(6_000, 10_000, "en", -0.1);
        looped.suppressed = Some(Suppression::Loop);
        assert_eq!(found(vec![said(0, 6_000, "en", -0.3), looped], 0.9), [Doubt::MuchSuppressed]);
    }

    #[test]
    fn a_long_voice_without_words_is_a_loss_and_a_tone_is_none() {
        let nothing = |refused_for| {
            let mut nothing = said(6_000, 10_000, "en", -0.1);
            nothing.text = String::new();
            nothing.suppressed = Some(Suppression::NoWords);
            nothing.decoding = Some(Decoding {
                window_start_ms: 6_000,
                window_end_ms: 10_000,
                passes: 2,
                refused_for,
                objections: vec![Suppression::NoWords],
                first: None,
            });
            found(vec![said(0, 6_000, "en", -0.3), nothing], 0.9)
        };
        assert_eq!(nothing(vec![Suppression::TooFewWords]), [Doubt::MuchSuppressed]);
        assert_eq!(nothing(Vec::new()), []);
    }

    #[test]
    fn silence_and_leaks_of_the_other_channel_are_no_loss() {
        let mut leak = said(0, 9_000, "en", -0.3);
        leak.suppressed = Some(Suppression::CrossTalk);
        assert_eq!(found(vec![leak, said(9_000, 10_000, "en", -0.3)], 0.9), []);
    }
}
