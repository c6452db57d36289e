//! `[privacy]`: what is masked, hashed and forgotten.

use std::time::Duration;

use super::reader::Reader;
use crate::config::layers::ConfigError;
use crate::config::settings::PrivacyConfig;
use crate::config::units::parse_duration;
use crate::privacy::{BadPattern, Kinds, NumberHasher, Pattern, Redactor, Region, SHORTEST_KEY, Settings};

pub(super) fn privacy(read: &Reader<'_>) -> Result<PrivacyConfig, ConfigError> {
    let mut kinds = Kinds { phone: false, card: false, email: false };
    for kind in read.texts("privacy.redact")? {
        match kind.as_str() {
            "phone" => kinds.phone = true,
            "card" => kinds.card = true,
            "email" => kinds.email = true,
            _ => return Err(read.bad("privacy.redact", "a list of \"phone\", \"card\" and \"email\"")),
        }
    }
    let code = read.text("privacy.region")?;
    let Some(region) = Region::from_code(&code) else {
        let known = Region::codes().join(", ");
        return Err(read.bad("privacy.region", &format!("a country whose telephone numbers are known: {known}")));
    };
    let expected = "a list of \"NAME=regular expression\"";
    let pattern = |text: String| {
        let (name, regex) = text.split_once('=').ok_or_else(|| read.bad("privacy.patterns", expected))?;
        Ok(Pattern { name: name.trim().to_owned(), regex: regex.trim().to_owned() })
    };
    let patterns: Vec<Pattern> = read.texts("privacy.patterns")?.into_iter().map(pattern).collect::<Result<_, _>>()?;
    let is_off = kinds == Kinds { phone: false, card: false, email: false } && patterns.is_empty();
    let redactor = Redactor::new(&Settings { kinds, patterns, region })
        .map_err(|error: BadPattern| read.refused("privacy.patterns", &error.to_string()))?;
    Ok(PrivacyConfig {
        redactor: (!is_off).then_some(redactor),
        region,
        hasher: hasher(read, region)?,
        audio_retention: read.duration("privacy.audio_retention", Duration::ZERO)?,
        transcript_retention: transcript_retention(read)?,
    })
}

fn hasher(read: &Reader<'_>, region: Region) -> Result<Option<NumberHasher>, ConfigError> {
    let key = "privacy.hash_key_file";
    if read.switch(key)?.is_none() {
        return Ok(None);
    }
    let bytes = std::fs::read(read.path(key)?)
        .map_err(|error| read.refused(key, &format!("the key file cannot be read ({})", error.kind())))?;
    let short =
        || format!("the key file must hold at least {SHORTEST_KEY} bytes, such as `openssl rand -hex 32` prints");
    NumberHasher::new(&bytes, region).map(Some).ok_or_else(|| read.refused(key, &short()))
}

fn transcript_retention(read: &Reader<'_>) -> Result<Option<Duration>, ConfigError> {
    let key = "privacy.transcript_retention";
    let text = read.text(key)?;
    if text == "forever" {
        return Ok(None);
    }
    let duration = parse_duration(&text).filter(|duration| *duration >= Duration::from_secs(86_400));
    duration.map(Some).ok_or_else(|| read.bad(key, "\"forever\" or a duration of a day or more, such as \"400d\""))
}
