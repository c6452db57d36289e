//! Scopes: what a token may do, and what the configured features need.
//!
//! Apps have granular scopes today; an older app may have classic ones, of which one stands for many of the others.

use std::collections::BTreeSet;

use crate::config::{ZoomConfig, ZoomMode};

/// The scopes of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(BTreeSet<String>);

impl Scopes {
    /// Reads names that stand between spaces or commas.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let names = text.split([' ', ',']).filter(|name| !name.is_empty());
        Self(names.map(str::to_owned).collect())
    }

    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

/// One thing that a feature must be allowed to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeNeed {
    /// What it is for, in words.
    pub purpose: &'static str,
    /// The granular scope to add where nothing satisfies the need.
    pub scope: String,
    /// Other scopes that do as well.
    also: Vec<String>,
}

impl ScopeNeed {
    /// A need for `stem`, which classic scopes of `family` satisfy too. A user's own scope ends with the stem, an
    /// administrator's carries `:admin`; the account needs the latter, a user is served by either.
    fn new(mode: ZoomMode, purpose: &'static str, stem: &str, family: &str) -> Self {
        let classic = ["phone:read", family];
        let admin = |name: &str| format!("{name}:admin");
        match mode {
            ZoomMode::Account => Self { purpose, scope: admin(stem), also: classic.map(admin).to_vec() },
            ZoomMode::User => {
                let mut also = vec![admin(stem)];
                also.extend(classic.iter().flat_map(|name| [(*name).to_owned(), admin(name)]));
                Self { purpose, scope: stem.to_owned(), also }
            }
        }
    }

    /// Whether `granted` is enough.
    #[must_use]
    pub fn is_met_by(&self, granted: &Scopes) -> bool {
        granted.contains(&self.scope) || self.also.iter().any(|name| granted.contains(name))
    }
}

/// What the configured features need.
#[must_use]
pub fn needed(config: &ZoomConfig) -> Vec<ScopeNeed> {
    let need = |purpose, stem, family| ScopeNeed::new(config.mode, purpose, stem, family);
    let list = match config.mode {
        ZoomMode::Account if config.users.is_empty() => "phone:read:list_call_recordings",
        ZoomMode::Account | ZoomMode::User => "phone:read:list_recordings",
    };
    let mut needs = vec![
        need("listing recordings", list, "phone_recording:read"),
        need("downloading audio", "phone:read:call_recording", "phone_recording:read"),
    ];
    if config.history {
        needs.push(need("listing the call history", "phone:read:list_call_logs", "phone_call_log:read"));
        needs.push(need("reading the call history", "phone:read:call_log", "phone_call_log:read"));
    }
    if config.transcripts {
        needs.push(need("Zoom's own transcripts", "phone:read:recording_transcript", "phone_recording:read"));
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::layers::{Layers, Merged};
    use crate::config::{Config, secrets::Environment};

    fn config(settings: &[(&str, &str)]) -> ZoomConfig {
        let flag = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned(), String::new());
        let flags: Vec<_> = settings.iter().map(flag).collect();
        let environment = Environment::new();
        let working_dir = std::path::Path::new("/");
        let layers = Layers { file: None, environment: &environment, flags: &flags, working_dir };
        Config::resolve(&Merged::from_layers(&layers).unwrap()).unwrap().zoom
    }

    fn names(settings: &[(&str, &str)]) -> Vec<String> {
        needed(&config(settings)).into_iter().map(|need| need.scope).collect()
    }

    #[test]
    fn every_feature_names_its_scopes() {
        let download = "phone:read:call_recording:admin";
        assert_eq!(names(&[]), ["phone:read:list_call_recordings:admin", download]);
        assert_eq!(names(&[("zoom.users", "u1")]), ["phone:read:list_recordings:admin", download]);
        let user = [("zoom.mode", "user"), ("zoom.history", "true"), ("zoom.transcripts", "true")];
        let expected = ["list_recordings", "call_recording", "list_call_logs", "call_log", "recording_transcript"];
        assert_eq!(names(&user), expected.map(|name| format!("phone:read:{name}")));
        let account = [("zoom.history", "true"), ("zoom.transcripts", "true")];
        let expected = ["list_call_logs", "call_log", "recording_transcript"];
        assert_eq!(names(&account)[2..], expected.map(|name| format!("phone:read:{name}:admin")));
    }

    #[test]
    fn classic_scopes_satisfy_a_need_and_those_of_one_user_are_not_the_accounts() {
        let all = [("zoom.history", "true"), ("zoom.transcripts", "true")];
        let met = |settings: &[(&str, &str)], granted: &str| {
            let granted = Scopes::parse(granted);
            needed(&config(settings)).iter().map(|need| need.is_met_by(&granted)).collect::<Vec<_>>()
        };
        assert_eq!(met(&all, "phone:read:admin"), [true; 5]);
        assert_eq!(met(&all, "phone_recording:read:admin"), [true, true, false, false, true]);
        assert_eq!(met(&all, "phone_call_log:read:admin"), [false, false, true, true, false]);
        assert_eq!(met(&all, "phone:read phone:read:call_recording"), [false; 5]);
        let user = [("zoom.mode", "user")];
        for granted in ["phone:read", "phone:read:admin", "phone_recording:read"] {
            assert_eq!(met(&user, granted), [true; 2], "{granted}");
        }
        assert_eq!(met(&user, "phone:read:list_recordings:admin,phone:read:call_recording"), [true; 2]);
    }
}
