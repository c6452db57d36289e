//! Who we are, as `~/.aws/config` and `~/.aws/credentials` say it: a small reader of static keys and of roles that are
//! taken with a web identity. What asks a person or starts a program is refused with a sentence.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use std::{env, fs, io};

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};

/// What a profile says.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) region: Option<String>,
    pub(super) identity: Identity,
}

#[derive(Debug)]
pub(super) enum Identity {
    /// Read again whenever the file changes, as tools that renew keys expect.
    Keys(Arc<KeysOfFile>),
    /// A role that is taken with a web identity.
    Role { token_file: String, role_arn: String, session_name: Option<String> },
    /// The profile names a region only.
    Unsaid,
}

impl Identity {
    pub(super) fn give_to(self, builder: AmazonS3Builder) -> AmazonS3Builder {
        match self {
            Self::Keys(keys) => builder.with_credentials(keys),
            Self::Role { token_file, role_arn, session_name } => {
                let builder = builder
                    .with_config(AmazonS3ConfigKey::WebIdentityTokenFile, token_file)
                    .with_config(AmazonS3ConfigKey::RoleArn, role_arn);
                match session_name {
                    Some(name) => builder.with_config(AmazonS3ConfigKey::RoleSessionName, name),
                    None => builder,
                }
            }
            Self::Unsaid => builder,
        }
    }
}

/// Why a profile cannot be used. No message holds a value of the files.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProfileError {
    #[error("AWS profile {name} is in none of ~/.aws/config and ~/.aws/credentials")]
    Missing { name: String },
    #[error(
        "AWS profile {name} signs in with {what}, which this program does not do: give it static keys or a role with \
         web_identity_token_file, or run it with `aws configure export-credentials --format env`"
    )]
    Unsupported { name: String, what: &'static str },
    #[error("AWS profile {name} has half of a key: it needs aws_access_key_id and aws_secret_access_key")]
    HalfAKey { name: String },
    #[error("{} cannot be read", .path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Whether the environment names keys or a role with a web identity, which come before any profile.
pub(super) fn environment_says_who_we_are() -> bool {
    let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    is_set("AWS_ACCESS_KEY_ID") || (is_set("AWS_WEB_IDENTITY_TOKEN_FILE") && is_set("AWS_ROLE_ARN"))
}

/// The profile that `AWS_PROFILE` names, else the one called `default`; `None` when there is no `default`.
pub(super) fn find() -> Result<Option<Profile>, ProfileError> {
    let file = |variable: &str, name: &str| match env::var_os(variable) {
        Some(path) => Some(PathBuf::from(path)),
        None => env::home_dir().map(|home| home.join(".aws").join(name)),
    };
    let named = env::var("AWS_PROFILE").ok().filter(|name| !name.is_empty());
    let config = file("AWS_CONFIG_FILE", "config");
    let credentials = file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
    read(config.as_deref(), credentials.as_deref(), named.as_deref())
}

/// Keys and values of one profile.
type Section = BTreeMap<String, String>;

fn read(
    config: Option<&Path>,
    credentials: Option<&Path>,
    named: Option<&str>,
) -> Result<Option<Profile>, ProfileError> {
    let name = named.unwrap_or("default");
    let header = if name == "default" { name.to_owned() } else { format!("profile {name}") };
    let of_config = config.map(|path| section(path, &header)).transpose()?.flatten();
    let of_credentials = credentials.map(|path| section(path, name)).transpose()?.flatten();
    if of_config.is_none() && of_credentials.is_none() {
        return match named {
            Some(name) => Err(ProfileError::Missing { name: name.to_owned() }),
            None => Ok(None),
        };
    }
    let region = of_config.as_ref().and_then(|section| section.get("region").cloned());
    // Keys in the file of credentials come first, as in AWS's own tools.
    let files = [(credentials, of_credentials), (config, of_config)];
    let mut said = Section::new();
    for (path, section) in files {
        let (Some(path), Some(section)) = (path, section) else { continue };
        if keys_of(&section, name)?.is_some() {
            let header = if Some(path) == config { header } else { name.to_owned() };
            let keys = KeysOfFile { path: path.to_owned(), header, name: name.to_owned(), last: Mutex::default() };
            return Ok(Some(Profile { region, identity: Identity::Keys(Arc::new(keys)) }));
        }
        said.extend(section);
    }
    Ok(Some(Profile { region, identity: without_keys(&said, name)? }))
}

/// The keys of a section, if it has any.
fn keys_of(section: &Section, name: &str) -> Result<Option<AwsCredential>, ProfileError> {
    match (section.get("aws_access_key_id"), section.get("aws_secret_access_key")) {
        (Some(key_id), Some(secret_key)) => Ok(Some(AwsCredential {
            key_id: key_id.clone(),
            secret_key: secret_key.clone(),
            token: section.get("aws_session_token").cloned(),
        })),
        (None, None) => Ok(None),
        _ => Err(ProfileError::HalfAKey { name: name.to_owned() }),
    }
}

fn without_keys(said: &Section, name: &str) -> Result<Identity, ProfileError> {
    let unsupported = |what| Err(ProfileError::Unsupported { name: name.to_owned(), what });
    if let (Some(role), Some(token)) = (said.get("role_arn"), said.get("web_identity_token_file")) {
        return Ok(Identity::Role {
            token_file: token.clone(),
            role_arn: role.clone(),
            session_name: said.get("role_session_name").cloned(),
        });
    }
    if said.keys().any(|key| key.starts_with("sso_")) {
        return unsupported("AWS single sign-on");
    }
    if said.contains_key("credential_process") {
        return unsupported("credential_process");
    }
    if said.contains_key("role_arn") {
        return unsupported("a role of another profile");
    }
    Ok(Identity::Unsaid)
}

/// One section of a file; `None` where the file or the section is missing.
fn section(path: &Path, header: &str) -> Result<Option<Section>, ProfileError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ProfileError::Unreadable { path: path.to_owned(), source }),
    };
    let mut found = None;
    let mut is_inside = false;
    for line in text.lines() {
        let is_comment = line.starts_with(['#', ';']);
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            is_inside = name.split_whitespace().eq(header.split_whitespace());
            if is_inside {
                found.get_or_insert_with(Section::new);
            }
        } else if let (true, Some(section), Some((key, value))) = (is_inside, &mut found, line.split_once('='))
            // A line that is indented belongs to the value before it, which is none of ours.
            && !is_comment
            && !line.starts_with(char::is_whitespace)
        {
            let value = value.split(" #").next().unwrap_or_default();
            section.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    Ok(found)
}

/// Static keys of a file.
#[derive(Debug)]
pub(super) struct KeysOfFile {
    path: PathBuf,
    header: String,
    name: String,
    /// What was read, and of when the file was then.
    last: Mutex<Option<(SystemTime, Arc<AwsCredential>)>>,
}

impl KeysOfFile {
    fn read(&self) -> Result<Arc<AwsCredential>, ProfileError> {
        let unreadable = |source| ProfileError::Unreadable { path: self.path.clone(), source };
        let modified = fs::metadata(&self.path).and_then(|it| it.modified()).map_err(unreadable)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, keys)) = &*last
            && *at == modified
        {
            return Ok(Arc::clone(keys));
        }
        let found = section(&self.path, &self.header)?.map(|section| keys_of(&section, &self.name)).transpose()?;
        let keys = found.flatten().ok_or_else(|| ProfileError::Missing { name: self.name.clone() })?;
        let keys = Arc::new(keys);
        *last = Some((modified, Arc::clone(&keys)));
        Ok(keys)
    }
}

#[async_trait]
impl CredentialProvider for KeysOfFile {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        self.read().map_err(|error| object_store::Error::Generic { store: "S3", source: Box::new(error) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Home {
        _folder: tempfile::TempDir,
        config: PathBuf,
        credentials: PathBuf,
    }

    fn home(config: &str, credentials: &str) -> Home {
        let folder = tempfile::tempdir().unwrap();
        let [config, credentials] = [("config", config), ("credentials", credentials)].map(|(name, text)| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        });
        Home { _folder: folder, config, credentials }
    }

    fn found(home: &Home, named: Option<&str>) -> Result<Option<Profile>, ProfileError> {
        read(Some(&home.config), Some(&home.credentials), named)
    }

    fn key_id(profile: &Profile) -> String {
        let Identity::Keys(keys) = &profile.identity else { panic!("{profile:?}") };
        keys.read().unwrap().key_id.clone()
    }

    #[test]
    fn keys_are_those_of_the_profile_and_are_read_again_when_they_change() {
        let home = home(
            "[default]\nregion = eu-west-1\n\n[profile night]\nregion=ap-northeast-1 # Tokyo\ns3 =\n  region = x\n",
            "# keys\n[default]\naws_access_key_id = A\naws_secret_access_key = a\n\
             [night]\naws_access_key_id=B\naws_secret_access_key=b=\naws_session_token = t\n",
        );
        let default = found(&home, None).unwrap().unwrap();
        assert_eq!((default.region.as_deref(), key_id(&default).as_str()), (Some("eu-west-1"), "A"));
        let night = found(&home, Some("night")).unwrap().unwrap();
        assert_eq!((night.region.as_deref(), key_id(&night).as_str()), (Some("ap-northeast-1"), "B"));
        let Identity::Keys(keys) = &night.identity else { panic!() };
        assert_eq!(keys.read().unwrap().secret_key, "b=");

        fs::write(&home.credentials, "[night]\naws_access_key_id=C\naws_secret_access_key=c\n").unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        fs::File::options().write(true).open(&home.credentials).unwrap().set_modified(later).unwrap();
        assert_eq!(keys.read().unwrap().key_id, "C");
    }

    #[test]
    fn a_role_with_a_web_identity_is_taken() {
        let home = home("[profile pod]\nrole_arn = arn:x\nweb_identity_token_file = /token\n", "");
        let profile = found(&home, Some("pod")).unwrap().unwrap();
        assert!(matches!(&profile.identity, Identity::Role { token_file, role_arn, .. }
            if token_file == "/token" && role_arn == "arn:x"));
    }

    #[test]
    fn what_asks_a_person_or_starts_a_program_is_refused_with_a_sentence() {
        let profiles = "[profile sso]\nsso_session = x\n[profile process]\ncredential_process = /bin/x\n\
                        [profile role]\nrole_arn = arn:x\nsource_profile = default\n[profile half]\naws_access_key_id = A\n";
        let home = home(profiles, "");
        let refused = |name| found(&home, Some(name)).unwrap_err().to_string();
        assert!(refused("sso").contains("single sign-on"));
        assert!(refused("process").contains("credential_process"));
        assert!(refused("role").contains("a role of another profile"));
        assert!(refused("half").contains("half of a key"));
        assert!(refused("nobody").contains("profile nobody is in none"));
    }

    #[test]
    fn without_a_default_profile_the_machine_is_asked() {
        let empty = home("[profile other]\nregion = x\n", "");
        assert!(found(&empty, None).unwrap().is_none());
        assert!(read(Some(Path::new("/nowhere/config")), None, None).unwrap().is_none());
    }
}
