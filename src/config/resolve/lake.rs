//! `[lake]`: where the tables go and how they are written.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::reader::Reader;
use crate::config::layers::ConfigError;
use crate::config::settings::{BucketConfig, LakeConfig, LakePlace, Partition, StoreService};
use crate::net::address::{AddressError, check_endpoint};

pub(super) fn lake(read: &Reader<'_>) -> Result<LakeConfig, ConfigError> {
    Ok(LakeConfig {
        place: place(read)?,
        partition_timezone: read.timezone("lake.partition_timezone")?,
        partition: read.word("lake.partition", &[("day", Partition::Day), ("month", Partition::Month)])?,
        flush_every: read.duration("lake.flush_every", Duration::ZERO)?,
        flush_bytes: read.size("lake.flush_bytes")?,
        fresh_every: read.duration("lake.fresh_every", Duration::ZERO)?,
        compression_level: read.whole("lake.compression", 1, 22)?,
    })
}

/// A folder, a `file://` address of one, or a bucket.
fn place(read: &Reader<'_>) -> Result<LakePlace, ConfigError> {
    let key = "lake.url";
    let text = read.text(key)?;
    let endpoint = endpoint(read)?;
    if let Some(path) = text.strip_prefix("file://") {
        return Ok(LakePlace::Folder(PathBuf::from(path)));
    }
    let Some((scheme, bucket)) = text.split_once("://") else { return read.path(key).map(LakePlace::Folder) };
    let service = service(scheme).map_err(|expected| read.bad(key, expected))?;
    let (name, prefix) = bucket.split_once('/').unwrap_or((bucket, ""));
    let prefix = prefix.trim_end_matches('/');
    // What goes into SQL and into addresses as it is.
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._=/".contains(&byte));
    let is_clean = is_plain(prefix) && !prefix.split('/').any(|part| part == ".." || part == ".");
    let is_clean = is_clean && (prefix.is_empty() || !prefix.split('/').any(str::is_empty));
    if name.len() < 3 || name.contains('/') || !is_plain(name) || !is_clean {
        return Err(read.bad(key, "bucket/prefix of letters, digits, and . _ - ="));
    }
    Ok(LakePlace::Bucket(BucketConfig {
        service,
        name: name.to_owned(),
        prefix: prefix.to_owned(),
        endpoint,
        region: read.switch("lake.region")?,
        encryption_key: read.switch("lake.encryption_key")?,
    }))
}

/// The service of addresses that begin so, or what to say instead.
const fn service(scheme: &str) -> Result<StoreService, &'static str> {
    match scheme.as_bytes() {
        b"s3" => Ok(StoreService::S3),
        #[cfg(feature = "gcs")]
        b"gs" => Ok(StoreService::Gcs),
        #[cfg(feature = "azure")]
        b"az" => Ok(StoreService::Azure),
        #[cfg(not(feature = "gcs"))]
        b"gs" => Err("s3://bucket/prefix or a folder: this program was built without gcs"),
        #[cfg(not(feature = "azure"))]
        b"az" => Err("s3://bucket/prefix or a folder: this program was built without azure"),
        _ => Err("lake/, another folder, or s3://bucket/prefix"),
    }
}

fn endpoint(read: &Reader<'_>) -> Result<Option<Url>, ConfigError> {
    let key = "lake.endpoint";
    let allow_http = read.flag("lake.allow_http")?;
    let Some(text) = read.switch(key)? else { return Ok(None) };
    let is_accepted = |url: &Url| match check_endpoint(url) {
        Ok(()) => true,
        Err(AddressError::PlainHttp) => allow_http,
        Err(_refused) => false,
    };
    let expected = "\"off\" or the https:// address of a store that speaks S3 (http:// only on this machine, elsewhere \
                    with lake.allow_http)";
    Url::parse(&text).ok().filter(is_accepted).map(Some).ok_or_else(|| read.bad(key, expected))
}
