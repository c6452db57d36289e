//! What recordings are worked on with in this process: a spool, the engine and its workers.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::floor::Crew;
use super::item::{ItemOutcome, Shop};
use super::{RunError, Stop};
use crate::config::Config;
use crate::domain::{Failure, Recipe, RunId};
use crate::fetch::kept::KeptAudio;
use crate::fetch::slot::Spool;
use crate::lake::{SCHEMA_VERSION, Staging};
use crate::privacy::Redactor;
use crate::queue::{Claimed, Desk};
use crate::source::RecordingSource;
use crate::stt::{ModelFiles, SpeechToText};
use crate::telemetry::{Event, Reporter};

/// Loads the model and starts the workers.
pub(super) async fn load_engine(config: &Config, model: &ModelFiles) -> Result<SpeechToText, RunError> {
    let (settings, file) = (config.stt.clone(), model.clone());
    let loading = tokio::task::spawn_blocking(move || SpeechToText::load(&settings, &file));
    Ok(loading.await.map_err(RunError::Stage)??)
}

/// What this engine makes of any audio, and what of that is written.
pub(super) fn recipe(speech: &SpeechToText, redactor: Option<&Redactor>) -> Recipe {
    let mut settings_sha256 = speech.settings_sha256().to_owned();
    if let Some(redactor) = redactor {
        let both = [settings_sha256, redactor.description()].concat();
        settings_sha256 = hex::encode(Sha256::digest(both.as_bytes()));
    }
    Recipe { engine: speech.identity().clone(), settings_sha256, schema_version: SCHEMA_VERSION }
}

/// What a shop shares with whoever opens it.
pub(super) struct Premises<'a> {
    pub(super) config: &'a Config,
    /// This process, as its files are named.
    pub(super) instance: &'a str,
    pub(super) desk: Arc<dyn Desk>,
    pub(super) source: Arc<dyn RecordingSource>,
    pub(super) staging: Staging,
    pub(super) reporter: Arc<Reporter>,
    pub(super) stop: Stop,
    /// Whether audio may be kept: somebody must remove it.
    pub(super) keeps_audio: bool,
}

impl Shop {
    /// Opens what only the work itself needs: spool, model and workers.
    pub(super) async fn open(premises: Premises<'_>, model: &ModelFiles) -> Result<Arc<Self>, RunError> {
        let Premises { config, instance, desk, source, staging, reporter, stop, keeps_audio } = premises;
        let paths = &config.paths;
        let spool = Spool::open(&paths.spool_dir(), instance, paths.spool_max_bytes)
            .map_err(|source| RunError::State { path: paths.state_dir.clone(), source })?;
        let began = Instant::now();
        let speech = load_engine(config, model).await?;
        let workers = speech.workers();
        reporter.emit(Event::ModelLoaded { model: &model.first.name, workers, elapsed: began.elapsed() });
        Ok(Arc::new(Self {
            desk,
            source,
            recipe: recipe(&speech, config.privacy.redactor.as_ref()),
            speech,
            staging,
            spool,
            reporter,
            settings: config.queue.clone(),
            prompt_from_call: config.stt.prompt_from_call,
            left_channel: config.stt.left_channel,
            redactor: config.privacy.redactor.clone(),
            hasher: config.privacy.hasher.clone(),
            kept_audio: keeps_audio.then(|| KeptAudio::in_folder(paths.audio_dir())),
            audio_retention: config.privacy.audio_retention,
            stop,
            fetched: AtomicU64::new(0),
        }))
    }
}

#[async_trait]
impl Crew for Shop {
    async fn work_on(self: Arc<Self>, claimed: Claimed, run: &RunId) -> Result<ItemOutcome, RunError> {
        Self::work_on(self, claimed, run).await
    }

    /// Two for each decoder and one more: the next ones are fetched while they decode, and a decoder that takes several
    /// windows at a time finds some though each recording is short.
    fn places(&self) -> usize {
        2 * self.speech.workers() + 1
    }

    fn is_one_process(&self) -> bool {
        true
    }

    async fn examine_engine(self: Arc<Self>) -> Option<Failure> {
        Self::examine_engine(&self).await
    }
}
