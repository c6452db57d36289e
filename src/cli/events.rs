//! `transcribe events --follow`: who is calling, one line per event, for as long as the service runs.

use std::convert::Infallible;
use std::io::{self, Write};

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use serde_json::json;

use super::args::OutputFormat;
use super::{ExitCode, Session};
use crate::domain::{CallEvent, Station};
use crate::trigger::calls::{EarlierCall, Follower, Heard, LiveCall};

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Show events as they come, until the service ends or this is interrupted.
    #[arg(long, required = true)]
    follow: bool,
}

pub(super) fn run(session: &Session, format: OutputFormat) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(follow(session, format))
}

async fn follow(session: &Session, format: OutputFormat) -> anyhow::Result<ExitCode> {
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let mut closed = std::pin::pin!(stdout_closed());
    let mut follower = tokio::select! {
        follower = Follower::connect(&session.config.paths.state_dir) => follower?,
        interrupted = &mut interrupt => return Ok(interrupted.map(|()| ExitCode::Interrupted)?),
    };
    loop {
        let heard = tokio::select! {
            heard = follower.next() => heard?,
            interrupted = &mut interrupt => return Ok(interrupted.map(|()| ExitCode::Interrupted)?),
            () = &mut closed => return Ok(ExitCode::Done),
        };
        let Some(heard) = heard else { return Ok(ExitCode::Done) };
        let text = match format {
            OutputFormat::Human => in_words(&heard, &session.config.lake.partition_timezone),
            OutputFormat::Json => in_json(&heard)?,
        };
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
    }
}

/// Returns when nobody reads the standard output any more, without writing to it; for a file, never.
async fn stdout_closed() {
    let (closed, is_closed) = tokio::sync::oneshot::channel::<Infallible>();
    // It waits for as long as the process lives, so nobody waits for it.
    std::thread::spawn(move || {
        let _told_by_its_end = closed;
        let stdout = io::stdout();
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        while rustix::event::poll(&mut watched, None) == Err(Errno::INTR) {}
    });
    let Err(_closed) = is_closed.await;
}

fn in_json(heard: &Heard) -> serde_json::Result<String> {
    let json = match heard {
        Heard::Call(call) => serde_json::to_string(call)?,
        Heard::Missed(missed) => json!({ "missed": missed }).to_string(),
    };
    let mut line = String::with_capacity(json.len() + 1);
    for character in json.chars() {
        if disturbs(character) {
            line.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            line.push(character);
        }
    }
    Ok(line + "\n")
}

fn in_words(heard: &Heard, zone: &TimeZone) -> String {
    let LiveCall { event, earlier_calls } = match heard {
        Heard::Call(call) => call.as_ref(),
        Heard::Missed(missed) => return format!("{missed} events were missed: this was not read fast enough\n"),
    };
    let local = |at: Timestamp, form: &str| at.to_zoned(zone.clone()).strftime(form).to_string();
    let caller = [event.caller.number.as_ref().or(event.caller.extension.as_ref()), event.caller.name.as_ref()];
    let caller: Vec<String> = caller.into_iter().flatten().map(|text| printable(text)).collect();
    let caller = if caller.is_empty() { "number withheld".to_owned() } else { caller.join("  ") };
    let at = local(event.at(), "%Y-%m-%d %H:%M:%S");
    let mut text = format!("{at}  {:<8}  {caller}  → {}", what_happened(&event.event), line(event));
    if let Some(result) = &event.result {
        text.push_str(&format!(" ({})", printable(result)));
    }
    text.push('\n');
    for EarlierCall { started_at, first_words } in earlier_calls {
        let first_words = printable(first_words);
        let words = if first_words.is_empty() { "(nothing was said)" } else { &first_words };
        text.push_str(&format!("    {}  {words}\n", local(*started_at, "%Y-%m-%d %H:%M")));
    }
    text
}

fn what_happened(event: &str) -> String {
    let word = event.strip_prefix("phone.").unwrap_or(event);
    printable(word.strip_prefix("callee_").unwrap_or(word))
}

/// Where it rings: through which queue, and at whom.
fn line(event: &CallEvent) -> String {
    let through = [&event.redirect_forwarded_by, &event.forwarded_by];
    let through = through.into_iter().filter_map(|station| station.name.as_deref().or(station.extension.as_deref()));
    let mut stations: Vec<String> = through.map(printable).collect();
    let Station { number, name, extension, .. } = &event.callee;
    let place = extension.as_deref().or(number.as_deref()).map(printable);
    stations.extend(match (name.as_deref().map(printable), place) {
        (Some(name), Some(place)) => Some(format!("{name} ({place})")),
        (name, place) => name.or(place),
    });
    if stations.is_empty() { "unknown line".to_owned() } else { stations.join(", ") }
}

/// Without what would move a terminal's cursor or turn its text round.
fn printable(text: &str) -> String {
    text.chars().filter(|character| !disturbs(*character)).collect()
}

fn disturbs(character: char) -> bool {
    character.is_control() || turns_text(character)
}

const fn turns_text(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(value: serde_json::Value) -> Heard {
        Heard::Call(serde_json::from_value(value).unwrap())
    }

    fn tokyo() -> TimeZone {
        TimeZone::get("Asia/Tokyo").unwrap()
    }

    #[test]
    fn a_line_says_who_calls_whom_and_what_was_said_before() {
        let call = heard(json!({
            "event": "phone.callee_ringing", "event_at": "2026-11-02T01:14:58.001Z", "call_id": "1",
            "caller": {"number": "+81355500123", "name": "山田 太郎"},
            "callee": {"name": "佐藤 花子", "extension": "1002", "number": "+81355500102"},
            "forwarded_by": {"name": "サポート窓口"},
            "ringing_at": null, "answered_at": null, "ended_at": null, "result": null,
            "via": "webhook", "received_at": "2026-11-02T01:14:59Z",
            "earlier_calls": [{"started_at": "2026-11-01T15:30:00Z", "first_words": "注文の件で…"},
                              {"started_at": "2026-10-31T00:00:00Z", "first_words": ""}]
        }));
        assert_eq!(
            in_words(&call, &tokyo()),
            "2026-11-02 10:14:58  ringing   +81355500123  山田 太郎  → サポート窓口, 佐藤 花子 (1002)\n    \
             2026-11-02 00:30  注文の件で…\n    2026-10-31 09:00  (nothing was said)\n"
        );
    }

    #[test]
    fn what_is_not_told_and_what_would_disturb_a_terminal_is_left_out() {
        let call = heard(json!({
            "event": "phone.callee_missed", "event_at": null, "call_id": null, "caller": {},
            "callee": {"name": "\u{1b}[31m\u{202e}Sa\u{61c}to\n\u{9b}2J\u{7f}"}, "ringing_at": null, "answered_at": null,
            "ended_at": null, "result": "No Answer", "via": "websocket", "received_at": "2026-11-02T01:14:59Z",
            "earlier_calls": []
        }));
        let expected = "2026-11-02 10:14:59  missed    number withheld  → [31mSato2J (No Answer)\n";
        assert_eq!(in_words(&call, &tokyo()), expected);
        let line = in_json(&call).unwrap();
        assert!(line.contains(r"\u001b[31m\u202eSa\u061cto\n\u009b2J\u007f"), "{line}");
        let Heard::Call(call) = call else { unreachable!("it is one") };
        assert_eq!(serde_json::from_str::<LiveCall>(&line).unwrap(), *call);
        assert_eq!(in_json(&Heard::Missed(3)).unwrap(), "{\"missed\":3}\n");
    }
}
