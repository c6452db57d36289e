use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters};

use super::engine::Engine;
use super::kernels::portable_in_bytes;
use super::*;
use crate::config::settings::GuardConfig;
use crate::domain::{Channel, Span};
use crate::stt::spoken::{cached, speech};
use crate::stt::{EngineError, Hints, SpeechWindow, Transcriber, WindowTranscript};

fn english() -> Language {
    Language("en".into())
}

/// The tokens of text that whisper.cpp hears, by the same rules.
fn by_whisper_cpp(model: &str, language: &str, samples: &[f32]) -> Vec<usize> {
    whisper_rs::install_logging_hooks();
    let context = WhisperContext::new_with_params(cached(model), WhisperContextParameters::default()).unwrap();
    let mut state = context.create_state().unwrap();
    let mut params = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
    params.set_language(Some(language));
    params.set_no_context(true);
    params.set_suppress_nst(true);
    params.set_temperature_inc(0.0);
    params.set_print_progress(false);
    state.full(params, samples).unwrap();
    let segments: Vec<_> = state.as_iter().collect();
    let tokens = segments.iter().flat_map(|segment| (0..segment.n_tokens()).filter_map(|at| segment.get_token(at)));
    tokens.map(|token| usize::try_from(token.token_id()).unwrap()).filter(|id| *id < 50_256).collect()
}

#[test]
fn speech_gives_the_tokens_that_whisper_cpp_hears_in_it() {
    let is_in_words = |isa: &Isa| isa.is_available() && !isa.kernels().prefers_bytes();
    let in_words = Isa::ALL.into_iter().rev().find(is_in_words).unwrap();
    let models = [in_words, Isa::best()].map(|isa| Model::load(&cached("models/tiny.en.bin"), isa).unwrap());
    for name in ["en_hello_world", "en_quick_brown_fox", "en_counting"] {
        let samples = speech(name);
        let expected = by_whisper_cpp("models/tiny.en.bin", "en", &samples);
        let heard = models.each_ref().map(|model| model.decode(&samples, &english(), 1).unwrap());
        let [ids, ids_of_best] = heard.each_ref().map(|tokens| -> Vec<usize> {
            assert!(tokens.iter().all(|token| token.log_probability <= 0.0));
            tokens.iter().map(|token| token.id).filter(|id| *id < models[0].vocabulary.end).collect()
        });
        assert_eq!(ids, expected, "{name}: {}", models[0].text(&heard[0]));
        // What is doubtful, as whether a word begins with a capital, may come out otherwise in bytes.
        let text = |ids: &[usize]| -> String {
            let bytes: Vec<u8> = ids.iter().flat_map(|id| models[0].vocabulary.bytes(*id)).copied().collect();
            String::from_utf8(bytes).unwrap().to_lowercase()
        };
        assert_eq!(text(&ids_of_best), text(&expected), "{name}");
    }
}

#[test]
fn a_language_that_the_model_does_not_know_is_an_error() {
    let model = Model::load(&cached("models/tiny.en.bin"), Isa::best()).unwrap();
    assert!(!model.is_multilingual());
    assert_eq!(
        model.decode(&[], &Language("ja".into()), 1),
        Err(EngineError::UnknownLanguage { language: "ja".into() })
    );
}

#[test]
fn every_thread_hears_the_same_and_several_together_as_well() {
    let samples = speech("en_hello_world");
    let model = Model::load(&cached("models/tiny.en.bin"), Isa::best()).unwrap();
    std::thread::scope(|scope| {
        let decode = |threads: usize| {
            scope.spawn({
                let (model, samples) = (&model, &samples);
                move || model.decode(samples, &english(), threads).unwrap()
            })
        };
        let [one, other, shared] = [1, 1, 3].map(decode).map(|thread| thread.join().unwrap());
        assert_eq!(one, other);
        assert_eq!(one, shared);
    });
}

#[test]
fn a_window_says_the_same_whatever_is_decoded_beside_it() {
    let model = Model::load(&cached("models/tiny.en.bin"), Isa::best()).unwrap();
    let names = ["en_hello_world", "en_quick_brown_fox", "en_counting"];
    let windows: Vec<(Language, Vec<f32>)> =
        names.iter().cycle().take(7).map(|name| (english(), speech(name))).collect();
    let alone: Vec<Vec<Token>> =
        windows[..3].iter().map(|(_, samples)| model.decode(samples, &english(), 1).unwrap()).collect();
    assert!(model.batch(1) > 1);
    for workers in [1, 2, 3] {
        let together = model.decode_all(&windows, workers).unwrap();
        assert_eq!(together.len(), 7);
        for (index, tokens) in together.iter().enumerate() {
            assert_eq!(*tokens, alone[index % 3], "window {index} with {workers} workers");
        }
    }
    let unknown = model.decode_all(&[windows, vec![(Language("ja".into()), Vec::new())]].concat(), 2);
    assert_eq!(unknown, Err(EngineError::UnknownLanguage { language: "ja".into() }));
}

#[test]
fn every_instruction_set_hears_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.bin");
    let mut heard = std::collections::BTreeSet::new();
    for seed in 0..8 {
        std::fs::write(&path, crate::stt::models::sample::small_model(24, seed)).unwrap();
        let ids = |model: Result<Model, _>| -> Vec<usize> {
            let tokens = model.unwrap().decode(&[0.1; 32_000], &english(), 1).unwrap();
            tokens.iter().map(|token| token.id).collect()
        };
        let in_words = ids(Model::load(&path, Isa::Portable));
        let in_bytes = ids(Model::load_for(&path, portable_in_bytes()));
        for isa in Isa::ALL {
            let expected = if isa.kernels().prefers_bytes() { &in_bytes } else { &in_words };
            assert_eq!(ids(Model::load(&path, isa)), *expected, "seed {seed}, {}", isa.as_str());
        }
        heard.insert(in_words);
    }
    assert!(heard.len() > 1, "{heard:?}");
}

#[test]
fn a_damaged_file_is_an_error_or_a_model_but_never_a_panic() {
    let whole = crate::stt::models::sample::small_model(4, 1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.bin");
    let mut random = StdRng::seed_from_u64(20_261_123);
    let mut loaded = 0;
    for round in 0..60 {
        let mut damaged = whole.clone();
        if round % 3 == 0 {
            damaged.truncate(random.random_range(0..whole.len()));
        }
        for _ in 0..random.random_range(1..5) {
            let region = if round % 2 == 0 { damaged.len().min(60) } else { damaged.len() };
            if region > 0 {
                let at = random.random_range(0..region);
                damaged[at] = random.random();
            }
        }
        std::fs::write(&path, &damaged).unwrap();
        let kernels = if round % 4 < 2 { Isa::Portable.kernels() } else { portable_in_bytes() };
        if let Ok(model) = Model::load_for(&path, kernels) {
            loaded += 1;
            assert!(model.decode(&[0.1; 32_000], &english(), 1).is_ok());
        }
    }
    assert!(loaded > 5, "only {loaded}");
}

fn engine(model: &str, beam_size: u32, guard: GuardConfig) -> Engine {
    let model = Arc::new(Model::load(&cached(&format!("models/{model}.bin")), Isa::best()).unwrap());
    let conductor = Arc::new(Conductor::new(1, 1, 1));
    Engine { model, conductor, beam_size, words: true, guard }
}

fn window(samples: &[f32]) -> SpeechWindow {
    // Not at the beginning of the recording.
    let span = Span { start: 160_000, end: 160_000 + samples.len() as u64 };
    SpeechWindow::voiced(Channel::Mono, span, samples.to_vec())
}

fn heard(engine: &mut Engine, samples: &[f32], hints: &Hints) -> WindowTranscript {
    let watch = Watch::new(&CancellationToken::new());
    engine.transcribe(&[window(samples)], hints, &watch).unwrap().remove(0)
}

/// The words of a text without case and punctuation.
fn words_of(transcript: &WindowTranscript) -> String {
    let text: Vec<&str> = transcript.segments.iter().map(|segment| segment.text.as_str()).collect();
    let text = text.join(" ").to_lowercase();
    text.chars().filter(|c| c.is_alphanumeric() || *c == ' ').collect()
}

const FOX: &str = "the quick brown fox jumps over the lazy dog";

#[test]
fn words_have_times_inside_the_window_where_there_is_sound() {
    let samples = speech("en_quick_brown_fox");
    let mut engine = engine("tiny.en", 1, GuardConfig::default());
    // A second of silence before and after.
    let padded = [vec![0.0; 16_000], samples.clone(), vec![0.0; 16_000]].concat();
    let transcript = heard(&mut engine, &padded, &Hints::of(english()));
    assert_eq!(words_of(&transcript), FOX);
    let words: Vec<_> = transcript.segments.iter().flat_map(|segment| &segment.words).collect();
    assert_eq!(words.len(), 9);
    let (from_ms, until_ms) = (10_000 + 1_000, 10_000 + 1_000 + samples.len() as i64 / 16);
    for (word, next) in words.iter().zip(words.iter().skip(1)) {
        assert!(word.start_ms <= word.end_ms && word.end_ms <= next.start_ms, "{words:?}");
        assert!(word.end_ms - word.start_ms < 1_000, "{word:?}");
    }
    let (first, last) = (words[0], words[8]);
    assert!((first.end_ms - from_ms).abs() < 600 && (last.start_ms - until_ms).abs() < 900, "{words:?}");
    assert!(transcript.segments.iter().all(|segment| segment.confidence.avg_logprob < 0.0));
    assert!(transcript.segments[0].confidence.no_speech_prob < 0.3);
}

#[test]
fn careful_and_drawn_passes_hear_clear_speech_as_well_and_always_the_same() {
    let samples = speech("en_quick_brown_fox");
    // Nothing is sure enough.
    let careful = GuardConfig { sure_avg_logprob: 0.0, ..GuardConfig::default() };
    let transcript = heard(&mut engine("tiny.en", 5, careful), &samples, &Hints::of(english()));
    assert_eq!((words_of(&transcript).as_str(), transcript.passes), (FOX, 2));
    let drawn = GuardConfig { temperatures: vec![0.4], ..GuardConfig::default() };
    let mut engine = engine("tiny.en", 1, drawn);
    let [one, other] = [0, 1].map(|_| heard(&mut engine, &samples, &Hints::of(english())));
    assert_eq!(one, other);
    assert!(words_of(&one).contains("brown fox"), "{one:?}");
}

#[test]
fn a_prompt_is_heeded_and_not_repeated() {
    let samples = speech("en_hello_world");
    let mut engine = engine("tiny.en", 1, GuardConfig::default());
    let plain = heard(&mut engine, &samples, &Hints::of(english()));
    let prompt = Some("Zoom, Tanaka, Acme Corporation.".to_owned());
    let prompted = heard(&mut engine, &samples, &Hints { prompt, ..Hints::of(english()) });
    assert_eq!(words_of(&prompted), words_of(&plain));
    let logprob = |transcript: &WindowTranscript| transcript.segments[0].confidence.avg_logprob;
    assert!((logprob(&prompted) - logprob(&plain)).abs() > 1e-6, "the prompt made no difference");
}

#[test]
fn a_window_is_heard_in_the_language_that_is_spoken() {
    let mut engine = engine("base", 1, GuardConfig::default());
    let samples = speech("ja_konnichiwa_sekai");
    let hints = Hints { alternatives: vec![Language("ja".into())], ..Hints::of(english()) };
    let transcript = heard(&mut engine, &samples, &hints);
    assert_eq!(transcript.language.as_str(), "ja");
    assert!(words_of(&transcript).starts_with("こんにちは"), "{transcript:?}");
    let found = engine.detect_language(&samples, &[], &Watch::new(&CancellationToken::new())).unwrap();
    assert_eq!(found.len(), 99);
    let likeliest = found.iter().max_by(|one, other| one.1.total_cmp(&other.1)).unwrap();
    assert_eq!(likeliest.0.as_str(), "ja");
    let unknown = engine.transcribe(
        &[window(&samples)],
        &Hints::of(Language("xx".into())),
        &Watch::new(&CancellationToken::new()),
    );
    assert_eq!(unknown, Err(EngineError::UnknownLanguage { language: "xx".into() }));
}

#[test]
fn a_cancelled_window_ends_at_once() {
    let mut engine = engine("tiny.en", 1, GuardConfig::default());
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let ended = engine.transcribe(&[window(&[0.1; 32_000])], &Hints::of(english()), &Watch::new(&cancelled));
    assert_eq!(ended, Err(EngineError::Cancelled));
}
