//! Secrets come from the environment or from a file that `<NAME>_FILE` names, never from `pipeline.toml`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;

use super::ZoomMode;

/// The process environment as a map, so that everything that depends on it can be tested without changing it.
pub type Environment = BTreeMap<String, String>;

/// The variable of the secret that Zoom signs its events with.
pub const WEBHOOK_SECRET: &str = "ZOOM_WEBHOOK_SECRET_TOKEN";

#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("{name} is not set")]
    Missing { name: &'static str },
    #[error("{name}_FILE names {}, which cannot be read", path.display())]
    Unreadable {
        name: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{name} is empty")]
    Empty { name: &'static str },
}

impl SecretError {
    /// The variable that is at fault.
    #[must_use]
    pub const fn variable(&self) -> &'static str {
        match self {
            Self::Missing { name } | Self::Unreadable { name, .. } | Self::Empty { name } => name,
        }
    }
}

/// What signs this program in to Zoom.
#[derive(Debug, Clone)]
pub struct ZoomSecrets {
    pub client_id: String,
    pub client_secret: SecretString,
    pub identity: ZoomIdentity,
}

/// Whom the program signs in as.
#[derive(Debug, Clone)]
pub enum ZoomIdentity {
    /// The account of a Server-to-Server app.
    Account { account_id: SecretString },
    /// A user who agreed. `refresh_token` starts a sign-in without a browser; from then on the stored one counts.
    User { refresh_token: Option<SecretString> },
}

impl ZoomSecrets {
    /// Reads `ZOOM_CLIENT_ID` and `ZOOM_CLIENT_SECRET`, in account mode `ZOOM_ACCOUNT_ID`, in user mode
    /// `ZOOM_REFRESH_TOKEN` if it is there; each also as `…_FILE`.
    ///
    /// # Errors
    /// [`SecretError`] names the first that is missing, empty or unreadable.
    pub fn read(environment: &Environment, mode: ZoomMode) -> Result<Self, SecretError> {
        let identity = match mode {
            ZoomMode::Account => ZoomIdentity::Account { account_id: read(environment, "ZOOM_ACCOUNT_ID")?.into() },
            ZoomMode::User => ZoomIdentity::User { refresh_token: read_if_set(environment, "ZOOM_REFRESH_TOKEN")? },
        };
        let client_id = read(environment, "ZOOM_CLIENT_ID")?;
        Ok(Self { client_id, client_secret: read(environment, "ZOOM_CLIENT_SECRET")?.into(), identity })
    }
}

/// Reads `ZOOM_WEBHOOK_SECRET_TOKEN` or the file that `ZOOM_WEBHOOK_SECRET_TOKEN_FILE` names; `None` when neither is
/// set.
///
/// # Errors
/// [`SecretError`] when it is empty or unreadable.
pub fn webhook_secret(environment: &Environment) -> Result<Option<SecretString>, SecretError> {
    read_if_set(environment, WEBHOOK_SECRET)
}

/// What signs this program in to the message server of a fleet.
#[derive(Debug, Clone, Default)]
pub enum FleetSecrets {
    #[default]
    Nothing,
    Password {
        user: String,
        password: SecretString,
    },
    /// The content of a `.creds` file.
    Credentials(SecretString),
}

impl FleetSecrets {
    /// Reads the file that `NATS_CREDS_FILE` names, or `NATS_USER` and `NATS_PASSWORD`; the latter also as `…_FILE`.
    ///
    /// # Errors
    /// [`SecretError`] when what is set is empty, unreadable or only half of it.
    pub fn read(environment: &Environment) -> Result<Self, SecretError> {
        if let Some(credentials) = read_if_set(environment, "NATS_CREDS")? {
            return Ok(Self::Credentials(credentials));
        }
        match read(environment, "NATS_USER") {
            Ok(user) => Ok(Self::Password { user, password: read(environment, "NATS_PASSWORD")?.into() }),
            Err(SecretError::Missing { .. }) => Ok(Self::Nothing),
            Err(error) => Err(error),
        }
    }
}

fn read_if_set(environment: &Environment, name: &'static str) -> Result<Option<SecretString>, SecretError> {
    match read(environment, name) {
        Ok(secret) => Ok(Some(secret.into())),
        Err(SecretError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn read(environment: &Environment, name: &'static str) -> Result<String, SecretError> {
    let value = match (environment.get(name), environment.get(&format!("{name}_FILE"))) {
        (Some(value), _) => value.clone(),
        (None, Some(path)) => {
            let path = PathBuf::from(path);
            std::fs::read_to_string(&path).map_err(|source| SecretError::Unreadable { name, path, source })?
        }
        (None, None) => return Err(SecretError::Missing { name }),
    };
    let value = value.trim();
    if value.is_empty() { Err(SecretError::Empty { name }) } else { Ok(value.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_secret_comes_from_the_environment_or_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "s3cret\n").unwrap();
        let mut environment = Environment::from([
            ("ZOOM_ACCOUNT_ID".into(), "account".into()),
            ("ZOOM_CLIENT_ID".into(), "client".into()),
            ("ZOOM_CLIENT_SECRET_FILE".into(), file.display().to_string()),
        ]);
        let secrets = ZoomSecrets::read(&environment, ZoomMode::Account).unwrap();
        assert_eq!(secrets.client_secret.expose_secret(), "s3cret");
        assert!(!format!("{secrets:?}").contains("s3cret"));

        environment.remove("ZOOM_CLIENT_ID");
        let error = ZoomSecrets::read(&environment, ZoomMode::Account).unwrap_err();
        assert_eq!(error.to_string(), "ZOOM_CLIENT_ID is not set");
    }

    #[test]
    fn a_user_needs_no_account_id_and_the_refresh_token_may_come_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("refresh");
        std::fs::write(&file, "r3fresh\n").unwrap();
        let mut environment = Environment::from([
            ("ZOOM_CLIENT_ID".into(), "client".into()),
            ("ZOOM_CLIENT_SECRET".into(), "s3cret".into()),
        ]);
        let secrets = ZoomSecrets::read(&environment, ZoomMode::User).unwrap();
        assert!(matches!(secrets.identity, ZoomIdentity::User { refresh_token: None }));
        environment.insert("ZOOM_REFRESH_TOKEN_FILE".into(), file.display().to_string());
        let secrets = ZoomSecrets::read(&environment, ZoomMode::User).unwrap();
        let ZoomIdentity::User { refresh_token: Some(token) } = &secrets.identity else { panic!("{secrets:?}") };
        assert_eq!(token.expose_secret(), "r3fresh");
        assert!(!format!("{secrets:?}").contains("r3fresh"));
        let error = ZoomSecrets::read(&environment, ZoomMode::Account).unwrap_err();
        assert_eq!(error.to_string(), "ZOOM_ACCOUNT_ID is not set");
    }

    #[test]
    fn a_webhook_needs_no_secret_but_an_empty_one_is_an_error() {
        let mut environment = Environment::new();
        assert!(webhook_secret(&environment).unwrap().is_none());
        environment.insert(WEBHOOK_SECRET.into(), " whsec ".into());
        let secret = webhook_secret(&environment).unwrap().unwrap();
        assert_eq!(secret.expose_secret(), "whsec");
        environment.insert(WEBHOOK_SECRET.into(), "  ".into());
        let error = webhook_secret(&environment).unwrap_err();
        assert_eq!(error.to_string(), "ZOOM_WEBHOOK_SECRET_TOKEN is empty");
        let gone = std::path::Path::new("/nowhere/at/all").display().to_string();
        let environment = Environment::from([(format!("{WEBHOOK_SECRET}_FILE"), gone)]);
        assert!(matches!(webhook_secret(&environment), Err(SecretError::Unreadable { .. })));
    }
}
