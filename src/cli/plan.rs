//! What `--plan` prints: what there is to do, what it asks of Zoom and of this machine, and when it would be done.

use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::Session;
use super::args::OutputFormat;
use super::check::free_bytes;
use super::run::clock;
use super::speeds::{Speed, Speeds};
use crate::config::ZoomMode;
use crate::config::units::format_size;
use crate::domain::SourceKind;
use crate::pipeline::{DayPlan, Plan};
use crate::source::zoom::limits::heavy_per_day;

/// Zoom's recordings are MP3 at 128 kbit/s.
const BYTES_PER_SECOND: u64 = 16_000;
/// A finished transcript with its words, until it is published: measured with a call of four minutes.
const TRANSCRIPT_BYTES_PER_SECOND: u64 = 420;

/// What a run would take.
struct Outlook {
    total: DayPlan,
    /// Bytes to download, and requests for that and for listing.
    bytes: u64,
    requests: u64,
    /// Requests that count against the limit of a day, and that limit.
    limited: Option<(u64, u64)>,
    /// Bytes that lie in `paths.state_dir` at most, and those that are free there.
    disk: u64,
    free: Option<u64>,
    /// By model: seconds of speech-to-text.
    models: Vec<(String, Duration)>,
}

impl Outlook {
    fn of(session: &Session, plan: &Plan) -> Self {
        let (config, total) = (&session.config, plan.total());
        let audio = Duration::from_secs(total.audio_s);
        let took = |speed: &Speed| audio.div_f64(speed.audio_s_per_s.max(0.001));
        let speeds = Speeds::read(&config.paths.state_dir).0;
        let zoom = &config.zoom;
        let is_heavy = config.source == SourceKind::Zoom && zoom.history && zoom.mode == ZoomMode::Account;
        let bytes = total.audio_s * BYTES_PER_SECOND;
        Self {
            bytes,
            requests: total.to_do + plan.pages,
            // As many pages as recordings have, at least one.
            limited: is_heavy.then(|| (plan.pages.max(1), share_of(heavy_per_day(zoom.plan), zoom.rate_share))),
            disk: bytes.min(config.paths.spool_max_bytes) + total.audio_s * TRANSCRIPT_BYTES_PER_SECOND,
            free: free_bytes(&config.paths.state_dir).ok(),
            models: speeds.iter().map(|(model, speed)| (model.clone(), took(speed))).collect(),
            total,
        }
    }
}

pub(super) fn print(session: &Session, plan: &Plan, format: OutputFormat) -> io::Result<()> {
    let outlook = Outlook::of(session, plan);
    let mut out = io::stdout().lock();
    match format {
        OutputFormat::Human => print_human(&mut out, session, plan, &outlook),
        OutputFormat::Json => print_json(&mut out, plan, &outlook),
    }
}

fn print_human(out: &mut impl Write, session: &Session, plan: &Plan, outlook: &Outlook) -> io::Result<()> {
    let Outlook { total, bytes, requests, limited, disk, free, models } = outlook;
    let line = |out: &mut dyn Write, day: &str, of: &DayPlan| {
        let DayPlan { recordings, settled, to_do, audio_s, .. } = of;
        writeln!(out, "{day:<12} {recordings:>10} {settled:>8} {to_do:>8} {:>10}", clock(*audio_s))
    };
    writeln!(out, "{:<12} {:>10} {:>8} {:>8} {:>10}", "day", "recordings", "settled", "to do", "audio")?;
    for (dt, day) in &plan.days {
        line(out, dt, day)?;
    }
    line(out, "total", total)?;
    if plan.unfinished > 0 {
        writeln!(out, "unfinished from earlier runs: {}, taken up first", plan.unfinished)?;
    }
    if total.unknown_length > 0 {
        writeln!(out, "{} recordings have no listed length and are not in these sums", total.unknown_length)?;
    }
    let what = if session.config.source == SourceKind::Zoom { "to download" } else { "to read" };
    write!(out, "{what}: about {}", format_size(*bytes))?;
    if session.config.source == SourceKind::Zoom {
        write!(out, ", in about {requests} requests to Zoom, {} to list", plan.pages)?;
        match limited {
            Some((calls, limit)) => write!(out, "; about {calls} more for zoom.history, of {limit} that a day allows")?,
            None => write!(out, "; none of them counts against Zoom's limit of a day")?,
        }
    }
    writeln!(out)?;
    write!(out, "room in paths.state_dir: at most {} at a time", format_size(*disk))?;
    match free {
        Some(free) if free < disk => writeln!(out, ", and only {} are free: make room first", format_size(*free))?,
        Some(free) => writeln!(out, "; {} are free", format_size(*free))?,
        None => writeln!(out)?,
    }
    let (zone, configured) = (&session.config.lake.partition_timezone, &session.config.stt.model);
    for (model, time) in models {
        let note = if model == configured { " (stt.model)" } else { "" };
        let end = Timestamp::now().checked_add(*time).unwrap_or(Timestamp::MAX).to_zoned(zone.clone());
        let (time, end) = (clock(time.as_secs()), end.strftime("%Y-%m-%d %H:%M %Z"));
        writeln!(out, "speech to text with {model}{note}: about {time} on this machine, until {end} if it began now")?;
    }
    if !models.iter().any(|(model, _)| model == configured) {
        writeln!(out, "how long {configured} takes is not known: `transcribe bench RECORDING…` measures it")?;
    }
    Ok(())
}

fn print_json(out: &mut impl Write, plan: &Plan, outlook: &Outlook) -> io::Result<()> {
    let Outlook { total, bytes, requests, limited, disk, free, models } = outlook;
    let days: Vec<_> = plan
        .days
        .iter()
        .map(|(dt, day)| {
            json!({"day": dt, "recordings": day.recordings, "settled": day.settled, "to_do": day.to_do,
                   "audio_seconds": day.audio_s})
        })
        .collect();
    let models: Vec<_> =
        models.iter().map(|(model, time)| json!({"model": model, "speech_to_text_seconds": time.as_secs()})).collect();
    let object = json!({
        "models": models, "recordings": total.recordings, "settled": total.settled, "to_do": total.to_do,
        "unfinished": plan.unfinished, "audio_seconds": total.audio_s, "unknown_length": total.unknown_length,
        "download_bytes": bytes, "requests": requests, "requests_to_list": plan.pages,
        "limited_requests": limited.map(|(calls, _)| calls), "limited_requests_a_day": limited.map(|(_, limit)| limit),
        "state_bytes": disk, "state_bytes_free": free, "days": days,
    });
    writeln!(out, "{object}")
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of some thousands, above 0")]
fn share_of(limit: u32, share: f64) -> u64 {
    (f64::from(limit) * share) as u64
}
