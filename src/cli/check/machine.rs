//! What the program keeps on this machine: its folders, room on the disk, and the ledger.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use super::super::fleet::Fleet;
use super::super::{Session, ledger as opened};
use super::judged;
use crate::config::PathsConfig;
use crate::domain::{Finding, Obstacle};
use crate::queue::{JobQueue, Scope};

/// Less room than this and nothing can be kept.
const LEAST_BYTES: u64 = 100 << 20;
const GIB: f64 = (1_u64 << 30) as f64;

/// Whether a folder can be written to, or made where it is missing. Leaves nothing behind and makes nothing.
pub(super) fn folder(name: &'static str, key: &str, path: &Path) -> Finding {
    let existing = existing(path);
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
    let mut file = OpenOptions::new().write(true).create_new(true).open(&probe)?;
    let written = file.write_all(b"check").and_then(|()| file.sync_all());
    std::fs::remove_file(&probe)?;
    written
}

/// The folder itself, or the nearest one above it.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|folder| folder.exists()).unwrap_or(path)
}

/// What is free on the disk where a folder is, or would be.
pub(in crate::cli) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(existing(folder))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Room for downloads, and for transcripts that wait to be published.
pub(super) fn disk(paths: &PathsConfig) -> Finding {
    const NAME: &str = "disk";
    let (path, wanted) = (&paths.state_dir, paths.spool_max_bytes);
    let free = match free_bytes(path) {
        Ok(free) => free,
        Err(error) => {
            let detail = format!("the room on the disk of {} is not known: {error}", path.display());
            return Finding::warning(NAME, detail, "let paths.state_dir lie on a disk of this machine");
        }
    };
    let gib = |bytes: u64| bytes as f64 / GIB;
    let has = format!("{:.1} GiB are free on the disk of {}", gib(free), path.display());
    let hint = "free some, let paths.state_dir lie on a larger disk, or set paths.spool_max_bytes lower";
    if free < LEAST_BYTES {
        Finding::problem(NAME, Obstacle::Unreachable, has, Some(hint.to_owned()))
    } else if free < wanted {
        let detail = format!("{has}, and downloads may take {:.1} GiB (paths.spool_max_bytes)", gib(wanted));
        Finding::warning(NAME, detail, hint)
    } else {
        Finding::fine(NAME, has)
    }
}

/// What a run would find of earlier ones; makes no ledger.
pub(super) fn ledger(session: &Session) -> Finding {
    const NAME: &str = "ledger";
    let path = session.config.queue.ledger.display();
    let look = || -> anyhow::Result<String> {
        let Some(queue) = opened::open(session)? else { return Ok(format!("{path} will be made by the first run")) };
        let counts = opened::ask(queue.counts(&Scope { source: session.config.source, only: None }))?;
        let (open, dead) = (counts.unfinished(), counts.dead);
        Ok(format!("{path} can be used; {open} recordings in it are not finished, {dead} failed"))
    };
    judged(NAME, look())
}

/// The message server of a fleet, where there is one.
pub(super) fn fleet(session: &Session) -> Option<Finding> {
    const NAME: &str = "fleet";
    let server = &session.config.fleet()?.server;
    Some(match Fleet::look(session) {
        Ok(fleet) => match fleet.map_or(0, |fleet| fleet.workers()) {
            0 => Finding::warning(
                NAME,
                format!("{server} can be used; no worker is there"),
                "start `transcribe worker` on the machines that are to work",
            ),
            workers => Finding::fine(NAME, format!("{server} can be used; workers: {workers}")),
        },
        Err(error) => judged(NAME, Err(error)),
    })
}
