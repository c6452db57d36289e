//! Our own engine for CPUs: a window of 16 kHz samples in, Whisper's tokens out. `README.md` in this folder leads from
//! the sound to the text.
//!
//! ```text
//! samples ─► spectrogram ─► encoder ─► memory ─► decoder ─► rules ─► token ─┐
//!                                        ▲                                  │
//!                                        └──────────────────────────────────┘
//! ```
//!
//! [`kernels`] does the arithmetic, for the instruction set that the machine has; [`weights`] holds a model in the form
//! that they read. A window's tokens depend on the window only.

mod decoder;
mod encoder;
mod kernels;
mod layers;
mod rules;
mod spectrogram;
mod vocabulary;
mod weights;

use std::path::Path;

use super::models::{FormatError, Tensors};
use crate::domain::Language;
use decoder::Memory;
use kernels::Kernels;
use spectrogram::Spectrograph;
use vocabulary::Vocabulary;
use weights::Weights;

pub use kernels::Isa;

/// A token and how likely it was where it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Token {
    pub id: usize,
    /// Of all tokens that were allowed to stand there.
    pub log_probability: f32,
}

/// A model that is ready to be used by many threads at once.
pub struct Model {
    kernels: Box<dyn Kernels>,
    weights: Weights,
    vocabulary: Vocabulary,
    spectrograph: Spectrograph,
}

impl Model {
    /// Reads a ggml Whisper file. Matrices may have any type that ggml files have.
    ///
    /// # Errors
    /// [`FormatError`] for a file that is damaged, or of a shape that no Whisper model has.
    pub fn load(path: &Path, isa: Isa) -> Result<Self, FormatError> {
        let mut file = Tensors::open(path)?;
        let weights = Weights::read(&mut file)?;
        let vocabulary = Vocabulary::new(file.tokens(), weights.shape.tokens);
        Ok(Self { kernels: isa.kernels(), weights, vocabulary, spectrograph: Spectrograph::new(&file.mel_bank()) })
    }

    #[must_use]
    pub const fn is_multilingual(&self) -> bool {
        self.vocabulary.is_multilingual()
    }

    /// The tokens of at most 30 s of sound, the likeliest each time; times among them, without the end. None in a language
    /// that the model does not know.
    #[must_use]
    pub fn decode(&self, samples: &[f32], language: &Language) -> Option<Vec<Token>> {
        let mut prompt = vec![self.vocabulary.start];
        if self.is_multilingual() {
            prompt.extend([self.vocabulary.language(language.as_str())?, self.vocabulary.transcribe]);
        } else if language.as_str() != "en" {
            return None;
        }
        let Weights { shape, encoder, decoder } = &self.weights;
        let kernels = self.kernels.as_ref();
        let heard = encoder::encode(kernels, encoder, *shape, &self.spectrograph.of(samples));
        let mut memory = Memory::new(kernels, decoder, *shape, &heard);
        let mut said = Vec::new();
        let mut news = prompt;
        // Half of the context is for the text, as everywhere.
        while memory.length() + news.len() < shape.text_context / 2 {
            let logits = decoder::step(kernels, decoder, *shape, &mut memory, &news);
            let likely = rules::log_probabilities(&self.vocabulary, logits, &said);
            let Some((id, log_probability)) = likely.into_iter().enumerate().max_by(|a, b| a.1.total_cmp(&b.1)) else {
                break;
            };
            if id == self.vocabulary.end {
                break;
            }
            said.push(Token { id, log_probability });
            news = vec![id];
        }
        Some(said)
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
