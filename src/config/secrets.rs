//! Secrets come from the environment or from a file that `<NAME>_FILE` names, never from `pipeline.toml`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;

/// The process environment as a map, so that everything that depends on it can be tested without changing it.
pub type Environment = BTreeMap<String, String>;

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

/// What signs this program in to Zoom (Server-to-Server OAuth).
#[derive(Debug, Clone)]
pub struct ZoomSecrets {
    pub account_id: String,
    pub client_id: String,
    pub client_secret: SecretString,
}

impl ZoomSecrets {
    /// Reads `ZOOM_ACCOUNT_ID`, `ZOOM_CLIENT_ID` and `ZOOM_CLIENT_SECRET`, each also as `…_FILE`.
    ///
    /// # Errors
    /// [`SecretError`] names the first that is missing, empty or unreadable.
    pub fn read(environment: &Environment) -> Result<Self, SecretError> {
        Ok(Self {
            account_id: read(environment, "ZOOM_ACCOUNT_ID")?,
            client_id: read(environment, "ZOOM_CLIENT_ID")?,
            client_secret: SecretString::from(read(environment, "ZOOM_CLIENT_SECRET")?),
        })
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
        let secrets = ZoomSecrets::read(&environment).unwrap();
        assert_eq!(secrets.client_secret.expose_secret(), "s3cret");
        assert!(!format!("{secrets:?}").contains("s3cret"));

        environment.remove("ZOOM_CLIENT_ID");
        let error = ZoomSecrets::read(&environment).unwrap_err();
        assert_eq!(error.to_string(), "ZOOM_CLIENT_ID is not set");
    }
}
