//! `transcribe export`: one transcript in a format that other programs read.

mod cues;
mod json;
mod pieces;
#[cfg(test)]
pub(super) mod sample;
mod subtitles;
mod txt;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

pub(super) use self::json::recording;
use super::exit::Unwritable;
use super::lines::plain;
use super::transcript::TranscriptArgs;
use super::{ExitCode, Session, transcript};
use crate::domain::Channel;
use crate::lake::{HeldSegment, HeldTranscript, durable};

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    transcript: TranscriptArgs,
    /// The format.
    // Not called `format`: that is the flag of every command.
    #[arg(long = "as", value_enum, value_name = "FORMAT")]
    export_as: ExportFormat,
    /// Writes this file, in place of what may be there, instead of stdout.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ExportFormat {
    /// SubRip subtitles; of two speakers, each turn begins with who speaks.
    Srt,
    /// WebVTT subtitles with voice tags.
    Vtt,
    /// One object: the recording, its segments and their words, without names and numbers of the callers.
    Json,
    /// A paragraph for each turn, in lines of 80 columns.
    Txt,
}

pub(super) fn run(session: &Session, args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let transcript = transcript::find(session, &args.transcript)?;
    let text = match args.export_as {
        ExportFormat::Srt => subtitles::srt(&transcript),
        ExportFormat::Vtt => subtitles::vtt(&transcript),
        ExportFormat::Json => json::json(&transcript),
        ExportFormat::Txt => txt::txt(&transcript),
    };
    match &args.output {
        Some(path) => durable::replace(path, text.as_bytes(), 0o644)
            .map_err(|source| Unwritable { path: path.clone(), source })?,
        None => {
            let mut out = std::io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()?;
        }
    }
    Ok(ExitCode::Done)
}

/// The segments that count and say something, ordered by start, then channel.
fn spoken(transcript: &HeldTranscript) -> impl Iterator<Item = &HeldSegment> {
    let says_something = |segment: &&HeldSegment| segment.suppressed.is_none() && !plain(&segment.text).is_empty();
    let mut spoken: Vec<&HeldSegment> = transcript.segments.iter().filter(says_something).collect();
    spoken.sort_by_key(|segment| (segment.start_ms, segment.channel));
    spoken.into_iter()
}

/// Who speaks: by name where it is known, else by the side of the call. Nobody in particular where there is one channel.
fn speaker_of(segment: &HeldSegment) -> Option<String> {
    let name = segment.speaker.as_deref().map(plain).filter(|name| !name.is_empty());
    name.or_else(|| match segment.channel {
        Channel::Left => Some("Left".into()),
        Channel::Right => Some("Right".into()),
        Channel::Mono => None,
    })
}

/// `hh:mm:ss`, and milliseconds after that mark where there is one.
fn clock(at_ms: i64, mark: Option<char>) -> String {
    let at_ms = at_ms.max(0);
    let (hours, minutes, seconds) = (at_ms / 3_600_000, at_ms / 60_000 % 60, at_ms / 1_000 % 60);
    match mark {
        Some(mark) => format!("{hours:02}:{minutes:02}:{seconds:02}{mark}{:03}", at_ms % 1_000),
        None => format!("{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_have_two_digits_or_more_and_never_go_below_zero() {
        assert_eq!(clock(3_723_004, Some(',')), "01:02:03,004");
        assert_eq!(clock(-5, Some('.')), "00:00:00.000");
        assert_eq!(clock(360_000_000, None), "100:00:00");
    }
}
