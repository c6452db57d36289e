//! The place of the engine behind [`Transcriber`]: one model in a process, an engine for each worker.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::conductor::Conductor;
use super::search::Strategy;
use super::spectrogram::{FRAME_MS, STEP};
use super::window::{Hearing, Way};
use super::{Isa, Model};
use crate::config::settings::GuardConfig;
use crate::domain::Language;
use crate::stt::attempts::{Attempts, MAX_PROMPT_TOKENS, PROMPT_TIMES, SHIFT_MS, hear, one_of, softmax};
use crate::stt::ladder::Attempt;
use crate::stt::models::FormatError;
use crate::stt::pool::EngineFactory;
use crate::stt::process::{Hello, Loaded, Refusal, Settings};
use crate::stt::tokens::{Style, assemble};
use crate::stt::{DecodedSegment, EngineError, Hints, SpeechWindow, Transcriber, Watch, WindowTranscript};

/// The engine's name in every row.
pub const ENGINE: &str = "native";
/// Its version in every row. Raised by every change that may change what it says.
pub const VERSION: &str = "4";

/// Loads the model for the child process: one copy of the weights for all workers.
///
/// # Errors
/// [`Refusal::Model`] when the file is at fault.
pub fn load(settings: &Settings, isa: Isa) -> Result<Loaded, Refusal> {
    let bad = |error: FormatError| Refusal::Model(EngineError::BadModel { why: error.to_string() });
    let model = Arc::new(Model::load(Path::new(&settings.model), isa).map_err(bad)?);
    let conductor = Arc::new(Conductor::new(settings.workers, settings.threads, model.batch(settings.beam_size)));
    let hello = Hello {
        lanes: conductor.lanes(),
        engine: ENGINE.to_owned(),
        engine_version: VERSION.to_owned(),
        is_multilingual: model.is_multilingual(),
        languages: model.vocabulary.languages().iter().map(|code| Language((*code).to_owned())).collect(),
    };
    let Settings { beam_size, words, ref guard, .. } = *settings;
    let engine = Engine { model, conductor, beam_size, words, guard: guard.clone() };
    let make: EngineFactory = Arc::new(move || Ok(Box::new(engine.clone())));
    Ok(Loaded { hello, make })
}

/// One window's engine at a time. It keeps nothing from one window to the next.
#[derive(Clone)]
pub(super) struct Engine {
    pub(super) model: Arc<Model>,
    /// Of all engines of the process.
    pub(super) conductor: Arc<Conductor>,
    /// 1 = greedy.
    pub(super) beam_size: u32,
    /// Whether words get their times.
    pub(super) words: bool,
    pub(super) guard: GuardConfig,
}

impl Transcriber for Engine {
    fn transcribe(
        &mut self,
        windows: &[SpeechWindow],
        hints: &Hints,
        watch: &Watch,
    ) -> Result<Vec<WindowTranscript>, EngineError> {
        let decode = |window: &SpeechWindow| {
            let voiced = Some(voiced_frames(window));
            let hearing = Hearing::new(&self.model, &self.conductor, &window.samples, voiced, watch);
            let mut attempts = WindowAttempts { engine: self, window, watch, hearing };
            hear(&mut attempts, &self.guard, self.beam_size, window, hints)
        };
        windows.iter().map(decode).collect()
    }

    fn detect_language(
        &mut self,
        samples: &[f32],
        allowed: &[Language],
        watch: &Watch,
    ) -> Result<Vec<(Language, f64)>, EngineError> {
        let known: Vec<Language> =
            self.model.vocabulary.languages().iter().map(|code| Language((*code).to_owned())).collect();
        let mut hearing = Hearing::new(&self.model, &self.conductor, samples, None, watch);
        let mut found = languages_in(&self.model, hearing.first_logits()?, known.iter());
        found.retain(|(language, _)| allowed.is_empty() || allowed.contains(language));
        Ok(found)
    }
}

/// One window's attempts: what was heard of it is heard once for all of them.
struct WindowAttempts<'a> {
    engine: &'a Engine,
    window: &'a SpeechWindow,
    watch: &'a Watch,
    hearing: Hearing<'a>,
}

impl Attempts for WindowAttempts<'_> {
    fn attempt(
        &mut self,
        language: &Language,
        prompt: Option<&str>,
        attempt: Attempt,
    ) -> Result<Vec<DecodedSegment>, EngineError> {
        let Engine { model, beam_size, words, .. } = self.engine;
        let task = model.task(language)?;
        if self.watch.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        let strategy = match (attempt.temperature > 0.0, attempt.careful) {
            (true, _) => Strategy::Drawn(attempt.temperature),
            (false, true) => Strategy::Beam(*beam_size as usize),
            (false, false) => Strategy::Likeliest,
        };
        let prompt = prompt.map(|prompt| prompt_tokens(model, prompt)).unwrap_or_default();
        let lead = if attempt.shifted { SHIFT_MS / FRAME_MS } else { 0 };
        let segments = self.hearing.decode(&Way { task: &task, strategy, prompt: &prompt, lead, words: *words })?;
        if segments.is_empty() {
            return Ok(Vec::new());
        }
        let style = Style {
            words: *words,
            language: language.clone(),
            temperature: f64::from(attempt.temperature),
            no_speech_prob: self.no_speech_prob()?,
        };
        Ok(assemble(segments, self.window.span, &style))
    }

    fn languages_heard(&mut self, asked: &[&Language]) -> Result<Vec<(Language, f64)>, EngineError> {
        let model = &self.engine.model;
        Ok(languages_in(model, self.hearing.first_logits()?, asked.iter().copied()))
    }
}

impl WindowAttempts<'_> {
    /// The probability that nobody speaks: of its token as the very first.
    fn no_speech_prob(&mut self) -> Result<f64, EngineError> {
        let token = self.engine.model.vocabulary.no_speech;
        Ok(softmax(self.hearing.first_logits()?)[token])
    }
}

/// How likely each of these languages is by the first logits of a window; those that the model does not know are left out.
fn languages_in<'a>(model: &Model, logits: &[f32], asked: impl Iterator<Item = &'a Language>) -> Vec<(Language, f64)> {
    one_of(asked.filter_map(|language| Some((language.clone(), logits[model.vocabulary.language(language.as_str())?]))))
}

/// Where somebody speaks in a window, in frames from its start.
fn voiced_frames(window: &SpeechWindow) -> Vec<Range<usize>> {
    let samples = |end: u64| usize::try_from(end.saturating_sub(window.span.start)).unwrap_or(usize::MAX);
    let frame = |sample: u64| samples(sample) / STEP;
    window.voiced.iter().map(|span| frame(span.start)..frame(span.end)).collect()
}

/// The last tokens of the prompt between two times. Text that came before has times where the model was trained; after
/// text that has none it leaves out its own, and with them whole sentences (measured: benches/README.md).
fn prompt_tokens(model: &Model, prompt: &str) -> Vec<usize> {
    // Like text that goes on: words begin with a space.
    let tokens = model.tokenizer.tokens_of(&format!(" {}", prompt.trim()));
    let kept = &tokens[tokens.len().saturating_sub(MAX_PROMPT_TOKENS)..];
    let first = model.vocabulary.first_time;
    [&[first], kept, &[first + usize::from(PROMPT_TIMES)]].concat()
}
