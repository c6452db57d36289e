//! Each layer with a sound that triggers it and one that must not, through the real engine. Voice activity is left out:
//! what it hears of these sounds is given, so that they reach the layers behind it.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio_util::sync::CancellationToken;

use super::super::assemble::{DecodedWindow, Parts};
use super::super::spoken::{cached, speech};
use super::super::timing::Levels;
use super::super::whisper_cpp::{Engine, EngineSettings, Model};
use super::super::{Hints, SpeechWindow, Transcriber, Watch};
use super::*;
use crate::domain::{Channel, Language, Segment, Span};

const SECOND: usize = 16_000;

fn noise(seconds: usize, amplitude: f32) -> Vec<f32> {
    let mut random = SmallRng::seed_from_u64(20_261_122);
    (0..seconds * SECOND).map(|_| amplitude * random.random_range(-1.0..1.0)).collect()
}

/// A sine whose frequency is given for each moment, in seconds.
fn sine(seconds: usize, hz: impl Fn(f32) -> f32) -> Vec<f32> {
    (0..seconds * SECOND)
        .map(|n| {
            let t = n as f32 / 16_000.0;
            0.1 * (std::f32::consts::TAU * hz(t) * t).sin()
        })
        .collect()
}

/// What becomes of one window in which voice activity hears `voiced_s` seconds of voice.
fn judged(samples: &[f32], voiced_s: usize, prompt: Option<&str>, guard: &GuardConfig) -> Vec<Segment> {
    let model = Model::load(&cached("models/tiny.en.bin"), false).unwrap();
    let settings = EngineSettings { beam_size: 1, words: true, threads: 2, guard: guard.clone() };
    let span = Span { start: 0, end: samples.len() as u64 };
    let voiced = vec![Span { start: 0, end: (voiced_s * SECOND) as u64 }];
    let window = SpeechWindow { channel: Channel::Mono, span, samples: samples.to_vec(), voiced: voiced.clone() };
    let hints = Hints { prompt: prompt.map(str::to_owned), ..Hints::of(Language("en".into())) };
    let watch = Watch::new(&CancellationToken::new());
    let mut texts = Engine::new(&model, settings).unwrap().transcribe(&[window], &hints, &watch).unwrap();
    let levels = Levels::of(samples, span);
    let window = DecodedWindow::new(Channel::Mono, span, voiced, texts.remove(0), &levels, None);
    Parts { windows: vec![window], non_speech: Vec::new(), muted: Vec::new(), voted: None, guard }.assemble().segments
}

fn plain(temperatures: &[f32]) -> GuardConfig {
    GuardConfig { temperatures: temperatures.to_vec(), ..GuardConfig::default() }
}

fn objections(segments: &[Segment]) -> Vec<Suppression> {
    segments.iter().flat_map(|segment| segment.decoding.as_ref().unwrap().objections.clone()).collect()
}

fn only_said(text: &str, segments: &[Segment]) {
    let spoken: Vec<&str> = segments.iter().filter(|it| it.suppressed.is_none()).map(|it| it.text.as_str()).collect();
    assert_eq!(folded(&spoken.join(" ")), text);
    assert_eq!(objections(segments), []);
}

const FOX: &str = "the quick brown fox jumps over the lazy dog";

/// A whistle that goes up and down: whatever the engine hears in it, it says it again and again.
fn whistle() -> Vec<f32> {
    sine(5, |t| 200.0 + 300.0 * (7.0 * t).sin())
}

#[test]
fn a_whistle_makes_the_engine_repeat_itself_and_only_once_is_kept() {
    let guard = plain(&[0.0]);
    let segments = judged(&whistle(), 0, None, &guard);
    let decoding = segments[0].decoding.as_ref().unwrap();
    assert!(decoding.refused_for.contains(&Suppression::CompressionRatio) && decoding.passes > 1, "{decoding:?}");
    let found = objections(&segments);
    assert!(found.contains(&Suppression::CompressionRatio) && found.contains(&Suppression::Loop), "{found:?}");
    assert!(segments.iter().filter(|segment| segment.suppressed.is_none()).count() <= 1);

    let fox = judged(&speech("en_quick_brown_fox"), 2, None, &guard);
    only_said(FOX, &fox);
    assert_eq!(fox[0].decoding.as_ref().unwrap().passes, 1);
}

#[test]
fn a_sentence_that_is_really_said_nine_times_is_suppressed_as_a_loop_and_kept_to_be_read() {
    let often: Vec<f32> = (0..9).flat_map(|_| speech("en_hello_world")).collect();
    let segments = judged(&often, 9, None, &plain(&[0.0]));
    assert!(objections(&segments).contains(&Suppression::CompressionRatio));
    assert!(
        segments.iter().any(|segment| segment.suppressed.is_some() && folded(&segment.text).contains("hello world"))
    );
    only_said("hello world", &judged(&speech("en_hello_world"), 1, None, &plain(&[0.0])));
}

#[test]
fn noise_is_no_speech_to_the_engine_with_a_prompt_as_without() {
    for prompt in [None, Some("Contoso Travel, Aiko Tanaka, Peter Miller.")] {
        for amplitude in [0.17, 0.017] {
            let segments = judged(&noise(5, amplitude), 0, prompt, &plain(&[0.0]));
            assert!(segments.iter().all(|segment| segment.suppressed.is_some()), "{segments:?}");
            let heard: Vec<f64> = segments.iter().filter_map(|segment| segment.no_speech_prob).collect();
            assert!(heard.iter().all(|probability| *probability > 0.6), "{heard:?}");
        }
        let fox = judged(&speech("en_quick_brown_fox"), 2, prompt, &plain(&[0.0]));
        only_said(FOX, &fox);
        assert!(fox[0].no_speech_prob.unwrap() < 0.1);
    }
}

#[test]
fn a_tone_gives_marks_and_silence_gives_a_phrase_that_nobody_said() {
    let tone = judged(&sine(5, |_| 440.0), 0, None, &plain(&[0.0]));
    assert!(objections(&tone).contains(&Suppression::NoWords), "{tone:?}");
    assert!(tone.iter().all(|segment| segment.suppressed.is_some()));
    let silence = judged(&vec![0.0; 5 * SECOND], 0, None, &plain(&[0.0]));
    assert!(objections(&silence).contains(&Suppression::InventedPhrase), "{silence:?}");
    assert!(silence.iter().all(|segment| segment.suppressed.is_some()));
}

#[test]
fn what_no_temperature_makes_sense_of_is_unlikely_and_a_plain_sentence_is_not() {
    let ladder = plain(&[0.0, 0.4, 0.8]);
    let whistle = judged(&whistle(), 0, None, &ladder);
    assert!(objections(&whistle).contains(&Suppression::LowLogProbability), "{whistle:?}");
    assert!(whistle[0].decoding.as_ref().unwrap().passes > 3);
    only_said(FOX, &judged(&speech("en_quick_brown_fox"), 2, None, &ladder));
}

#[test]
fn the_prompt_read_aloud_over_a_tone_is_left_out_and_the_same_words_when_spoken_stay() {
    let tone = judged(&sine(5, |_| 440.0), 0, Some("the quick brown fox jumps"), &plain(&[0.0]));
    assert!(tone[0].decoding.as_ref().unwrap().refused_for.contains(&Suppression::PromptEcho), "{tone:?}");
    assert!(tone.iter().all(|segment| !folded(&segment.text).contains("the")), "{tone:?}");
    let prompt = "lazy dog, brown fox";
    only_said(FOX, &judged(&speech("en_quick_brown_fox"), 2, Some(prompt), &plain(&[0.0])));
}

#[test]
fn two_words_for_a_long_voice_are_decoded_again() {
    let hello = speech("en_hello_world");
    let padded = [hello, noise(8, 0.001)].concat();
    let again = judged(&padded, 9, None, &plain(&[0.0]));
    let decoding = again[0].decoding.as_ref().unwrap();
    assert!(decoding.refused_for.contains(&Suppression::TooFewWords) && decoding.passes > 1, "{decoding:?}");
    let once = judged(&padded, 1, None, &plain(&[0.0]));
    assert_eq!(once[0].decoding.as_ref().unwrap().passes, 1);
}
