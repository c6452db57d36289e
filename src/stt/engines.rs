//! Which engine decodes: the one that is configured, or the fastest that says on this machine what the reference says.
//!
//! The answer for a model is remembered in a file beside it, `<model file>.engine.json`, for these versions of both
//! engines and this processor's instructions. Where it cannot be written the test is made at each start.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::native::{self, Isa};
use super::process::{Loaded, Refusal, Settings};
use super::{EngineError, whisper_cpp};
use crate::config::settings::EngineChoice;

/// How far apart what two engines say may be: weights in bytes make about a tenth of it, wrong arithmetic more than all.
const TOLERATED: f64 = 0.3;

/// Loads the engine that the settings ask for.
///
/// # Errors
/// [`Refusal::Model`] when the file is at fault, [`Refusal::Engine`] where the processor lacks the configured
/// instructions.
pub fn load(settings: &Settings) -> Result<Loaded, Refusal> {
    let isa = settings.isa.unwrap_or_else(Isa::best);
    let takes_ours = match settings.engine {
        EngineChoice::WhisperCpp => false,
        _ if !isa.is_available() => {
            let why = format!("this processor does not have {}, see stt.isa", isa.as_str());
            return Err(Refusal::Engine(EngineError::NotStarted { why }));
        }
        EngineChoice::Native => true,
        EngineChoice::Auto => {
            let objection = objection(settings, isa);
            let (engine, why) = match &objection {
                None => (native::ENGINE, format!("it says what whisper.cpp says, with {}", isa.as_str())),
                Some(why) => (whisper_cpp::ENGINE, why.clone()),
            };
            tracing::info!(engine, why, "the engine is chosen");
            objection.is_none()
        }
    };
    if takes_ours { native::load(settings, isa) } else { whisper_cpp::load(settings) }
}

/// Why our own engine is not the one to take, if there is a reason.
fn objection(settings: &Settings, isa: Isa) -> Option<String> {
    if isa == Isa::Portable && settings.isa.is_none() {
        return Some("our own engine is not fast on this processor".to_owned());
    }
    if cfg!(debug_assertions) && settings.isa.is_none() {
        // Its loops are not vectorised: make demo would take minutes longer.
        return Some("our own engine is not fast in a debug build".to_owned());
    }
    let model = Path::new(&settings.model);
    if let Some(known) = Remembered::read(model, settings, isa) {
        return known.objection;
    }
    match Remembered::test(model, settings, isa) {
        Ok(test) => {
            test.write(model);
            test.objection
        }
        // It may have been the memory, and another start may fare better.
        Err(why) => Some(why),
    }
}

/// What a test of our own engine with one model came to.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Remembered {
    version: String,
    isa: Isa,
    model_sha256: String,
    objection: Option<String>,
}

impl Remembered {
    fn place(model: &Path) -> PathBuf {
        let mut name = model.as_os_str().to_owned();
        name.push(".engine.json");
        name.into()
    }

    /// What is remembered of this very model, program and instruction set.
    fn read(model: &Path, settings: &Settings, isa: Isa) -> Option<Self> {
        let known: Self = serde_json::from_slice(&fs::read(Self::place(model)).ok()?).ok()?;
        let is_of_today = known.version == version() && known.isa == isa && known.model_sha256 == settings.model_sha256;
        is_of_today.then_some(known)
    }

    /// Asks both engines. An error says which of them did not answer.
    fn test(model: &Path, settings: &Settings, isa: Isa) -> Result<Self, String> {
        let sound = native::known_sound();
        let ours = native::Model::load(model, isa).map(|model| model.first_thoughts(&sound));
        let ours = ours.map_err(|error| format!("our own engine cannot use the model: {error}"))?;
        let reference = whisper_cpp::first_thoughts(model, &sound);
        let reference = reference.map_err(|error| format!("whisper.cpp cannot use the model: {error}"))?;
        let apart = apart(&ours, &reference);
        let says = || format!("our own engine and whisper.cpp say different things (by {apart:.3})");
        let objection = (apart > TOLERATED).then(says);
        Ok(Self { version: version(), isa, model_sha256: settings.model_sha256.clone(), objection })
    }

    fn write(&self, model: &Path) {
        let place = Self::place(model);
        let part = place.with_extension(format!("json.{}.part", std::process::id()));
        let written = serde_json::to_vec_pretty(self)
            .map_err(std::io::Error::from)
            .and_then(|text| fs::write(&part, text))
            .and_then(|()| fs::rename(&part, &place));
        if let Err(error) = written {
            let _left_over = fs::remove_file(&part);
            tracing::debug!(%error, file = %place.display(), "the test of the engine is not remembered");
        }
    }
}

/// How far apart two engines are in what speaks for each token, beside how much that varies from token to token.
fn apart(ours: &[f32], reference: &[f32]) -> f64 {
    if ours.len() != reference.len() {
        return f64::INFINITY;
    }
    let mean = |numbers: &mut dyn Iterator<Item = f64>| numbers.sum::<f64>() / ours.len() as f64;
    let center = mean(&mut reference.iter().map(|number| f64::from(*number)));
    let variance = mean(&mut reference.iter().map(|number| (f64::from(*number) - center).powi(2)));
    // Softmax does not see what is added to all of them.
    let pairs = || ours.iter().zip(reference).map(|(one, other)| f64::from(*one) - f64::from(*other));
    let shift = mean(&mut pairs());
    let apart = (mean(&mut pairs().map(|apart| (apart - shift).powi(2))) / variance).sqrt();
    if apart.is_nan() { f64::INFINITY } else { apart }
}

/// The versions of both engines.
fn version() -> String {
    format!("native {} and whisper.cpp {}", native::VERSION, whisper_cpp::version())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogFormat;
    use crate::config::settings::GuardConfig;
    use crate::stt::spoken::cached;
    use crate::telemetry::{LogSettings, Verbosity};

    fn settings(model: &Path, engine: EngineChoice, isa: Option<Isa>) -> Settings {
        Settings {
            model: model.as_os_str().to_owned(),
            model_sha256: "aa".to_owned(),
            engine,
            isa,
            flash_attention: true,
            beam_size: 1,
            words: true,
            threads: 1,
            workers: 1,
            guard: GuardConfig::default(),
            alive_every: std::time::Duration::from_secs(1),
            logs: LogSettings { format: LogFormat::Text, verbosity: Verbosity::Quiet },
        }
    }

    /// A copy of the small model in a folder of its own.
    fn model() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.en.bin");
        fs::copy(cached("models/tiny.en.bin"), &path).unwrap();
        (folder, path)
    }

    #[test]
    fn our_own_engine_is_taken_when_it_says_what_whisper_cpp_says_and_that_is_remembered() {
        let (_folder, path) = model();
        // Named, so that the portable one counts as well.
        let auto = settings(&path, EngineChoice::Auto, Some(Isa::best()));
        let engine = load(&auto).unwrap().hello.engine;
        let known = Remembered::read(&path, &auto, Isa::best()).unwrap();
        assert_eq!((engine.as_str(), &known.objection), (native::ENGINE, &None));
        // What is remembered decides, for this model only.
        Remembered { objection: Some("it once said otherwise".to_owned()), ..known }.write(&path);
        assert_eq!(load(&auto).unwrap().hello.engine, whisper_cpp::ENGINE);
        let other = Settings { model_sha256: "bb".to_owned(), ..auto };
        assert_eq!(load(&other).unwrap().hello.engine, native::ENGINE);
        for (choice, engine) in
            [(EngineChoice::WhisperCpp, whisper_cpp::ENGINE), (EngineChoice::Native, native::ENGINE)]
        {
            assert_eq!(load(&settings(&path, choice, None)).unwrap().hello.engine, engine);
            // A child that is started again gets the engine of the first by this name.
            assert!(EngineChoice::NAMED.contains(&(engine, choice)), "{engine}");
        }
    }

    #[test]
    fn engines_that_disagree_are_not_alike() {
        let reference: Vec<f32> = (0..500_u16).map(|n| (f32::from(n) * 0.7).sin() * 5.0 - 3.0).collect();
        let near: Vec<f32> = reference.iter().map(|number| number * 1.01 + 7.0).collect();
        assert!(apart(&near, &reference) < 0.02);
        let mut turned = reference.clone();
        turned.reverse();
        for other in [turned.as_slice(), &[0.0; 500], &[f32::NAN; 500], &reference[1..]] {
            assert!(apart(other, &reference) > 0.5, "{:?}", &other[..3]);
        }
    }

    #[test]
    fn a_file_that_is_no_model_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.bin");
        fs::write(&path, b"no model").unwrap();
        for choice in [EngineChoice::Auto, EngineChoice::Native] {
            let refused = load(&settings(&path, choice, Some(Isa::best()))).err();
            assert!(matches!(refused, Some(Refusal::Model(_))), "{refused:?}");
            assert!(!Remembered::place(&path).exists(), "what failed is not an answer to remember");
        }
    }
}
