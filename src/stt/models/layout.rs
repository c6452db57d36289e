//! The shape of a Whisper model: its header, and which tensors with which dimensions follow from it.
//!
//! The list of tensors serves twice: it is the order in which a file is written, and what a file that was read must hold.

use std::io::{self, Write};

use super::error::FormatError;

/// Multilingual models have at least this many tokens, English ones fewer.
const MULTILINGUAL_VOCABULARY: u32 = 51_865;
/// What a quantised file adds to `ftype`: the version of ggml's block formats times this factor.
const QUANTIZATION_VERSION_FACTOR: u32 = 1000;

/// The eleven numbers at the start of a ggml Whisper file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub n_vocab: u32,
    pub n_audio_ctx: u32,
    pub n_audio_state: u32,
    pub n_audio_head: u32,
    pub n_audio_layer: u32,
    pub n_text_ctx: u32,
    pub n_text_state: u32,
    pub n_text_head: u32,
    pub n_text_layer: u32,
    pub n_mels: u32,
    /// The type of the matrices (1 = float16), plus 1000 × the quantisation's version.
    pub ftype: u32,
}

impl Header {
    pub(super) const FIELDS: usize = 11;

    /// Whether the model knows languages other than English.
    #[must_use]
    pub fn multilingual(&self) -> bool {
        self.n_vocab >= MULTILINGUAL_VOCABULARY
    }

    pub(super) fn from_fields(fields: [u32; Self::FIELDS]) -> Result<Self, FormatError> {
        let [
            n_vocab,
            n_audio_ctx,
            n_audio_state,
            n_audio_head,
            n_audio_layer,
            n_text_ctx,
            n_text_state,
            n_text_head,
            n_text_layer,
            n_mels,
            ftype,
        ] = fields;
        let header = Self {
            n_vocab,
            n_audio_ctx,
            n_audio_state,
            n_audio_head,
            n_audio_layer,
            n_text_ctx,
            n_text_state,
            n_text_head,
            n_text_layer,
            n_mels,
            ftype,
        };
        header.check()?;
        Ok(header)
    }

    fn fields(&self) -> [u32; Self::FIELDS] {
        [
            self.n_vocab,
            self.n_audio_ctx,
            self.n_audio_state,
            self.n_audio_head,
            self.n_audio_layer,
            self.n_text_ctx,
            self.n_text_state,
            self.n_text_head,
            self.n_text_layer,
            self.n_mels,
            self.ftype,
        ]
    }

    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        for field in self.fields() {
            to.write_all(&field.to_le_bytes())?;
        }
        Ok(())
    }

    /// Refuses numbers that no Whisper model has, so that nothing later can overflow or run on without end.
    pub(super) fn check(&self) -> Result<(), FormatError> {
        let within = |what, value: u32, least: u32, greatest: u32| {
            if (least..=greatest).contains(&value) {
                Ok(())
            } else {
                Err(FormatError::OutOfRange { what, value: u64::from(value) })
            }
        };
        within("the number of tokens", self.n_vocab, MULTILINGUAL_VOCABULARY - 1, 100_000)?;
        within("the audio context", self.n_audio_ctx, 1, 16_384)?;
        within("the audio width", self.n_audio_state, 1, 8_192)?;
        within("the number of audio heads", self.n_audio_head, 1, self.n_audio_state)?;
        within("the number of audio layers", self.n_audio_layer, 1, 128)?;
        within("the text context", self.n_text_ctx, 1, 16_384)?;
        within("the text width", self.n_text_state, self.n_audio_state, self.n_audio_state)?;
        within("the number of text heads", self.n_text_head, 1, self.n_text_state)?;
        within("the number of text layers", self.n_text_layer, 1, 128)?;
        if self.n_mels != 80 && self.n_mels != 128 {
            return Err(FormatError::OutOfRange { what: "the number of mel bands", value: u64::from(self.n_mels) });
        }
        self.weight_type().map(drop)
    }

    /// The type of the model's matrices.
    pub(super) fn weight_type(&self) -> Result<TensorType, FormatError> {
        let wrong = FormatError::OutOfRange { what: "the weight type", value: u64::from(self.ftype) };
        if self.ftype / QUANTIZATION_VERSION_FACTOR > 2 {
            return Err(wrong);
        }
        match self.ftype % QUANTIZATION_VERSION_FACTOR {
            0 => Ok(TensorType::F32),
            1 => Ok(TensorType::F16),
            2 => Ok(TensorType::Q4_0),
            3 => Ok(TensorType::Q4_1),
            7 => Ok(TensorType::Q8_0),
            8 => Ok(TensorType::Q5_0),
            9 => Ok(TensorType::Q5_1),
            _ => Err(wrong),
        }
    }

    /// Every tensor of this model, in the order in which whisper.cpp's converter writes them.
    pub(super) fn tensors(&self) -> Vec<TensorSpec> {
        let (audio, text) = (self.n_audio_state, self.n_text_state);
        let mut list = SpecList(Vec::new());
        list.push("decoder.positional_embedding", &[self.n_text_ctx, text], Role::Float32);
        list.push("encoder.positional_embedding", &[self.n_audio_ctx, audio], Role::Float32);
        list.push("decoder.token_embedding.weight", &[self.n_vocab, text], Role::Matrix);
        for layer in 0..self.n_text_layer {
            let block = format!("decoder.blocks.{layer}");
            list.mlp(&block, text);
            list.attention(&block, "attn", text);
            list.attention(&block, "cross_attn", text);
        }
        list.pair("decoder.ln", &[text], Role::Float32);
        list.convolution("encoder.conv1", audio, self.n_mels);
        list.convolution("encoder.conv2", audio, audio);
        for layer in 0..self.n_audio_layer {
            let block = format!("encoder.blocks.{layer}");
            list.mlp(&block, audio);
            list.attention(&block, "attn", audio);
        }
        list.pair("encoder.ln_post", &[audio], Role::Float32);
        list.0
    }
}

/// What a tensor is for, which decides the type it is stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Biases, norms and positions: always float32.
    Float32,
    /// Convolution kernels: float16 unless the whole file is float32.
    Kernel,
    /// The large matrices: the type that the header names.
    Matrix,
}

impl Role {
    pub(super) fn stored_as(self, weight_type: TensorType) -> TensorType {
        match (self, weight_type) {
            (Self::Float32, _) | (_, TensorType::F32) => TensorType::F32,
            (Self::Kernel, _) => TensorType::F16,
            (Self::Matrix, _) => weight_type,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TensorSpec {
    pub(super) name: String,
    /// Outermost dimension first, as in PyTorch; the file has them the other way round.
    pub(super) shape: Vec<u32>,
    pub(super) role: Role,
}

impl TensorSpec {
    /// Rows of a matrix that has no name of its own.
    pub(super) fn matrix(rows: u32, row: u32) -> Self {
        Self { name: String::new(), shape: vec![rows, row], role: Role::Matrix }
    }

    pub(super) fn elements(&self) -> u64 {
        self.shape.iter().map(|&dimension| u64::from(dimension)).product()
    }

    /// Weights in one row: the innermost dimension, along which ggml quantises.
    pub(super) fn row(&self) -> u64 {
        self.shape.last().map_or(1, |&dimension| u64::from(dimension))
    }
}

struct SpecList(Vec<TensorSpec>);

impl SpecList {
    fn push(&mut self, name: &str, shape: &[u32], role: Role) {
        self.0.push(TensorSpec { name: name.to_owned(), shape: shape.to_vec(), role });
    }

    /// `<name>.weight` of the given shape and `<name>.bias` of its outer dimension.
    fn pair(&mut self, name: &str, shape: &[u32], role: Role) {
        self.push(&format!("{name}.weight"), shape, role);
        self.push(&format!("{name}.bias"), &shape[..1], Role::Float32);
    }

    fn convolution(&mut self, name: &str, outputs: u32, inputs: u32) {
        self.push(&format!("{name}.weight"), &[outputs, inputs, 3], Role::Kernel);
        self.push(&format!("{name}.bias"), &[outputs, 1], Role::Float32);
    }

    fn mlp(&mut self, block: &str, width: u32) {
        self.pair(&format!("{block}.mlp_ln"), &[width], Role::Float32);
        self.pair(&format!("{block}.mlp.0"), &[4 * width, width], Role::Matrix);
        self.pair(&format!("{block}.mlp.2"), &[width, 4 * width], Role::Matrix);
    }

    /// The key has no bias.
    fn attention(&mut self, block: &str, kind: &str, width: u32) {
        self.pair(&format!("{block}.{kind}_ln"), &[width], Role::Float32);
        self.pair(&format!("{block}.{kind}.query"), &[width, width], Role::Matrix);
        self.push(&format!("{block}.{kind}.key.weight"), &[width, width], Role::Matrix);
        self.pair(&format!("{block}.{kind}.value"), &[width, width], Role::Matrix);
        self.pair(&format!("{block}.{kind}.out"), &[width, width], Role::Matrix);
    }
}

/// The number formats of ggml that Whisper files use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TensorType {
    F32,
    F16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
}

impl TensorType {
    const ALL: [Self; 7] = [Self::F32, Self::F16, Self::Q4_0, Self::Q4_1, Self::Q5_0, Self::Q5_1, Self::Q8_0];

    /// ggml's number for it.
    pub(super) fn id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q4_1 => 3,
            Self::Q5_0 => 6,
            Self::Q5_1 => 7,
            Self::Q8_0 => 8,
        }
    }

    pub(super) fn from_id(id: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.id() == id)
    }

    /// Weights and bytes of one block; a row is a whole number of blocks.
    fn block(self) -> (u64, u64) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 => (1, 2),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q8_0 => (32, 34),
        }
    }

    /// Bytes of a tensor, or `None` where its rows are not a whole number of blocks.
    pub(super) fn bytes(self, spec: &TensorSpec) -> Option<u64> {
        let (weights, bytes) = self.block();
        spec.row().is_multiple_of(weights).then(|| spec.elements() / weights * bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny_en() -> Header {
        Header::from_fields([51_864, 1500, 384, 6, 4, 448, 384, 6, 4, 80, 1]).unwrap()
    }

    #[test]
    fn the_tensors_of_tiny_en_fill_the_published_file() {
        let header = tiny_en();
        let tensors = header.tensors();
        assert_eq!(tensors.len(), 167);
        let weight_type = header.weight_type().unwrap();
        let data: u64 = tensors.iter().map(|spec| spec.role.stored_as(weight_type).bytes(spec).unwrap()).sum();
        let labels: u64 = tensors.iter().map(|spec| 12 + 4 * spec.shape.len() as u64 + spec.name.len() as u64).sum();
        // The mel bank, the English vocabulary and the header make up the rest of 77,704,715 bytes.
        let vocabulary = 77_704_715 - data - labels - 48 - 8 - 80 * 201 * 4 - 4;
        assert!(vocabulary > 50_257 * 5 && vocabulary < 50_257 * 16, "{vocabulary}");
    }

    #[test]
    fn numbers_that_no_model_has_are_refused() {
        let good = tiny_en().fields();
        for (field, wrong) in
            [(0, 0), (0, u32::MAX), (2, 0), (2, 385), (4, 1 << 20), (8, 0), (9, 81), (10, 4), (10, 3001)]
        {
            let mut fields = good;
            fields[field] = wrong;
            assert!(matches!(Header::from_fields(fields), Err(FormatError::OutOfRange { .. })), "{field} = {wrong}");
        }
    }

    #[test]
    fn a_quantised_header_names_its_type() {
        let mut header = tiny_en();
        header.ftype = 2009;
        assert_eq!(header.weight_type().unwrap(), TensorType::Q5_1);
        assert_eq!(Role::Kernel.stored_as(TensorType::Q5_1), TensorType::F16);
        assert_eq!(Role::Float32.stored_as(TensorType::Q5_1), TensorType::F32);
    }

    #[test]
    fn only_models_with_language_tokens_are_multilingual() {
        let mut header = tiny_en();
        assert!(!header.multilingual());
        header.n_vocab = 51_865;
        assert!(header.multilingual());
    }
}
