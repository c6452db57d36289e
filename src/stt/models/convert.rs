//! CTranslate2 → ggml: where each tensor's weights lie, and copying them bit for bit.
//!
//! CTranslate2 stacks the matrices of one attention: `self_attention/linear_0` is query, key and value,
//! `attention/linear_0` (cross attention) the query alone and `attention/linear_1` key and value.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::ctranslate2::{Model, Variable};
use super::error::FormatError;
use super::ggml;
use super::half;
use super::layout::{Header, TensorSpec, TensorType};

/// Bytes of weights in memory at a time.
const CHUNK: usize = 1 << 16;
const FTYPE_FLOAT16: u32 = 1;

/// Why a conversion stopped: the source is not what it should be, or the target cannot be written.
#[derive(Debug)]
pub(super) enum ConvertError {
    Source(FormatError),
    Write(io::Error),
}

impl From<FormatError> for ConvertError {
    fn from(error: FormatError) -> Self {
        Self::Source(error)
    }
}

/// Writes the ggml file of a CTranslate2 model whose directory is `model` and whose bytes are `weights`.
pub(super) fn convert(
    model: &Model,
    weights: &mut File,
    tokens: &[Vec<u8>],
    to: &mut impl Write,
) -> Result<Header, ConvertError> {
    let header = derive_header(model, weights)?;
    for side in ["decoder", "encoder"] {
        check_key_biases(model, weights, side)?;
    }
    ggml::write_header(&header, to).map_err(ConvertError::Write)?;
    ggml::write_mel_bank(&header, to).map_err(ConvertError::Write)?;
    ggml::write_vocabulary(tokens, to).map_err(ConvertError::Write)?;
    for spec in header.tensors() {
        let slice = Slice::of(&spec.name, model)?;
        let kind = spec.role.stored_as(TensorType::F16);
        if slice.bytes != spec.elements() * 2 || !slice.has_shape(&spec) {
            return Err(FormatError::WrongTensor { name: spec.name }.into());
        }
        ggml::write_label(&spec, kind, to).map_err(ConvertError::Write)?;
        slice.copy(weights, kind, to)?;
    }
    Ok(header)
}

/// The numbers of the header follow from the shapes.
fn derive_header(model: &Model, weights: &mut File) -> Result<Header, FormatError> {
    let [n_vocab, n_text_state] = model.shape("decoder/embeddings/weight")?;
    let [n_text_ctx, _] = model.shape("decoder/position_encodings/encodings")?;
    let [n_audio_ctx, n_audio_state] = model.shape("encoder/position_encodings/encodings")?;
    let [_, n_mels, _] = model.shape("encoder/conv1/weight")?;
    let header = Header {
        n_vocab,
        n_audio_ctx,
        n_audio_state,
        n_audio_head: number(model, weights, "encoder/num_heads")?,
        n_audio_layer: layers(model, "encoder"),
        n_text_ctx,
        n_text_state,
        n_text_head: number(model, weights, "decoder/num_heads")?,
        n_text_layer: layers(model, "decoder"),
        n_mels,
        ftype: FTYPE_FLOAT16,
    };
    header.check()?;
    Ok(header)
}

fn layers(model: &Model, side: &str) -> u32 {
    let exists = |layer: &u32| model.contains(&format!("{side}/layer_{layer}/ffn/layer_norm/gamma"));
    (0..).take_while(exists).fold(0, |count, _| count + 1)
}

/// A variable that holds one 16-bit number.
fn number(model: &Model, weights: &mut File, name: &str) -> Result<u32, FormatError> {
    let variable = model.get(name)?;
    if !variable.shape.is_empty() || variable.bytes != 2 {
        return Err(FormatError::WrongTensor { name: name.to_owned() });
    }
    let mut bytes = [0; 2];
    weights.seek(SeekFrom::Start(variable.offset))?;
    weights.read_exact(&mut bytes)?;
    Ok(u32::from(u16::from_le_bytes(bytes)))
}

/// ggml has no bias for the key, so CTranslate2's must be zero.
fn check_key_biases(model: &Model, weights: &mut File, side: &str) -> Result<(), FormatError> {
    for layer in 0..layers(model, side) {
        for (block, part, parts) in [("self_attention/linear_0", 1, 3), ("attention/linear_1", 0, 2)] {
            let name = format!("{side}/layer_{layer}/{block}/bias");
            if !model.contains(&name) {
                continue;
            }
            let slice = Slice::part(model.float16(&name)?, part, parts, &name)?;
            let mut is_zero = true;
            slice.for_each_chunk::<FormatError>(weights, |chunk| {
                // The sign does not matter: minus zero adds nothing either.
                is_zero &= chunk.chunks(2).all(|half| matches!(half, [0, 0 | 0x80]));
                Ok(())
            })?;
            if !is_zero {
                return Err(FormatError::KeyBias { name });
            }
        }
    }
    Ok(())
}

/// A run of a variable's rows.
struct Slice {
    shape: Vec<u32>,
    offset: u64,
    bytes: u64,
}

impl Slice {
    /// The weights of the ggml tensor `name`.
    fn of(name: &str, model: &Model) -> Result<Self, FormatError> {
        let (variable, part, parts) =
            variable_of(name).ok_or_else(|| FormatError::MissingTensor { name: name.to_owned() })?;
        Self::part(model.float16(&variable)?, part, parts, &variable)
    }

    /// Part `part` of `parts` equal ones along the outermost dimension.
    fn part(variable: &Variable, part: u32, parts: u32, name: &str) -> Result<Self, FormatError> {
        let mut shape = variable.shape.clone();
        match shape.first_mut() {
            Some(rows) if rows.is_multiple_of(parts) => *rows /= parts,
            _ => return Err(FormatError::WrongTensor { name: name.to_owned() }),
        }
        let bytes = variable.bytes / u64::from(parts);
        Ok(Self { shape, offset: variable.offset + bytes * u64::from(part), bytes })
    }

    /// Equal dimensions; a convolution's bias has a second one of 1 in ggml.
    fn has_shape(&self, spec: &TensorSpec) -> bool {
        spec.shape == self.shape || matches!((&spec.shape[..], &self.shape[..]), ([n, 1], [m]) if n == m)
    }

    fn copy(&self, weights: &mut File, kind: TensorType, to: &mut impl Write) -> Result<(), ConvertError> {
        self.for_each_chunk(weights, |chunk| {
            match kind {
                TensorType::F32 => {
                    let wide: Vec<u8> = half::widen(chunk).flat_map(f32::to_le_bytes).collect();
                    to.write_all(&wide)
                }
                _ => to.write_all(chunk),
            }
            .map_err(ConvertError::Write)
        })
    }

    fn for_each_chunk<E: From<FormatError>>(
        &self,
        weights: &mut File,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        weights.seek(SeekFrom::Start(self.offset)).map_err(FormatError::Read)?;
        let mut left = self.bytes;
        let mut buffer = vec![0; CHUNK];
        while left > 0 {
            let count = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
            weights.read_exact(&mut buffer[..count]).map_err(FormatError::Read)?;
            each(&buffer[..count])?;
            left -= count as u64;
        }
        Ok(())
    }
}

/// The variable that holds the ggml tensor `name`, and which of how many stacked parts it is.
fn variable_of(name: &str) -> Option<(String, u32, u32)> {
    match name {
        "decoder.positional_embedding" => return Some(("decoder/position_encodings/encodings".into(), 0, 1)),
        "encoder.positional_embedding" => return Some(("encoder/position_encodings/encodings".into(), 0, 1)),
        "decoder.token_embedding.weight" => return Some(("decoder/embeddings/weight".into(), 0, 1)),
        _ => {}
    }
    let (module, kind) = name.rsplit_once('.')?;
    let norm_kind = if kind == "weight" { "gamma" } else { "beta" };
    match module {
        "decoder.ln" => return Some((format!("decoder/layer_norm/{norm_kind}"), 0, 1)),
        "encoder.ln_post" => return Some((format!("encoder/layer_norm/{norm_kind}"), 0, 1)),
        "encoder.conv1" | "encoder.conv2" => return Some((format!("{}/{kind}", module.replace('.', "/")), 0, 1)),
        _ => {}
    }
    let (side, block) = module.split_once(".blocks.")?;
    let (layer, module) = block.split_once('.')?;
    let (path, part, parts) = match module {
        "mlp_ln" => ("ffn/layer_norm", 0, 1),
        "mlp.0" => ("ffn/linear_0", 0, 1),
        "mlp.2" => ("ffn/linear_1", 0, 1),
        "attn_ln" => ("self_attention/layer_norm", 0, 1),
        "attn.query" => ("self_attention/linear_0", 0, 3),
        "attn.key" => ("self_attention/linear_0", 1, 3),
        "attn.value" => ("self_attention/linear_0", 2, 3),
        "attn.out" => ("self_attention/linear_1", 0, 1),
        "cross_attn_ln" => ("attention/layer_norm", 0, 1),
        "cross_attn.query" => ("attention/linear_0", 0, 1),
        "cross_attn.key" => ("attention/linear_1", 0, 2),
        "cross_attn.value" => ("attention/linear_1", 1, 2),
        "cross_attn.out" => ("attention/linear_2", 0, 1),
        _ => return None,
    };
    let kind = if path.ends_with("layer_norm") { norm_kind } else { kind };
    Some((format!("{side}/layer_{layer}/{path}/{kind}"), part, parts))
}

#[cfg(test)]
#[path = "convert_tests.rs"]
pub(super) mod tests;
