//! A disk that is soon full: a small tmpfs that only the programs of this test see. Where the kernel lets nobody but an
//! administrator mount, files that may not grow take its place.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::workspace::{Outcome, Workspace};

/// A folder with next to no space.
pub(crate) struct SmallDisk {
    folder: PathBuf,
    shortage: Shortage,
}

enum Shortage {
    /// Mounted in a namespace that lives as long as this process.
    Mounted(Child),
    /// In blocks of 512 bytes a file; `None` once there is room.
    Limited(Option<u64>),
}

impl SmallDisk {
    pub(crate) fn at(folder: &Path, kibibytes: u64) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let mut holder = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c"])
            .arg(format!("mount -t tmpfs -o size={kibibytes}k,mode=700 tmpfs \"$0\" && echo mounted && exec cat"))
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let shortage = if said == "mounted\n" {
            Shortage::Mounted(holder)
        } else {
            holder.wait().unwrap();
            Shortage::Limited(Some(kibibytes.min(16) * 2))
        };
        Self { folder: folder.to_owned(), shortage }
    }

    /// Whether only this folder is full; else every file of the program is kept small, wherever it is.
    pub(crate) fn is_mounted(&self) -> bool {
        matches!(self.shortage, Shortage::Mounted(_))
    }

    /// A command that sees the disk.
    fn seeing(&self, script: &str) -> Command {
        match &self.shortage {
            Shortage::Mounted(holder) => {
                let mut command = Command::new("nsenter");
                command.args(["--user", "--mount", "--preserve-credentials", "--target", &holder.id().to_string()]);
                command.args(["sh", "-c", script]);
                command
            }
            Shortage::Limited(blocks) => {
                let mut command = Command::new("sh");
                let limit = blocks.map_or_else(String::new, |blocks| format!("ulimit -f {blocks}; trap '' XFSZ; "));
                command.args(["-c", &format!("{limit}{script}")]);
                command
            }
        }
    }

    /// Runs the program in the workspace, on this disk.
    pub(crate) fn run(&self, workspace: &Workspace, arguments: &[&str]) -> Outcome {
        let program = workspace.command(arguments);
        let mut command = self.seeing("cd \"$0\" && exec \"$@\"");
        command.arg(workspace.path()).arg(program.get_program()).args(program.get_args());
        command.env_clear().envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = command.stdin(Stdio::null()).output().unwrap();
        Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn make_room(&mut self) {
        if self.is_mounted() {
            let mut remount = self.seeing("mount -o remount,size=1g \"$0\"");
            assert!(remount.arg(&self.folder).status().unwrap().success());
        } else {
            self.shortage = Shortage::Limited(None);
        }
    }

    /// Copies what lies below the disk to where everybody sees it.
    pub(crate) fn copy(&self, from: &Path, to: &Path) {
        let mut copy = self.seeing("cp -a \"$0\" \"$1\"");
        assert!(copy.arg(from).arg(to).status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Shortage::Mounted(holder) = &mut self.shortage {
            let _already_gone = holder.kill();
            let _status = holder.wait();
        }
    }
}
