//! Speech to text with the real engine, real models and spoken samples.
#![expect(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tokio_util::sync::CancellationToken;
use transcribe::config::settings::{EngineChoice, GuardConfig, SttConfig};
use transcribe::decode::AudioStream;
use transcribe::domain::{Channel, ChannelMode, Language, Span, Suppression, Transcript, TranscriptStatus};
use transcribe::stt::process::EngineProgram;
use transcribe::stt::whisper_cpp::{Engine, EngineSettings, Model};
use transcribe::stt::{Hints, ModelFiles, ModelPath, SpeechToText, SpeechWindow, Transcriber, Watch, WindowTranscript};

pub(crate) fn cached(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache").join(path);
    assert!(path.exists(), "{} is missing: run make setup models fixtures", path.display());
    path
}

pub(crate) fn samples_of(fixture: &str) -> Vec<f32> {
    let mut stream = AudioStream::open(&cached(&format!("fixtures/{fixture}"))).unwrap();
    let mut samples = Vec::new();
    while let Some(blocks) = stream.next_block().unwrap() {
        samples.extend_from_slice(&blocks[0]);
    }
    samples
}

pub(crate) fn said(fixture: &str) -> String {
    std::fs::read_to_string(cached(&format!("fixtures/speech/{fixture}.txt"))).unwrap()
}

/// The spoken samples one after the other, with half a second between them.
pub(crate) fn spoken(names: &[&str]) -> Vec<f32> {
    names.iter().flat_map(|name| [samples_of(&format!("speech/{name}.mp3")), vec![0.0; 8_000]].concat()).collect()
}

pub(crate) fn guard(temperatures: &[f32]) -> GuardConfig {
    GuardConfig { temperatures: temperatures.to_vec(), ..GuardConfig::default() }
}

fn load(model: &str, languages: &[&str]) -> SpeechToText {
    load_in(EngineChoice::WhisperCpp, model, languages)
}

fn load_in(engine: EngineChoice, model: &str, languages: &[&str]) -> SpeechToText {
    let config = SttConfig {
        model: model.into(),
        engine,
        languages: languages.iter().map(|code| Language((*code).into())).collect(),
        workers: Some(1),
        threads: Some(2),
        flash_attention: true,
        guard: guard(&[0.0, 0.4, 0.8]),
        ..SttConfig::default()
    };
    let path = cached(&format!("models/{model}.bin"));
    let first = ModelPath { path, name: model.into(), sha256: "not checked here".into() };
    let files = ModelFiles { first, second: None };
    SpeechToText::load_in(&EngineProgram::at(env!("CARGO_BIN_EXE_transcribe")), &config, &files).unwrap()
}

fn heard(speech: &SpeechToText, samples: &[f32]) -> Transcript {
    heard_on(speech, ChannelMode::Mono, &[samples])
}

/// The transcript of channels of one length.
pub(crate) fn heard_on(speech: &SpeechToText, mode: ChannelMode, channels: &[&[f32]]) -> Transcript {
    let mut session = speech.session(mode, None, &CancellationToken::new());
    for start in (0..channels[0].len()).step_by(4_096) {
        let end = (start + 4_096).min(channels[0].len());
        session.push(&channels.iter().map(|channel| channel[start..end].to_vec()).collect::<Vec<_>>()).unwrap();
    }
    session.finish().unwrap()
}

/// Lower-case words without punctuation.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// Edits of whole words over words of the reference.
pub(crate) fn word_error_rate(reference: &str, heard: &str) -> f64 {
    let (reference, heard) = (words(reference), words(heard));
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (i, expected) in reference.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, word) in heard.iter().enumerate() {
            let substituted = diagonal + usize::from(word != expected);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[heard.len()] as f64 / reference.len() as f64
}

pub(crate) fn text_of(transcript: &Transcript) -> String {
    transcript.spoken().map(|segment| segment.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// What holds for every transcript: order, times inside the recording, words inside their segment.
pub(crate) fn check_order(transcript: &Transcript, samples: usize) {
    let length_ms = Span { start: 0, end: samples as u64 }.end_ms();
    let mut at = 0;
    for segment in &transcript.segments {
        assert!(at <= segment.start_ms && segment.start_ms <= segment.end_ms && segment.end_ms <= length_ms);
        assert_eq!(segment.decoding.is_none(), segment.suppressed == Some(Suppression::NonSpeech));
        assert!(!segment.text.is_empty() || segment.suppressed.is_some());
        let mut word_at = segment.start_ms;
        for word in &segment.words {
            assert!(word_at <= word.start_ms && word.start_ms <= word.end_ms && word.end_ms <= segment.end_ms);
            assert!((0.0..=1.0).contains(&word.probability));
            word_at = word.end_ms;
        }
        at = segment.end_ms;
    }
}

fn english() -> &'static SpeechToText {
    static ENGLISH: OnceLock<SpeechToText> = OnceLock::new();
    ENGLISH.get_or_init(|| load("tiny.en", &[]))
}

#[test]
fn english_speech_is_understood_and_its_words_have_times() {
    understands_english(english());
}

#[test]
fn our_own_engine_understands_it_as_well_in_the_real_program() {
    let speech = load_in(EngineChoice::Native, "tiny.en", &[]);
    assert_eq!(speech.identity().engine, transcribe::stt::native::ENGINE);
    understands_english(&speech);
}

fn understands_english(speech: &SpeechToText) {
    let names = ["en_quick_brown_fox", "en_hello_world", "en_quick_brown_fox"];
    let long_silence = vec![0.0; 8 * 16_000];
    let samples = [long_silence, spoken(&names)].concat();
    let transcript = heard(speech, &samples);
    check_order(&transcript, samples.len());

    let reference = names.map(said).join(" ");
    let error_rate = word_error_rate(&reference, &text_of(&transcript));
    assert!(error_rate <= 0.15, "word error rate {error_rate}: {}", text_of(&transcript));
    assert_eq!(transcript.language.as_ref().map(|verdict| verdict.language.as_str()), Some("en"));
    assert_eq!(transcript.segments[0].suppressed, Some(Suppression::NonSpeech));
    let first_word = transcript.spoken().next().and_then(|segment| segment.words.first()).unwrap();
    assert!((7_600..=9_000).contains(&first_word.start_ms), "first word at {} ms", first_word.start_ms);
}

#[test]
fn silence_and_tones_give_no_words() {
    for fixture in ["edge/silence_30s.mp3", "edge/tone_440_10s.mp3"] {
        let samples = samples_of(fixture);
        let transcript = heard(english(), &samples);
        check_order(&transcript, samples.len());
        assert_eq!(transcript.status(), TranscriptStatus::NoSpeech, "{fixture}: {}", text_of(&transcript));
        assert_eq!(transcript.language, None);
    }
}

#[test]
fn japanese_is_detected_and_stays_whole_characters() {
    let speech = load("base", &["en", "ja", "zh"]);
    let samples = spoken(&["ja_pangrama", "ja_konnichiwa_sekai"]);
    let transcript = heard(&speech, &samples);
    check_order(&transcript, samples.len());
    let verdict = transcript.language.as_ref().unwrap();
    assert_eq!(verdict.language.as_str(), "ja");
    assert!(verdict.probability > 0.5 && verdict.margin > 0.0);

    let text = text_of(&transcript);
    let is_japanese = |c: char| matches!(c, '\u{3040}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}');
    assert!(text.chars().filter(|c| is_japanese(*c)).count() >= 10, "{text}");
    assert!(!text.contains('\u{fffd}'));
    for segment in transcript.spoken() {
        let joined: String = segment.words.iter().map(|word| word.text.as_str()).collect();
        let without_spaces = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        assert_eq!(without_spaces(&joined), without_spaces(&segment.text));
    }
}

fn window(samples: Vec<f32>) -> SpeechWindow {
    let span = Span { start: 16_000, end: 16_000 + samples.len() as u64 };
    SpeechWindow::voiced(Channel::Mono, span, samples)
}

fn engine(model: &Model, beam_size: u32, threads: usize, temperature: f32) -> Engine {
    Engine::new(model, EngineSettings { beam_size, words: true, threads, guard: guard(&[temperature]) }).unwrap()
}

fn decoded(engine: &mut Engine, window: &SpeechWindow) -> WindowTranscript {
    let hints = Hints::of(Language("en".into()));
    let mut batch =
        engine.transcribe(std::slice::from_ref(window), &hints, &Watch::new(&CancellationToken::new())).unwrap();
    batch.pop().unwrap()
}

#[test]
fn a_window_gives_the_same_text_whatever_came_before_and_however_many_threads_run() {
    let model = Model::load(&cached("models/tiny.en.bin"), true).unwrap();
    let fox = window(spoken(&["en_quick_brown_fox"]));
    let counting = window(spoken(&["en_counting"]));
    let mut one_thread = engine(&model, 1, 1, 0.0);
    let alone = decoded(&mut one_thread, &fox);
    assert!(!alone.segments.is_empty());
    decoded(&mut one_thread, &counting);
    assert_eq!(decoded(&mut one_thread, &fox), alone, "after another window");
    assert_eq!(decoded(&mut engine(&model, 1, 2, 0.0), &fox), alone, "with two threads");

    // With several languages the engine is given more than one token to begin with.
    let base = Model::load(&cached("models/base.bin"), false).unwrap();
    let alone = decoded(&mut engine(&base, 1, 2, 0.0), &fox);
    let mut used = engine(&base, 1, 2, 0.0);
    decoded(&mut used, &counting);
    assert_eq!(decoded(&mut used, &fox), alone, "after another window, with a model of many languages");

    // Both of these draw random numbers.
    for (beam_size, temperature) in [(1, 0.8), (3, 0.0)] {
        let mut one = engine(&model, beam_size, 2, temperature);
        let first = decoded(&mut one, &fox);
        assert!(!first.segments.is_empty());
        assert_eq!(decoded(&mut one, &fox), first, "beam {beam_size}, temperature {temperature}, the second time");
    }
}
