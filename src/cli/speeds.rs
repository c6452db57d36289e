//! What `transcribe bench` measured last, kept so that a plan can say how long it takes.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How fast this machine is with a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Speed {
    /// Its name and version.
    pub(super) engine: String,
    pub(super) workers: usize,
    pub(super) threads: usize,
    pub(super) cores: usize,
    /// Seconds of audio that become text in a second.
    pub(super) audio_s_per_s: f64,
    pub(super) measured_at: Timestamp,
}

impl Speed {
    pub(super) fn hours_a_day(&self) -> f64 {
        24.0 * self.audio_s_per_s
    }

    /// Hours of one core for an hour of audio.
    pub(super) fn core_hours(&self) -> f64 {
        self.cores as f64 / self.audio_s_per_s
    }
}

/// Those of each model, by its name.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Speeds(pub(super) BTreeMap<String, Speed>);

impl Speeds {
    fn place(state_dir: &Path) -> PathBuf {
        state_dir.join("speeds.json")
    }

    /// None where nothing was measured, or where another version kept it in another form.
    pub(super) fn read(state_dir: &Path) -> Self {
        let text = fs::read(Self::place(state_dir)).ok();
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// # Errors
    /// When the folder or the file cannot be written.
    pub(super) fn keep(&self, state_dir: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(state_dir)?;
        let part = state_dir.join(format!("speeds.json.{}.part", std::process::id()));
        fs::write(&part, serde_json::to_vec_pretty(self)?)?;
        fs::rename(&part, Self::place(state_dir))
    }
}
