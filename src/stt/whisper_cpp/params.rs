//! How whisper.cpp is called: its parameters, and the one call into it.

use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicU32, Ordering};

use whisper_rs::{FullParams, SamplingStrategy, WhisperError, WhisperState};

use super::EngineSettings;
use crate::stt::Watch;
use crate::stt::ladder::Attempt;

/// Candidates at temperatures above zero. One: the ladder brings the variety, and five cost five times as much on sound
/// that no temperature makes sense of.
const BEST_OF: c_int = 1;
/// Tokens before the text where there is a prompt: half of the decoder's context.
const PROMPT_ROOM: c_int = 224;
/// More decoders whisper.cpp does not have.
const MAX_BEAM: u32 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strategy {
    Greedy,
    Beam,
    BestOf,
}

/// Parameters per language and strategy. whisper-rs leaks the language's name each time it is set, so each set of
/// parameters is built once and copied for each call.
pub(super) struct ParamsCache {
    threads: c_int,
    beam_size: c_int,
    words: bool,
    built: BTreeMap<(&'static str, Strategy), FullParams<'static, 'static>>,
}

impl ParamsCache {
    pub(super) fn new(settings: &EngineSettings) -> Self {
        Self {
            threads: c_int::try_from(settings.threads).unwrap_or(c_int::MAX).max(1),
            beam_size: c_int::try_from(settings.beam_size.clamp(1, MAX_BEAM)).expect("a small number"),
            words: settings.words,
            built: BTreeMap::new(),
        }
    }

    /// The parameters for one attempt.
    pub(super) fn of(&mut self, language: &'static str, attempt: Attempt) -> FullParams<'static, 'static> {
        let strategy = match (attempt.temperature > 0.0, attempt.careful && self.beam_size > 1) {
            (true, _) => Strategy::BestOf,
            (false, true) => Strategy::Beam,
            (false, false) => Strategy::Greedy,
        };
        let (threads, beam_size, words) = (self.threads, self.beam_size, self.words);
        let mut params = self
            .built
            .entry((language, strategy))
            .or_insert_with(|| build(language, strategy, threads, beam_size, words))
            .clone();
        params.set_temperature(attempt.temperature);
        params
    }
}

fn build(
    language: &'static str,
    strategy: Strategy,
    threads: c_int,
    beam_size: c_int,
    words: bool,
) -> FullParams<'static, 'static> {
    let mut params = FullParams::new(match strategy {
        Strategy::Greedy => SamplingStrategy::Greedy { best_of: 1 },
        Strategy::Beam => SamplingStrategy::BeamSearch { beam_size, patience: -1.0 },
        Strategy::BestOf => SamplingStrategy::Greedy { best_of: BEST_OF },
    });
    params.set_n_threads(threads);
    params.set_language(Some(language));
    params.set_translate(false);
    // No text is carried from window to window, nor inside one (but for the prompt, see `run`).
    params.set_no_context(true);
    params.set_n_max_text_ctx(0);
    params.set_single_segment(false);
    params.set_token_timestamps(words);
    // Tokens like "[", "♪" and "(" open descriptions of noises: nobody says them.
    params.set_suppress_nst(true);
    // Its own fallback is replaced by our ladder, its own no-speech rule by our guard: thresholds never reached.
    params.set_temperature_inc(0.0);
    params.set_no_speech_thold(2.0);
    params.set_logprob_thold(f32::NEG_INFINITY);
    params.set_print_special(false);
    params.set_print_progress(false);
    params.set_print_realtime(false);
    params.set_print_timestamps(false);
    params
}

/// Decodes `samples` and returns how often the encoder ran: once for each chunk that the engine cut them into. Returns
/// early, with any result, once `watch` says so. The engine asks after each pass of its encoder and each token.
#[expect(unsafe_code, reason = "whisper-rs's safe abort callback calls a closure through the wrong type")]
pub(super) fn run(
    state: &mut WhisperState,
    params: FullParams<'static, 'static>,
    samples: &[f32],
    prompt: &[c_int],
    watch: &Watch,
) -> Result<u32, WhisperError> {
    unsafe extern "C" fn count(
        _context: *mut whisper_rs_sys::whisper_context,
        _state: *mut whisper_rs_sys::whisper_state,
        chunks: *mut c_void,
    ) -> bool {
        // SAFETY: the pointer is the one set below; the counter outlives the call that uses it.
        unsafe { &*chunks.cast::<AtomicU32>().cast_const() }.fetch_add(1, Ordering::Relaxed);
        true
    }
    unsafe extern "C" fn is_cancelled(watch: *mut c_void) -> bool {
        // SAFETY: the pointer is the one set below; the watch outlives the call that uses it.
        unsafe { &*watch.cast::<Watch>().cast_const() }.is_cancelled()
    }
    // The parameters live no longer than the prompt.
    let mut params: FullParams<'static, '_> = params;
    if !prompt.is_empty() {
        params.set_tokens(prompt);
        // Room for the prompt, and for what the same window said before.
        params.set_n_max_text_ctx(PROMPT_ROOM);
    }
    let user_data: *const Watch = watch;
    let chunks = AtomicU32::new(0);
    let chunks_data: *const AtomicU32 = &raw const chunks;
    // SAFETY: `params` is consumed by this one call of `full`, which ends before the borrow of `watch` and the life of
    // the counter do; the callbacks read the watch and raise the counter only, which may be shared between threads.
    unsafe {
        params.set_start_encoder_callback(Some(count));
        params.set_start_encoder_callback_user_data(chunks_data.cast_mut().cast::<c_void>());
        params.set_abort_callback(Some(is_cancelled));
        params.set_abort_callback_user_data(user_data.cast_mut().cast::<c_void>());
    }
    state.full(params, samples)?;
    Ok(chunks.into_inner())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio_util::sync::CancellationToken;

    use super::super::{Model, text};
    use super::*;
    use crate::config::settings::GuardConfig;
    use crate::domain::{Language, Span};
    use crate::stt::tokens::{Style, assemble};

    const QUICK: Attempt = Attempt { temperature: 0.0, careful: false, shifted: false, prompted: false };

    fn tiny_en() -> Model {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/models/tiny.en.bin");
        assert!(path.exists(), "{} is missing: run make models", path.display());
        Model::load(&path, true).unwrap()
    }

    #[test]
    fn a_cancelled_call_ends_early_and_leaves_the_state_as_good_as_new() {
        let model = tiny_en();
        let guard = GuardConfig { temperatures: vec![0.0], ..GuardConfig::default() };
        let mut cache = ParamsCache::new(&EngineSettings { beam_size: 1, words: true, threads: 1, guard });
        let samples: Vec<f32> =
            (0..48_000u16).map(|n| 0.1 * (f32::from(n) * 0.05 * (1.0 + f32::from(n) * 1e-5)).sin()).collect();
        let span = Span { start: 0, end: 48_000 };
        let style = Style { words: true, language: Language("en".into()), temperature: 0.0, no_speech_prob: 0.0 };
        let read = |state: &WhisperState| assemble(text::segments(state, model.context.token_eot(), 0), span, &style);

        let mut state = model.context.create_state().unwrap();
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        assert!(run(&mut state, cache.of("en", QUICK), &samples, &[], &Watch::new(&cancelled)).is_err());
        assert_eq!(state.full_n_segments(), 0);

        let left_alone = Watch::new(&CancellationToken::new());
        run(&mut state, cache.of("en", QUICK), &samples, &[], &left_alone).unwrap();
        let mut fresh = model.context.create_state().unwrap();
        run(&mut fresh, cache.of("en", QUICK), &samples, &[], &left_alone).unwrap();
        assert_eq!(read(&state), read(&fresh));
    }
}
