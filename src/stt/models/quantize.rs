//! `models quantize`: a float16 model with its matrices in 8 or 5 bits, by ggml's own routine, laid out as
//! whisper.cpp's quantiser does: the large matrices only, everything else untouched.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::draft::{Digests, Draft, publish};
use super::error::{FormatError, ModelError};
use super::ggml::{self, Directory, HEADER_BYTES, Tensor};
use super::ggml_library;
use super::half;
use super::layout::{Role, TensorType};
use super::lock::ModelLock;
use super::manifest::Manifest;
use super::name::ModelName;
use super::verify::{read_directory, resolve_with};

/// One at a time, since the name of the result is not known at the start.
const LOCK: &str = ".quantize";
/// Weights in memory at a time, rounded to whole rows.
const CHUNK_WEIGHTS: u64 = 1 << 18;

/// How the matrices are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantization {
    Q8_0,
    Q5_0,
    Q5_1,
}

impl Quantization {
    const ALL: [Self; 3] = [Self::Q8_0, Self::Q5_0, Self::Q5_1];

    fn tensor_type(self) -> TensorType {
        match self {
            Self::Q8_0 => TensorType::Q8_0,
            Self::Q5_0 => TensorType::Q5_0,
            Self::Q5_1 => TensorType::Q5_1,
        }
    }

    /// ggml's number for it, plus 1000 × the version of the block formats. Version 2 changed other blocks than these;
    /// the published q5_1 files still carry version 1, and engines read both alike.
    fn ftype(self) -> u32 {
        match self {
            Self::Q8_0 => 2007,
            Self::Q5_0 => 2008,
            Self::Q5_1 => 1009,
        }
    }
}

impl fmt::Display for Quantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Q8_0 => "q8_0",
            Self::Q5_0 => "q5_0",
            Self::Q5_1 => "q5_1",
        })
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected q8_0, q5_0 or q5_1")]
pub struct UnknownQuantization;

impl FromStr for Quantization {
    type Err = UnknownQuantization;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.to_string() == text).ok_or(UnknownQuantization)
    }
}

/// The result of a quantisation.
#[derive(Debug)]
pub struct Quantized {
    pub name: String,
    pub path: PathBuf,
    pub digests: Digests,
    /// The published file that the result equals byte for byte.
    pub equals_published: Option<String>,
    /// Where the file was made from.
    pub source: PathBuf,
    pub losses: Vec<ClassLoss>,
}

/// What quantisation did to one kind of matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassLoss {
    /// Such as `encoder attention`.
    pub class: &'static str,
    pub tensors: u32,
    /// Root mean square of the difference over that of the weights.
    pub relative_rms: f64,
}

/// Writes `<models_dir>/<name>.bin`, by default `<model>-<quantisation>` (with `-own` after it where a published file of
/// that name differs), and sees that whisper.cpp loads it.
///
/// # Errors
/// [`ModelError`]; the models folder is then as it was before.
pub fn quantize(
    models_dir: &Path,
    model: &str,
    to: Quantization,
    name: Option<&str>,
    manifest: &Manifest,
) -> Result<Quantized, ModelError> {
    let source = resolve_with(models_dir, model, manifest)?;
    let directory = read_directory(&source.path)?;
    if directory.header.ftype != 1 {
        return Err(ModelError::NotFloat16 { path: source.path });
    }
    let wanted = name.map(ModelName::parse).transpose()?;
    let _lock = ModelLock::wait(models_dir, LOCK)?;
    let draft = Draft::create(models_dir.join(".quantize.part"))?;
    let mut writer = Quantizer { source: &source.path, to, draft, sums: BTreeMap::new() };
    writer.write(&directory)?;
    let Quantizer { draft, sums, .. } = writer;
    let (digests, scratch) = draft.finish()?;
    let equals_published = manifest.find_equal(&digests).map(|published| published.name.clone());
    let name = match wanted {
        Some(name) if manifest.would_confuse(name.as_str(), &digests) => {
            return Err(ModelError::NameTaken { name: name.as_str().to_owned() });
        }
        Some(name) => name,
        None => ModelName::parse(&default_name(&source.name, to, manifest, &digests))?,
    };
    let path = name.file_in(models_dir);
    let _lock_of_the_name = ModelLock::wait(models_dir, name.as_str())?;
    if path.exists() {
        return Err(ModelError::Exists { path });
    }
    ggml_library::load(&scratch.0).map_err(|source| ModelError::NotLoadable { path: path.clone(), source })?;
    publish(&scratch.0, &path)?;
    let losses = sums.into_iter().map(|(class, sum)| sum.loss(class)).collect();
    Ok(Quantized { name: name.as_str().to_owned(), path, digests, equals_published, source: source.path, losses })
}

/// A result that is not the published file must not take its name.
fn default_name(model: &str, to: Quantization, manifest: &Manifest, digests: &Digests) -> String {
    let name = format!("{model}-{to}");
    if manifest.would_confuse(&name, digests) { format!("{name}-own") } else { name }
}

struct Quantizer<'a> {
    source: &'a Path,
    to: Quantization,
    draft: Draft,
    sums: BTreeMap<&'static str, Sums>,
}

#[derive(Default)]
struct Sums {
    tensors: u32,
    difference: f64,
    weights: f64,
}

impl Sums {
    fn loss(self, class: &'static str) -> ClassLoss {
        let relative_rms = if self.weights > 0.0 { (self.difference / self.weights).sqrt() } else { 0.0 };
        ClassLoss { class, tensors: self.tensors, relative_rms }
    }
}

impl Quantizer<'_> {
    fn write(&mut self, directory: &Directory) -> Result<(), ModelError> {
        let mut file = File::open(self.source).map_err(|error| unreadable(self.source, error))?;
        let mut header = directory.header;
        header.ftype = self.to.ftype();
        ggml::write_header(&header, &mut self.draft).map_err(|error| self.unwritable(error))?;
        self.copy(&mut file, HEADER_BYTES, directory.tensors_at - HEADER_BYTES)?;
        for tensor in &directory.tensors {
            if tensor.spec.role == Role::Matrix {
                self.quantize_tensor(&mut file, tensor)?;
            } else {
                self.label(tensor, tensor.kind)?;
                self.copy(&mut file, tensor.offset, tensor.bytes)?;
            }
        }
        Ok(())
    }

    fn quantize_tensor(&mut self, file: &mut File, tensor: &Tensor) -> Result<(), ModelError> {
        let kind = self.to.tensor_type();
        let row = tensor.spec.row();
        if kind.bytes(&tensor.spec).is_none() {
            return Err(ModelError::RowLength { name: tensor.spec.name.clone(), to: self.to, row });
        }
        self.label(tensor, kind)?;
        let source = self.source;
        let too_large = |_too_large| unreadable(source, io::ErrorKind::FileTooLarge.into());
        let row_weights = usize::try_from(row).map_err(too_large)?;
        let chunk_bytes = (CHUNK_WEIGHTS / row).max(1) * row * 2;
        let mut sums = self.sums.remove(class_of(&tensor.spec.name)).unwrap_or_default();
        sums.tensors += 1;
        file.seek(SeekFrom::Start(tensor.offset)).map_err(|error| unreadable(self.source, error))?;
        let mut left = tensor.bytes;
        while left > 0 {
            let count = usize::try_from(left.min(chunk_bytes)).map_err(too_large)?;
            let mut halves = vec![0; count];
            file.read_exact(&mut halves).map_err(|error| unreadable(self.source, error))?;
            left -= count as u64;
            let weights: Vec<f32> = half::widen(&halves).collect();
            let blocks = ggml_library::quantize(&weights, row_weights, kind);
            let back = ggml_library::dequantize(&blocks, weights.len(), kind).unwrap_or_default();
            for (&weight, &approximation) in weights.iter().zip(&back) {
                sums.difference += (f64::from(weight) - f64::from(approximation)).powi(2);
                sums.weights += f64::from(weight).powi(2);
            }
            self.draft.write_all(&blocks).map_err(|error| self.unwritable(error))?;
        }
        self.sums.insert(class_of(&tensor.spec.name), sums);
        Ok(())
    }

    fn label(&mut self, tensor: &Tensor, kind: TensorType) -> Result<(), ModelError> {
        ggml::write_label(&tensor.spec, kind, &mut self.draft).map_err(|error| self.unwritable(error))
    }

    fn copy(&mut self, file: &mut File, offset: u64, bytes: u64) -> Result<(), ModelError> {
        file.seek(SeekFrom::Start(offset)).map_err(|error| unreadable(self.source, error))?;
        let copied = io::copy(&mut file.take(bytes), &mut self.draft).map_err(|error| self.unwritable(error))?;
        if copied == bytes { Ok(()) } else { Err(unreadable(self.source, io::ErrorKind::UnexpectedEof.into())) }
    }

    fn unwritable(&self, source: io::Error) -> ModelError {
        ModelError::Disk { doing: "write", path: self.draft.path().to_owned(), source }
    }
}

fn unreadable(source: &Path, error: io::Error) -> ModelError {
    ModelError::Damaged { path: source.to_owned(), source: FormatError::Read(error) }
}

fn class_of(tensor: &str) -> &'static str {
    let is_decoder = tensor.starts_with("decoder.");
    if tensor.contains("token_embedding") {
        "token embedding"
    } else if tensor.contains(".cross_attn.") {
        "decoder cross attention"
    } else if tensor.contains(".attn.") {
        if is_decoder { "decoder attention" } else { "encoder attention" }
    } else if is_decoder {
        "decoder feed-forward"
    } else {
        "encoder feed-forward"
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{small_header, small_model};
    use super::*;

    fn folder_with(name: &str, width: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), small_model(width, 5)).unwrap();
        folder
    }

    #[test]
    fn a_quantised_model_loads_is_smaller_and_close_to_its_weights() {
        let folder = folder_with("own.bin", 64);
        let manifest = Manifest::embedded();
        let mut sizes = Vec::new();
        for (to, worst) in [(Quantization::Q8_0, 0.01), (Quantization::Q5_1, 0.06), (Quantization::Q5_0, 0.08)] {
            let result = quantize(folder.path(), "own", to, None, &manifest).unwrap();
            assert_eq!(result.name, format!("own-{to}"));
            assert_eq!(result.losses.iter().map(|loss| loss.tensors).sum::<u32>(), 1 + 2 * 6 + 4);
            for loss in &result.losses {
                assert!(loss.relative_rms > 0.0 && loss.relative_rms < worst, "{to} {loss:?}");
            }
            let directory = read_directory(&result.path).unwrap();
            assert_eq!(directory.header.ftype, to.ftype());
            sizes.push(result.digests.bytes);
        }
        sizes.insert(0, small_model(64, 5).len() as u64);
        assert!(sizes.is_sorted_by(|larger, smaller| larger > smaller), "{sizes:?}");
    }

    #[test]
    fn only_matrices_change() {
        let folder = folder_with("own.bin", 64);
        let result = quantize(folder.path(), "own", Quantization::Q8_0, None, &Manifest::embedded()).unwrap();
        let (before, after) = (read_directory(&result.source).unwrap(), read_directory(&result.path).unwrap());
        let bytes = |path: &Path, tensor: &Tensor| {
            let start = usize::try_from(tensor.offset).unwrap();
            std::fs::read(path).unwrap()[start..start + usize::try_from(tensor.bytes).unwrap()].to_vec()
        };
        for (old, new) in before.tensors.iter().zip(&after.tensors) {
            assert_eq!(old.spec, new.spec);
            if old.spec.role == Role::Matrix {
                assert_eq!(new.kind, TensorType::Q8_0);
            } else {
                assert_eq!(bytes(&result.source, old), bytes(&result.path, new), "{}", old.spec.name);
            }
        }
    }

    #[test]
    fn what_cannot_be_quantised_is_refused_and_leaves_nothing() {
        let folder = folder_with("odd.bin", 40);
        let manifest = Manifest::embedded();
        let attempt = |model: &str, name| quantize(folder.path(), model, Quantization::Q8_0, name, &manifest);
        assert!(matches!(attempt("odd", None), Err(ModelError::RowLength { row: 40, .. })));
        assert!(!folder.path().join("odd-q8_0.bin").exists());

        std::fs::write(folder.path().join("own.bin"), small_model(64, 5)).unwrap();
        assert!(matches!(attempt("own", Some("base-q8_0")), Err(ModelError::NameTaken { .. })));
        attempt("own", None).unwrap();
        assert!(matches!(attempt("own", None), Err(ModelError::Exists { .. })));
        assert!(matches!(attempt("own-q8_0", Some("twice")), Err(ModelError::NotFloat16 { .. })));
        assert!(matches!(attempt("absent", None), Err(ModelError::Missing { .. })));
        assert_eq!(small_header(64).ftype, 1);
    }

    #[test]
    fn names_of_quantisations_are_read_back() {
        for kind in Quantization::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert_eq!("q4_k".parse::<Quantization>(), Err(UnknownQuantization));
    }
}
