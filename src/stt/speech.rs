//! The one speech-to-text of the process: model, workers and settings.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::guard::Confidence;
use super::pool::{Answer, Effort, EngineFactory, Job, Pool, ReplySlot, Task, replies};
use super::process::{EngineProgram, Hello, Host, Refusal, Settings};
use super::{
    DecodedSegment, EngineError, Hints, ModelFiles, ModelPath, Session, SpeechWindow, SttError, Watch,
    WindowTranscript, confidence_of, prompt, windows,
};
use crate::config::SttConfig;
use crate::config::settings::GuardConfig;
use crate::domain::{Channel, ChannelMode, EngineIdentity, Language, Span, Suppression};
use crate::telemetry::LogSettings;

/// Raised when text changes for the same settings: window lengths, decoder options, rules of the ladder or the guard.
const DECODING_VERSION: u32 = 2;

/// Seconds of sound that prove that the engine works.
pub const HEALTH_S: u16 = 3;
const HEALTH_SAMPLES: u16 = HEALTH_S * 16_000;

/// Which languages a recording may turn out to be in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LanguageChoice {
    /// Nothing to find out.
    Fixed(Language),
    /// One of these.
    Among(Vec<Language>),
}

/// Loaded once per process; recordings are fed through [`session`](Self::session)s, as many at a time as wanted.
pub struct SpeechToText {
    pub(super) pool: Pool,
    pub(super) choice: LanguageChoice,
    pub(super) guard: GuardConfig,
    identity: EngineIdentity,
    /// Every language that the model knows; empty = it was not asked.
    known: Vec<Language>,
    settings_sha256: String,
    /// Terms that may occur in any recording.
    vocabulary: Vec<String>,
    /// Hears again what this one was not sure of.
    pub(super) second: Option<Box<SpeechToText>>,
    /// The engine's process, where it has one.
    host: Option<Arc<Host>>,
    /// Windows that compute at the same time.
    workers: usize,
}

impl SpeechToText {
    /// Starts the engine's process, which loads the model, and the workers. The file is expected to be verified already.
    ///
    /// # Errors
    /// When the model cannot be loaded, does not know an allowed language, or processes, threads or memory are lacking.
    pub fn load(config: &SttConfig, models: &ModelFiles) -> Result<Self, SttError> {
        Self::load_in(&EngineProgram::own().map_err(SttError::Program)?, config, models)
    }

    /// [`load`](Self::load) with another program as the engine's process.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_in(program: &EngineProgram, config: &SttConfig, models: &ModelFiles) -> Result<Self, SttError> {
        let mut speech = Self::load_one(program.clone(), config, &models.first)?;
        if let Some(second) = &models.second {
            // It hears little, is large, and so has one state that may use every core.
            let (workers, threads) = workers_and_threads(config);
            let alone = SttConfig { workers: Some(1), threads: Some(workers * threads), ..config.clone() };
            speech.second = Some(Box::new(Self::load_one(program.clone(), &alone, second)?));
            let both = [speech.settings_sha256.as_str(), &second.sha256].concat();
            speech.settings_sha256 = hex::encode(Sha256::digest(both.as_bytes()));
        }
        Ok(speech)
    }

    fn load_one(program: EngineProgram, config: &SttConfig, model: &ModelPath) -> Result<Self, SttError> {
        let (workers, threads) = workers_and_threads(config);
        let settings = Settings {
            model: model.path.clone().into_os_string(),
            model_sha256: model.sha256.clone(),
            engine: config.engine,
            isa: config.isa,
            flash_attention: config.flash_attention,
            beam_size: config.beam_size,
            words: config.words,
            threads,
            workers,
            guard: config.guard.clone(),
            alive_every: program.alive_every(),
            logs: LogSettings::in_use(),
        };
        let host = Host::start(program, settings).map_err(|refusal| match refusal {
            Refusal::Model(source) => SttError::Model { path: model.path.clone(), source },
            Refusal::Engine(error) => error.into(),
        })?;
        let host = Arc::new(host);
        let hello = host.hello();
        let choice = language_choice(config, model, hello)?;
        let identity = model.identity(&hello.engine, &hello.engine_version);
        let make: EngineFactory = {
            let host = Arc::clone(&host);
            Arc::new(move || Ok(Box::new(host.engine())))
        };
        let mut speech = Self::with_engines(config, hello.lanes, choice, identity, &make)?;
        speech.workers = workers;
        speech.known = host.hello().languages.clone();
        speech.host = Some(host);
        Ok(speech)
    }

    pub(super) fn with_engines(
        config: &SttConfig,
        lanes: usize,
        choice: LanguageChoice,
        identity: EngineIdentity,
        make: &EngineFactory,
    ) -> Result<Self, SttError> {
        let vocabulary = match &config.vocabulary {
            Some(path) => {
                prompt::read_vocabulary(path).map_err(|source| SttError::Vocabulary { path: path.clone(), source })?
            }
            None => Vec::new(),
        };
        Ok(Self {
            pool: Pool::start(lanes, make)?,
            choice,
            guard: config.guard.clone(),
            identity,
            known: Vec::new(),
            settings_sha256: settings_sha256(config, &vocabulary),
            vocabulary,
            second: None,
            host: None,
            workers: lanes,
        })
    }

    /// Engine, version and model, as they stand in every row.
    #[must_use]
    pub fn identity(&self) -> &EngineIdentity {
        &self.identity
    }

    /// SHA-256, lower-case hex, over every setting that can change text; workers and threads cannot.
    #[must_use]
    pub fn settings_sha256(&self) -> &str {
        &self.settings_sha256
    }

    /// Grows while the engine gets on with any window, and only then.
    #[must_use]
    pub fn signs_of_life(&self) -> u64 {
        let own = self.host.as_ref().map_or(0, |host| host.signs_of_life());
        own.wrapping_add(self.second.as_ref().map_or(0, |second| second.signs_of_life()))
    }

    /// What the first and, where there is one, the second model have decoded so far.
    #[must_use]
    pub fn effort(&self) -> (Effort, Option<Effort>) {
        (self.own_effort(), self.second.as_ref().map(|second| second.own_effort()))
    }

    /// Of the time of a window most is waiting where more of them are decoded than there are workers.
    fn own_effort(&self) -> Effort {
        let effort = self.pool.effort();
        Effort { decoding: effort.decoding.mul_f64(self.workers as f64 / self.lanes() as f64), ..effort }
    }

    /// The prompt of a recording in which these names may occur.
    #[must_use]
    pub fn prompt(&self, names: &[String]) -> Option<String> {
        prompt::compose(&self.vocabulary, names)
    }

    /// The model that hears this window again: it is doubtful, and that model knows its language.
    pub(super) fn second_for(&self, window: &WindowTranscript) -> Option<&Self> {
        let second = self.second.as_deref().filter(|second| second.known.contains(&window.language))?;
        self.is_doubtful(window).then_some(second)
    }

    /// Whether a window is worth a second hearing: its text was refused at first, the engine was not sure of it, or the
    /// guard objects to some of it. That a careful pass followed a quick one says nothing.
    fn is_doubtful(&self, window: &WindowTranscript) -> bool {
        let unsure = |confidence: Confidence| confidence.avg_logprob < self.guard.doubtful_avg_logprob;
        let objects = |segment: &DecodedSegment| !segment.confidence.objections(&segment.text, &self.guard).is_empty();
        window.refused_for.iter().any(|reason| *reason != Suppression::Unsure)
            || confidence_of(&window.segments).is_some_and(unsure)
            || window.segments.iter().any(objects)
    }

    /// How many windows compute at the same time.
    #[must_use]
    pub const fn workers(&self) -> usize {
        self.workers
    }

    /// How many windows the engine may be given at the same time: as many as workers, or more.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.pool.workers()
    }

    /// Starts one recording. `mode` says how many channels will be pushed; `prompt` is what the engine gets before every
    /// window, see [`prompt`](Self::prompt); `cancel` ends its decoding early.
    #[must_use]
    pub fn session(&self, mode: ChannelMode, prompt: Option<String>, cancel: &CancellationToken) -> Session<'_> {
        Session::new(self, mode, prompt, cancel)
    }

    /// Has the engine decode a soft tone of [`HEALTH_S`] seconds, whatever it makes of it; blocks. After a crash this tells a
    /// broken machine, which fails here as well, from a recording that no engine survives.
    ///
    /// # Errors
    /// Whatever ended the engine or its work.
    pub fn prove_healthy(&self) -> Result<(), SttError> {
        let language = match &self.choice {
            LanguageChoice::Fixed(language) => language.clone(),
            LanguageChoice::Among(allowed) => allowed.first().cloned().unwrap_or_else(english),
        };
        let samples: Vec<f32> = (0..HEALTH_SAMPLES).map(|n| 0.05 * (f32::from(n) * 0.17).sin()).collect();
        let span = Span { start: 0, end: HEALTH_SAMPLES.into() };
        let window = SpeechWindow::voiced(Channel::Mono, span, samples);
        let (reply_to, replies) = replies();
        let watch = Watch::new(&CancellationToken::new());
        self.pool.submit(Job {
            window,
            task: Task::Decode(Hints::of(language)),
            watch,
            reply: ReplySlot::new(0, reply_to),
        });
        match replies.recv().map_or(Err(EngineError::Panicked), |reply| reply.outcome)? {
            Answer::Text(..) => self.second.as_ref().map_or(Ok(()), |second| second.prove_healthy()),
            Answer::Languages(..) => Err(EngineError::Panicked.into()),
        }
    }
}

impl Drop for SpeechToText {
    /// The engine goes first, so that the workers have nothing to wait for.
    fn drop(&mut self) {
        if let Some(host) = &self.host {
            host.close();
        }
    }
}

fn english() -> Language {
    Language("en".to_owned())
}

fn language_choice(config: &SttConfig, model: &ModelPath, engine: &Hello) -> Result<LanguageChoice, SttError> {
    if !engine.is_multilingual {
        return if config.languages.is_empty() || config.languages.contains(&english()) {
            Ok(LanguageChoice::Fixed(english()))
        } else {
            Err(SttError::EnglishOnly { model: model.name.clone() })
        };
    }
    if let Some(unknown) = config.languages.iter().find(|language| !engine.languages.contains(language)) {
        return Err(SttError::UnknownLanguage { model: model.name.clone(), language: unknown.as_str().to_owned() });
    }
    Ok(match config.languages.as_slice() {
        [only] => LanguageChoice::Fixed(only.clone()),
        [] => LanguageChoice::Among(engine.languages.clone()),
        several => LanguageChoice::Among(several.to_vec()),
    })
}

/// Workers as configured, else one per core; threads as configured, else what is left of the cores.
fn workers_and_threads(config: &SttConfig) -> (usize, usize) {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = config.workers.unwrap_or(cores).max(1);
    let threads = config.threads.unwrap_or(cores / workers).max(1);
    (workers, threads)
}

fn settings_sha256(config: &SttConfig, vocabulary: &[String]) -> String {
    // Models have checksums of their own, engines names; the vocabulary counts with its terms, wherever its file lies.
    let SttConfig {
        model: _,
        second_model: _,
        engine: _,
        isa: _,
        workers: _,
        threads: _,
        vocabulary: _,
        languages,
        beam_size,
        words,
        flash_attention,
        prompt_from_call,
        left_channel,
        guard,
    } = config;
    // Debug of a float is its shortest exact form, so equal text means equal settings.
    let description = format!(
        "version={DECODING_VERSION} window={}/{}/{} languages={languages:?} beam_size={beam_size} words={words} \
         flash_attention={flash_attention} prompt_from_call={prompt_from_call} left_channel={left_channel:?} \
         vocabulary={vocabulary:?} guard={guard:?}",
        windows::MAX_WINDOW_SAMPLES,
        windows::PADDING_FRAMES,
        windows::MAX_GAP_FRAMES,
    );
    hex::encode(Sha256::digest(description.as_bytes()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn config() -> SttConfig {
        SttConfig {
            model: "scripted".into(),
            languages: Vec::new(),
            workers: Some(2),
            threads: Some(1),
            guard: GuardConfig { temperatures: vec![0.0, 0.2], ..GuardConfig::default() },
            ..SttConfig::default()
        }
    }

    #[test]
    fn the_settings_hash_covers_what_changes_text_and_nothing_else() {
        let base = settings_sha256(&config(), &[]);
        assert_eq!(base.len(), 64);
        for same in [
            SttConfig { workers: Some(7), ..config() },
            SttConfig { threads: None, ..config() },
            SttConfig { model: "other".into(), ..config() },
        ] {
            assert_eq!(settings_sha256(&same, &[]), base);
        }
        let mut colder = config();
        colder.guard.temperatures = vec![0.0];
        for different in [
            SttConfig { beam_size: 3, ..config() },
            SttConfig { words: false, ..config() },
            SttConfig { flash_attention: true, ..config() },
            SttConfig { languages: vec![Language("ja".into())], ..config() },
            colder,
        ] {
            assert_ne!(settings_sha256(&different, &[]), base);
        }
        assert_ne!(settings_sha256(&config(), &["Contoso".to_owned()]), base);
        let elsewhere = SttConfig { vocabulary: Some("other/place.txt".into()), ..config() };
        assert_eq!(settings_sha256(&elsewhere, &[]), base);
    }

    #[test]
    fn threads_fill_the_cores_that_workers_leave() {
        let (workers, threads) = workers_and_threads(&SttConfig { workers: Some(1), threads: None, ..config() });
        assert_eq!(workers, 1);
        assert!(threads >= 1);
        assert_eq!(workers_and_threads(&SttConfig { workers: Some(10_000), threads: None, ..config() }), (10_000, 1));
    }
}
