//! `transcribe explain`: why each span of one recording was kept, suppressed or decoded again.

mod human;
mod json;
pub(super) mod moment;
mod spans;
mod wording;

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use toml::Value;

use self::spans::Span;
use super::args::OutputFormat;
use super::exit::BadArgument;
use super::transcript::TranscriptArgs;
use super::{ExitCode, Session, transcript};
use crate::lake::HeldTranscript;

/// Columns where stdout is no terminal, and the least and most that are used of one.
const USUAL_WIDTH: u16 = 100;
const LEAST_WIDTH: u16 = 40;
const MOST_WIDTH: u16 = 120;

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    transcript: TranscriptArgs,
    /// Only the span of each channel in which this moment is, and its neighbours: ss, mm:ss or h:mm:ss.
    #[arg(long = "at", value_name = "MOMENT", value_parser = moment::parse)]
    at_ms: Option<i64>,
}

/// What is explained.
struct Explained<'a> {
    transcript: &'a HeldTranscript,
    at_ms: Option<i64>,
    /// The spans to show, of all of them.
    spans: Vec<Span<'a>>,
    /// The configuration as it is now. Of addresses with tokens nothing is asked.
    settings: BTreeMap<&'a str, &'a Value>,
}

impl Explained<'_> {
    /// `key = value`, as the configuration is now.
    fn setting(&self, key: &str) -> Option<String> {
        self.settings.get(key).map(|value| format!("{key} = {value}"))
    }
}

pub(super) fn run(session: &Session, args: &ExplainArgs, format: OutputFormat) -> anyhow::Result<ExitCode> {
    let transcript = transcript::find(session, &args.transcript)?;
    let mut spans = spans::spans(&transcript);
    if let Some(at_ms) = args.at_ms {
        if at_ms > transcript.audio_ms {
            let expected = "the recording ends before";
            return Err(BadArgument { argument: "--at", value: moment::shown(at_ms), expected }.into());
        }
        spans = spans::around(spans, at_ms);
    }
    let settings = session.merged.iter().map(|(key, layered)| (key, &layered.value)).collect();
    let explained = Explained { transcript: &transcript, at_ms: args.at_ms, spans, settings };
    let text = match format {
        OutputFormat::Human => human::text(&explained, &session.config.lake.partition_timezone, width()),
        OutputFormat::Json => json::text(&explained),
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(ExitCode::Done)
}

fn width() -> usize {
    let terminal = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _height)| width.0);
    terminal.unwrap_or(USUAL_WIDTH).clamp(LEAST_WIDTH, MOST_WIDTH).into()
}
