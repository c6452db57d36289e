//! Names of models: what may become a file name in the models folder.

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::ModelError;

/// A name such as `base` or `large-v3-turbo-q5_0`; its file is `<name>.bin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModelName(String);

impl ModelName {
    pub(super) fn parse(name: &str) -> Result<Self, ModelError> {
        let is_plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
        let is_good = (1..=64).contains(&name.len())
            && name.chars().all(is_plain)
            && name.starts_with(|first: char| first.is_ascii_alphanumeric());
        if is_good { Ok(Self(name.to_owned())) } else { Err(ModelError::BadName { name: name.to_owned() }) }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Where a model of this name lies.
    pub(super) fn file_in(&self, models_dir: &Path) -> PathBuf {
        models_dir.join(format!("{}.bin", self.0))
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_the_folder() {
        for good in ["base", "tiny.en", "large-v3-turbo-q5_0", "0"] {
            assert_eq!(ModelName::parse(good).unwrap().to_string(), good);
        }
        for bad in ["", ".", "..", "../base", "a/b", "a\\b", "-f", ".hidden", "a b", "é", "a\0", &"a".repeat(65)] {
            assert!(matches!(ModelName::parse(bad), Err(ModelError::BadName { .. })), "{bad:?}");
        }
        let file = ModelName::parse("tiny.en").unwrap().file_in(Path::new("models"));
        assert_eq!(file, Path::new("models/tiny.en.bin"));
    }
}
