//! A folder of its own for the real binary: its state, its lake, its environment. Nothing of the developer's own
//! environment gets in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The project's folder, where set-up put models, fixtures and Python.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file that `make models` or `make fixtures` made.
///
/// # Panics
/// When it is missing: a test never passes for lack of its material.
pub(crate) fn cached(relative: &str) -> PathBuf {
    let path = project().join(".cache").join(relative);
    assert!(path.exists(), "{} is missing: run `make setup models fixtures` first", path.display());
    path
}

/// The program that stands in for the engine's process. `cargo test` builds it; `cargo test --test it` does not.
///
/// # Panics
/// When it is missing.
pub(crate) fn scripted_engine() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_transcribe")).with_file_name("examples").join("scripted_engine");
    assert!(path.exists(), "{} is missing: run `cargo build --example scripted_engine`", path.display());
    path
}

/// What `tests/support/read_lake.py` prints.
pub(crate) fn read_lake<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Value {
    let output = Command::new(project().join(".venv/bin/python"))
        .arg(project().join("tests/support/read_lake.py"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The process ids of the children of `parent`; none when it is gone.
pub(crate) fn children_of(parent: u32) -> Vec<u32> {
    let mut children = Vec::new();
    // Each thread has a list of the processes that it started. Threads come and go.
    for task in std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten() {
        let listed = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        children.extend(listed.split_whitespace().map(|id| id.parse::<u32>().unwrap()));
    }
    children
}

/// Copies files with their permissions.
fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

/// Where one test runs the program.
pub(crate) struct Workspace {
    folder: TempDir,
    environment: BTreeMap<String, String>,
}

/// What one run left behind.
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// The JSON object that `--format json` printed.
    pub(crate) fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.stdout);
        parsed.unwrap_or_else(|error| panic!("{error} in {:?}; stderr: {}", self.stdout, self.stderr))
    }

    /// Ends the test with everything that was printed unless the code is `expected`.
    #[track_caller]
    pub(crate) fn expect_code(self, expected: i32) -> Self {
        assert_eq!(self.code, expected, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

impl Workspace {
    /// With the small English model and no waiting between tries.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let models = cached("models/tiny.en.bin").parent().unwrap().display().to_string();
        let environment = [
            ("HOME", folder.path().display().to_string()),
            ("TRANSCRIBE__PATHS__MODELS_DIR", models),
            ("TRANSCRIBE__STT__MODEL", "tiny.en".into()),
            ("TRANSCRIBE__QUEUE__BACKOFF", "0s".into()),
            ("TRANSCRIBE__ZOOM__REQUEST_TIMEOUT", "2s".into()),
            ("TRANSCRIBE__ZOOM__NOT_READY_WAIT", "1ms".into()),
            ("TRANSCRIBE__ZOOM__REQUEST_ATTEMPTS", "2".into()),
        ];
        Self { folder, environment: environment.into_iter().map(|(k, v)| (k.to_owned(), v)).collect() }
    }

    /// With these variables besides, such as those that point at a server that speaks Zoom.
    pub(crate) fn against(environment: Vec<(&'static str, String)>) -> Self {
        let mut workspace = Self::new();
        for (name, value) in environment {
            workspace.set(name, value);
        }
        workspace
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn lake(&self) -> PathBuf {
        self.path().join("lake")
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Adds a failpoint, such as `staged=return`, to those that are set.
    pub(crate) fn failpoint(&mut self, entry: &str) -> &mut Self {
        let failpoints = self.environment.entry("FAILPOINTS".into()).or_default();
        if !failpoints.is_empty() {
            failpoints.push(';');
        }
        failpoints.push_str(entry);
        self
    }

    /// The scripted engine in the place of the real one, with these variables of its own; see its program for them.
    pub(crate) fn with_scripted_engine(&mut self, script: &[(&str, &str)]) -> &mut Self {
        for (name, value) in script {
            self.set(name, *value);
        }
        self.failpoint(&format!("engine-program=return({})", scripted_engine().display()))
    }

    pub(crate) fn unset(&mut self, name: &str) -> &mut Self {
        self.environment.remove(name);
        self
    }

    /// The real binary in this workspace, with nothing but the workspace's environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_transcribe"));
        command.args(arguments).current_dir(self.path()).env_clear().envs(&self.environment);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        Self::outcome(self.command(arguments))
    }

    /// As [`Workspace::run`], with a failpoint that ends the process when it passes `boundary` after it passed it
    /// `passed` times. Returns whether it did; a run that passes it less often ends as usual.
    pub(crate) fn dies_at(&self, arguments: &[&str], boundary: &str, passed: usize) -> bool {
        let mut command = self.command(arguments);
        let spared = if passed == 0 { String::new() } else { format!("{passed}*off->") };
        let others = self.environment.get("FAILPOINTS").cloned().unwrap_or_default();
        command.env("FAILPOINTS", format!("{others};{boundary}={spared}return"));
        let outcome = Self::outcome(command);
        // -1: ended by a signal.
        assert!([-1, 0, 4, 5].contains(&outcome.code), "{boundary}: {}: {}", outcome.code, outcome.stderr);
        outcome.code == -1
    }

    fn outcome(mut command: Command) -> Outcome {
        let output = command.output().unwrap();
        Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Rows that DuckDB reads from the lake; `sql` names tables by `read_parquet('TABLE/**/*.parquet')`.
    pub(crate) fn query(&self, sql: &str) -> Vec<Vec<Value>> {
        serde_json::from_value(read_lake(["query", self.lake().to_str().unwrap(), sql])).unwrap()
    }

    /// Another workspace with the same environment and, so far, the same state and lake.
    pub(crate) fn copy(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["state", "lake"] {
            copy_folder(&self.path().join(name), &folder.path().join(name));
        }
        let mut environment = self.environment.clone();
        environment.insert("HOME".into(), folder.path().display().to_string());
        Self { folder, environment }
    }

    /// Every file below the lake with its size and time of change: equal snapshots mean that nothing was touched.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, (u64, std::time::SystemTime)> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.lake()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten() {
                let entry = entry.unwrap();
                let metadata = entry.metadata().unwrap();
                if metadata.is_dir() {
                    folders.push(entry.path());
                } else {
                    files.insert(entry.path(), (metadata.len(), metadata.modified().unwrap()));
                }
            }
        }
        files
    }

    /// Another workspace with the same environment and nothing else.
    pub(crate) fn elsewhere(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut environment = self.environment.clone();
        environment.insert("HOME".into(), folder.path().display().to_string());
        Self { folder, environment }
    }

    /// Copies fixtures into a folder of the workspace and returns its path.
    pub(crate) fn folder_of(&self, name: &str, files: &[&str]) -> PathBuf {
        let folder = self.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for file in files {
            let from = cached("fixtures").join(file);
            let to = folder.join(from.file_name().unwrap());
            std::fs::copy(&from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        }
        folder
    }
}
