//! `transcribe check`: what is wrong and how to mend it.

use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use serde_json::json;

use super::args::OutputFormat;
use super::exit::model_exit_code;
use super::{ExitCode, Session};
use crate::config::secrets::ZoomSecrets;
use crate::config::{LakePlace, ZoomMode};
use crate::domain::{Finding, Obstacle, SourceKind, Verdict};
use crate::lake::{Lake, LakeErrorKind};
use crate::source::zoom::ZoomSource;
use crate::source::zoom::auth::Credentials;
use crate::source::zoom::check::check as check_zoom;
use crate::stt::models::{self, Assurance};
use crate::stt::prompt::read_vocabulary;

pub(super) fn run(session: &Session, format: OutputFormat) -> anyhow::Result<ExitCode> {
    let mut findings = vec![configuration(session)];
    match session.config.source {
        SourceKind::Zoom => findings.extend(zoom(session)?),
        SourceKind::Folder => {
            findings.push(Finding::fine("zoom", "not looked at: source.kind is \"folder\""));
        }
    }
    let stt = &session.config.stt;
    findings.push(model(session, "model", &stt.model));
    findings.extend(stt.second_model.as_deref().map(|name| model(session, "second model", name)));
    findings.extend(stt.vocabulary.as_deref().map(vocabulary));
    findings.push(folder("state", "paths.state_dir", &session.config.paths.state_dir));
    findings.push(lake(session)?);
    let codes: Vec<ExitCode> = findings.iter().map(|finding| exit_code(finding.verdict)).collect();
    let code = ExitCode::heaviest(&codes);
    match format {
        OutputFormat::Human => print_human(&findings)?,
        OutputFormat::Json => print_json(&findings, code)?,
    }
    Ok(code)
}

const fn exit_code(verdict: Verdict) -> ExitCode {
    match verdict {
        Verdict::Fine | Verdict::Warning => ExitCode::Done,
        Verdict::Problem(Obstacle::Credentials) => ExitCode::CredentialsRefused,
        Verdict::Problem(Obstacle::Unreachable) => ExitCode::WorkRemains,
        Verdict::Problem(Obstacle::Configuration) => ExitCode::Configuration,
    }
}

fn configuration(session: &Session) -> Finding {
    let detail = match &session.file {
        Some(path) => format!("{}, environment and flags", path.display()),
        None => "no file was found; built-in defaults, environment and flags".to_owned(),
    };
    Finding::fine("configuration", detail)
}

fn zoom(session: &Session) -> anyhow::Result<Vec<Finding>> {
    const NAME: &str = "credentials";
    let zoom = &session.config.zoom;
    let secrets = match ZoomSecrets::read(&session.environment, zoom.mode) {
        Ok(secrets) => secrets,
        Err(error) => {
            let hint = "set it in the environment, or name a file that holds it in the variable with _FILE appended; \
                        the values are on the page of your app in the Zoom App Marketplace";
            return Ok(vec![Finding::problem(NAME, Obstacle::Configuration, error.to_string(), Some(hint.to_owned()))]);
        }
    };
    let present = match zoom.mode {
        ZoomMode::Account => "account id, client id and client secret are set",
        ZoomMode::User => "client id and client secret are set",
    };
    let mut findings = vec![Finding::fine(NAME, present)];
    let credentials = Credentials::new(secrets, &session.config.paths.state_dir);
    match ZoomSource::new(zoom, credentials) {
        Ok(source) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            findings.extend(runtime.block_on(check_zoom(&source, zoom, Timestamp::now())));
            runtime.shutdown_background();
        }
        Err(error) => findings.push(Finding::problem("zoom", Obstacle::Configuration, error.to_string(), None)),
    }
    Ok(findings)
}

fn vocabulary(path: &Path) -> Finding {
    match read_vocabulary(path) {
        Ok(terms) => Finding::fine("vocabulary", format!("{} has {} terms", path.display(), terms.len())),
        Err(error) => {
            let detail = format!("{} cannot be read: {error}", path.display());
            let hint = "let stt.vocabulary name a UTF-8 text file with a term a line, or set it to \"off\"";
            Finding::problem("vocabulary", Obstacle::Configuration, detail, Some(hint.to_owned()))
        }
    }
}

fn model(session: &Session, what: &'static str, name: &str) -> Finding {
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

fn lake(session: &Session) -> anyhow::Result<Finding> {
    const NAME: &str = "lake";
    let place = &session.config.lake.place;
    if let LakePlace::Folder(path) = place {
        return Ok(folder(NAME, "lake.url", path));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(match runtime.block_on(Lake::prove_writable(place)) {
        Ok(()) => Finding::fine(NAME, format!("{place} can be written to, and nothing is written twice")),
        Err(error) => {
            let obstacle = match error.kind() {
                LakeErrorKind::Local => Obstacle::Unreachable,
                LakeErrorKind::Configuration | LakeErrorKind::Bug => Obstacle::Configuration,
            };
            let hint =
                "check lake.url, lake.endpoint, the credentials, and that they allow to get, put, list and delete";
            Finding::problem(NAME, obstacle, error.to_string(), Some(hint.to_owned()))
        }
    })
}

/// Whether a folder can be written to, or made where it is missing. Leaves nothing behind and makes nothing.
fn folder(name: &'static str, key: &str, path: &Path) -> Finding {
    let existing = path.ancestors().find(|folder| folder.exists()).unwrap_or(path);
    match write_and_remove(existing) {
        Ok(()) if existing == path => Finding::fine(name, format!("{} is writable", path.display())),
        Ok(()) => Finding::fine(name, format!("{} will be made", path.display())),
        Err(error) => {
            let detail = format!("{} cannot be written to: {error}", path.display());
            let hint = format!("let {key} name a folder that this user can write to, on a disk with room");
            Finding::problem(name, Obstacle::Configuration, detail, Some(hint))
        }
    }
}

fn write_and_remove(folder: &Path) -> io::Result<()> {
    let probe = folder.join(format!("_check.{:016x}", rand::random::<u64>()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&probe)?;
    let written = file.write_all(b"check").and_then(|()| file.sync_all());
    std::fs::remove_file(&probe)?;
    written
}

fn print_human(findings: &[Finding]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for Finding { name, verdict, detail, hint } in findings {
        let word = match verdict {
            Verdict::Fine => "ok",
            Verdict::Warning => "warning",
            Verdict::Problem(_) => "problem",
        };
        let hint = hint.as_ref().map_or_else(String::new, |hint| format!(" → {hint}"));
        writeln!(out, "{word:<8} {name}: {detail}{hint}")?;
    }
    Ok(())
}

fn print_json(findings: &[Finding], code: ExitCode) -> io::Result<()> {
    let check = |finding: &Finding| {
        let ok = !matches!(finding.verdict, Verdict::Problem(_));
        json!({"name": finding.name, "ok": ok, "detail": finding.detail, "hint": finding.hint})
    };
    let checks: Vec<_> = findings.iter().map(check).collect();
    writeln!(io::stdout().lock(), "{}", json!({"checks": checks, "exit_code": code.number()}))
}
