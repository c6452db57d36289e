//! The weights of a model, in the form in which the engine multiplies with them.
//!
//! They are whole numbers with a scale for each output. Those of the encoder meet 1,500 rows at once, so what counts is
//! arithmetic: they are what the kernels multiply fastest, as are those that make keys and values of what was heard. The others
//! of the decoder have 8 bits: they meet one row at a time, so what counts is how many bytes come from memory.

use super::alignment::{self, Head};
use super::kernels::{Dense, Kernels, Matrix, Panels};
use super::layers::{Attention, Linear, Norm, Perceptron};
use super::search::RESERVED;
use super::spectrogram::{FRAMES, FRAMES_PER_POSITION};
use crate::stt::models::{FormatError, Header, Tensors};

/// Tokens of a part of the vocabulary.
const TOKENS_OF_PART: usize = 8_192;

/// Frames that a convolution takes at once.
pub(super) const FRAMES_OF_CONVOLUTION: usize = 3;

pub(super) struct EncoderBlock {
    pub(super) attention: Attention<Dense>,
    pub(super) perceptron: Perceptron<Dense>,
}

/// What meets few rows at a time.
pub(super) type Light = Panels<i8>;

pub(super) struct DecoderBlock {
    pub(super) attention: Attention<Light>,
    pub(super) cross: Attention<Light, Dense>,
    pub(super) perceptron: Perceptron<Light>,
}

pub(super) struct Encoder {
    pub(super) convolutions: [Linear<Panels<i16>>; 2],
    pub(super) positions: Vec<f32>,
    pub(super) blocks: Vec<EncoderBlock>,
    pub(super) norm: Norm,
}

pub(super) struct Decoder {
    /// A row for each token: what it means when it comes in, and what is asked for when it may come out. In parts, which
    /// threads take.
    pub(super) tokens: Vec<Light>,
    pub(super) positions: Vec<f32>,
    pub(super) blocks: Vec<DecoderBlock>,
    pub(super) norm: Norm,
}

impl Decoder {
    /// What a token means.
    pub(super) fn token(&self, id: usize) -> impl Iterator<Item = f32> + '_ {
        self.tokens[id / TOKENS_OF_PART].row(id % TOKENS_OF_PART)
    }
}

/// How large a model is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) width: usize,
    pub(super) audio_heads: usize,
    pub(super) text_heads: usize,
    pub(super) audio_context: usize,
    pub(super) text_context: usize,
    pub(super) mels: usize,
    pub(super) tokens: usize,
}

pub(super) struct Weights {
    pub(super) shape: Shape,
    pub(super) encoder: Encoder,
    pub(super) decoder: Decoder,
    /// The heads that follow the text through the sound, in order.
    pub(super) alignment: Vec<Head>,
}

impl Weights {
    /// Reads and packs them, one tensor after the other.
    ///
    /// # Errors
    /// [`FormatError`] for a model of a shape that this engine does not compute, or a file that cannot be read.
    pub(super) fn read(file: &mut Tensors, kernels: &dyn Kernels) -> Result<Self, FormatError> {
        let header = *file.header();
        let shape = shape(&header)?;
        let mut reader = Reader { file, kernels, width: shape.width };
        let (encoder, decoder) = (reader.encoder(&header, shape)?, reader.decoder(&header)?);
        Ok(Self { shape, encoder, decoder, alignment: alignment::heads(&header) })
    }
}

fn shape(header: &Header) -> Result<Shape, FormatError> {
    const LONGEST: usize = FRAMES / FRAMES_PER_POSITION;
    if header.n_audio_ctx as usize > LONGEST {
        return Err(FormatError::OutOfRange { what: "the audio context", value: u64::from(header.n_audio_ctx) });
    }
    if header.n_text_ctx as usize <= 2 * RESERVED + 1 {
        return Err(FormatError::OutOfRange { what: "the text context", value: u64::from(header.n_text_ctx) });
    }
    // The first distilled models, two blocks deep, were trained without times, which everything here goes by.
    if header.n_text_layer == 2 && header.n_vocab < 51_866 {
        return Err(FormatError::OutOfRange { what: "the text layers", value: u64::from(header.n_text_layer) });
    }
    for (what, heads) in [("audio heads", header.n_audio_head), ("text heads", header.n_text_head)] {
        if !header.n_audio_state.is_multiple_of(heads) {
            return Err(FormatError::OutOfRange { what, value: u64::from(heads) });
        }
    }
    let size = |number: u32| number as usize;
    Ok(Shape {
        width: size(header.n_audio_state),
        audio_heads: size(header.n_audio_head),
        text_heads: size(header.n_text_head),
        audio_context: size(header.n_audio_ctx),
        text_context: size(header.n_text_ctx),
        mels: size(header.n_mels),
        tokens: size(header.n_vocab),
    })
}

struct Reader<'a> {
    file: &'a mut Tensors,
    kernels: &'a dyn Kernels,
    width: usize,
}

impl Reader<'_> {
    fn encoder(&mut self, header: &Header, shape: Shape) -> Result<Encoder, FormatError> {
        let block = |layer: u32| -> Result<EncoderBlock, FormatError> {
            let name = format!("encoder.blocks.{layer}");
            Ok(EncoderBlock { attention: self.attention(&name, "attn")?, perceptron: self.perceptron(&name)? })
        };
        let blocks = (0..header.n_audio_layer).map(block).collect::<Result<_, _>>()?;
        Ok(Encoder {
            convolutions: [
                self.convolution("encoder.conv1", shape.mels)?,
                self.convolution("encoder.conv2", shape.width)?,
            ],
            positions: self.file.read("encoder.positional_embedding")?,
            blocks,
            norm: self.norm("encoder.ln_post")?,
        })
    }

    fn decoder(&mut self, header: &Header) -> Result<Decoder, FormatError> {
        let block = |layer: u32| -> Result<DecoderBlock, FormatError> {
            let name = format!("decoder.blocks.{layer}");
            Ok(DecoderBlock {
                attention: self.attention(&name, "attn")?,
                cross: self.attention(&name, "cross_attn")?,
                perceptron: self.perceptron(&name)?,
            })
        };
        let blocks = (0..header.n_text_layer).map(block).collect::<Result<_, _>>()?;
        Ok(Decoder {
            tokens: {
                let rows = self.file.read("decoder.token_embedding.weight")?;
                rows.chunks(TOKENS_OF_PART * self.width).map(|part| Panels::of(part, self.width)).collect()
            },
            positions: self.file.read("decoder.positional_embedding")?,
            blocks,
            norm: self.norm("decoder.ln")?,
        })
    }

    fn matrix<M: Matrix>(&mut self, name: &str, inputs: usize) -> Result<M, FormatError> {
        Ok(M::of(self.kernels, &self.file.read(&format!("{name}.weight"))?, inputs))
    }

    fn linear<M: Matrix>(&mut self, name: &str, inputs: usize) -> Result<Linear<M>, FormatError> {
        Ok(Linear { weight: self.matrix(name, inputs)?, bias: self.file.read(&format!("{name}.bias"))? })
    }

    fn norm(&mut self, name: &str) -> Result<Norm, FormatError> {
        Ok(Norm { weight: self.file.read(&format!("{name}.weight"))?, bias: self.file.read(&format!("{name}.bias"))? })
    }

    fn attention<M: Matrix, N: Matrix>(&mut self, block: &str, kind: &str) -> Result<Attention<M, N>, FormatError> {
        let width = self.width;
        Ok(Attention {
            norm: self.norm(&format!("{block}.{kind}_ln"))?,
            query: self.linear(&format!("{block}.{kind}.query"), width)?,
            key: self.matrix(&format!("{block}.{kind}.key"), width)?,
            value: self.linear(&format!("{block}.{kind}.value"), width)?,
            out: self.linear(&format!("{block}.{kind}.out"), width)?,
        })
    }

    fn perceptron<M: Matrix>(&mut self, block: &str) -> Result<Perceptron<M>, FormatError> {
        let width = self.width;
        Ok(Perceptron {
            norm: self.norm(&format!("{block}.mlp_ln"))?,
            up: self.linear(&format!("{block}.mlp.0"), width)?,
            down: self.linear(&format!("{block}.mlp.2"), 4 * width)?,
        })
    }

    /// A convolution over three frames as a matrix: `[outputs][inputs][3]` becomes `[outputs][3][inputs]`, so that three
    /// frames that lie side by side are one row.
    fn convolution(&mut self, name: &str, inputs: usize) -> Result<Linear<Panels<i16>>, FormatError> {
        let weight = self.file.read(&format!("{name}.weight"))?;
        let mut turned = Vec::with_capacity(weight.len());
        for output in weight.chunks_exact(inputs * FRAMES_OF_CONVOLUTION) {
            for frame in 0..FRAMES_OF_CONVOLUTION {
                turned.extend(output.iter().skip(frame).step_by(FRAMES_OF_CONVOLUTION));
            }
        }
        Ok(Linear {
            weight: Panels::of(&turned, FRAMES_OF_CONVOLUTION * inputs),
            bias: self.file.read(&format!("{name}.bias"))?,
        })
    }
}
