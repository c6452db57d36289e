//! A model file opened for its weights, which are read one tensor at a time as 32-bit floats.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::error::FormatError;
use super::ggml::{self, Tensor};
use super::layout::{Header, TensorType};
use super::{ggml_library, half, mel};

/// A ggml Whisper file that holds what its header asks for.
pub(crate) struct Tensors {
    file: File,
    header: Header,
    tokens: Vec<Vec<u8>>,
    tensors: HashMap<String, Tensor>,
}

impl Tensors {
    /// Reads everything but the weights.
    ///
    /// # Errors
    /// [`FormatError`] for a file that cannot be read or is not as it must be.
    pub(crate) fn open(path: &Path) -> Result<Self, FormatError> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let directory = ggml::read(&file, length)?;
        let mut rewound = &file;
        rewound.seek(SeekFrom::Start(0))?;
        let tokens = ggml::read_tokens(rewound, length, &directory.header)?;
        let named = |tensor: Tensor| (tensor.spec.name.clone(), tensor);
        Ok(Self { file, header: directory.header, tokens, tensors: directory.tensors.into_iter().map(named).collect() })
    }

    pub(crate) const fn header(&self) -> &Header {
        &self.header
    }

    /// The bytes of each token of text, by id.
    pub(crate) fn tokens(&self) -> &[Vec<u8>] {
        &self.tokens
    }

    /// The weights of the mel bands, a row of 201 for each.
    pub(crate) fn mel_bank(&self) -> Vec<f32> {
        mel::filter_bank(self.header.n_mels)
    }

    /// The weights of one tensor, row after row.
    ///
    /// # Errors
    /// [`FormatError::MissingTensor`], or when the file cannot be read any more.
    pub(crate) fn read(&mut self, name: &str) -> Result<Vec<f32>, FormatError> {
        let missing = || FormatError::MissingTensor { name: name.to_owned() };
        let tensor = self.tensors.get(name).ok_or_else(missing)?;
        let size = |count: u64| usize::try_from(count).map_err(|_too_large| missing());
        let mut bytes = vec![0; size(tensor.bytes)?];
        self.file.seek(SeekFrom::Start(tensor.offset))?;
        self.file.read_exact(&mut bytes)?;
        match tensor.kind {
            TensorType::F32 => {
                let four = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                Ok(bytes.chunks_exact(4).map(four).collect())
            }
            TensorType::F16 => Ok(half::widen(&bytes).collect()),
            quantised => ggml_library::dequantize(&bytes, size(tensor.spec.elements())?, quantised).ok_or_else(missing),
        }
    }
}
