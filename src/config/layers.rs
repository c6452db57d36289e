//! The layers as they stand in files, environment and flags, flattened to `section.key` and merged.
//!
//! The embedded `pipeline.toml` is the list of keys that exist: any other key is an error that names its place and the
//! nearest key that does.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Value};
use url::Url;

use super::secrets::Environment;
use crate::net::Redacted;

/// The defaults: the same file that documents every key.
pub const DEFAULTS: &str = include_str!("../../pipeline.toml");

/// The prefix of configuration in the environment: `TRANSCRIBE__SECTION__KEY`.
pub const ENVIRONMENT_PREFIX: &str = "TRANSCRIBE__";

/// Keys of addresses that may hold a token.
const ADDRESSES_WITH_TOKENS: [&str; 2] = ["hooks.url", "trigger.websocket.url"];

/// A key's value for people to read: of an address that may hold a token, or holds a password, only scheme and host.
#[must_use]
pub fn shown(key: &str, value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    let names_somebody = text.contains('@') && (text.contains("://") || key.ends_with("url"));
    // A password with a `/` in it makes another address of the whole, or none.
    let is_understood = |url: &Url| url.has_host() && (!names_somebody || !url.username().is_empty());
    let url = Url::parse(text).ok().filter(is_understood);
    if !(ADDRESSES_WITH_TOKENS.contains(&key) || names_somebody) || value.as_str() == Some("off") {
        return value.to_string();
    }
    url.map_or_else(|| "\"…\"".to_owned(), |url| format!("\"{}\"", Redacted(&url)))
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layer {
    Default,
    File { path: PathBuf, line: usize },
    Environment { name: String },
    Flag { text: String },
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the built-in defaults"),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Environment { name } => write!(f, "environment variable {name}"),
            Self::Flag { text } => f.write_str(text),
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Layered {
    pub value: Value,
    pub layer: Layer,
}

/// Everything that decides the configuration. Resolving it touches nothing else.
#[derive(Debug, Clone)]
pub struct Layers<'a> {
    /// The file's path and text, if one was found.
    pub file: Option<(&'a Path, &'a str)>,
    pub environment: &'a Environment,
    /// `(key, value, how the user wrote it)`, the last one wins.
    pub flags: &'a [(String, String, String)],
    /// Where relative paths outside the file start.
    pub working_dir: &'a Path,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    #[error("{}, line {line}: {message}", path.display())]
    Syntax { path: PathBuf, line: usize, message: String },
    #[error("{layer}: there is no key `{key}`{}", nearest.as_ref().map_or(String::new(), |n| format!("; did you mean `{n}`?")))]
    UnknownKey { layer: Layer, key: String, nearest: Option<String> },
    #[error(
        "{layer}: `{key}` is a secret and must not stand in a file; set {variable} or {variable}_FILE in the environment"
    )]
    Secret { layer: Layer, key: String, variable: &'static str },
    #[error("{layer}: `{key}` = {value} is not valid: {expected}")]
    BadValue { layer: Layer, key: String, value: String, expected: String },
}

/// The merged layers: exactly the keys of [`DEFAULTS`].
#[derive(Debug, Clone)]
pub struct Merged {
    values: BTreeMap<String, Layered>,
    working_dir: PathBuf,
}

impl Merged {
    /// Merges defaults < file < environment < flags.
    ///
    /// # Errors
    /// The first layer that cannot be parsed or that names a key which does not exist.
    pub fn from_layers(layers: &Layers<'_>) -> Result<Self, ConfigError> {
        let mut values = flatten(Path::new("pipeline.toml"), DEFAULTS, &|_path, _line| Layer::Default)?;
        let defaults = values.clone();
        if let Some((path, text)) = layers.file {
            let layer = |path: &Path, line| Layer::File { path: path.to_owned(), line };
            for (key, layered) in flatten(path, text, &layer)? {
                known(&defaults, &key, &layered.layer)?;
                values.insert(key, layered);
            }
        }
        for (name, text) in layers.environment {
            let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
            let key = rest.to_lowercase().replace("__", ".");
            let layer = Layer::Environment { name: name.clone() };
            insert_text(&defaults, &mut values, key, text, layer)?;
        }
        for (key, text, written) in layers.flags {
            insert_text(&defaults, &mut values, key.clone(), text, Layer::Flag { text: written.clone() })?;
        }
        Ok(Self { values, working_dir: layers.working_dir.to_owned() })
    }

    /// Every key with its value and its layer, in order of key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Layered)> {
        self.values.iter().map(|(key, layered)| (key.as_str(), layered))
    }

    /// A value that exists because its key stands in [`DEFAULTS`].
    pub(super) fn get(&self, key: &str) -> &Layered {
        self.values.get(key).expect("settings only ask for keys that stand in pipeline.toml; a test asks for them all")
    }

    /// The folder at which a relative path of this layer starts.
    pub(super) fn base_of(&self, layer: &Layer) -> PathBuf {
        match layer {
            Layer::File { path, .. } => self.working_dir.join(path.parent().unwrap_or_else(|| Path::new(""))),
            Layer::Default | Layer::Environment { .. } | Layer::Flag { .. } => self.working_dir.clone(),
        }
    }
}

fn known(defaults: &BTreeMap<String, Layered>, key: &str, layer: &Layer) -> Result<(), ConfigError> {
    if defaults.contains_key(key) {
        return Ok(());
    }
    let secret = match key {
        "zoom.account_id" => Some("ZOOM_ACCOUNT_ID"),
        "zoom.client_id" => Some("ZOOM_CLIENT_ID"),
        "zoom.client_secret" => Some("ZOOM_CLIENT_SECRET"),
        "zoom.refresh_token" => Some("ZOOM_REFRESH_TOKEN"),
        "zoom.webhook_secret_token" => Some(super::secrets::WEBHOOK_SECRET),
        _ => None,
    };
    if let Some(variable) = secret {
        return Err(ConfigError::Secret { layer: layer.clone(), key: key.to_owned(), variable });
    }
    let closest = defaults
        .keys()
        .map(|candidate| (strsim::damerau_levenshtein(key, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(2))
        .map(|(_, candidate)| candidate.clone());
    // A key under the wrong section is closer by its last part than by its letters.
    let last_part = |full: &str| full.rsplit('.').next().unwrap_or_default().to_owned();
    let same_name = || defaults.keys().find(|candidate| last_part(candidate) == last_part(key)).cloned();
    Err(ConfigError::UnknownKey { layer: layer.clone(), key: key.to_owned(), nearest: closest.or_else(same_name) })
}

/// A value from text (environment, flag): read as what the default of its key is.
fn insert_text(
    defaults: &BTreeMap<String, Layered>,
    values: &mut BTreeMap<String, Layered>,
    key: String,
    text: &str,
    layer: Layer,
) -> Result<(), ConfigError> {
    known(defaults, &key, &layer)?;
    let default = defaults.get(&key).map(|layered| &layered.value);
    let bad = |expected: &str| ConfigError::BadValue {
        layer: layer.clone(),
        key: key.clone(),
        value: format!("`{text}`"),
        expected: expected.to_owned(),
    };
    let text = text.trim();
    let value = match default {
        Some(Value::Boolean(_)) => Value::Boolean(text.parse().map_err(|_parse| bad("true or false"))?),
        Some(Value::Integer(_)) => Value::Integer(text.parse().map_err(|_parse| bad("a whole number"))?),
        Some(Value::Float(_)) => Value::Float(text.parse().map_err(|_parse| bad("a number"))?),
        Some(Value::Array(_)) if text.starts_with('[') => {
            let table: toml::Table = format!("value = {text}").parse().map_err(|_parse| bad("a list"))?;
            table.get("value").cloned().ok_or_else(|| bad("a list"))?
        }
        Some(Value::Array(items)) => {
            let numbers = matches!(items.first(), Some(Value::Float(_)));
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            let read = |part: &str| {
                if numbers {
                    part.parse().map(Value::Float).map_err(|_parse| bad("a list of numbers"))
                } else {
                    Ok(Value::String(part.to_owned()))
                }
            };
            Value::Array(parts.map(read).collect::<Result<_, _>>()?)
        }
        _ => Value::String(text.to_owned()),
    };
    values.insert(key, Layered { value, layer });
    Ok(())
}

/// Parses one TOML text and flattens its tables to dotted keys.
fn flatten(
    path: &Path,
    text: &str,
    layer: &dyn Fn(&Path, usize) -> Layer,
) -> Result<BTreeMap<String, Layered>, ConfigError> {
    let line_at = |offset: usize| 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    let syntax = |error: &toml::de::Error| ConfigError::Syntax {
        path: path.to_owned(),
        line: error.span().map_or(1, |span| line_at(span.start)),
        message: error.message().to_owned(),
    };
    let spans = DeTable::parse(text).map_err(|error| syntax(&error))?;
    let plain: toml::Table = text.parse().map_err(|error| syntax(&error))?;
    let mut values = BTreeMap::new();
    walk(spans.get_ref(), &plain, "", &mut |key, value, offset| {
        values.insert(key, Layered { value, layer: layer(path, line_at(offset)) });
    });
    Ok(values)
}

/// Walks the same document twice at once: `spans` for where each key stands, `plain` for its value.
fn walk(spans: &DeTable<'_>, plain: &toml::Table, prefix: &str, found: &mut dyn FnMut(String, Value, usize)) {
    for (name, value) in spans {
        let offset = Spanned::span(name).start;
        let name: &str = name.get_ref();
        let key = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        match (value.get_ref(), plain.get(name)) {
            (DeValue::Table(spans), Some(Value::Table(plain))) if !plain.is_empty() => {
                walk(spans, plain, &key, found);
            }
            // A section header with nothing under it.
            (_, Some(Value::Table(_))) if DEFAULTS.contains(&format!("[{key}]\n")) => {}
            (_, Some(value)) => found(key, value.clone(), offset),
            (_, None) => {}
        }
    }
}
