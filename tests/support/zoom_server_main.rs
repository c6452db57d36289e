//! The server that speaks Zoom, as a program: `zoom_server --listen 127.0.0.1:PORT --recordings DIR`, or `--made-up N`
//! for N silent recordings of a third of a second, spread over the 30 days before now.
//!
//! Every `*.mp3` in DIR is a recording; `<stem>.json` beside it holds its listing in Zoom's shape. Missing fields are
//! made up; `"hours_ago": 5` says when it started, relative to now. When ready it prints its address on one line, then
//! the environment variables that point `transcribe` at it, one per line, and serves until it is stopped.

#![expect(clippy::print_stdout, reason = "a program that says where it listens")]

#[path = "mod.rs"]
#[expect(dead_code, unused_imports, reason = "the program uses no faults and looks at no requests")]
mod support;

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, bail};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use support::{Clip, ZoomServer};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (listen, clips) = arguments()?;
    let server = ZoomServer::builder(clips).listen(listen).start().await.context("cannot listen")?;
    println!("{}", server.address());
    for (name, value) in server.environment() {
        println!("{name}={value}");
    }
    tokio::signal::ctrl_c().await.context("cannot wait for an interrupt")
}

fn arguments() -> anyhow::Result<(SocketAddr, Vec<Clip>)> {
    let (mut listen, mut clips) = (SocketAddr::from(([127, 0, 0, 1], 0)), None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--listen" => listen = value.parse().context("--listen is not IP:PORT")?,
            "--recordings" => clips = Some(read_clips(Path::new(&value))?),
            "--made-up" => clips = Some(made_up(value.parse().context("--made-up is not a number")?)?),
            _ => bail!("unknown option {name}; known are --listen, --recordings and --made-up"),
        }
    }
    Ok((listen, clips.context("--recordings DIR is missing")?))
}

fn made_up(count: u32) -> anyhow::Result<Vec<Clip>> {
    let now = Timestamp::now();
    let apart = SignedDuration::from_hours(30 * 24 - 1) / i32::try_from(count.max(1))?;
    let clip = |number: u32| {
        let started_at = now - SignedDuration::from_mins(10) - apart * i32::try_from(number)?;
        Ok(Clip::silent(&format!("{number:032x}"), 10).started_at(started_at).duration_s(1))
    };
    (0..count).map(clip).collect()
}

fn read_clips(folder: &Path) -> anyhow::Result<Vec<Clip>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mp3")));
    paths.sort();
    paths.iter().enumerate().map(|(index, path)| read_clip(index, path)).collect()
}

fn read_clip(index: usize, path: &Path) -> anyhow::Result<Clip> {
    let beside = path.with_extension("json");
    let mut fields: Map<String, Value> = match std::fs::read_to_string(&beside) {
        Ok(text) => serde_json::from_str(&text).with_context(|| format!("{} is no object", beside.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Map::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", beside.display())),
    };
    let id = fields.remove("id").and_then(|id| id.as_str().map(str::to_owned));
    let hours_ago = fields.remove("hours_ago").and_then(|hours| hours.as_f64()).unwrap_or(1.0);
    let age = SignedDuration::try_from_secs_f64(hours_ago * 3_600.0).context("hours_ago is out of range")?;
    let started_at = Timestamp::now().checked_sub(age).context("hours_ago is out of range")?;
    let mut clip =
        Clip::new(&id.unwrap_or_else(|| format!("{:032x}", index + 1)), path.to_owned()).started_at(started_at);
    if let Some(duration_s) = fields.get("duration").and_then(Value::as_i64) {
        clip = clip.duration_s(duration_s);
    }
    for (key, value) in fields {
        clip = clip.with(&key, value);
    }
    Ok(clip)
}
