//! The list of published models, `models/manifest.toml`, which is part of the program.

use serde::{Deserialize, Deserializer};
use url::Url;

use super::draft::Digests;

const EMBEDDED: &str = include_str!("../../../models/manifest.toml");

/// Every published model that this program knows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    #[serde(rename = "model")]
    models: Vec<PublishedModel>,
}

/// One published file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedModel {
    pub name: String,
    pub format: ModelFormat,
    /// Where it can be downloaded.
    #[serde(deserialize_with = "address")]
    pub source: Url,
    /// The exact size.
    pub bytes: u64,
    /// Lower-case hexadecimal, as is `sha256`. A model without either cannot be verified.
    pub sha1: Option<String>,
    pub sha256: Option<String>,
    pub licence: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelFormat {
    /// whisper.cpp's own format.
    Ggml,
}

/// A checksum that is not the published one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    pub algorithm: &'static str,
    pub expected: String,
    pub actual: String,
}

impl Manifest {
    /// The list in the program.
    #[must_use]
    pub fn embedded() -> Self {
        Self::parse(EMBEDDED).expect("the embedded list of models is valid")
    }

    pub(super) fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    #[must_use]
    pub fn models(&self) -> &[PublishedModel] {
        &self.models
    }

    #[must_use]
    pub fn find(&self, name: &str) -> Option<&PublishedModel> {
        self.models.iter().find(|model| model.name == name)
    }

    /// Whether a file with these checksums under this name would pass for a published model that it is not.
    #[must_use]
    pub fn would_confuse(&self, name: &str, digests: &Digests) -> bool {
        self.find(name).is_some_and(|model| model.compare(digests).is_err())
    }

    /// The published model that these are the checksums of.
    #[must_use]
    pub fn find_equal(&self, digests: &Digests) -> Option<&PublishedModel> {
        self.models.iter().find(|model| model.has_checksum() && model.compare(digests).is_ok())
    }
}

impl PublishedModel {
    #[must_use]
    pub fn has_checksum(&self) -> bool {
        self.sha1.is_some() || self.sha256.is_some()
    }

    /// Compares with every checksum that is known, the strongest first.
    ///
    /// # Errors
    /// The first that differs.
    pub fn compare(&self, digests: &Digests) -> Result<(), Mismatch> {
        let pairs = [("SHA-256", self.sha256.as_ref(), &digests.sha256), ("SHA-1", self.sha1.as_ref(), &digests.sha1)];
        for (algorithm, expected, actual) in pairs {
            if let Some(expected) = expected
                && expected != actual
            {
                return Err(Mismatch { algorithm, expected: expected.clone(), actual: actual.clone() });
            }
        }
        Ok(())
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::super::name::ModelName;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_embedded_list_is_complete_and_consistent() {
        let manifest = Manifest::embedded();
        let names: BTreeSet<&str> = manifest.models().iter().map(|model| model.name.as_str()).collect();
        assert_eq!(names.len(), manifest.models().len());
        for size in ["tiny", "tiny.en", "base", "base.en", "small", "medium", "large-v3", "large-v3-turbo-q5_0"] {
            assert!(names.contains(size), "{size}");
        }
        let is_hex = |text: &str| text.chars().all(|digit| matches!(digit, '0'..='9' | 'a'..='f'));
        for model in manifest.models() {
            ModelName::parse(&model.name).unwrap();
            assert_eq!(model.source.scheme(), "https");
            assert!(model.source.path().ends_with(&format!("/ggml-{}.bin", model.name)));
            assert!(model.sha1.as_ref().is_none_or(|sum| sum.len() == 40 && is_hex(sum)), "{}", model.name);
            assert!(model.sha256.as_ref().is_none_or(|sum| sum.len() == 64 && is_hex(sum)), "{}", model.name);
        }
        let sums: BTreeSet<&String> = manifest.models().iter().filter_map(|model| model.sha1.as_ref()).collect();
        assert_eq!(sums.len(), manifest.models().iter().filter(|model| model.sha1.is_some()).count());
    }

    #[test]
    fn a_file_equals_a_model_only_when_every_known_checksum_does() {
        let manifest = Manifest::embedded();
        let base = manifest.find("base").unwrap();
        let mut digests =
            Digests { sha256: base.sha256.clone().unwrap(), sha1: base.sha1.clone().unwrap(), bytes: base.bytes };
        assert_eq!(manifest.find_equal(&digests), Some(base));
        assert!(!manifest.would_confuse("base", &digests) && !manifest.would_confuse("own", &digests));
        assert!(manifest.would_confuse("tiny", &digests));
        digests.sha256 = "0".repeat(64);
        assert_eq!(base.compare(&digests).unwrap_err().algorithm, "SHA-256");
        assert_eq!(manifest.find_equal(&digests), None);
    }
}
