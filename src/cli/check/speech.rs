//! What speech needs: a processor, a model, a list of terms, and an engine that decodes.

use std::path::Path;
use std::time::Instant;

use super::super::exit::model_exit_code;
use super::super::{ExitCode, Session, run};
use super::judged;
use crate::config::settings::EngineChoice;
use crate::config::{Isa, SttConfig};
use crate::domain::{Finding, Obstacle};
use crate::pipeline::RunError;
use crate::stt::SpeechToText;
use crate::stt::models::{self, Assurance};
use crate::stt::prompt::read_vocabulary;
use crate::stt::speech::HEALTH_S;

const PROCESSOR: &str = "processor";
const VOCABULARY: &str = "vocabulary";
/// The names of findings without which nothing is decoded.
pub(super) const PARTS: [&str; 4] = [PROCESSOR, "model", "second model", VOCABULARY];

pub(super) fn processor(stt: &SttConfig) -> Finding {
    let known: Vec<&str> = Isa::ALL.into_iter().filter(|isa| isa.is_available()).map(Isa::as_str).collect();
    let has = format!("our own engine can compute with {} here", known.join(", "));
    match stt.isa.filter(|isa| !isa.is_available()) {
        Some(isa) if stt.engine != EngineChoice::WhisperCpp => {
            let detail = format!("stt.isa is \"{}\", which this processor does not have; {has}", isa.as_str());
            let hint = "set stt.isa to \"auto\"";
            Finding::problem(PROCESSOR, Obstacle::Configuration, detail, Some(hint.to_owned()))
        }
        _ => Finding::fine(PROCESSOR, has),
    }
}

pub(super) fn vocabulary(path: &Path) -> Finding {
    match read_vocabulary(path) {
        Ok(terms) => Finding::fine(VOCABULARY, format!("{} has {} terms", path.display(), terms.len())),
        Err(error) => {
            let detail = format!("{} cannot be read: {error}", path.display());
            let hint = "let stt.vocabulary name a UTF-8 text file with a term a line, or set it to \"off\"";
            Finding::problem(VOCABULARY, Obstacle::Configuration, detail, Some(hint.to_owned()))
        }
    }
}

pub(super) fn model(session: &Session, what: &'static str, name: &str) -> Finding {
    match models::resolve(&session.config.paths.models_dir, name) {
        Ok(model) => {
            let assurance = match model.assurance {
                Assurance::Published => "equals the published file",
                Assurance::Structure => "is a whole model of which no checksum is published",
            };
            Finding::fine(what, format!("{} {assurance}", model.path.display()))
        }
        Err(error) => {
            let obstacle = match model_exit_code(error.kind()) {
                ExitCode::WorkRemains => Obstacle::Unreachable,
                _ => Obstacle::Configuration,
            };
            let hint = "`transcribe models list` shows what there is, `transcribe models pull` or `import` gets one";
            Finding::problem(what, obstacle, error.to_string(), Some(hint.to_owned()))
        }
    }
}

/// Decodes a short sound with everything that is configured, as the first recording would be.
pub(super) fn transcription(session: &Session) -> Finding {
    const NAME: &str = "transcription";
    let stt = &session.config.stt;
    // One decoder says as much as many, and another program may be at work here.
    let stt = &SttConfig { workers: Some(1), ..stt.clone() };
    let decode = || -> anyhow::Result<String> {
        let files = run::models(session)?;
        let began = Instant::now();
        let speech = SpeechToText::load(stt, &files).map_err(RunError::from)?;
        let loaded = began.elapsed();
        speech.prove_healthy().map_err(RunError::from)?;
        let (engine, decoded) = (speech.identity(), began.elapsed() - loaded);
        Ok(format!(
            "{} {} decoded {HEALTH_S} s of sound in {:.1} s, {:.1} s after its start",
            engine.engine,
            engine.engine_version,
            decoded.as_secs_f64(),
            loaded.as_secs_f64()
        ))
    };
    judged(NAME, decode())
}
