//! Opening the lake: its root folder, what it remembers, and its calendar.
//!
//! `<lake>/_transcribe.json` is created once and never changed. It fixes the time zone whose calendar day is `dt`:
//! with another one, the same recording would land in another partition.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use serde::{Deserialize, Serialize};

use super::durable;
use super::error::LakeError;
use super::write::Encoder;
use crate::config::LakeConfig;

const SETTINGS_FILE: &str = "_transcribe.json";
const SETTINGS_FORMAT: u32 = 1;

/// What the lake remembers of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Settings {
    format: u32,
    partition_timezone: String,
}

/// An open lake. Cheap to clone; clones are the same lake.
#[derive(Debug, Clone)]
pub struct Lake {
    pub(super) root: PathBuf,
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) encoder: Encoder,
    timezone: TimeZone,
}

impl Lake {
    /// Opens the lake at `config.path`, which is created if it is missing.
    ///
    /// # Errors
    /// [`LakeError::TimezoneChanged`] when the lake was begun with another `partition_timezone`;
    /// [`LakeError::NotWritable`] or [`LakeError::DiskFull`] when nothing can be created there.
    pub fn open(config: &LakeConfig) -> Result<Self, LakeError> {
        let encoder = Encoder::new(config.compression_level)?;
        let root = &config.path;
        let not_writable = |source| LakeError::from_io(root, source);
        create_root(root).map_err(not_writable)?;
        let root = fs::canonicalize(root).map_err(not_writable)?;
        prove_writable(&root).map_err(not_writable)?;
        remember_timezone(&root, &config.partition_timezone)?;
        // Every put is synced, folders included: a settled recording must survive a power cut.
        let store = LocalFileSystem::new_with_prefix(&root).map(|store| store.with_fsync(true));
        let store = store.map_err(|error| LakeError::from_io(&root, io::Error::other(error)))?;
        Ok(Self { root, store: Arc::new(store), encoder, timezone: config.partition_timezone.clone() })
    }

    /// Opens the lake at `config.path` to read only: nothing is created, and the days keep the time zone that they have.
    /// `None` when there is no lake yet.
    ///
    /// # Errors
    /// [`LakeError::Settings`] when it is of a form that this version cannot read; [`LakeError::Unreadable`] when the
    /// folder is there and cannot be looked into.
    pub fn open_to_read(config: &LakeConfig) -> Result<Option<Self>, LakeError> {
        let encoder = Encoder::new(config.compression_level)?;
        let closed = |source: io::Error| LakeError::Unreadable { key: "/".into(), source: Box::new(source) };
        let root = match fs::canonicalize(&config.path) {
            Ok(root) => root,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(closed(error)),
        };
        let path = root.join(SETTINGS_FILE);
        if path.exists() {
            read_settings(&path)?;
        }
        let store = LocalFileSystem::new_with_prefix(&root).map_err(|error| closed(io::Error::other(error)))?;
        Ok(Some(Self { root, store: Arc::new(store), encoder, timezone: config.partition_timezone.clone() }))
    }

    /// The partition of a recording that started at `start`: its calendar day in the lake's time zone, `YYYY-MM-DD`.
    #[must_use]
    pub fn dt(&self, start: Timestamp) -> String {
        start.to_zoned(self.timezone.clone()).date().to_string()
    }
}

fn create_root(root: &Path) -> io::Result<()> {
    if root.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(root)?;
    durable::sync_parent(root)
}

fn prove_writable(root: &Path) -> io::Result<()> {
    let probe = root.join(format!("_probe.{:016x}", rand::random::<u64>()));
    fs::OpenOptions::new().write(true).create_new(true).open(&probe)?;
    fs::remove_file(&probe)
}

fn remember_timezone(root: &Path, timezone: &TimeZone) -> Result<(), LakeError> {
    let configured = timezone_name(timezone)?;
    let path = root.join(SETTINGS_FILE);
    if !path.exists() {
        let settings = Settings { format: SETTINGS_FORMAT, partition_timezone: configured.clone() };
        let json = serde_json::to_vec(&settings).map_err(|error| unusable(&path, error.to_string()))?;
        durable::create(&path, &json).map_err(|source| LakeError::from_io(root, source))?;
    }
    // Read back also when it was just written: another process may have been first.
    let settings = read_settings(&path)?;
    if settings.partition_timezone != configured {
        return Err(LakeError::TimezoneChanged { remembered: settings.partition_timezone, configured });
    }
    Ok(())
}

fn read_settings(path: &Path) -> Result<Settings, LakeError> {
    let json = fs::read(path).map_err(|error| unusable(path, error.to_string()))?;
    let settings: Settings = serde_json::from_slice(&json).map_err(|error| unusable(path, error.to_string()))?;
    if settings.format != SETTINGS_FORMAT {
        return Err(unusable(path, format!("format {} is newer than {SETTINGS_FORMAT}", settings.format)));
    }
    Ok(settings)
}

fn unusable(path: &Path, problem: String) -> LakeError {
    LakeError::Settings { path: path.to_owned(), problem }
}

/// The zone's IANA name, or its offset where it has no other name.
fn timezone_name(timezone: &TimeZone) -> Result<String, LakeError> {
    if let Some(name) = timezone.iana_name() {
        return Ok(name.to_owned());
    }
    timezone.to_fixed_offset().map(|offset| offset.to_string()).map_err(|_has_no_name| LakeError::TimezoneUnnamed)
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lake::LakeErrorKind;

    pub(in crate::lake) fn config(path: &Path, zone: &str) -> LakeConfig {
        LakeConfig {
            path: path.to_owned(),
            partition_timezone: TimeZone::get(zone).unwrap(),
            flush_every: Duration::from_secs(60),
            flush_bytes: 1 << 20,
            fresh_every: Duration::from_secs(60),
            compression_level: 3,
        }
    }

    #[test]
    fn the_day_is_that_of_the_lakes_time_zone() {
        let folder = tempfile::tempdir().unwrap();
        let start: Timestamp = "2026-11-02T16:30:00Z".parse().unwrap();
        let utc = Lake::open(&config(&folder.path().join("utc"), "UTC")).unwrap();
        let tokyo = Lake::open(&config(&folder.path().join("tokyo"), "Asia/Tokyo")).unwrap();
        assert_eq!((utc.dt(start).as_str(), tokyo.dt(start).as_str()), ("2026-11-02", "2026-11-03"));
    }

    #[test]
    fn another_time_zone_is_refused_for_the_life_of_the_lake() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("deep/lake");
        Lake::open(&config(&root, "Asia/Tokyo")).unwrap();
        Lake::open(&config(&root, "Asia/Tokyo")).unwrap();
        let error = Lake::open(&config(&root, "UTC")).unwrap_err();
        assert!(matches!(&error, LakeError::TimezoneChanged { remembered, configured }
            if remembered == "Asia/Tokyo" && configured == "UTC"));
        assert_eq!(error.kind(), LakeErrorKind::Configuration);
        Lake::open(&config(&root, "Asia/Tokyo")).unwrap();
    }

    #[test]
    fn opening_leaves_only_what_the_lake_remembers() {
        let folder = tempfile::tempdir().unwrap();
        Lake::open(&config(folder.path(), "UTC")).unwrap();
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [SETTINGS_FILE]);
    }

    #[test]
    fn a_file_in_the_place_of_the_root_is_not_writable() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("lake");
        fs::write(&root, "").unwrap();
        let error = Lake::open(&config(&root, "UTC")).unwrap_err();
        assert!(matches!(error, LakeError::NotWritable { .. }), "{error:?}");
    }

    #[test]
    fn a_settings_file_from_the_future_or_of_another_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for json in [r#"{"format":2,"partition_timezone":"UTC"}"#, "{}", "\u{0}", ""] {
            fs::write(folder.path().join(SETTINGS_FILE), json).unwrap();
            let error = Lake::open(&config(folder.path(), "UTC")).unwrap_err();
            assert!(matches!(error, LakeError::Settings { .. }), "{json}: {error:?}");
        }
    }

    #[test]
    fn a_lake_that_is_only_read_is_not_made_and_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("lake");
        assert!(Lake::open_to_read(&config(&root, "UTC")).unwrap().is_none());
        assert!(!root.exists());
        Lake::open(&config(&root, "Asia/Tokyo")).unwrap();
        let written = fs::metadata(&root).unwrap().modified().unwrap();
        assert!(Lake::open_to_read(&config(&root, "UTC")).unwrap().is_some(), "its time zone does not matter here");
        assert_eq!(fs::metadata(&root).unwrap().modified().unwrap(), written);
        fs::write(root.join(SETTINGS_FILE), r#"{"format":2,"partition_timezone":"UTC"}"#).unwrap();
        assert!(matches!(Lake::open_to_read(&config(&root, "UTC")), Err(LakeError::Settings { .. })));
    }

    #[test]
    fn hostile_years_still_give_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&config(folder.path(), "Asia/Tokyo")).unwrap();
        assert_eq!(lake.dt(Timestamp::MIN), "-009999-01-02");
        assert!(lake.dt(Timestamp::MAX).starts_with("9999-12-3"));
    }
}
