//! What is trusted and what is not, over whole recordings: loops, leaks, languages, second hearings. The layers that
//! look at one window are tested with their own sounds beside their code.
#![expect(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use transcribe::config::settings::{GuardConfig, SttConfig};
use transcribe::domain::{Channel, ChannelMode, Doubt, Language, Segment, Suppression, Transcript};
use transcribe::stt::process::EngineProgram;
use transcribe::stt::{ModelFiles, ModelPath, SpeechToText};

use crate::stt::{cached, check_order, heard_on, said, samples_of, word_error_rate};

const SECOND: usize = 16_000;

fn model(name: &str) -> ModelPath {
    ModelPath { path: cached(&format!("models/{name}.bin")), name: name.into(), sha256: name.into() }
}

fn load(first: &str, second: Option<&str>, languages: &[&str], guard: GuardConfig) -> SpeechToText {
    let config = SttConfig {
        languages: languages.iter().map(|code| Language((*code).into())).collect(),
        workers: Some(1),
        threads: Some(2),
        guard,
        ..SttConfig::default()
    };
    let files = ModelFiles { first: model(first), second: second.map(model) };
    SpeechToText::load_in(&EngineProgram::at(env!("CARGO_BIN_EXE_transcribe")), &config, &files).unwrap()
}

fn english() -> SpeechToText {
    load("tiny.en", None, &[], GuardConfig::default())
}

/// Spoken samples and pauses (in whole seconds), one after the other.
fn sequence(parts: &[Result<&str, usize>]) -> Vec<f32> {
    let of = |part: &Result<&str, usize>| match part {
        Ok(name) => samples_of(&format!("speech/{name}.mp3")),
        Err(seconds) => vec![0.0; seconds * SECOND],
    };
    parts.iter().flat_map(of).collect()
}

fn mono(speech: &SpeechToText, samples: &[f32]) -> Transcript {
    let transcript = heard_on(speech, ChannelMode::Mono, &[samples]);
    check_order(&transcript, samples.len());
    transcript
}

fn suppressed(transcript: &Transcript, why: Suppression) -> usize {
    transcript.segments.iter().filter(|segment| segment.suppressed == Some(why)).count()
}

fn text_on(transcript: &Transcript, channel: Channel) -> String {
    let on = |segment: &&Segment| segment.channel == channel;
    transcript.spoken().filter(on).map(|segment| segment.text.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_sentence_said_four_times_is_kept_once_and_one_said_twice_stays() {
    let speech = english();
    let (fox, pause) = (Ok("en_quick_brown_fox"), Err(2));
    let four = mono(&speech, &sequence(&[pause, fox, pause, fox, pause, fox, pause, fox]));
    assert_eq!((four.spoken().count(), suppressed(&four, Suppression::Loop)), (1, 3), "{four:?}");
    let two = mono(&speech, &sequence(&[fox, pause, fox]));
    assert_eq!((two.spoken().count(), suppressed(&two, Suppression::Loop)), (2, 0), "{two:?}");
}

#[test]
fn a_leak_of_the_other_channel_is_heard_on_its_own_side_only() {
    let left = sequence(&[Ok("en_quick_brown_fox"), Err(6)]);
    let mut right: Vec<f32> = left.iter().map(|sample| 0.1 * sample).collect();
    let hello = samples_of("speech/en_hello_world.mp3");
    let at = left.len() - hello.len() - SECOND;
    right[at..at + hello.len()].iter_mut().zip(&hello).for_each(|(sample, own)| *sample += own);
    let transcript = heard_on(&english(), ChannelMode::Stereo, &[&left, &right]);
    assert!(word_error_rate(&said("en_quick_brown_fox"), &text_on(&transcript, Channel::Left)) < 0.2);
    assert!(word_error_rate(&said("en_hello_world"), &text_on(&transcript, Channel::Right)) < 0.2, "{transcript:?}");
    let talk = transcript.talk.unwrap();
    assert!(talk.left_ms > 1_000 && talk.right_ms > 300 && talk.right_ms < talk.left_ms, "{talk:?}");
}

#[test]
fn an_echo_that_comes_late_is_suppressed_and_the_same_words_as_an_answer_are_not() {
    let speech = english();
    let left = sequence(&[Ok("en_quick_brown_fox"), Err(5)]);
    let late = SECOND / 4;
    let echo: Vec<f32> = (0..left.len()).map(|n| if n < late { 0.0 } else { 0.15 * left[n - late] }).collect();
    let transcript = heard_on(&speech, ChannelMode::Stereo, &[&left, &echo]);
    assert!(suppressed(&transcript, Suppression::CrossTalk) > 0, "{transcript:?}");
    assert_eq!(text_on(&transcript, Channel::Right), "");
    assert!(word_error_rate(&said("en_quick_brown_fox"), &text_on(&transcript, Channel::Left)) < 0.2);

    let answer = sequence(&[Err(4), Ok("en_quick_brown_fox")]);
    let mut left = left;
    left.resize(answer.len().max(left.len()), 0.0);
    let answer: Vec<f32> = answer.iter().copied().chain(std::iter::repeat(0.0)).take(left.len()).collect();
    let transcript = heard_on(&speech, ChannelMode::Stereo, &[&left, &answer]);
    assert_eq!(suppressed(&transcript, Suppression::CrossTalk), 0);
    assert!(word_error_rate(&said("en_quick_brown_fox"), &text_on(&transcript, Channel::Right)) < 0.2);
}

#[test]
fn each_window_of_a_mixed_call_is_decoded_in_its_own_language() {
    let speech = load("base", None, &["en", "ja"], GuardConfig::default());
    let samples = sequence(&[Ok("en_quick_brown_fox"), Err(3), Ok("ja_pangrama"), Err(3), Ok("en_hello_world")]);
    let transcript = mono(&speech, &samples);
    let languages: Vec<&str> = transcript.spoken().map(|it| it.language.as_ref().unwrap().as_str()).collect();
    assert_eq!(languages.first(), Some(&"en"), "{transcript:?}");
    assert_eq!(languages.last(), Some(&"en"), "{transcript:?}");
    let japanese: Vec<&Segment> = transcript
        .spoken()
        .filter(|it| it.language.as_ref().is_some_and(|language| language.as_str() == "ja"))
        .collect();
    assert!(!japanese.is_empty(), "{transcript:?}");
    assert!(japanese.iter().all(|it| it.text.chars().any(|c| ('\u{3040}'..'\u{a000}').contains(&c))), "{japanese:?}");
    assert!(transcript.doubts.contains(&Doubt::MixedLanguages), "{:?}", transcript.doubts);
    let plain = mono(&speech, &sequence(&[Ok("en_quick_brown_fox"), Err(3), Ok("en_hello_world")]));
    assert!(plain.spoken().all(|it| it.language.as_ref().unwrap().as_str() == "en"));
    assert!(!plain.doubts.contains(&Doubt::MixedLanguages));
}

#[test]
fn doubtful_windows_are_heard_by_the_second_model_and_both_texts_are_kept() {
    let samples = sequence(&[Ok("en_quick_brown_fox"), Err(3), Ok("en_hello_world")]);
    let doubting_everything = GuardConfig { doubtful_avg_logprob: 0.0, ..GuardConfig::default() };
    let both = mono(&load("tiny.en", Some("base"), &["en"], doubting_everything), &samples);
    for segment in both.spoken() {
        let first = segment.decoding.as_ref().unwrap().first.as_ref().unwrap();
        assert_eq!(first.model, "tiny.en");
        assert!(!first.text.is_empty() && !segment.text.is_empty());
    }
    let sure_of_everything = GuardConfig { doubtful_avg_logprob: -20.0, ..GuardConfig::default() };
    let one = mono(&load("tiny.en", Some("base"), &["en"], sure_of_everything), &samples);
    assert!(one.spoken().all(|segment| segment.decoding.as_ref().unwrap().first.is_none()));
    assert_eq!(one.spoken().count(), both.spoken().count());
}

#[test]
fn the_same_recording_gives_the_same_transcript_again() {
    let samples = sequence(&[Ok("en_counting"), Err(3), Ok("en_hello_world"), Err(1), Ok("en_quick_brown_fox")]);
    let careful = GuardConfig { sure_avg_logprob: 0.0, ..GuardConfig::default() };
    let speech = load("tiny.en", None, &[], careful.clone());
    let first = mono(&speech, &samples);
    assert_eq!(mono(&speech, &samples), first, "with the same engine");
    assert_eq!(mono(&load("tiny.en", None, &[], careful), &samples), first, "with another one");
}
