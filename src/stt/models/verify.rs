//! From a name to a file that may be used: present, unchanged and whole.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::draft::Digests;
use super::error::{FormatError, ModelError};
use super::ggml::{self, Directory};
use super::layout::Header;
use super::manifest::{Manifest, PublishedModel};
use super::name::ModelName;

/// A model file that passed every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    pub path: PathBuf,
    pub name: String,
    /// Lower-case hexadecimal.
    pub sha256: String,
    /// Whether it knows languages other than English.
    pub multilingual: bool,
    pub header: Header,
    pub assurance: Assurance,
}

/// How much is known of a model file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assurance {
    /// It equals the published file byte for byte.
    Published,
    /// No checksum is published under its name; its structure is that of a Whisper model.
    Structure,
}

/// One line of `models verify`.
#[derive(Debug)]
pub struct Verified {
    pub name: String,
    pub outcome: Result<ModelFile, ModelError>,
}

/// One line of `models list`.
#[derive(Debug)]
pub struct Listed {
    pub name: String,
    /// Of the local file if there is one, else of the published one.
    pub bytes: u64,
    /// `None` when it is not installed.
    pub installed: Option<Result<ModelFile, ModelError>>,
}

/// The file that `stt.model` means: a name in `models_dir`, or a path (anything with a separator or ending in `.bin`).
/// The whole file is read once to compare its checksum.
///
/// # Errors
/// [`ModelError::Missing`] or [`ModelError::NoSuchFile`]; [`ModelError::WrongChecksum`] when the name is that of a
/// published model and the file is another; [`ModelError::Damaged`] when it is no whole Whisper model.
pub fn resolve(models_dir: &Path, name_or_path: &str) -> Result<ModelFile, ModelError> {
    resolve_with(models_dir, name_or_path, &Manifest::embedded())
}

pub(super) fn resolve_with(
    models_dir: &Path,
    name_or_path: &str,
    manifest: &Manifest,
) -> Result<ModelFile, ModelError> {
    let is_path = name_or_path.contains(std::path::is_separator)
        || Path::new(name_or_path).extension().is_some_and(|extension| extension == "bin");
    if is_path {
        let path = PathBuf::from(name_or_path);
        if !path.is_file() {
            return Err(ModelError::NoSuchFile { path });
        }
        return check(path, manifest);
    }
    let name = ModelName::parse(name_or_path)?;
    let path = name.file_in(models_dir);
    if !path.is_file() {
        return Err(ModelError::Missing { name: name.as_str().to_owned(), path });
    }
    check(path, manifest)
}

/// Checks one model, or every file of the folder.
///
/// # Errors
/// Only when the folder cannot be read, or the one model has an impossible name; what is wrong with a file is in its
/// [`Verified::outcome`].
pub fn verify(models_dir: &Path, name: Option<&str>, manifest: &Manifest) -> Result<Vec<Verified>, ModelError> {
    let names = match name {
        Some(name) => vec![name.to_owned()],
        None => local_names(models_dir)?,
    };
    let outcome = |name: String| Verified { outcome: resolve_with(models_dir, &name, manifest), name };
    Ok(names.into_iter().map(outcome).collect())
}

/// Every published model, in the order of the list, then the local ones that are not published.
///
/// # Errors
/// Only when the folder cannot be read.
pub fn list(models_dir: &Path, manifest: &Manifest) -> Result<Vec<Listed>, ModelError> {
    let mut local = local_names(models_dir)?;
    let mut lines = Vec::new();
    for PublishedModel { name, bytes, .. } in manifest.models() {
        let found = local.iter().position(|other| other == name).map(|index| local.remove(index));
        lines.push(match found {
            Some(name) => installed(models_dir, name, manifest),
            None => Listed { name: name.clone(), bytes: *bytes, installed: None },
        });
    }
    lines.extend(local.into_iter().map(|name| installed(models_dir, name, manifest)));
    Ok(lines)
}

fn installed(models_dir: &Path, name: String, manifest: &Manifest) -> Listed {
    let outcome = resolve_with(models_dir, &name, manifest);
    let bytes = fs::metadata(models_dir.join(format!("{name}.bin"))).map_or(0, |metadata| metadata.len());
    Listed { name, bytes, installed: Some(outcome) }
}

/// Names of the `.bin` files, sorted; a folder that does not exist holds none.
fn local_names(models_dir: &Path) -> Result<Vec<String>, ModelError> {
    let unreadable = |source| ModelError::Disk { doing: "read", path: models_dir.to_owned(), source };
    let entries = match fs::read_dir(models_dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let file_name = entry.map_err(unreadable)?.file_name();
        let name = file_name.to_str().and_then(|name| name.strip_suffix(".bin"));
        names.extend(name.filter(|name| ModelName::parse(name).is_ok()).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// whisper.cpp's own files are called `ggml-<name>.bin`.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem.strip_prefix("ggml-").unwrap_or(&stem).to_owned()
}

fn check(path: PathBuf, manifest: &Manifest) -> Result<ModelFile, ModelError> {
    let name = name_of(&path);
    let digests = Digests::of_file(&path)?;
    let published = manifest.find(&name).filter(|model| model.has_checksum());
    if let Some(Err(mismatch)) = published.map(|model| model.compare(&digests)) {
        let super::manifest::Mismatch { algorithm, expected, actual } = mismatch;
        return Err(ModelError::WrongChecksum { name, path, algorithm, expected, actual });
    }
    let assurance = if published.is_some() { Assurance::Published } else { Assurance::Structure };
    let header = read_directory(&path)?.header;
    Ok(ModelFile { path, name, sha256: digests.sha256, multilingual: header.multilingual(), header, assurance })
}

/// The structure of the file at `path`.
pub(super) fn read_directory(path: &Path) -> Result<Directory, ModelError> {
    let damaged = |source: FormatError| ModelError::Damaged { path: path.to_owned(), source };
    let file = File::open(path).map_err(|error| damaged(error.into()))?;
    let length = file.metadata().map_err(|error| damaged(error.into()))?.len();
    ggml::read(file, length).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::super::sample::small_model;
    use super::*;

    fn manifest_of(name: &str, sha1: Option<&str>, bytes: u64) -> Manifest {
        let sha1 = sha1.map(|sum| format!("sha1 = \"{sum}\"\n")).unwrap_or_default();
        Manifest::parse(&format!(
            "[[model]]\nname = \"{name}\"\nformat = \"ggml\"\nsource = \"https://example.com/ggml-{name}.bin\"\n\
             bytes = {bytes}\nlicence = \"MIT\"\n{sha1}"
        ))
        .unwrap()
    }

    #[test]
    fn a_missing_model_says_what_to_run() {
        let folder = tempfile::tempdir().unwrap();
        let error = resolve(folder.path(), "base").unwrap_err();
        assert!(error.to_string().contains("transcribe models pull base"), "{error}");
        assert!(error.to_string().contains("transcribe models import"), "{error}");
        assert!(matches!(resolve(folder.path(), "some/where.bin"), Err(ModelError::NoSuchFile { .. })));
        assert!(matches!(resolve(folder.path(), "..").unwrap_err(), ModelError::BadName { .. }));
    }

    #[test]
    fn a_file_under_a_published_name_must_be_the_published_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("base.bin");
        fs::write(&path, small_model(4, 1)).unwrap();
        let error = resolve(folder.path(), "base").unwrap_err();
        assert!(matches!(error, ModelError::WrongChecksum { algorithm: "SHA-256", .. }), "{error}");
        let by_path = resolve(folder.path(), path.to_str().unwrap()).unwrap_err();
        assert!(matches!(by_path, ModelError::WrongChecksum { .. }));

        let digests = Digests::of_file(&path).unwrap();
        let manifest = manifest_of("base", Some(&digests.sha1), digests.bytes);
        let model = resolve_with(folder.path(), "base", &manifest).unwrap();
        assert_eq!((model.assurance, model.sha256), (Assurance::Published, digests.sha256));
        assert!(!model.multilingual);
    }

    #[test]
    fn a_file_under_another_name_must_have_the_structure_of_a_model() {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = small_model(4, 1);
        fs::write(folder.path().join("own.bin"), &bytes).unwrap();
        assert_eq!(resolve(folder.path(), "own").unwrap().assurance, Assurance::Structure);
        bytes.pop();
        fs::write(folder.path().join("cut.bin"), &bytes).unwrap();
        assert!(matches!(resolve(folder.path(), "cut"), Err(ModelError::Damaged { .. })));

        let lines = verify(folder.path(), None, &Manifest::embedded()).unwrap();
        let outcomes: Vec<(&str, bool)> = lines.iter().map(|line| (line.name.as_str(), line.outcome.is_ok())).collect();
        assert_eq!(outcomes, [("cut", false), ("own", true)]);
        assert_eq!(verify(folder.path(), Some("own"), &Manifest::embedded()).unwrap().len(), 1);
    }

    #[test]
    fn the_list_has_published_and_local_models_once_each() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["own.bin", "base.bin"] {
            fs::write(folder.path().join(name), small_model(4, 1)).unwrap();
        }
        fs::write(folder.path().join("note.txt"), "").unwrap();
        let manifest = manifest_of("base", None, 10);
        let lines = list(folder.path(), &manifest).unwrap();
        let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["base", "own"]);
        assert!(lines.iter().all(|line| line.installed.as_ref().is_some_and(Result::is_ok)));
        let elsewhere = list(&folder.path().join("absent"), &manifest).unwrap();
        assert!(matches!(&elsewhere[..], [Listed { bytes: 10, installed: None, .. }]));
    }
}
