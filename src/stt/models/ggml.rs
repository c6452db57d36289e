//! The ggml Whisper file: magic, header, mel bank, vocabulary, then tensors up to the end of the file.
//!
//! Reading keeps the directory only, never the weights. A file that was read without error holds exactly the tensors that
//! its header asks for, each in the right shape and type, so that whisper.cpp meets no surprise in it.

use std::collections::HashMap;
use std::io::{self, Read, Seek, Write};

use super::bounded::BoundedReader;
use super::error::FormatError;
use super::layout::{Header, TensorSpec, TensorType};
use super::mel;

const MAGIC: u32 = 0x6767_6d6c;
/// Bytes of magic and header.
pub(super) const HEADER_BYTES: u64 = 4 + 4 * Header::FIELDS as u64;
const LONGEST_TOKEN: u32 = 1024;
const LONGEST_NAME: u32 = 128;

/// Where one tensor's weights lie.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    pub(super) spec: TensorSpec,
    pub(super) kind: TensorType,
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// What a ggml file holds, without its weights.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) header: Header,
    /// Where the mel bank and the vocabulary end and the tensors begin.
    pub(super) tensors_at: u64,
    /// In the order of the file.
    pub(super) tensors: Vec<Tensor>,
}

/// Reads and checks everything but the weights of a file of `length` bytes.
///
/// # Errors
/// [`FormatError`] for whatever is not as whisper.cpp needs it.
pub(super) fn read(file: impl Read + Seek, length: u64) -> Result<Directory, FormatError> {
    let mut reader = BoundedReader::new(file, length);
    if length < HEADER_BYTES || reader.u32("the magic number")? != MAGIC {
        return Err(FormatError::WrongFormat { format: "ggml Whisper" });
    }
    let mut fields = [0; Header::FIELDS];
    for field in &mut fields {
        *field = reader.u32("the header")?;
    }
    let header = Header::from_fields(fields)?;
    read_mel_bank(&mut reader, &header)?;
    read_vocabulary(&mut reader, &header)?;
    let tensors_at = reader.position();

    let weight_type = header.weight_type()?;
    let mut awaited: HashMap<String, TensorSpec> =
        header.tensors().into_iter().map(|spec| (spec.name.clone(), spec)).collect();
    let mut tensors = Vec::with_capacity(awaited.len());
    while !reader.is_at_end() {
        let (name, kind, shape) = read_label(&mut reader)?;
        let Some(spec) = awaited.remove(&name) else { return Err(FormatError::UnexpectedTensor { name }) };
        let bytes = kind.bytes(&spec);
        let (true, Some(bytes)) = (shape == spec.shape && kind == spec.role.stored_as(weight_type), bytes) else {
            return Err(FormatError::WrongTensor { name });
        };
        let offset = reader.position();
        reader.skip(bytes, "a tensor")?;
        tensors.push(Tensor { spec, kind, offset, bytes });
    }
    match awaited.into_keys().min() {
        Some(name) => Err(FormatError::MissingTensor { name }),
        None => Ok(Directory { header, tensors_at, tensors }),
    }
}

fn read_mel_bank(reader: &mut BoundedReader<impl Read + Seek>, header: &Header) -> Result<(), FormatError> {
    let bands = reader.u32("the mel bank")?;
    let frequencies = reader.u32("the mel bank")?;
    if bands != header.n_mels || frequencies != mel::FREQUENCIES {
        return Err(FormatError::OutOfRange { what: "the size of the mel bank", value: u64::from(bands) });
    }
    reader.skip(u64::from(bands) * u64::from(frequencies) * 4, "the mel bank")
}

/// The bytes of the tokens of a file that [`read`] has accepted, in the order of their ids.
///
/// # Errors
/// [`FormatError`] when the file is no longer what it was.
pub(super) fn read_tokens(file: impl Read + Seek, length: u64, header: &Header) -> Result<Vec<Vec<u8>>, FormatError> {
    let mut reader = BoundedReader::new(file, length);
    reader.skip(HEADER_BYTES, "the header")?;
    read_mel_bank(&mut reader, header)?;
    let count = reader.u32_up_to(header.n_vocab, "the number of tokens")?;
    let token = |_id| {
        let length = reader.u32_up_to(LONGEST_TOKEN, "the length of a token")?;
        reader.bytes(u64::from(length), "a token")
    };
    (0..count).map(token).collect()
}

fn read_vocabulary(reader: &mut BoundedReader<impl Read + Seek>, header: &Header) -> Result<(), FormatError> {
    let count = reader.u32_up_to(header.n_vocab, "the number of tokens")?;
    for _ in 0..count {
        let length = reader.u32_up_to(LONGEST_TOKEN, "the length of a token")?;
        reader.skip(u64::from(length), "a token")?;
    }
    Ok(())
}

fn read_label(reader: &mut BoundedReader<impl Read + Seek>) -> Result<(String, TensorType, Vec<u32>), FormatError> {
    let dimensions = reader.u32_up_to(4, "the number of dimensions")?;
    let name_length = reader.u32_up_to(LONGEST_NAME, "the length of a tensor's name")?;
    let kind = reader.u32("the type of a tensor")?;
    let mut shape = Vec::with_capacity(4);
    for _ in 0..dimensions {
        shape.push(reader.u32("a dimension")?);
    }
    shape.reverse();
    let name = reader.bytes(u64::from(name_length), "a tensor's name")?;
    let name = String::from_utf8(name).map_err(|_not_utf8| FormatError::NotText { what: "the name of a tensor" })?;
    let Some(kind) = TensorType::from_id(kind) else { return Err(FormatError::WrongTensor { name }) };
    Ok((name, kind, shape))
}

/// Magic and header.
pub(super) fn write_header(header: &Header, to: &mut impl Write) -> io::Result<()> {
    to.write_all(&MAGIC.to_le_bytes())?;
    header.write(to)
}

/// The mel bank for as many bands as the header says.
pub(super) fn write_mel_bank(header: &Header, to: &mut impl Write) -> io::Result<()> {
    to.write_all(&header.n_mels.to_le_bytes())?;
    to.write_all(&mel::FREQUENCIES.to_le_bytes())?;
    for weight in mel::filter_bank(header.n_mels) {
        to.write_all(&weight.to_le_bytes())?;
    }
    Ok(())
}

/// The tokens in the order of their ids.
pub(super) fn write_vocabulary(tokens: &[Vec<u8>], to: &mut impl Write) -> io::Result<()> {
    write_length(tokens.len(), to)?;
    for token in tokens {
        write_length(token.len(), to)?;
        to.write_all(token)?;
    }
    Ok(())
}

/// What stands before a tensor's weights.
pub(super) fn write_label(spec: &TensorSpec, kind: TensorType, to: &mut impl Write) -> io::Result<()> {
    write_length(spec.shape.len(), to)?;
    write_length(spec.name.len(), to)?;
    to.write_all(&kind.id().to_le_bytes())?;
    for dimension in spec.shape.iter().rev() {
        to.write_all(&dimension.to_le_bytes())?;
    }
    to.write_all(spec.name.as_bytes())
}

fn write_length(length: usize, to: &mut impl Write) -> io::Result<()> {
    let length = u32::try_from(length).map_err(io::Error::other)?;
    to.write_all(&length.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::sample::{small_header, small_model};
    use super::*;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    use std::io::Cursor;

    fn read_bytes(file: &[u8]) -> Result<Directory, FormatError> {
        read(Cursor::new(file), file.len() as u64)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let file = small_model(4, 1);
        let directory = read_bytes(&file).unwrap();
        assert_eq!(directory.header, small_header(4));
        let written: Vec<TensorSpec> = small_header(4).tensors();
        let found: Vec<TensorSpec> = directory.tensors.iter().map(|tensor| tensor.spec.clone()).collect();
        assert_eq!(found, written);
        let last = directory.tensors.last().unwrap();
        assert_eq!(last.offset + last.bytes, file.len() as u64);
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let file = small_model(4, 1);
        let mut random = StdRng::seed_from_u64(2);
        let cuts = (0..200).map(|_| random.random_range(0..file.len())).chain([0, 3, 4, 47, 48, file.len() - 1]);
        for cut in cuts {
            assert!(read_bytes(&file[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_damaged_directory_is_an_error_or_harmless_but_never_a_panic() {
        let file = small_model(4, 1);
        let tensors_at = usize::try_from(read_bytes(&file).unwrap().tensors_at).unwrap();
        let mut random = StdRng::seed_from_u64(3);
        for round in 0..300 {
            let mut damaged = file.clone();
            let region = if round % 2 == 0 { 0..56 } else { tensors_at..file.len() };
            for _ in 0..random.random_range(1..6) {
                let at = random.random_range(region.clone());
                damaged[at] = random.random();
            }
            if let Ok(directory) = read_bytes(&damaged) {
                assert_eq!(directory.tensors.len(), small_header(4).tensors().len());
            }
        }
    }

    #[test]
    fn bytes_after_the_last_tensor_are_refused() {
        let mut file = small_model(4, 1);
        file.extend([0; 40]);
        assert!(matches!(read_bytes(&file), Err(FormatError::UnexpectedTensor { .. })));
    }

    #[test]
    fn a_missing_or_repeated_tensor_is_named() {
        let file = small_model(4, 1);
        let directory = read_bytes(&file).unwrap();
        let last = directory.tensors.last().unwrap();
        let label = 12 + 4 + last.spec.name.len();
        let start = usize::try_from(last.offset).unwrap() - label;
        let error = read_bytes(&file[..start]).unwrap_err();
        assert_eq!(error.to_string(), r#"tensor "encoder.ln_post.bias" is missing"#);
        let repeated = [&file[..], &file[start..]].concat();
        assert!(matches!(read_bytes(&repeated), Err(FormatError::UnexpectedTensor { .. })));
    }

    #[test]
    fn another_format_is_named_as_such() {
        let error = read_bytes(b"GGUF\x03\0\0\0 and so on, long enough to hold a whole header of ours").unwrap_err();
        assert_eq!(error.to_string(), "it is not a ggml Whisper file");
    }
}
