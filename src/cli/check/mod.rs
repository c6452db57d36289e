//! `transcribe check`: what is wrong and how to mend it.

mod machine;
mod speech;

use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::json;

pub(super) use self::machine::free_bytes;
use self::machine::{disk, fleet, folder, ledger};
use self::speech::{model, processor, transcription, vocabulary};
use super::args::OutputFormat;
use super::{ExitCode, Session};
use crate::config::secrets::ZoomSecrets;
use crate::config::{LakePlace, ZoomMode};
use crate::domain::{Finding, Obstacle, SourceKind, Verdict};
use crate::lake::{Lake, LakeErrorKind};
use crate::pipeline::RunError;
use crate::source::zoom::ZoomSource;
use crate::source::zoom::auth::Credentials;
use crate::source::zoom::check::check as check_zoom;

pub(super) fn run(session: &Session, format: OutputFormat) -> anyhow::Result<ExitCode> {
    let mut findings = vec![configuration(session)];
    match session.config.source {
        SourceKind::Zoom => findings.extend(zoom(session)?),
        SourceKind::Folder => {
            findings.push(recordings(session));
        }
    }
    let stt = &session.config.stt;
    findings.push(processor(stt));
    findings.push(model(session, "model", &stt.model));
    findings.extend(stt.second_model.as_deref().map(|name| model(session, "second model", name)));
    findings.extend(stt.vocabulary.as_deref().map(vocabulary));
    // What is known to be missing is not said twice.
    if !findings.iter().any(|finding| speech::PARTS.contains(&finding.name) && finding.is_problem()) {
        findings.push(transcription(session));
    }
    findings.push(folder("state", "paths.state_dir", &session.config.paths.state_dir));
    findings.push(disk(&session.config.paths));
    findings.push(ledger(session));
    findings.extend(fleet(session));
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

/// A finding of what was looked at, or of why it could not be.
fn judged(name: &'static str, looked: anyhow::Result<String>) -> Finding {
    let error = match looked {
        Ok(detail) => return Finding::fine(name, detail),
        Err(error) => error,
    };
    let run_error = error.downcast_ref::<RunError>();
    let obstacle = match run_error.map(RunError::exit_code) {
        Some(ExitCode::WorkRemains) => Obstacle::Unreachable,
        _ => Obstacle::Configuration,
    };
    Finding::problem(name, obstacle, format!("{error:#}"), run_error.and_then(RunError::hint))
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

/// What is beside the recordings of a folder is Zoom's business: it is not looked at.
fn recordings(session: &Session) -> Finding {
    const NAME: &str = "folder";
    let path = &session.config.folder.path;
    match std::fs::read_dir(path) {
        Ok(_) => Finding::fine(NAME, format!("{} is there; Zoom is not looked at", path.display())),
        Err(error) => {
            let detail = format!("{} cannot be read: {error}", path.display());
            let hint = "let folder.path, or --dir, name the folder with the recordings";
            Finding::problem(NAME, Obstacle::Configuration, detail, Some(hint.to_owned()))
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

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fine => "ok",
        Verdict::Warning => "warning",
        Verdict::Problem(_) => "failed",
    }
}

fn print_human(findings: &[Finding]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for Finding { name, verdict, detail, hint } in findings {
        let word = word(*verdict);
        let hint = hint.as_ref().map_or_else(String::new, |hint| format!(" → {hint}"));
        writeln!(out, "{word:<8} {name}: {detail}{hint}")?;
    }
    Ok(())
}

fn print_json(findings: &[Finding], code: ExitCode) -> io::Result<()> {
    let check = |finding: &Finding| {
        json!({"name": finding.name, "verdict": word(finding.verdict), "ok": !finding.is_problem(),
            "detail": finding.detail, "hint": finding.hint})
    };
    let checks: Vec<_> = findings.iter().map(check).collect();
    writeln!(io::stdout().lock(), "{}", json!({"checks": checks, "exit_code": code.number()}))
}
