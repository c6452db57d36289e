//! Which program is started as the engine, and with what surroundings.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::failpoint;

/// How long a window may show no sign of life before its process is taken for stuck. An engine shows one after each pass
/// of its encoder and each token; the pass of the largest model on a core that is shared with others takes minutes.
pub const NO_SIGN_OF_LIFE: Duration = Duration::from_secs(600);

/// The hidden subcommand.
const SUBCOMMAND: &str = "engine";

/// The only variables that the child inherits, by name and by how the name starts: it never sees a secret of Zoom's.
const INHERITED: [&str; 9] =
    ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "NO_COLOR", "RUST_BACKTRACE", "FAILPOINTS"];
const INHERITED_PREFIXES: [&str; 4] = ["LC_", "GGML_", "OMP_", "SCRIPTED_"];

/// A program that speaks the engine's protocol on its stdin and stdout.
#[derive(Debug, Clone)]
pub struct EngineProgram {
    path: PathBuf,
    environment: Vec<(OsString, OsString)>,
    no_sign_of_life: Duration,
}

impl EngineProgram {
    /// This program itself.
    ///
    /// # Errors
    /// When the system does not say which file that is.
    pub fn own() -> io::Result<Self> {
        // On Linux this is the running program even when its file was replaced by a newer one meanwhile.
        let running = Some(PathBuf::from("/proc/self/exe")).filter(|path| path.exists());
        let own = running.map_or_else(std::env::current_exe, Ok)?;
        let mut program = Self::at(failpoint::value("engine-program").map_or(own, PathBuf::from));
        if let Some(limit_ms) = failpoint::value("engine-silence-ms").and_then(|text| text.parse().ok()) {
            program = program.silent_for_at_most(Duration::from_millis(limit_ms));
        }
        Ok(program)
    }

    /// Another program, such as `transcribe` for a program that only uses the library.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        let environment = std::env::vars_os().filter(|(name, _)| is_inherited(name)).collect();
        Self { path: path.into(), environment, no_sign_of_life: NO_SIGN_OF_LIFE }
    }

    /// With one more variable in its environment.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// With another limit than [`NO_SIGN_OF_LIFE`].
    #[must_use]
    pub const fn silent_for_at_most(mut self, limit: Duration) -> Self {
        self.no_sign_of_life = limit;
        self
    }

    pub(super) const fn no_sign_of_life(&self) -> Duration {
        self.no_sign_of_life
    }

    /// How often signs of life are passed on: every two seconds at most, and several times within the limit.
    pub(in super::super) fn alive_every(&self) -> Duration {
        (self.no_sign_of_life / 5).min(Duration::from_secs(2))
    }

    /// Starts it, in a process group of its own: an interrupt from the keyboard is for the parent to act on.
    pub(super) fn spawn(&self) -> io::Result<Child> {
        let mut command = Command::new(&self.path);
        command.arg0(env!("CARGO_PKG_NAME")).arg(SUBCOMMAND);
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        // ggml would call a debugger for each crash, which takes minutes and shows what was said.
        command.env("GGML_NO_BACKTRACE", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).spawn()
    }
}

fn is_inherited(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        INHERITED.contains(&name) || INHERITED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_inherited_and_the_engine_s_own_variables_are() {
        for name in
            ["ZOOM_CLIENT_SECRET", "ZOOM_CLIENT_ID_FILE", "AWS_SECRET_ACCESS_KEY", "TRANSCRIBE__STT__MODEL", "LCX"]
        {
            assert!(!is_inherited(OsStr::new(name)), "{name}");
        }
        for name in ["PATH", "LC_ALL", "GGML_BACKEND_PATH", "OMP_NUM_THREADS"] {
            assert!(is_inherited(OsStr::new(name)), "{name}");
        }
    }
}
