//! One value of the merged layers in its own type. Every error names key, value, layer and what is accepted.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use toml::Value;
use url::Url;

use crate::config::layers::{ConfigError, Layered, Merged, shown};
use crate::config::settings::{FleetConfig, PathsConfig};
use crate::config::units::{parse_duration, parse_size};
use crate::net::address::{DownloadHosts, check_endpoint};

/// `queue.url` as it stands in the defaults.
const DEFAULT_QUEUE: &str = "sqlite:state/ledger.sqlite";

#[expect(clippy::cast_possible_truncation, reason = "thresholds of few digits; f32 is what the engine takes")]
pub(super) const fn narrowed(number: f64) -> f32 {
    number as f32
}

/// The merged layers, read key by key.
pub(super) struct Reader<'a> {
    pub(super) merged: &'a Merged,
}

impl Reader<'_> {
    pub(super) fn bad(&self, key: &str, expected: &str) -> ConfigError {
        self.refused(key, &format!("it must be {expected}"))
    }

    pub(super) fn refused(&self, key: &str, why: &str) -> ConfigError {
        let Layered { value, layer } = self.merged.get(key);
        ConfigError::BadValue {
            layer: layer.clone(),
            key: key.to_owned(),
            value: format!("`{}`", shown(key, value)),
            expected: why.to_owned(),
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<String, ConfigError> {
        match &self.merged.get(key).value {
            Value::String(text) if !text.trim().is_empty() => Ok(text.clone()),
            _ => Err(self.bad(key, "a text that is not empty")),
        }
    }

    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>, ConfigError> {
        let expected = "a list of texts";
        let Value::Array(items) = &self.merged.get(key).value else { return Err(self.bad(key, expected)) };
        let read = |item: &Value| item.as_str().map(str::to_owned).ok_or_else(|| self.bad(key, expected));
        items.iter().map(read).collect()
    }

    pub(super) fn flag(&self, key: &str) -> Result<bool, ConfigError> {
        self.merged.get(key).value.as_bool().ok_or_else(|| self.bad(key, "true or false"))
    }

    pub(super) fn whole(&self, key: &str, least: i32, most: i32) -> Result<i32, ConfigError> {
        let number = self.merged.get(key).value.as_integer().and_then(|number| i32::try_from(number).ok());
        number
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| self.bad(key, &format!("a whole number from {least} to {most}")))
    }

    pub(super) fn number(&self, key: &str, least: f64, most: f64) -> Result<f64, ConfigError> {
        as_number(&self.merged.get(key).value)
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| self.bad(key, &format!("a number from {least} to {most}")))
    }

    pub(super) fn temperatures(&self, key: &str) -> Result<Vec<f32>, ConfigError> {
        let expected = "a list of numbers from 0 to 1 that starts with 0 and rises";
        let Value::Array(items) = &self.merged.get(key).value else { return Err(self.bad(key, expected)) };
        let numbers: Option<Vec<f64>> = items.iter().map(as_number).collect();
        numbers
            .filter(|numbers| {
                numbers.first() == Some(&0.0)
                    && numbers.iter().all(|number| (0.0..=1.0).contains(number))
                    && numbers.is_sorted_by(|a, b| a < b)
            })
            .map(|numbers| numbers.into_iter().map(narrowed).collect())
            .ok_or_else(|| self.bad(key, expected))
    }

    /// `"auto"` is `None`; from the environment a number arrives as text.
    pub(super) fn auto_or_whole(&self, key: &str) -> Result<Option<usize>, ConfigError> {
        let number = match &self.merged.get(key).value {
            Value::String(text) if text == "auto" => return Ok(None),
            Value::String(text) => text.parse().ok(),
            Value::Integer(number) => usize::try_from(*number).ok(),
            _ => None,
        };
        number
            .filter(|number| (1..=1024).contains(number))
            .map(Some)
            .ok_or_else(|| self.bad(key, "\"auto\" or a whole number from 1 to 1024"))
    }

    pub(super) fn duration(&self, key: &str, least: Duration) -> Result<Duration, ConfigError> {
        let duration = self.merged.get(key).value.as_str().and_then(parse_duration);
        let expected = format!("a duration such as \"90s\", \"26h\" or \"7d\", at least {}ms", least.as_millis());
        duration.filter(|duration| *duration >= least).ok_or_else(|| self.bad(key, &expected))
    }

    pub(super) fn size(&self, key: &str) -> Result<u64, ConfigError> {
        let size = match &self.merged.get(key).value {
            Value::String(text) => parse_size(text),
            Value::Integer(bytes) => u64::try_from(*bytes).ok(),
            _ => None,
        };
        size.filter(|size| *size > 0).ok_or_else(|| self.bad(key, "a size such as \"512MiB\" or \"2GiB\""))
    }

    pub(super) fn path(&self, key: &str) -> Result<PathBuf, ConfigError> {
        let text = self.text(key)?;
        Ok(self.merged.base_of(&self.merged.get(key).layer).join(text))
    }

    /// The default lies in `paths.state_dir`, wherever that is, also where the file that documents it was copied.
    pub(super) fn ledger(&self, paths: &PathsConfig) -> Result<PathBuf, ConfigError> {
        let key = "queue.url";
        let text = self.text(key)?;
        if text == DEFAULT_QUEUE || self.fleet()?.is_some() {
            return Ok(paths.state_dir.join("ledger.sqlite"));
        }
        let path = text.strip_prefix("sqlite:").filter(|path| !path.is_empty());
        let path = path.ok_or_else(|| self.bad(key, "sqlite:PATH or nats://HOST:PORT/NAME"))?;
        Ok(self.merged.base_of(&self.merged.get(key).layer).join(path))
    }

    /// The fleet that `queue.url` names, if it names one: `nats://HOST:PORT/NAME?replicas=N`.
    pub(super) fn fleet(&self) -> Result<Option<FleetConfig>, ConfigError> {
        let key = "queue.url";
        let Ok(url) = Url::parse(&self.text(key)?) else { return Ok(None) };
        if !matches!(url.scheme(), "nats" | "tls") {
            return Ok(None);
        }
        if !url.username().is_empty() || url.password().is_some() {
            let expected = "an address without user and password, which belong into NATS_USER and NATS_PASSWORD";
            return Err(self.bad(key, expected));
        }
        let expected = "nats://HOST:PORT/NAME, NAME of a-z, 0-9 and -, and perhaps ?replicas=1, 3 or 5";
        let host = url.host_str().ok_or_else(|| self.bad(key, expected))?;
        let server = format!("{}://{host}:{}", url.scheme(), url.port().unwrap_or(4222));
        let name = Some(url.path().trim_matches('/')).filter(|name| !name.is_empty()).unwrap_or("transcribe");
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.len() > 32 || !name.bytes().all(is_name) {
            return Err(self.bad(key, expected));
        }
        let mut replicas = 1;
        for (option, value) in url.query_pairs() {
            replicas = match (option.as_ref(), value.as_ref()) {
                ("replicas", "1") => 1,
                ("replicas", "3") => 3,
                ("replicas", "5") => 5,
                _ => return Err(self.bad(key, expected)),
            };
        }
        Ok(Some(FleetConfig { server, name: name.to_owned(), replicas }))
    }

    /// A text, or `None` for "off".
    pub(super) fn switch(&self, key: &str) -> Result<Option<String>, ConfigError> {
        Ok(Some(self.text(key)?).filter(|text| text != "off"))
    }

    /// Octal digits, as `chmod` takes them, that let nobody in but the owner and the group.
    pub(super) fn permissions(&self, key: &str) -> Result<u32, ConfigError> {
        let text = self.text(key)?;
        let is_octal = (3..=4).contains(&text.len()) && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        let mode = u32::from_str_radix(&text, 8).ok().filter(|_| is_octal);
        mode.filter(|mode| (0o400..=0o770).contains(mode) && mode & 0o007 == 0)
            .ok_or_else(|| self.bad(key, "octal digits such as \"0600\" or \"0660\", with no rights for others"))
    }

    pub(super) fn listen(&self, key: &str) -> Result<Option<SocketAddr>, ConfigError> {
        let expected = "\"off\" or an address and a port such as \"127.0.0.1:8787\"";
        self.switch(key)?.map(|text| text.parse().map_err(|_parse| self.bad(key, expected))).transpose()
    }

    pub(super) fn address(&self, key: &str) -> Result<Url, ConfigError> {
        let url = Url::parse(self.text(key)?.trim_end_matches('/')).ok();
        url.filter(|url| check_endpoint(url).is_ok())
            .ok_or_else(|| self.bad(key, "an https:// address (http:// only on this machine)"))
    }

    pub(super) fn hosts(&self, key: &str) -> Result<Vec<String>, ConfigError> {
        let hosts = self.texts(key)?;
        let expected = "a list of \"host\", \"*.domain\" or \"host:port\"";
        if DownloadHosts::parse(&hosts).is_ok() { Ok(hosts) } else { Err(self.bad(key, expected)) }
    }

    pub(super) fn timezone(&self, key: &str) -> Result<TimeZone, ConfigError> {
        TimeZone::get(&self.text(key)?).map_err(|_unknown| self.bad(key, "a time zone such as UTC or Asia/Tokyo"))
    }

    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Result<T, ConfigError> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let accepted: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            self.bad(key, &accepted.join(" or "))
        })
    }
}

fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        Value::Integer(number) => i32::try_from(*number).ok().map(f64::from),
        _ => None,
    }
}
