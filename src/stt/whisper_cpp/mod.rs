//! The whisper.cpp engine, through whisper-rs. The only place that names it.
//!
//! One [`Model`] per process holds the weights; each worker has an [`Engine`] with a state of its own. whisper.cpp is
//! used for one thing, the text of one window: its own voice activity, language choice, temperature fallback and
//! no-speech rule are off, because they drop text silently or depend on what came before.
//!
//! Greedy decoding draws no random numbers, so one state serves all windows. Beam search and temperatures above zero
//! draw from a generator in the state which is seeded only when the state is created (whisper.cpp 1.8.3, decoder 0): such
//! an attempt gets a fresh state, so that its result does not depend on what was decoded before.

mod params;
mod text;

use std::path::Path;
use std::sync::Arc;

use whisper_rs::{WhisperContext, WhisperContextParameters, WhisperError, WhisperState};

use super::pool::EngineFactory;
use super::process::{Hello, Loaded, Refusal, Settings};
use super::{EngineError, SpeechWindow, Transcriber, Watch, WindowTranscript, ladder};
use crate::config::settings::GuardConfig;
use crate::domain::Language;
use params::ParamsCache;

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
}

impl Engine {
    /// # Errors
    /// [`EngineError::NoState`] when memory for a state is lacking.
    pub fn new(model: &Model, settings: EngineSettings) -> Result<Self, EngineError> {
        let state = model.context.create_state().map_err(engine_error)?;
        let params = ParamsCache::new(&settings);
        Ok(Self { model: model.clone(), settings, params, state })
    }

    fn window(
        &mut self,
        window: &SpeechWindow,
        language: &'static str,
        watch: &Watch,
    ) -> Result<WindowTranscript, EngineError> {
        let guard = self.settings.guard.clone();
        ladder::climb(&guard, |temperature| {
            if watch.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            let params = self.params.of(language, temperature);
            let draws_random_numbers = temperature > 0.0 || self.settings.beam_size > 1;
            let mut fresh = if draws_random_numbers {
                Some(self.model.context.create_state().map_err(engine_error)?)
            } else {
                None
            };
            let state = fresh.as_mut().unwrap_or(&mut self.state);
            match params::run(state, params, &window.samples, watch) {
                _ if watch.is_cancelled() => Err(EngineError::Cancelled),
                Err(error) => Err(engine_error(error)),
                Ok(()) => {
                    let style = text::Style {
                        words: self.settings.words,
                        spaced: Language(language.to_owned()).is_spaced(),
                        first_special: self.model.context.token_eot(),
                        temperature: f64::from(temperature),
                    };
                    Ok(text::transcript(state, window.span, &style))
                }
            }
        })
    }
}

impl Transcriber for Engine {
    fn transcribe(
        &mut self,
        windows: &[SpeechWindow],
        language: &Language,
        watch: &Watch,
    ) -> Result<Vec<WindowTranscript>, EngineError> {
        let Some(code) = self.model.code(language) else {
            return Err(EngineError::UnknownLanguage { language: language.as_str().to_owned() });
        };
        windows.iter().map(|window| self.window(window, code, watch)).collect()
    }

    fn detect_language(&mut self, samples: &[f32], allowed: &[Language]) -> Result<Vec<(Language, f64)>, EngineError> {
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
