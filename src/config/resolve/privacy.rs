//! `[privacy]`: what is masked.

use super::reader::Reader;
use crate::config::layers::ConfigError;
use crate::config::settings::PrivacyConfig;
use crate::privacy::{BadPattern, Kinds, Pattern, Redactor, Region, Settings};

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
    Ok(PrivacyConfig { redactor: (!is_off).then_some(redactor) })
}
