//! The codes of the lake in plain words, in one place, with the keys of pipeline.toml that decide.

use crate::domain::Suppression;

/// A code of `suppressed_reason`, `retry_reasons` or `objections` in plain words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wording {
    /// Goes after "because".
    pub(super) because: &'static str,
    /// What was measured, and against what.
    pub(super) meaning: &'static str,
    /// The keys that change it.
    pub(super) keys: &'static [&'static str],
}

const ALL: [Suppression; 11] = [
    Suppression::NonSpeech,
    Suppression::NoSpeechProbability,
    Suppression::LowLogProbability,
    Suppression::CompressionRatio,
    Suppression::NoWords,
    Suppression::TooFewWords,
    Suppression::Unsure,
    Suppression::Loop,
    Suppression::InventedPhrase,
    Suppression::PromptEcho,
    Suppression::CrossTalk,
];

/// `None` for a code of another version of this program.
pub(super) fn wording(code: &str) -> Option<Wording> {
    ALL.into_iter().find(|reason| reason.as_str() == code).map(of)
}

const fn of(reason: Suppression) -> Wording {
    let (because, meaning, keys): (_, _, &[&str]) = match reason {
        Suppression::NonSpeech => (
            "nobody speaks",
            "voice activity gave every frame a probability of voice below the limit, so the span was not decoded",
            &["stt.speech_threshold"],
        ),
        Suppression::NoSpeechProbability => (
            "the engine itself hears no speech",
            "the engine's probability that nobody speaks (no_speech_prob) is above the one limit, and that of its \
             words (avg_logprob; 0 is certain) below the other",
            &["stt.max_no_speech_prob", "stt.min_avg_logprob"],
        ),
        Suppression::LowLogProbability => (
            "the engine is not sure of its words",
            "the mean log probability of the words (avg_logprob; 0 is certain) is below the limit: the window is \
             decoded again, and what stays far below the limit does not count",
            &["stt.min_avg_logprob"],
        ),
        Suppression::CompressionRatio => (
            "the text repeats itself",
            "text that repeats itself compresses well: its bytes over its bytes after compression \
             (compression_ratio) are above the limit",
            &["stt.max_compression_ratio"],
        ),
        Suppression::NoWords => {
            ("there is no word in it", "marks only, such as those for music: no letter and no digit", &[])
        }
        Suppression::TooFewWords => (
            "there are too few words for so much speech",
            "fewer characters for a second of voice than anybody says, or a long voice without any: the engine stopped \
             too early, so the window is decoded again",
            &["stt.min_chars_per_s", "stt.max_unheard_s"],
        ),
        Suppression::Unsure => (
            "the engine was less sure than of clear speech",
            "the words of the first, quick pass are less likely (avg_logprob) than the limit: the window is decoded again \
             with several candidates at once",
            &["stt.sure_avg_logprob", "stt.beam_size"],
        ),
        Suppression::Loop => (
            "it says the same over and over",
            "the segment repeats the ones before it, alone or as a group of up to four, more often than people do",
            &["stt.max_repeats"],
        ),
        Suppression::InventedPhrase => (
            "Whisper is known to invent the phrase",
            "the phrase is one that Whisper writes into silence and noise, and other signs of speech are weak too",
            &["stt.min_voice_share", "stt.max_no_speech_prob", "stt.min_avg_logprob"],
        ),
        Suppression::PromptEcho => (
            "it is the prompt that is said back",
            "the words are those of the prompt (vocabulary and names), and without the prompt the engine does not hear them",
            &["stt.vocabulary", "stt.prompt_from_call"],
        ),
        Suppression::CrossTalk => (
            "the other channel says it too, and louder",
            "the same words at the same time on both channels: one side is heard through the other's microphone",
            &[],
        ),
    };
    Wording { because, meaning, keys }
}

/// Why a code made somebody do something; the code itself where this version does not know it.
pub(super) fn because(code: &str) -> String {
    wording(code).map_or_else(|| code.replace('_', " "), |wording| wording.because.to_owned())
}

/// A code of `review_reasons` in plain words; the code itself where this version does not know it.
pub(super) fn review(code: &str) -> String {
    let words = match code {
        "audio_damaged" => "parts of the file are damaged; silence stands in their place",
        "audio_cut_short" => "the file ends before the length that its header announces",
        "duration_differs" => "the file is longer or shorter than it is listed",
        "language_uncertain" => "another language is nearly as likely (stt.min_language_margin)",
        "languages_mixed" => "parts of it are in another language",
        "low_confidence" => "the engine was not sure of much of what it heard (stt.doubtful_avg_logprob)",
        "much_suppressed" => "much of what was decoded is suppressed",
        other => return other.replace('_', " "),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::layers::DEFAULTS;

    #[test]
    fn every_code_has_words_and_the_keys_that_it_names_exist() {
        let defaults: toml::Table = toml::from_str(DEFAULTS).unwrap();
        for reason in ALL {
            let wording = wording(reason.as_str()).unwrap();
            assert!(!wording.because.is_empty() && !wording.meaning.is_empty());
            for key in wording.keys {
                let mut parts = key.split('.');
                let section = defaults.get(parts.next().unwrap()).unwrap();
                let value = parts.try_fold(section, |value, part| value.get(part));
                assert!(value.is_some(), "{key}");
            }
        }
    }

    #[test]
    fn a_code_of_another_version_stands_for_itself() {
        assert_eq!((because("too_cheerful"), review("line_noise")), ("too cheerful".into(), "line noise".into()));
        assert_eq!(wording("too_cheerful"), None);
    }
}
