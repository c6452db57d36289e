//! Does it work? Signs in, looks at scopes and clock, lists once, and says what to do about what does not.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::ZoomSource;
use super::auth::AccessToken;
use super::auth::keep_alive::holds_until;
use super::auth::scopes::needed;
use super::client::ZoomClient;
use super::error::{Refusal, ZoomError};
use super::limits::Label;
use super::listing::path;
use super::paging::Pages;
use super::slices::{ACCOUNT, Owners};
use crate::config::{ZoomConfig, ZoomMode};
use crate::domain::{Finding, Obstacle};
use crate::source::{SourceError, TimeWindow};

/// An unused sign-in of this age is close to its end.
const OLD_SIGN_IN: SignedDuration = SignedDuration::from_hours(60 * 24);
/// Clocks may differ by this much before it is worth a word, and before it is a problem.
const CLOCK_WARNING: SignedDuration = SignedDuration::from_secs(60);
const CLOCK_PROBLEM: SignedDuration = SignedDuration::from_mins(5);

/// Checks sign-in, token, clock, scopes and one listing of the last 24 hours before `now`. What depends on a token that
/// there is not is left out.
pub async fn check(source: &ZoomSource, config: &ZoomConfig, now: Timestamp) -> Vec<Finding> {
    let client = source.client();
    let mut findings: Vec<Finding> = sign_in(client, now).into_iter().collect();
    match client.sign_in().await {
        Ok(token) => {
            findings.push(Finding::fine("token", "Zoom issued one"));
            findings.push(clock(&token));
            findings.extend(scopes(&token, config));
            findings.push(listing(client, config, now).await);
        }
        Err(error) => findings.push(failed("token", error, config)),
    }
    findings
}

/// The age of the user's sign-in, before it is used; nothing in account mode.
fn sign_in(client: &ZoomClient, now: Timestamp) -> Option<Finding> {
    const NAME: &str = "sign-in";
    let stored = match client.auth().stored_sign_in()? {
        Ok(Some(stored)) => stored,
        Ok(None) => return Some(Finding::fine(NAME, "none is stored; ZOOM_REFRESH_TOKEN is used if it is set")),
        Err(error) => {
            let hint = Some("make the file readable, or run `transcribe auth login`".to_owned());
            return Some(Finding::problem(NAME, Obstacle::Configuration, error.to_string(), hint));
        }
    };
    let age = now.duration_since(stored.renewed_at);
    let day = |time: Timestamp| time.strftime("%Y-%m-%d").to_string();
    let until = day(holds_until(stored.renewed_at));
    let detail = format!("last renewed {} days ago; unused, it holds until about {until}", age.as_hours() / 24);
    Some(if age > OLD_SIGN_IN {
        Finding::warning(NAME, detail, "let cron run `transcribe auth keep-alive` every day")
    } else {
        Finding::fine(NAME, detail)
    })
}

fn clock(token: &AccessToken) -> Finding {
    const NAME: &str = "clock";
    let Some(ahead) = token.clock_ahead() else { return Finding::fine(NAME, "Zoom does not tell the time") };
    let (seconds, side) = (ahead.abs().as_secs(), if ahead.is_negative() { "behind" } else { "ahead of" });
    let detail = format!("this machine is {seconds} s {side} Zoom");
    let hint = "set this machine's clock, best with NTP: windows of time and signatures depend on it";
    if ahead.abs() > CLOCK_PROBLEM {
        Finding::problem(NAME, Obstacle::Configuration, detail, Some(hint.to_owned()))
    } else if ahead.abs() > CLOCK_WARNING {
        Finding::warning(NAME, detail, hint)
    } else {
        Finding::fine(NAME, "agrees with Zoom's to the minute")
    }
}

fn scopes(token: &AccessToken, config: &ZoomConfig) -> Vec<Finding> {
    const NAME: &str = "scopes";
    let Some(granted) = token.scopes() else {
        return vec![Finding::fine(NAME, "Zoom does not say which scopes there are")];
    };
    let needs = needed(config);
    let missing: Vec<Finding> = needs
        .iter()
        .filter(|need| !need.is_met_by(granted))
        .map(|need| {
            let detail = format!("{} is missing (for {})", need.scope, need.purpose);
            Finding::problem(NAME, Obstacle::Credentials, detail, Some(how_to_add(&need.scope, config.mode)))
        })
        .collect();
    if missing.is_empty() {
        return vec![Finding::fine(NAME, format!("all {} that the configured features need", needs.len()))];
    }
    missing
}

fn how_to_add(scope: &str, mode: ZoomMode) -> String {
    let then = match mode {
        ZoomMode::Account => "run `transcribe check` again, which gets a new token",
        ZoomMode::User => "run `transcribe auth login` again for a new token",
    };
    format!(
        "in the Zoom App Marketplace: Manage → your app → Scopes → Add Scopes → Phone → tick {scope} → Done; then {then} \
         (a new app's scopes may take a minute)"
    )
}

async fn listing(client: &ZoomClient, config: &ZoomConfig, now: Timestamp) -> Finding {
    const NAME: &str = "listing";
    let owners = Owners::of(config);
    let owner = owners.names().next().unwrap_or(ACCOUNT);
    let since = now.checked_sub(SignedDuration::from_hours(24)).unwrap_or(now);
    let mut first_page = Pages::new(client, Label::Medium, path(owner), 1, TimeWindow { since, until: now });
    match first_page.next(|page| Some((count(&page)?, None))).await {
        Ok(count) => {
            let count = count.unwrap_or_default();
            Finding::fine(NAME, format!("{count} recordings started in the last 24 hours"))
        }
        Err(error) if owner != ACCOUNT && error.is_unknown_user() => {
            let (detail, hint) = match config.mode {
                ZoomMode::User => ("Zoom knows no phone user behind this sign-in", "sign in as a user with Zoom Phone"),
                ZoomMode::Account => ("Zoom knows no such phone user as zoom.users names first", "mend zoom.users"),
            };
            Finding::problem(NAME, Obstacle::Configuration, detail, Some(hint.to_owned()))
        }
        Err(error) => failed(NAME, error, config),
    }
}

/// How many recordings a page says there are; `None` when it is no page.
fn count(page: &Value) -> Option<u64> {
    let listed = u64::try_from(page.get("recordings")?.as_array()?.len()).ok()?;
    let total = page.get("total_records").and_then(|total| match total {
        Value::String(total) => total.parse().ok(),
        other => other.as_u64(),
    });
    Some(total.unwrap_or(listed))
}

/// A request that failed, with what to do where the error does not say it itself.
fn failed(name: &'static str, error: ZoomError, config: &ZoomConfig) -> Finding {
    let refused = match &error {
        ZoomError::Refused(Refusal::Scope { scopes }) => Some(how_to_add(scopes, config.mode)),
        ZoomError::Refused(Refusal::PhoneNotEnabled { .. }) => {
            Some("ask the account's administrator for Zoom Phone, and for a Zoom Phone licence".to_owned())
        }
        ZoomError::Forbidden => {
            let hint =
                "ask the account's administrator: the recording policy's access list must give the Download right";
            Some(hint.to_owned())
        }
        _ => None,
    };
    let (obstacle, hint) = match error.clone().into_source_error() {
        SourceError::Refused { .. } => (Obstacle::Credentials, refused),
        SourceError::Misconfigured { .. } | SourceError::UnknownOwner { .. } => {
            (Obstacle::Configuration, Some("`transcribe config show` prints every key and its value".to_owned()))
        }
        SourceError::LimitReached { resumes_at } => {
            let hint = format!("try again after {}", resumes_at.strftime("%Y-%m-%d %H:%M UTC"));
            (Obstacle::Unreachable, Some(hint))
        }
        SourceError::Unavailable { .. } | SourceError::Stopped => {
            let hint = "see that this machine reaches that host by https (no proxy is used), then try again later";
            (Obstacle::Unreachable, Some(hint.to_owned()))
        }
    };
    Finding::problem(name, obstacle, error.into_source_error().to_string(), hint)
}
