//! The directory of a CTranslate2 `model.bin`, version 6: which variable lies where. The weights stay in the file.

use std::collections::HashMap;
use std::io::{Read, Seek};

use super::bounded::BoundedReader;
use super::error::FormatError;

const VERSION: u32 = 6;
const SPECIFICATION: &str = "WhisperSpec";
const MOST_VARIABLES: u32 = 50_000;
const MOST_DIMENSIONS: u8 = 8;
const FLOAT16: u8 = 4;

/// One array of a CTranslate2 model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    /// Outermost dimension first; empty for a single number.
    pub(super) shape: Vec<u32>,
    kind: u8,
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// What a `model.bin` holds, by name.
#[derive(Debug)]
pub(super) struct Model {
    variables: HashMap<String, Variable>,
}

impl Model {
    /// Reads the directory of a file of `length` bytes.
    ///
    /// # Errors
    /// [`FormatError`] for another version, another kind of model, or sizes that do not fit the file.
    pub(super) fn read(file: impl Read + Seek, length: u64) -> Result<Self, FormatError> {
        let mut reader = BoundedReader::new(file, length);
        let wrong_format = FormatError::WrongFormat { format: "CTranslate2 Whisper (version 6)" };
        if reader.u32("the version")? != VERSION || read_string(&mut reader)? != SPECIFICATION {
            return Err(wrong_format);
        }
        reader.u32("the revision")?;
        let count = reader.u32_up_to(MOST_VARIABLES, "the number of variables")?;
        let mut variables = HashMap::new();
        for _ in 0..count {
            let name = read_string(&mut reader)?;
            let variable = read_variable(&mut reader)?;
            if variables.insert(name.clone(), variable).is_some() {
                return Err(FormatError::UnexpectedTensor { name });
            }
        }
        Ok(Self { variables })
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }

    pub(super) fn get(&self, name: &str) -> Result<&Variable, FormatError> {
        self.variables.get(name).ok_or_else(|| FormatError::MissingTensor { name: name.to_owned() })
    }

    /// A float16 variable.
    pub(super) fn float16(&self, name: &str) -> Result<&Variable, FormatError> {
        let variable = self.get(name)?;
        let elements: u64 = variable.shape.iter().map(|&dimension| u64::from(dimension)).product();
        if variable.kind != FLOAT16 {
            return Err(FormatError::NotFloat16 { name: name.to_owned() });
        }
        if elements * 2 != variable.bytes {
            return Err(FormatError::WrongTensor { name: name.to_owned() });
        }
        Ok(variable)
    }

    /// The dimensions of a float16 variable of `N` dimensions.
    pub(super) fn shape<const N: usize>(&self, name: &str) -> Result<[u32; N], FormatError> {
        let shape = self.float16(name)?.shape.clone();
        <[u32; N]>::try_from(shape).map_err(|_other_rank| FormatError::WrongTensor { name: name.to_owned() })
    }
}

fn read_variable(reader: &mut BoundedReader<impl Read + Seek>) -> Result<Variable, FormatError> {
    let rank = reader.u8("the rank of a variable")?;
    if rank > MOST_DIMENSIONS {
        return Err(FormatError::OutOfRange { what: "the rank of a variable", value: u64::from(rank) });
    }
    let mut shape = Vec::with_capacity(usize::from(rank));
    let mut elements: u64 = 1;
    for _ in 0..rank {
        let dimension = reader.u32("a dimension")?;
        elements = elements
            .checked_mul(u64::from(dimension))
            .filter(|&product| product <= u64::from(u32::MAX))
            .ok_or(FormatError::OutOfRange { what: "a dimension", value: u64::from(dimension) })?;
        shape.push(dimension);
    }
    let kind = reader.u8("the type of a variable")?;
    let bytes = u64::from(reader.u32("the size of a variable")?);
    let offset = reader.position();
    reader.skip(bytes, "a variable")?;
    Ok(Variable { shape, kind, offset, bytes })
}

/// A string is a 16-bit length, then as many bytes, the last of which is zero.
fn read_string(reader: &mut BoundedReader<impl Read + Seek>) -> Result<String, FormatError> {
    let length = reader.u16("the length of a name")?;
    let mut bytes = reader.bytes(u64::from(length), "a name")?;
    if bytes.pop() != Some(0) {
        return Err(FormatError::NotText { what: "the name of a variable" });
    }
    String::from_utf8(bytes).map_err(|_not_utf8| FormatError::NotText { what: "the name of a variable" })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    use std::io::Cursor;

    /// A `model.bin` of these variables: name, shape, type, data.
    pub(crate) fn model_bin(variables: &[(&str, &[u32], u8, Vec<u8>)]) -> Vec<u8> {
        let mut file = Vec::new();
        let string = |text: &str, file: &mut Vec<u8>| {
            file.extend((u16::try_from(text.len()).unwrap() + 1).to_le_bytes());
            file.extend(text.as_bytes());
            file.push(0);
        };
        file.extend(6_u32.to_le_bytes());
        string("WhisperSpec", &mut file);
        file.extend(3_u32.to_le_bytes());
        file.extend(u32::try_from(variables.len()).unwrap().to_le_bytes());
        for (name, shape, kind, data) in variables {
            string(name, &mut file);
            file.push(u8::try_from(shape.len()).unwrap());
            shape.iter().for_each(|dimension| file.extend(dimension.to_le_bytes()));
            file.push(*kind);
            file.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
            file.extend(data);
        }
        file.extend(0_u32.to_le_bytes());
        file
    }

    fn read_bytes(file: &[u8]) -> Result<Model, FormatError> {
        Model::read(Cursor::new(file), file.len() as u64)
    }

    fn sample() -> Vec<u8> {
        model_bin(&[("a/weight", &[2, 3], FLOAT16, vec![7; 12]), ("heads", &[], 2, vec![6, 0])])
    }

    #[test]
    fn variables_are_found_with_their_place() {
        let file = sample();
        let model = read_bytes(&file).unwrap();
        let weight = model.float16("a/weight").unwrap();
        assert_eq!(weight.shape, [2, 3]);
        let start = usize::try_from(weight.offset).unwrap();
        assert_eq!(file[start..start + 12], [7; 12]);
        assert_eq!(model.get("heads").unwrap().bytes, 2);
        assert!(matches!(model.float16("heads"), Err(FormatError::NotFloat16 { .. })));
        assert!(matches!(model.get("other"), Err(FormatError::MissingTensor { .. })));
    }

    #[test]
    fn another_version_or_kind_of_model_is_refused() {
        let mut old = sample();
        old[0] = 3;
        assert!(matches!(read_bytes(&old), Err(FormatError::WrongFormat { .. })));
        let mut translation = sample();
        translation[6] = b'T';
        assert!(matches!(read_bytes(&translation), Err(FormatError::WrongFormat { .. })));
    }

    #[test]
    fn a_float16_variable_whose_size_is_not_that_of_its_shape_is_refused() {
        let model = read_bytes(&model_bin(&[("a", &[2, 3], FLOAT16, vec![7; 10])])).unwrap();
        assert!(matches!(model.float16("a"), Err(FormatError::WrongTensor { .. })));
        let huge = model_bin(&[("a", &[u32::MAX, u32::MAX, u32::MAX], FLOAT16, vec![])]);
        assert!(matches!(read_bytes(&huge), Err(FormatError::OutOfRange { .. })));
    }

    #[test]
    fn damage_is_an_error_or_harmless_but_never_a_panic() {
        let file = sample();
        let mut random = StdRng::seed_from_u64(4);
        for _ in 0..2000 {
            let mut damaged = file.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..damaged.len());
                damaged[at] = random.random();
            }
            damaged.truncate(random.random_range(0..=damaged.len()));
            if let Ok(model) = read_bytes(&damaged) {
                assert!(model.variables.values().all(|found| found.offset + found.bytes <= damaged.len() as u64));
            }
        }
    }
}
