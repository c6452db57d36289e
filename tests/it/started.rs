//! A run that is watched line by line while it works, and signalled.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;

use crate::workspace::{Workspace, children_of};

/// A run in the most verbose mode.
pub(crate) struct Started {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    said: Vec<String>,
}

/// How it ended.
pub(crate) struct Ended {
    /// `None` = by a signal.
    pub(crate) code: Option<i32>,
    /// What it said on stderr.
    pub(crate) said: String,
}

impl Started {
    pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Self {
        let mut command = workspace.command(arguments);
        let mut child = command.arg("-vv").stdout(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines, said: Vec::new() }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its next line; `None` when it has ended.
    pub(crate) fn line(&mut self) -> Option<&str> {
        let line = self.lines.next()?.unwrap();
        self.said.push(line);
        self.said.last().map(String::as_str)
    }

    /// Everything that it has said so far.
    pub(crate) fn said(&self) -> &[String] {
        &self.said
    }

    /// Reads on until a line has all of these.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, parts: &[&str]) -> &str {
        while let Some(line) = self.line() {
            if parts.iter().all(|part| line.contains(part)) {
                return self.said.last().expect("it was just said");
            }
        }
        panic!("{parts:?} was never said: {}", self.said.join("\n"));
    }

    /// Sends a signal by its name without SIG.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Stops it (SIGSTOP) at a moment when it does not hold the write lock of the ledger, which others wait for.
    pub(crate) fn stop_outside_of_transactions(&self, ledger: &Connection) {
        ledger.busy_timeout(Duration::ZERO).unwrap();
        loop {
            self.signal("STOP");
            while !self.is_stopped() {
                std::thread::yield_now();
            }
            if ledger.execute_batch("BEGIN IMMEDIATE; COMMIT").is_ok() {
                return;
            }
            self.signal("CONT");
        }
    }

    /// Whether each of its threads is stopped by a signal: proc(5), the state behind the name in parentheses.
    fn is_stopped(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.id())).unwrap();
        let states = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("stat")));
        // A thread that ended in between has no state.
        states.flatten().all(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
    }

    /// The process ids of its engines.
    pub(crate) fn engines(&self) -> Vec<u32> {
        children_of(self.id())
    }

    /// Reads until it and its engine are gone.
    pub(crate) fn end(mut self) -> Ended {
        while self.line().is_some() {}
        let status = self.child.wait().unwrap();
        assert!(status.code().is_some() || status.signal().is_some());
        Ended { code: status.code(), said: self.said.join("\n") }
    }
}

/// Sends a signal to a process; one that is gone is left alone.
pub(crate) fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), process.to_string()]).stderr(Stdio::null()).status();
    sent.unwrap();
}
