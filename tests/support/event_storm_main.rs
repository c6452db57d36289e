//! Zoom's webhook deliveries in a flood, as a program:
//!
//! ```text
//! event_storm --url http://127.0.0.1:8787/webhooks/zoom --secret-env ZOOM_WEBHOOK_SECRET_TOKEN --rate 1000
//!             --seconds 60 [--distinct N] [--first N] [--download-url http://…/{id}] [--answered FILE]
//!             [--connections N] [--idle N]
//! ```
//!
//! Sends `rate` signed `phone.recording_completed` events a second over kept connections. The schedule is fixed: an
//! event that waits for an earlier one is late, and its latency counts from when it was due. Event number k is about
//! recording `first + k mod distinct`. `--idle` opens so many more connections before, which say nothing.
//!
//! Prints one line of JSON: events sent, answered with 200 and otherwise, latencies, the machine's load over the last
//! minute, and the shares of the time that the machine was busy and that its host gave to others (steal). Ids that were
//! answered with 200 go to the file `--answered`, one a line.

#![expect(clippy::print_stdout, reason = "a program that prints what it measured")]

mod signed;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use url::Url;

/// Who gets no answer for so long, gets none.
const PATIENCE: Duration = Duration::from_secs(20);

struct Storm {
    address: String,
    path: String,
    secret: String,
    rate: u64,
    seconds: u64,
    distinct: u64,
    first: u64,
    download_url: String,
    answered: Option<String>,
    connections: usize,
    idle: usize,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    answered: BTreeSet<u64>,
    answered_200: u64,
    other: u64,
    latencies: Vec<Duration>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let storm = Arc::new(arguments()?);
    let mut idle = Vec::with_capacity(storm.idle);
    for _ in 0..storm.idle {
        idle.push(TcpStream::connect(&storm.address).await.context("an idle connection failed")?);
    }
    let before = Ticks::read()?;
    let (next, start) = (Arc::new(AtomicU64::new(0)), Instant::now() + Duration::from_millis(100));
    let mut senders = JoinSet::new();
    for _ in 0..storm.connections {
        senders.spawn(send(Arc::clone(&storm), Arc::clone(&next), start));
    }
    let mut all = Seen::default();
    while let Some(seen) = senders.join_next().await {
        let seen = seen?;
        all.answered.extend(seen.answered);
        all.answered_200 += seen.answered_200;
        all.other += seen.other;
        all.latencies.extend(seen.latencies);
    }
    let (busy, steal) = Ticks::read()?.shares_since(&before);
    drop(idle);
    if let Some(path) = &storm.answered {
        let ids: String = all.answered.iter().map(|number| format!("{number:032x}\n")).collect();
        std::fs::write(path, ids).with_context(|| format!("cannot write {path}"))?;
    }
    all.latencies.sort_unstable();
    let percentile = |percent: usize| {
        let at = (all.latencies.len() * percent).div_ceil(100).saturating_sub(1);
        all.latencies.get(at).map_or(0.0, |latency| rounded(latency.as_secs_f64() * 1_000.0))
    };
    let load = std::fs::read_to_string("/proc/loadavg").context("no /proc/loadavg")?;
    let load: f64 = load.split(' ').next().unwrap_or_default().parse().context("/proc/loadavg is no number")?;
    let report = json!({
        "sent": all.answered_200 + all.other, "answered_200": all.answered_200, "other": all.other,
        "p50_ms": percentile(50), "p99_ms": percentile(99), "max_ms": percentile(100),
        "elapsed_s": rounded(start.elapsed().as_secs_f64()), "idle_connections": storm.idle,
        "load_average": load, "busy": rounded(busy), "steal": rounded(steal),
    });
    println!("{report}");
    Ok(())
}

fn rounded(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

/// Takes the next event of the schedule, until there is none.
async fn send(storm: Arc<Storm>, next: Arc<AtomicU64>, start: Instant) -> Seen {
    let (mut seen, mut connection) = (Seen::default(), None);
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= storm.rate * storm.seconds {
            return seen;
        }
        let due = start + Duration::from_nanos(number * 1_000_000_000 / storm.rate);
        sleep_until(due).await;
        let recording = storm.first + number % storm.distinct;
        let status = timeout(PATIENCE, deliver(&storm, &mut connection, recording)).await;
        seen.latencies.push(due.elapsed());
        if let Ok(Ok(200)) = status {
            seen.answered_200 += 1;
            seen.answered.insert(recording);
        } else {
            seen.other += 1;
            connection = None;
        }
    }
}

/// Delivers one event and returns the status of the answer.
async fn deliver(storm: &Storm, connection: &mut Option<TcpStream>, recording: u64) -> std::io::Result<u16> {
    let body = event(storm, recording);
    let now = Timestamp::now().as_second();
    let request = signed::request(&storm.path, now, &signed::signature(&storm.secret, now, &body), &body);
    let stream = match connection {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(&storm.address).await?;
            stream.set_nodelay(true)?;
            connection.insert(stream)
        }
    };
    stream.write_all(&request).await?;
    let mut answer = Vec::with_capacity(512);
    while !answer.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let status = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    status.ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

fn event(storm: &Storm, recording: u64) -> Vec<u8> {
    let id = format!("{recording:032x}");
    let now = Timestamp::now();
    let download_url = storm.download_url.replace("{id}", &id);
    let event = json!({
        "event": "phone.recording_completed", "event_ts": now.as_millisecond(),
        "payload": {"account_id": "ACCT0example", "object": {"recordings": [{
            "id": id, "user_id": "uSeRExampleId", "call_id": format!("74{recording:017}"),
            "caller_number": "1026", "caller_number_type": 1, "caller_name": "Suzuki Jiro",
            "callee_number": "+81355500123", "callee_number_type": 2, "callee_name": "Example Callee",
            "duration": 1, "download_url": download_url, "direction": "outbound",
            "date_time": now.to_string(), "end_time": now.to_string(), "recording_type": "Automatic",
            "site": {"id": "sItEExampleId"},
            "owner": {"type": "user", "id": "uSeRExampleId", "name": "Suzuki Jiro", "extension_number": 1026},
        }]}}
    });
    event.to_string().into_bytes()
}

/// Time of all cores so far, in ticks, as `/proc/stat` counts it.
struct Ticks {
    all: u64,
    idle: u64,
    steal: u64,
}

impl Ticks {
    fn read() -> anyhow::Result<Self> {
        let stat = std::fs::read_to_string("/proc/stat").context("no /proc/stat")?;
        let line = stat.lines().next().unwrap_or_default();
        // user nice system idle iowait irq softirq steal; guests are in user and nice.
        let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|word| word.parse().ok()).collect();
        let [_, _, _, idle, waiting, _, _, steal] = ticks[..] else { bail!("/proc/stat is not in its form") };
        Ok(Self { all: ticks.iter().sum(), idle: idle + waiting, steal })
    }

    /// The shares of busy and of stolen time.
    fn shares_since(&self, before: &Self) -> (f64, f64) {
        let [all, idle, steal] = [self.all - before.all, self.idle - before.idle, self.steal - before.steal]
            .map(|ticks| Duration::from_millis(ticks).as_secs_f64());
        if all > 0.0 { (1.0 - idle / all, steal / all) } else { (0.0, 0.0) }
    }
}

fn arguments() -> anyhow::Result<Storm> {
    let mut storm = Storm {
        address: String::new(),
        path: String::new(),
        secret: String::new(),
        rate: 1_000,
        seconds: 60,
        distinct: u64::MAX,
        first: 1,
        download_url: "https://zoom.us/v2/phone/recording/download/{id}".to_owned(),
        answered: None,
        connections: 64,
        idle: 0,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().ok().filter(|number| *number > 0);
        let number = || number().with_context(|| format!("{name} needs a number above 0"));
        match name.as_str() {
            "--url" => {
                let url = Url::parse(&value).context("--url is no address")?;
                let host = url.host_str().context("--url has no host")?;
                storm.address = format!("{host}:{}", url.port_or_known_default().context("--url has no port")?);
                storm.path = url.path().to_owned();
            }
            "--secret-env" => storm.secret = std::env::var(&value).with_context(|| format!("{value} is not set"))?,
            "--rate" => storm.rate = number()?,
            "--seconds" => storm.seconds = number()?,
            "--distinct" => storm.distinct = number()?,
            "--first" => storm.first = number()?,
            "--download-url" => storm.download_url = value,
            "--answered" => storm.answered = Some(value),
            "--connections" => storm.connections = usize::try_from(number()?)?,
            "--idle" => storm.idle = usize::try_from(number()?)?,
            _ => bail!("unknown option {name}; the head of this file lists them"),
        }
    }
    if storm.address.is_empty() || storm.secret.is_empty() {
        bail!("--url and --secret-env are missing");
    }
    Ok(storm)
}
