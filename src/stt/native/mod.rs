//! Our own engine for CPUs: a window of 16 kHz samples in, Whisper's tokens out. `README.md` in this folder leads from
//! the sound to the text.
//!
//! ```text
//! samples ─► spectrogram ─► encoder ─► sound ─► decoder ─► rules ─► token ─┐
//!                                                 ▲                         │
//!                                                 └────────── past ─────────┘
//! ```
//!
//! [`kernels`] does the arithmetic, for the instruction set that the machine has; [`weights`] holds a model in the form
//! that they read; [`conductor`] takes steps of several windows together. A window's tokens depend on the window only.

mod alignment;
mod conductor;
mod decoder;
mod encoder;
mod engine;
mod kernels;
mod known_sound;
mod layers;
mod rules;
mod search;
mod spectrogram;
mod team;
mod tokenizer;
mod vocabulary;
mod weights;
mod window;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

use super::models::{FormatError, Tensors};
use super::{EngineError, Watch};
use crate::domain::Language;
use conductor::Conductor;
use kernels::Kernels;
use search::Strategy;
use spectrogram::Spectrograph;
use tokenizer::Tokenizer;
use vocabulary::Vocabulary;
use weights::Weights;
use window::{Hearing, Way};

pub use crate::config::Isa;
pub use engine::{ENGINE, VERSION, load};
pub use known_sound::known_sound;

/// A token, and how it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub id: usize,
    /// Among all tokens that were allowed to stand there.
    pub log_probability: f32,
    /// Where the decoder listened for it: for each alignment head, the share of each position.
    attention: Arc<[f32]>,
}

/// A model that is ready to be used by many threads at once.
pub struct Model {
    kernels: Box<dyn Kernels>,
    weights: Weights,
    vocabulary: Vocabulary,
    tokenizer: Tokenizer,
    spectrograph: Spectrograph,
}

impl Model {
    /// Reads a ggml Whisper file. Matrices may have any type that ggml files have.
    ///
    /// # Errors
    /// [`FormatError`] for a file that is damaged, or of a shape that no Whisper model has.
    pub fn load(path: &Path, isa: Isa) -> Result<Self, FormatError> {
        Self::load_for(path, isa.kernels())
    }

    fn load_for(path: &Path, kernels: Box<dyn Kernels>) -> Result<Self, FormatError> {
        let mut file = Tensors::open(path)?;
        let weights = Weights::read(&mut file, kernels.as_ref())?;
        let vocabulary = Vocabulary::new(file.tokens(), weights.shape.tokens);
        let tokenizer = Tokenizer::new(file.tokens());
        let spectrograph = Spectrograph::new(&file.mel_bank());
        Ok(Self { kernels, weights, vocabulary, tokenizer, spectrograph })
    }

    #[must_use]
    pub const fn is_multilingual(&self) -> bool {
        self.vocabulary.is_multilingual()
    }

    /// The tokens of samples of any number, the likeliest each time; times among them, from the last place that was heard
    /// anew. On so many threads.
    ///
    /// # Errors
    /// [`EngineError::UnknownLanguage`], and [`EngineError::NotFinite`] of a model that gives no numbers.
    pub fn decode(&self, samples: &[f32], language: &Language, threads: usize) -> Result<Vec<Token>, EngineError> {
        self.decode_in(&Conductor::new(1, threads, 1), samples, language)
    }

    /// As [`Model::decode`], of many windows, each in its language: so many workers compute, and each decodes as many windows at the same time
    /// as the engine's process would give it.
    ///
    /// # Errors
    /// As [`Model::decode`].
    pub fn decode_all(&self, windows: &[(Language, Vec<f32>)], workers: usize) -> Result<Vec<Vec<Token>>, EngineError> {
        let conductor = Conductor::new(workers, 1, self.batch(1));
        let next = AtomicUsize::new(0);
        let work = || {
            let mut found = Vec::new();
            while let index = next.fetch_add(1, Ordering::Relaxed)
                && let Some((language, samples)) = windows.get(index)
            {
                found.push((index, self.decode_in(&conductor, samples, language)?));
            }
            Ok::<_, EngineError>(found)
        };
        let mut found = std::thread::scope(|scope| {
            let lanes: Vec<_> = (0..conductor.lanes()).map(|_| scope.spawn(work)).collect();
            let found = lanes.into_iter().map(|lane| lane.join().map_err(|_panic| EngineError::Panicked)?);
            found.collect::<Result<Vec<_>, _>>().map(|found| found.concat())
        })?;
        found.sort_by_key(|(index, _)| *index);
        Ok(found.into_iter().map(|(_, tokens)| tokens).collect())
    }

    fn decode_in(
        &self,
        conductor: &Conductor,
        samples: &[f32],
        language: &Language,
    ) -> Result<Vec<Token>, EngineError> {
        let task = self.task(language)?;
        let way = Way { task: &task, strategy: Strategy::Likeliest, prompt: &[], lead: 0, words: false };
        let mut said = Vec::new();
        let watch = Watch::new(&CancellationToken::new());
        Hearing::new(self, conductor, samples, None, &watch)
            .each_chunk(&way, |tokens, _place| said.extend_from_slice(tokens))?;
        Ok(said)
    }

    /// Windows that one worker decodes at the same time: what was heard of each of them is kept, and what so many
    /// candidates have said.
    fn batch(&self, beam_size: u32) -> usize {
        /// More gain little: the decoder's weights are then a small part of what it reads.
        const MOST: usize = 4;
        /// Bytes of both, for each worker.
        const KEPT: usize = 300_000_000;
        let weights::Shape { width, audio_context, text_context, .. } = self.weights.shape;
        let heard = window::KEPT_CHUNKS * audio_context;
        // A text has half of the context.
        let said = beam_size as usize * text_context / 2 * size_of::<f32>();
        let keys_and_values = 2 * self.weights.decoder.blocks.len() * width;
        (KEPT / ((heard + said) * keys_and_values).max(1)).clamp(1, MOST)
    }

    /// The tokens that ask for what is said in this language.
    fn task(&self, language: &Language) -> Result<Vec<usize>, EngineError> {
        let unknown = || EngineError::UnknownLanguage { language: language.as_str().to_owned() };
        self.vocabulary.task(language.as_str()).ok_or_else(unknown)
    }

    /// What speaks for each token, in any language, as the first of what is said in a sound.
    #[must_use]
    pub fn first_thoughts(&self, samples: &[f32]) -> Vec<f32> {
        let watch = Watch::new(&CancellationToken::new());
        Hearing::new(self, &Conductor::new(1, 1, 1), samples, None, &watch)
            .first_logits()
            .map_or_else(|_never_cancelled| Vec::new(), <[f32]>::to_vec)
    }

    /// The text of tokens, without times. Pieces of characters that were never completed are left out.
    #[must_use]
    pub fn text(&self, tokens: &[Token]) -> String {
        let bytes: Vec<u8> = tokens.iter().flat_map(|token| self.vocabulary.bytes(token.id)).copied().collect();
        bytes.utf8_chunks().map(|chunk| chunk.valid()).collect()
    }
}

#[cfg(test)]
mod tests;
