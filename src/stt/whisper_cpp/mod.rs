//! The whisper.cpp engine, through whisper-rs. The only place that names it.
//!
//! One [`Model`] per process holds the weights; each worker has an [`Engine`] with a state of its own. whisper.cpp is
//! used for one thing, the text of one window: its own voice activity, language choice, temperature fallback and
//! no-speech rule are off, because they drop text silently or depend on what came before.
//!
//! Greedy decoding draws no random numbers, so one state serves all windows. Beam search and temperatures above zero
//! draw from a generator in the state which is seeded only when the state is created (whisper.cpp 1.8.3, decoder 0): such
//! an attempt gets a fresh state, so that its result does not depend on what was decoded before.
//!
//! The language of a window costs one step of the decoder: after a window was decoded the state still holds what the
//! encoder made of it. So every window is heard in its own language where several are allowed.

mod params;
pub mod processor;
mod text;

use std::ffi::c_int;
use std::path::Path;
use std::sync::Arc;

use whisper_rs::{WhisperContext, WhisperContextParameters, WhisperError, WhisperState};

use super::attempts::{Attempts, MAX_PROMPT_TOKENS, PROMPT_TIMES, SHIFT_MS, hear, one_of, softmax};
use super::ladder::Attempt;
use super::pool::EngineFactory;
use super::process::{Hello, Loaded, Refusal, Settings};
use super::tokens::{Style, assemble};
use super::{DecodedSegment, EngineError, Hints, SpeechWindow, Transcriber, Watch, WindowTranscript};
use crate::config::settings::GuardConfig;
use crate::domain::Language;
use params::ParamsCache;

/// Of a millisecond.
const SAMPLES_PER_MS: usize = 16;

/// The engine's name in every row.
pub const ENGINE: &str = "whisper.cpp";

/// The version of whisper.cpp that is linked in.
#[must_use]
pub fn version() -> &'static str {
    whisper_rs::WHISPER_CPP_VERSION
}

/// Loads the model for the child process: one copy of the weights, a state for each worker.
///
/// # Errors
/// [`Refusal::Model`] when the file is at fault.
pub fn load(settings: &Settings) -> Result<Loaded, Refusal> {
    let model = Model::load(Path::new(&settings.model), settings.flash_attention).map_err(Refusal::Model)?;
    let known: Vec<&str> = if model.is_multilingual() { model.languages().collect() } else { vec!["en"] };
    let hello = Hello {
        engine: ENGINE.to_owned(),
        engine_version: version().to_owned(),
        lanes: settings.workers,
        is_multilingual: model.is_multilingual(),
        languages: known.into_iter().map(|code| Language(code.to_owned())).collect(),
    };
    let settings = EngineSettings {
        beam_size: settings.beam_size,
        words: settings.words,
        threads: settings.threads,
        guard: settings.guard.clone(),
    };
    let make: EngineFactory = Arc::new(move || Ok(Box::new(Engine::new(&model, settings.clone())?)));
    Ok(Loaded { hello, make })
}

/// What speaks for each token as the first of what is said in a sound.
///
/// # Errors
/// As [`Model::load`], and when there is no memory.
pub(super) fn first_thoughts(model: &Path, samples: &[f32]) -> Result<Vec<f32>, EngineError> {
    let context = Model::load(model, true)?.context;
    let mut state = context.create_state().map_err(engine_error)?;
    state.pcm_to_mel(samples, 1).map_err(engine_error)?;
    state.encode(0, 1).map_err(engine_error)?;
    state.decode(&[context.token_sot()], 0, 1).map_err(engine_error)?;
    Ok(state.get_logits().map_err(engine_error)?.to_vec())
}

/// The weights, shared by all workers.
#[derive(Debug, Clone)]
pub struct Model {
    context: Arc<WhisperContext>,
}

impl Model {
    /// Reads a ggml Whisper file. The engine's own messages go to `tracing`.
    ///
    /// # Errors
    /// When the file is missing, is no ggml Whisper file, or does not fit into memory.
    pub fn load(path: &Path, flash_attention: bool) -> Result<Self, EngineError> {
        whisper_rs::install_logging_hooks();
        let mut parameters = WhisperContextParameters::new();
        parameters.flash_attn(flash_attention);
        let context = WhisperContext::new_with_params(path, parameters).map_err(engine_error)?;
        Ok(Self { context: Arc::new(context) })
    }

    #[must_use]
    pub fn is_multilingual(&self) -> bool {
        self.context.is_multilingual()
    }

    /// The engine's own copy of the language's code, if the model knows the language.
    fn code(&self, language: &Language) -> Option<&'static str> {
        if self.is_multilingual() {
            self.languages().find(|known| *known == language.as_str())
        } else {
            Some("en").filter(|known| *known == language.as_str())
        }
    }

    /// The prompt in the model's tokens, the last [`MAX_PROMPT_TOKENS`] of them, between two timestamps. Text that came
    /// before has timestamps where the model was trained; after text that has none it leaves out its own, and with them
    /// whole sentences (measured: benches/README.md).
    fn tokens(&self, prompt: &str) -> Result<Vec<c_int>, EngineError> {
        let clean: String = prompt.chars().filter(|c| *c != '\0').collect();
        // Like text that goes on: words begin with a space.
        let most = clean.len() + 1;
        let tokens = self.context.tokenize(&format!(" {}", clean.trim()), most).map_err(engine_error)?;
        let kept = &tokens[tokens.len().saturating_sub(MAX_PROMPT_TOKENS)..];
        let start = self.context.token_beg();
        Ok([&[start], kept, &[start + c_int::from(PROMPT_TIMES)]].concat())
    }

    /// The codes of all languages of a multilingual model; the newest (`yue`) is missing in older models.
    fn languages(&self) -> impl Iterator<Item = &'static str> + use<> {
        const TOKENS_WITHOUT_LANGUAGES: i32 = 51_765;
        let known = self.context.n_vocab() - TOKENS_WITHOUT_LANGUAGES - 1;
        (0..known.min(whisper_rs::get_lang_max_id() + 1)).filter_map(whisper_rs::get_lang_str)
    }
}

/// What decides how a window is decoded.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// 1 = greedy.
    pub beam_size: u32,
    /// Whether words get their times.
    pub words: bool,
    pub threads: usize,
    pub guard: GuardConfig,
}

/// One worker's engine: the shared weights and a state of its own.
pub struct Engine {
    model: Model,
    settings: EngineSettings,
    params: ParamsCache,
    state: WhisperState,
    /// How often the encoder ran for the window that was decoded last.
    chunks: u32,
    /// Whether the state still holds what the decoder thought of that window before any word.
    has_first_logits: bool,
}

impl Engine {
    /// # Errors
    /// [`EngineError::NoState`] when memory for a state is lacking.
    pub fn new(model: &Model, settings: EngineSettings) -> Result<Self, EngineError> {
        let state = model.context.create_state().map_err(engine_error)?;
        let params = ParamsCache::new(&settings);
        Ok(Self { model: model.clone(), settings, params, state, chunks: 0, has_first_logits: false })
    }

    /// What the decoder thinks of the window before any word: one step of it, made once for each time it was decoded.
    fn first_logits(&mut self) -> Result<&[f32], EngineError> {
        if !self.has_first_logits {
            if self.chunks > 1 {
                // The encoder saw the end of the window last.
                self.state.encode(0, self.settings.threads).map_err(engine_error)?;
                self.chunks = 1;
            }
            let start = self.model.context.token_sot();
            self.state.decode(&[start], 0, self.settings.threads).map_err(engine_error)?;
            self.has_first_logits = true;
        }
        self.state.get_logits().map_err(engine_error)
    }

    /// The probability that nobody speaks in the window that was decoded last. The engine's own number means nothing: it
    /// is read from the row of the first token, which only an earlier call filled (whisper.cpp 1.8.3), so that it is the
    /// one of another window.
    fn no_speech_prob(&mut self) -> Result<f64, EngineError> {
        let token = usize::try_from(self.model.context.token_nosp()).unwrap_or(usize::MAX);
        Ok(softmax(self.first_logits()?).get(token).copied().unwrap_or(0.0))
    }
}

/// One window's attempts.
struct WindowAttempts<'a> {
    engine: &'a mut Engine,
    window: &'a SpeechWindow,
    watch: &'a Watch,
}

impl Attempts for WindowAttempts<'_> {
    fn attempt(
        &mut self,
        language: &Language,
        prompt: Option<&str>,
        attempt: Attempt,
    ) -> Result<Vec<DecodedSegment>, EngineError> {
        let Self { engine, window, watch } = self;
        let Some(code) = engine.model.code(language) else {
            return Err(EngineError::UnknownLanguage { language: language.as_str().to_owned() });
        };
        if watch.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        let prompt = prompt.map(|prompt| engine.model.tokens(prompt)).transpose()?.unwrap_or_default();
        let params = engine.params.of(code, attempt);
        let draws_random_numbers = attempt.temperature > 0.0 || (attempt.careful && engine.settings.beam_size > 1);
        if draws_random_numbers {
            engine.state = engine.model.context.create_state().map_err(engine_error)?;
        }
        let shifted = attempt.shifted.then(|| [vec![0.0; SHIFT_MS * SAMPLES_PER_MS], window.samples.clone()].concat());
        let samples = shifted.as_ref().unwrap_or(&window.samples);
        engine.has_first_logits = false;
        let ran = params::run(&mut engine.state, params, samples, &prompt, watch);
        if watch.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        engine.chunks = ran.map_err(engine_error)?;
        if engine.state.full_n_segments() == 0 {
            return Ok(Vec::new());
        }
        let style = Style {
            words: engine.settings.words,
            language: language.clone(),
            temperature: f64::from(attempt.temperature),
            no_speech_prob: engine.no_speech_prob()?,
        };
        let lead_cs = if attempt.shifted { SHIFT_MS as i64 / 10 } else { 0 };
        let segments = text::segments(&engine.state, engine.model.context.token_eot(), lead_cs);
        Ok(assemble(segments, window.span, &style))
    }

    /// Costs one step of the decoder: the state still holds what the encoder made of the window when it was decoded.
    fn languages_heard(&mut self, asked: &[&Language]) -> Result<Vec<(Language, f64)>, EngineError> {
        let model = self.engine.model.clone();
        let logits = self.engine.first_logits()?;
        let known = |language: &&Language| {
            let id = whisper_rs::get_lang_id(model.code(language)?)?;
            let token = usize::try_from(model.context.token_lang(id)).ok()?;
            Some(((*language).clone(), *logits.get(token)?))
        };
        Ok(one_of(asked.iter().filter_map(known)))
    }
}

impl Transcriber for Engine {
    fn transcribe(
        &mut self,
        windows: &[SpeechWindow],
        hints: &Hints,
        watch: &Watch,
    ) -> Result<Vec<WindowTranscript>, EngineError> {
        let (guard, beam_size) = (self.settings.guard.clone(), self.settings.beam_size);
        let decode = |window: &SpeechWindow| {
            let mut attempts = WindowAttempts { engine: &mut *self, window, watch };
            hear(&mut attempts, &guard, beam_size, window, hints)
        };
        windows.iter().map(decode).collect()
    }

    fn detect_language(
        &mut self,
        samples: &[f32],
        allowed: &[Language],
        _watch: &Watch,
    ) -> Result<Vec<(Language, f64)>, EngineError> {
        self.has_first_logits = false;
        self.state.pcm_to_mel(samples, self.settings.threads).map_err(engine_error)?;
        let (_, probabilities) = self.state.lang_detect(0, self.settings.threads).map_err(engine_error)?;
        Ok(self
            .model
            .languages()
            .zip(probabilities)
            .map(|(code, probability)| (Language(code.to_owned()), f64::from(probability)))
            .filter(|(language, _)| allowed.is_empty() || allowed.contains(language))
            .collect())
    }
}

fn engine_error(error: WhisperError) -> EngineError {
    match error {
        WhisperError::InitError | WhisperError::FailedToCreateState => EngineError::NoState,
        WhisperError::GenericError(code) => EngineError::Native { code },
        WhisperError::UnableToCalculateSpectrogram => EngineError::Native { code: -1 },
        WhisperError::FailedToEncode => EngineError::Native { code: 7 },
        WhisperError::FailedToDecode => EngineError::Native { code: 8 },
        _ => EngineError::Native { code: 0 },
    }
}
