//! Audio that outlives its work: that of recordings that failed for good, and that of finished ones where the operator
//! wants it. It goes by age.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::domain::RecordingId;

const DEAD: &str = "dead-";
const DONE: &str = "done-";

/// How long the audio of recordings that failed for good stays.
const DEAD_STAYS: Duration = Duration::from_secs(7 * 24 * 3_600);

/// What the audio is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptFor {
    /// Its recording failed for good.
    Dead,
    /// Its recording is transcribed.
    Done,
}

/// The folder of kept audio.
#[derive(Debug, Clone)]
pub struct KeptAudio {
    folder: PathBuf,
}

impl KeptAudio {
    #[must_use]
    pub const fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Moves a spooled file here; one that is not there is none of ours to keep.
    ///
    /// # Errors
    /// When the folder cannot be made or the file not be moved.
    pub fn keep(&self, spooled: &Path, why: KeptFor) -> io::Result<()> {
        let Some(name) = spooled.file_name().filter(|_| spooled.exists()) else { return Ok(()) };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let prefix = if why == KeptFor::Dead { DEAD } else { DONE };
        fs::rename(spooled, self.folder.join(format!("{prefix}{}", name.to_string_lossy())))
    }

    /// Removes what is older than it may be; returns how many files. `done_stays` is for finished recordings.
    ///
    /// # Errors
    /// When the folder cannot be read or a file not be removed.
    pub fn remove_old(&self, done_stays: Duration, now: SystemTime) -> io::Result<u64> {
        let stays = |name: &str| if name.starts_with(DEAD) { done_stays.max(DEAD_STAYS) } else { done_stays };
        self.remove(|name, modified| now.duration_since(modified).is_ok_and(|age| age >= stays(name)))
    }

    /// Removes all audio of a recording; returns how many files.
    ///
    /// # Errors
    /// As [`KeptAudio::remove_old`].
    pub fn remove_of(&self, id: &RecordingId) -> io::Result<u64> {
        let stem = format!("{}.", id.file_stem());
        let is_of = |name: &str| {
            [DEAD, DONE].iter().any(|kind| name.strip_prefix(kind).is_some_and(|rest| rest.starts_with(&stem)))
        };
        self.remove(|name, _modified| is_of(name))
    }

    fn remove(&self, goes: impl Fn(&str, SystemTime) -> bool) -> io::Result<u64> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries?,
        };
        let mut removed = 0;
        for entry in entries {
            let entry = entry?;
            let modified = entry.metadata()?.modified()?;
            if entry.file_name().to_str().is_some_and(|name| goes(name, modified)) {
                fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_goes_by_age_and_that_of_the_dead_stays_a_week() {
        let folder = tempfile::tempdir().unwrap();
        let kept = KeptAudio::in_folder(folder.path().join("audio"));
        for (name, why) in [("aa.1", KeptFor::Dead), ("bb.1", KeptFor::Done)] {
            let spooled = folder.path().join(name);
            fs::write(&spooled, "sound").unwrap();
            kept.keep(&spooled, why).unwrap();
        }
        kept.keep(&folder.path().join("missing.1"), KeptFor::Dead).unwrap();
        let after = |hours: u64| SystemTime::now() + Duration::from_secs(3_600 * hours);
        let day = Duration::from_secs(24 * 3_600);
        assert_eq!(kept.remove_old(day, after(23)).unwrap(), 0);
        assert_eq!(kept.remove_old(day, after(25)).unwrap(), 1);
        assert_eq!(kept.remove_old(day, after(24 * 6)).unwrap(), 0);
        assert_eq!(kept.remove_old(day, after(24 * 7 + 1)).unwrap(), 1);
        assert_eq!(kept.remove_of(&RecordingId::parse("aa").unwrap()).unwrap(), 0);
    }
}
