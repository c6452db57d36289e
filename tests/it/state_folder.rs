//! What lies in the state folder: for its owner's eyes only, and of no newer version than the program.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Clip, ZoomServer};
use crate::workspace::{Outcome, Workspace};

/// Runs the program with a umask that takes nothing away from anybody.
fn run_lax(workspace: &Workspace, failpoints: &str) -> Outcome {
    let program = workspace.command(&["--since", "7d"]);
    let mut lax = Command::new("/bin/sh");
    lax.args(["-c", "umask 000 && exec \"$@\"", "sh"]).arg(program.get_program()).args(program.get_args());
    lax.env_clear().envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    lax.env("FAILPOINTS", failpoints).current_dir(workspace.path());
    let output = lax.output().unwrap();
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Everything below `folder`, itself included, that somebody but its owner may read, write or enter; and the names of
/// all that there is.
fn open_to_others(folder: &Path) -> (Vec<PathBuf>, Vec<String>) {
    let (mut open, mut names, mut left) = (Vec::new(), Vec::new(), vec![folder.to_owned()]);
    while let Some(path) = left.pop() {
        let metadata = path.symlink_metadata().unwrap();
        if metadata.permissions().mode() & 0o077 != 0 {
            open.push(path.clone());
        }
        names.push(path.strip_prefix(folder).unwrap().display().to_string());
        if metadata.is_dir() {
            left.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    (open, names)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_its_owner_can_read_anything_in_the_state_folder_during_a_run_or_after_it() {
    let zoom =
        ZoomServer::start(vec![Clip::silent("a1", 20).of_user("u-1"), Clip::silent("a2", 20).of_user("u-1")]).await;
    let mut workspace = Workspace::against(zoom.environment());
    workspace.unset("ZOOM_ACCOUNT_ID");
    workspace.set("TRANSCRIBE__ZOOM__MODE", "user").set("ZOOM_REFRESH_TOKEN", zoom.refresh_token_of("u-1"));
    let state = workspace.path().join("state");
    // The run ends as by a kill, so that its files stay as they were at that moment.
    for (failpoint, left_behind) in [
        ("fetched=return", &["spool/", "instances/", "ledger.sqlite-wal", "ledger.sqlite-shm", "zoom-user.json"][..]),
        ("staged=return", &["staged/"]),
        ("batch-put=return", &["publish.lock"]),
        ("", &["ledger.sqlite"]),
    ] {
        let outcome = run_lax(&workspace, failpoint);
        assert_eq!(outcome.code, if failpoint.is_empty() { 0 } else { -1 }, "{failpoint}: {}", outcome.stderr);
        let (open, names) = open_to_others(&state);
        assert_eq!(open, Vec::<PathBuf>::new(), "{failpoint}");
        for part in left_behind {
            assert!(names.iter().any(|name| name.starts_with(part)), "{failpoint}: no {part} in {names:?}");
        }
    }
    let (_, names) = open_to_others(&state);
    let litter: Vec<_> = names.iter().filter(|name| name.starts_with("instances/")).collect();
    assert!(litter.is_empty(), "files of processes that are gone: {litter:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_a_newer_program_is_refused_in_one_sentence_and_left_alone() {
    let zoom = ZoomServer::start(vec![Clip::silent("a1", 20)]).await;
    let workspace = Workspace::against(zoom.environment());
    workspace.run(&["--since", "7d"]).expect_code(0);
    let ledger = workspace.path().join("state/ledger.sqlite");
    let connection = rusqlite::Connection::open(&ledger).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    connection.pragma_update(None, "wal_checkpoint", "truncate").unwrap();
    drop(connection);
    let before = std::fs::read(&ledger).unwrap();
    let refused = workspace.run(&["--since", "7d"]).expect_code(3);
    assert!(refused.stderr.contains("was written by a newer version of this program (schema 99"), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint: run the newer version of transcribe"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("panicked"), "{}", refused.stderr);
    assert_eq!(std::fs::read(&ledger).unwrap(), before);
}
