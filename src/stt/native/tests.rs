use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters};

use super::*;
use crate::stt::spoken::{cached, speech};

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
    let model = Model::load(&cached("models/tiny.en.bin"), Isa::best()).unwrap();
    for name in ["en_hello_world", "en_quick_brown_fox", "en_counting"] {
        let samples = speech(name);
        let tokens = model.decode(&samples, &english()).unwrap();
        let text: Vec<usize> = tokens.iter().map(|token| token.id).filter(|id| *id < model.vocabulary.end).collect();
        assert_eq!(text, by_whisper_cpp("models/tiny.en.bin", "en", &samples), "{name}: {}", model.text(&tokens));
        assert!(tokens.iter().all(|token| token.log_probability <= 0.0));
    }
}

#[test]
fn a_language_that_the_model_does_not_know_is_none() {
    let model = Model::load(&cached("models/tiny.en.bin"), Isa::best()).unwrap();
    assert!(!model.is_multilingual());
    assert_eq!(model.decode(&[], &Language("ja".into())), None);
}

#[test]
fn every_thread_hears_the_same() {
    let samples = speech("en_hello_world");
    let model = Model::load(&cached("models/tiny.en.bin"), Isa::best()).unwrap();
    std::thread::scope(|scope| {
        let [one, other] = [0, 1].map(|_| scope.spawn(|| model.decode(&samples, &english()).unwrap()));
        assert_eq!(one.join().unwrap(), other.join().unwrap());
    });
}

#[test]
fn every_instruction_set_hears_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.bin");
    let mut heard = std::collections::BTreeSet::new();
    for seed in 0..8 {
        std::fs::write(&path, crate::stt::models::small_model(24, seed)).unwrap();
        let tokens = Isa::ALL.map(|isa| Model::load(&path, isa).unwrap().decode(&[0.1; 1_600], &english()).unwrap());
        let ids = tokens.map(|tokens| tokens.iter().map(|token| token.id).collect::<Vec<_>>());
        assert_eq!(ids[0], ids[1], "seed {seed}");
        heard.insert(ids[0].clone());
    }
    assert!(heard.len() > 1, "{heard:?}");
}

#[test]
fn a_damaged_file_is_an_error_or_a_model_but_never_a_panic() {
    let whole = crate::stt::models::small_model(4, 1);
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
        if let Ok(model) = Model::load(&path, Isa::Portable) {
            loaded += 1;
            assert!(model.decode(&[0.1; 1_600], &english()).is_some());
        }
    }
    assert!(loaded > 5, "only {loaded}");
}
