//! Opening the lake: its root folder, what it remembers, and its calendar.
//!
//! `<lake>/_transcribe.json` is created once and never changed. It fixes the time zone whose calendar day is `dt`:
//! with another one, the same recording would land in another partition.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::error::LakeError;
use super::store::Store;
use super::write::Encoder;
use crate::config::{LakeConfig, LakePlace, Partition};

const SETTINGS_FILE: &str = "_transcribe.json";
const SETTINGS_FORMAT: u32 = 1;

/// What the lake remembers of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Settings {
    format: u32,
    partition_timezone: String,
    /// Absent in lakes from before there was a choice.
    #[serde(default)]
    partition: Partition,
}

/// An open lake. Cheap to clone; clones are the same lake.
#[derive(Debug, Clone)]
pub struct Lake {
    pub(super) store: Store,
    pub(super) encoder: Encoder,
    timezone: TimeZone,
    pub(super) partition: Partition,
}

impl Lake {
    /// Opens the lake at `config.place`; a folder is created if it is missing.
    ///
    /// # Errors
    /// [`LakeError::TimezoneChanged`] when the lake was begun with another `partition_timezone`;
    /// [`LakeError::NotWritable`], [`LakeError::Refused`] or [`LakeError::DiskFull`] when nothing can be created there.
    pub async fn open(config: &LakeConfig) -> Result<Self, LakeError> {
        let encoder = Encoder::new(config.compression_level)?;
        let store = Store::open(&config.place).await?;
        remember(&store, config).await?;
        Ok(Self::over(store, encoder, config))
    }

    /// Opens the lake at `config.place` to read only: nothing is created, and the days keep the time zone that they
    /// have. `None` when there is no such folder yet.
    ///
    /// # Errors
    /// [`LakeError::Settings`] when it is of a form that this version cannot read; [`LakeError::Unreadable`] when it is
    /// there and cannot be looked into.
    pub async fn open_to_read(config: &LakeConfig) -> Result<Option<Self>, LakeError> {
        let encoder = Encoder::new(config.compression_level)?;
        let Some(store) = Store::open_to_read(&config.place).await? else { return Ok(None) };
        read_settings(&store).await?;
        Ok(Some(Self::over(store, encoder, config)))
    }

    fn over(store: Store, encoder: Encoder, config: &LakeConfig) -> Self {
        Self { store, encoder, timezone: config.partition_timezone.clone(), partition: config.partition }
    }

    /// Proves that objects can be created, listed and removed at `place`, and that none is created twice. Leaves nothing
    /// behind.
    ///
    /// # Errors
    /// As [`Lake::open`]; [`LakeError::WritesTwice`] of a store that puts over what is there.
    pub async fn prove_writable(place: &LakePlace) -> Result<(), LakeError> {
        let store = Store::open(place).await?;
        let key = format!("_check.{:016x}", rand::random::<u64>());
        store.create(&key, "check".into()).await?;
        let again = store.create(&key, "again".into()).await;
        store.list("_staging").await?;
        store.remove(&key).await?;
        if again? { Err(LakeError::WritesTwice { url: store.url() }) } else { Ok(()) }
    }

    /// Where the lake is: an absolute folder, or `s3://bucket/prefix`.
    #[must_use]
    pub fn url(&self) -> String {
        self.store.url()
    }

    /// The partition of a recording that started at `start`: its calendar day in the lake's time zone, `YYYY-MM-DD`, or
    /// the first day of that month.
    #[must_use]
    pub fn dt(&self, start: Timestamp) -> String {
        self.partition_of(start.to_zoned(self.timezone.clone()).date()).to_string()
    }

    /// When the partition `dt` begins.
    ///
    /// # Errors
    /// [`LakeError::BadDay`].
    pub fn start_of(&self, dt: &str) -> Result<Timestamp, LakeError> {
        let bad = || LakeError::BadDay { day: dt.to_owned() };
        let day: Date = dt.parse().ok().ok_or_else(bad)?;
        day.to_zoned(self.timezone.clone()).ok().map(|start| start.timestamp()).ok_or_else(bad)
    }

    /// The first day of the partition that holds this day.
    #[must_use]
    pub fn partition_of(&self, day: Date) -> Date {
        match self.partition {
            Partition::Day => day,
            Partition::Month => day.first_of_month(),
        }
    }
}

async fn remember(store: &Store, config: &LakeConfig) -> Result<(), LakeError> {
    let configured = timezone_name(&config.partition_timezone)?;
    let settings = match read_settings(store).await? {
        Some(settings) => settings,
        None => {
            let settings = Settings {
                format: SETTINGS_FORMAT,
                partition_timezone: configured.clone(),
                partition: config.partition,
            };
            let json = serde_json::to_vec(&settings).map_err(|error| unusable(store, error.to_string()))?;
            if store.create(SETTINGS_FILE, json.into()).await? {
                settings
            } else {
                // Another process was first.
                read_settings(store).await?.unwrap_or(settings)
            }
        }
    };
    if settings.partition_timezone != configured {
        return Err(LakeError::TimezoneChanged { remembered: settings.partition_timezone, configured });
    }
    if settings.partition != config.partition {
        let (remembered, configured) = (settings.partition.as_str(), config.partition.as_str());
        return Err(LakeError::PartitionChanged { remembered, configured });
    }
    Ok(())
}

async fn read_settings(store: &Store) -> Result<Option<Settings>, LakeError> {
    let Some(json) = store.read(SETTINGS_FILE).await? else { return Ok(None) };
    let settings: Settings = serde_json::from_slice(&json).map_err(|error| unusable(store, error.to_string()))?;
    if settings.format != SETTINGS_FORMAT {
        return Err(unusable(store, format!("format {} is newer than {SETTINGS_FORMAT}", settings.format)));
    }
    Ok(Some(settings))
}

fn unusable(store: &Store, problem: String) -> LakeError {
    LakeError::Settings { path: format!("{}/{SETTINGS_FILE}", store.url()), problem }
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
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::lake::LakeErrorKind;

    pub(in crate::lake) fn config(path: &Path, zone: &str) -> LakeConfig {
        LakeConfig {
            place: LakePlace::Folder(path.to_owned()),
            partition_timezone: TimeZone::get(zone).unwrap(),
            partition: Partition::Day,
            flush_every: Duration::from_secs(60),
            flush_bytes: 1 << 20,
            fresh_every: Duration::from_secs(60),
            compression_level: 3,
        }
    }

    #[tokio::test]
    async fn the_day_is_that_of_the_lakes_time_zone() {
        let folder = tempfile::tempdir().unwrap();
        let start: Timestamp = "2026-11-02T16:30:00Z".parse().unwrap();
        let utc = Lake::open(&config(&folder.path().join("utc"), "UTC")).await.unwrap();
        let tokyo = Lake::open(&config(&folder.path().join("tokyo"), "Asia/Tokyo")).await.unwrap();
        assert_eq!((utc.dt(start).as_str(), tokyo.dt(start).as_str()), ("2026-11-02", "2026-11-03"));
    }

    #[tokio::test]
    async fn another_time_zone_is_refused_for_the_life_of_the_lake() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("deep/lake");
        Lake::open(&config(&root, "Asia/Tokyo")).await.unwrap();
        Lake::open(&config(&root, "Asia/Tokyo")).await.unwrap();
        let error = Lake::open(&config(&root, "UTC")).await.unwrap_err();
        assert!(matches!(&error, LakeError::TimezoneChanged { remembered, configured }
            if remembered == "Asia/Tokyo" && configured == "UTC"));
        assert_eq!(error.kind(), LakeErrorKind::Configuration);
        Lake::open(&config(&root, "Asia/Tokyo")).await.unwrap();
    }

    #[tokio::test]
    async fn a_month_is_one_partition_where_that_was_chosen_first() {
        let folder = tempfile::tempdir().unwrap();
        let (by_day, by_month) = (folder.path().join("day"), folder.path().join("month"));
        let monthly = |path: &Path| LakeConfig { partition: Partition::Month, ..config(path, "Asia/Tokyo") };
        let lake = Lake::open(&monthly(&by_month)).await.unwrap();
        assert_eq!(lake.dt("2026-11-30T14:59:00Z".parse().unwrap()), "2026-11-01");
        assert_eq!(lake.dt("2026-11-30T15:00:00Z".parse().unwrap()), "2026-12-01");
        Lake::open(&config(&by_day, "Asia/Tokyo")).await.unwrap();
        let changed = Lake::open(&monthly(&by_day)).await.unwrap_err();
        assert!(matches!(changed, LakeError::PartitionChanged { remembered: "day", configured: "month" }));
        // A lake from before there was a choice.
        let settings = r#"{"format":1,"partition_timezone":"Asia/Tokyo"}"#;
        fs::write(by_day.join(SETTINGS_FILE), settings).unwrap();
        Lake::open(&config(&by_day, "Asia/Tokyo")).await.unwrap();
    }

    #[tokio::test]
    async fn opening_leaves_only_what_the_lake_remembers() {
        let folder = tempfile::tempdir().unwrap();
        Lake::open(&config(folder.path(), "UTC")).await.unwrap();
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [SETTINGS_FILE]);
    }

    #[tokio::test]
    async fn a_file_in_the_place_of_the_root_is_not_writable() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("lake");
        fs::write(&root, "").unwrap();
        let error = Lake::open(&config(&root, "UTC")).await.unwrap_err();
        assert!(matches!(error, LakeError::NotWritable { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_settings_file_from_the_future_or_of_another_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for json in [r#"{"format":2,"partition_timezone":"UTC"}"#, "{}", "\u{0}", ""] {
            fs::write(folder.path().join(SETTINGS_FILE), json).unwrap();
            let error = Lake::open(&config(folder.path(), "UTC")).await.unwrap_err();
            assert!(matches!(error, LakeError::Settings { .. }), "{json}: {error:?}");
        }
    }

    #[tokio::test]
    async fn a_lake_that_is_only_read_is_not_made_and_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("lake");
        assert!(Lake::open_to_read(&config(&root, "UTC")).await.unwrap().is_none());
        assert!(!root.exists());
        Lake::open(&config(&root, "Asia/Tokyo")).await.unwrap();
        let written = fs::metadata(&root).unwrap().modified().unwrap();
        assert!(
            Lake::open_to_read(&config(&root, "UTC")).await.unwrap().is_some(),
            "its time zone does not matter here"
        );
        assert_eq!(fs::metadata(&root).unwrap().modified().unwrap(), written);
        fs::write(root.join(SETTINGS_FILE), r#"{"format":2,"partition_timezone":"UTC"}"#).unwrap();
        assert!(matches!(Lake::open_to_read(&config(&root, "UTC")).await, Err(LakeError::Settings { .. })));
    }

    #[tokio::test]
    async fn hostile_years_still_give_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&config(folder.path(), "Asia/Tokyo")).await.unwrap();
        assert_eq!(lake.dt(Timestamp::MIN), "-009999-01-02");
        assert!(lake.dt(Timestamp::MAX).starts_with("9999-12-3"));
    }
}
