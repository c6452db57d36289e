//! The text of one audio file, for comparing models.

use std::error::Error;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::config::SttConfig;
use crate::decode::AudioStream;
use crate::stt::{ModelFiles, ModelPath, SpeechToText};

/// Transcribes files with one model after another; the last model stays loaded.
pub(super) struct Samples<'a> {
    settings: &'a SttConfig,
    loaded: Option<(PathBuf, SpeechToText)>,
}

impl<'a> Samples<'a> {
    pub(super) const fn new(settings: &'a SttConfig) -> Self {
        Self { settings, loaded: None }
    }

    /// The spoken text of `audio`; blocking.
    pub(super) fn transcribe(&mut self, model: &Path, audio: &Path) -> Result<String, Box<dyn Error + Send + Sync>> {
        if self.loaded.as_ref().is_none_or(|(path, _)| path != model) {
            // Identity is for rows; a comparison writes none.
            let file = ModelPath { path: model.to_owned(), name: model.display().to_string(), sha256: String::new() };
            let files = ModelFiles { first: file, second: None };
            self.loaded = Some((model.to_owned(), SpeechToText::load(self.settings, &files)?));
        }
        let (_, speech) = self.loaded.as_ref().ok_or("no model is loaded")?;
        let mut stream = AudioStream::open(audio)?;
        let mut session = speech.session(stream.channel_mode(), speech.prompt(&[]), &CancellationToken::new());
        while let Some(blocks) = stream.next_block()? {
            session.push(blocks)?;
        }
        let transcript = session.finish()?;
        Ok(transcript.spoken().map(|segment| segment.text.as_str()).collect::<Vec<_>>().join(" "))
    }
}
