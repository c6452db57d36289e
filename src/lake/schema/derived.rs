//! What a `recordings` row says about its transcript without any model: counts, shares, the whole text.
//!
//! Only unsuppressed segments count, except in `suppressed_count`.

use std::collections::BTreeMap;

use super::count;
use crate::domain::{AudioFacts, ChannelMode, Doubt, FinishedTranscript, Language, Segment, Talk, text_confidence};

/// Computed columns of `recordings`; each is described there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Derived {
    pub(super) duration_delta_ms: Option<i64>,
    pub(super) text: String,
    pub(super) segment_count: i32,
    /// Absent when words were not asked for and the language has no spaces to count them by.
    pub(super) word_count: Option<i32>,
    pub(super) silence_ms: i64,
    pub(super) suppressed_count: i32,
    pub(super) avg_logprob: Option<f64>,
    pub(super) confidence: Option<f64>,
    pub(super) talk_share_left: Option<f64>,
    pub(super) talk_share_right: Option<f64>,
    pub(super) longest_monologue_ms: Option<i64>,
    pub(super) words_per_minute: Option<f64>,
    pub(super) overlap_ms: Option<i64>,
    /// Codes separated by commas; empty when nobody need look.
    pub(super) review_reasons: String,
    pub(super) window_count: i32,
    pub(super) second_window_count: i32,
}

/// A file may be so much longer or shorter than its listing says: listings count whole seconds, and encoders pad.
const LENGTH_TOLERANCE_MS: u64 = 2_000;

/// A cut file lacks at least this much; less is a missing last frame.
const CUT_SHORT_MS: i64 = 500;

impl Derived {
    pub(super) fn of(finished: &FinishedTranscript) -> Self {
        let transcript = &finished.transcript;
        let audio = &finished.audio;
        let spoken: Vec<&Segment> = transcript.spoken().collect();
        let spaced = is_spaced(finished, &spoken);
        let text = joined(&spoken, spaced);
        let word_count = word_count(&spoken, &text, spaced);
        let stereo = audio.channel_mode == ChannelMode::Stereo;
        let talk = transcript.talk.as_ref();
        let left_share = talk.and_then(left_share);
        let (window_count, second_window_count) = windows(&transcript.segments);
        let channels = if stereo { 2 } else { 1 };
        let listed_ms = finished.recording.duration_s.map(|seconds| i64::from(seconds) * 1_000);
        let duration_delta_ms = listed_ms.map(|listed_ms| audio.audio_ms.saturating_sub(listed_ms));
        Self {
            review_reasons: review_reasons(audio, duration_delta_ms, &transcript.doubts),
            duration_delta_ms,
            segment_count: count(spoken.len()),
            suppressed_count: count(transcript.segments.len() - spoken.len()),
            silence_ms: audio.audio_ms.saturating_mul(channels).saturating_sub(transcript.speech_ms).max(0),
            avg_logprob: mean(&spoken, |logprob| logprob),
            confidence: mean(&spoken, text_confidence),
            talk_share_left: left_share,
            talk_share_right: left_share.map(|left| 1.0 - left),
            longest_monologue_ms: talk.map(|talk| talk.longest_monologue_ms),
            overlap_ms: talk.map(|talk| talk.overlap_ms),
            window_count: count(window_count),
            second_window_count: count(second_window_count),
            words_per_minute: words_per_minute(word_count, transcript.speech_ms),
            word_count,
            text,
        }
    }
}

/// What a person should know before trusting the row.
fn review_reasons(audio: &AudioFacts, duration_delta_ms: Option<i64>, doubts: &[Doubt]) -> String {
    let differs = duration_delta_ms.is_some_and(|delta| delta.unsigned_abs() > LENGTH_TOLERANCE_MS);
    let reasons = [
        (audio.damaged_packets > 0, "audio_damaged"),
        (audio.missing_ms >= CUT_SHORT_MS, "audio_cut_short"),
        (differs, "duration_differs"),
    ];
    let of_sound = reasons.into_iter().filter(|(met, _)| *met).map(|(_, reason)| reason);
    of_sound.chain(doubts.iter().copied().map(Doubt::as_str)).collect::<Vec<_>>().join(",")
}

fn is_spaced(finished: &FinishedTranscript, spoken: &[&Segment]) -> bool {
    let verdict = finished.transcript.language.as_ref().map(|verdict| &verdict.language);
    let first_spoken = || spoken.iter().find_map(|segment| segment.language.as_ref());
    let language = verdict.or_else(first_spoken);
    language.is_none_or(Language::is_spaced)
}

fn joined(spoken: &[&Segment], spaced: bool) -> String {
    let parts: Vec<&str> = spoken.iter().map(|segment| segment.text.trim()).filter(|text| !text.is_empty()).collect();
    parts.join(if spaced { " " } else { "" })
}

fn word_count(spoken: &[&Segment], text: &str, spaced: bool) -> Option<i32> {
    let words: usize = spoken.iter().map(|segment| segment.words.len()).sum();
    let asked_for = words > 0 || text.is_empty();
    if asked_for {
        return Some(count(words));
    }
    spaced.then(|| count(text.split_whitespace().count()))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of one recording are far below 2^53")]
fn words_per_minute(words: Option<i32>, speech_ms: i64) -> Option<f64> {
    let words = words.filter(|_| speech_ms > 0)?;
    Some(f64::from(words) * 60_000.0 / speech_ms as f64)
}

fn length_ms(segment: &Segment) -> i64 {
    segment.end_ms.saturating_sub(segment.start_ms).max(0)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of one recording are far below 2^53")]
fn mean(spoken: &[&Segment], of_logprob: impl Fn(f64) -> f64) -> Option<f64> {
    let mut weighted = 0.0;
    let mut weights = 0.0;
    for segment in spoken {
        let Some(logprob) = segment.avg_logprob else { continue };
        let weight = length_ms(segment).max(1) as f64;
        weighted += of_logprob(logprob) * weight;
        weights += weight;
    }
    (weights > 0.0).then(|| weighted / weights)
}

/// Share of the left side in what both sides say; absent where neither says anything.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of one recording are far below 2^53")]
fn left_share(talk: &Talk) -> Option<f64> {
    let both_ms = talk.left_ms.saturating_add(talk.right_ms);
    (both_ms > 0).then(|| talk.left_ms as f64 / both_ms as f64)
}

/// Windows that were decoded, and those of them that a second model decoded again.
fn windows(segments: &[Segment]) -> (usize, usize) {
    let mut windows = BTreeMap::new();
    for segment in segments {
        if let Some(decoding) = &segment.decoding {
            let heard_again = windows.entry((segment.channel, decoding.window_start_ms)).or_insert(false);
            *heard_again |= decoding.first.is_some();
        }
    }
    (windows.len(), windows.values().filter(|heard_again| **heard_again).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Channel, Decoding, FirstHearing, Suppression};
    use crate::lake::sample::{finished, language, segment, stereo};

    #[test]
    fn damaged_cut_and_unexpectedly_long_audio_asks_for_a_person() {
        let mut audio = crate::lake::sample::finished("aa").audio;
        assert_eq!(review_reasons(&audio, Some(-1_900), &[]), "");
        audio.damaged_packets = 3;
        audio.missing_ms = 12_000;
        let reasons = review_reasons(&audio, Some(2_001), &[Doubt::LowConfidence]);
        assert_eq!(reasons, "audio_damaged,audio_cut_short,duration_differs,low_confidence");
    }

    #[test]
    fn the_text_is_joined_with_spaces_except_in_languages_that_have_none() {
        let mut english = finished("aa");
        english.transcript.segments = vec![segment(0, 900, "good"), segment(900, 1_500, "morning")];
        assert_eq!(Derived::of(&english).text, "good morning");

        let mut japanese = finished("bb");
        japanese.transcript.language = Some(language("ja"));
        japanese.transcript.segments = vec![segment(0, 900, "おはよう"), segment(900, 1_500, "ございます")];
        assert_eq!(Derived::of(&japanese).text, "おはようございます");
    }

    #[test]
    fn suppressed_segments_add_nothing_but_to_their_own_count() {
        let mut call = finished("aa");
        let mut invented = segment(900, 1_500, "thanks for watching");
        invented.suppressed = Some(Suppression::NoSpeechProbability);
        call.transcript.segments = vec![segment(0, 900, "hello"), invented];
        let derived = Derived::of(&call);
        assert_eq!(derived.text, "hello");
        assert_eq!((derived.segment_count, derived.suppressed_count, derived.word_count), (1, 1, Some(1)));
    }

    #[test]
    fn a_silent_recording_has_empty_text_and_no_means() {
        let mut silent = finished("aa");
        silent.transcript.segments.clear();
        silent.transcript.language = None;
        silent.transcript.speech_ms = 0;
        silent.audio.audio_ms = 5_000;
        let derived = Derived::of(&silent);
        assert_eq!(derived.text, "");
        assert_eq!((derived.word_count, derived.silence_ms), (Some(0), 5_000));
        assert_eq!((derived.avg_logprob, derived.confidence, derived.words_per_minute), (None, None, None));
        assert_eq!(derived.talk_share_left, None);
    }

    #[test]
    fn long_segments_weigh_more_in_the_means() {
        let mut call = finished("aa");
        let mut long = segment(0, 3_000, "a");
        long.avg_logprob = Some(-0.2);
        let mut short = segment(3_000, 4_000, "b");
        short.avg_logprob = Some(-1.0);
        call.transcript.segments = vec![long, short];
        let derived = Derived::of(&call);
        let mean = derived.avg_logprob.unwrap();
        assert!((mean - -0.4).abs() < 1e-12, "{mean}");
        let (sure, unsure) = (text_confidence(-0.2), text_confidence(-1.0));
        assert!((derived.confidence.unwrap() - (3.0 * sure + unsure) / 4.0).abs() < 1e-12);
    }

    #[test]
    fn without_word_times_the_words_are_counted_by_spaces_where_there_are_spaces() {
        let mut call = finished("aa");
        call.transcript.segments = vec![segment(0, 900, "one two  three")];
        call.transcript.segments[0].words.clear();
        call.transcript.speech_ms = 30_000;
        let derived = Derived::of(&call);
        assert_eq!(derived.word_count, Some(3));
        assert_eq!(derived.words_per_minute, Some(6.0));
        call.transcript.language = Some(language("ja"));
        assert_eq!(Derived::of(&call).word_count, None);
    }

    #[test]
    fn two_sides_share_the_talk() {
        let mut call = stereo("aa", &[(Channel::Left, 0, 4_000)]);
        let talk = Talk { left_ms: 6_000, right_ms: 2_000, overlap_ms: 1_000, longest_monologue_ms: 4_000 };
        call.transcript.talk = Some(talk);
        let derived = Derived::of(&call);
        assert_eq!((derived.talk_share_left, derived.talk_share_right), (Some(0.75), Some(0.25)));
        assert_eq!((derived.overlap_ms, derived.longest_monologue_ms), (Some(1_000), Some(4_000)));
    }

    #[test]
    fn windows_are_counted_once_and_second_hearings_among_them() {
        let mut call = stereo("aa", &[(Channel::Left, 0, 900), (Channel::Left, 900, 1_500), (Channel::Right, 0, 900)]);
        for segment in &mut call.transcript.segments {
            let first = FirstHearing { text: "wort".into(), model: "tiny".into() };
            segment.decoding = Some(Decoding {
                window_start_ms: 0,
                window_end_ms: 2_000,
                passes: 1,
                refused_for: Vec::new(),
                objections: Vec::new(),
                first: (segment.channel == Channel::Right).then_some(first),
            });
        }
        let derived = Derived::of(&call);
        assert_eq!((derived.window_count, derived.second_window_count), (2, 1));
    }

    #[test]
    fn one_channel_has_no_sides() {
        let derived = Derived::of(&finished("aa"));
        assert_eq!((derived.talk_share_left, derived.overlap_ms, derived.longest_monologue_ms), (None, None, None));
    }

    #[test]
    fn times_at_the_edge_of_the_type_do_not_overflow() {
        let mut call = stereo("aa", &[(Channel::Left, i64::MIN, i64::MAX), (Channel::Right, i64::MIN, i64::MAX)]);
        call.audio.audio_ms = i64::MAX;
        call.transcript.speech_ms = i64::MIN;
        assert_eq!(Derived::of(&call).silence_ms, i64::MAX);
    }
}
