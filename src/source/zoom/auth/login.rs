//! `transcribe auth login`: a person agrees in the browser, and the refresh token is stored.
//!
//! Authorisation code with PKCE and a redirect to this machine (RFC 8252): the code that comes back through the browser
//! is worth nothing without the verifier, which never leaves this process but for Zoom's token endpoint.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::callback::{Callback, Reply};
use super::endpoint::TokenEndpoint;
use super::pkce::{challenge, unguessable};
use super::store::{SignIn, UserStore};
use super::user::{LOCK_WITHIN, UserGrant, commit, reserve};
use crate::config::secrets::{ZoomIdentity, ZoomSecrets};
use crate::config::{ZoomConfig, ZoomMode};
use crate::net::{HttpClients, Missing};
use crate::source::zoom::error::ZoomError;
use crate::source::zoom::retry;

/// How long the code lives that Zoom gives to the browser, and how long the person is waited for.
const AGREE_WITHIN: Duration = Duration::from_secs(5 * 60);

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    #[error("127.0.0.1:{port} cannot be listened on")]
    Listen {
        port: u16,
        #[source]
        source: io::Error,
    },
    #[error("zoom.oauth_url does not end with /token, so the address to agree at is not known")]
    OauthUrl,
    #[error("this system gives no random numbers")]
    Random(#[source] io::Error),
    #[error("cannot set up HTTPS")]
    Tls(#[source] crate::net::http::ClientError),
    #[error("nobody agreed within {} minutes", AGREE_WITHIN.as_secs() / 60)]
    TimedOut,
    #[error("the browser could not be answered")]
    Callback(#[source] io::Error),
    #[error("access was not allowed: consent was denied in the browser")]
    Denied,
    #[error("Zoom did not let the person agree ({label})")]
    Refused { label: String },
    #[error("Zoom gave no refresh token: the app must be a user-managed general app")]
    NoRefreshToken,
    #[error(transparent)]
    Zoom(#[from] ZoomError),
}

/// A sign-in that waits for the person.
#[derive(Debug)]
pub struct Login {
    callback: Callback,
    state: SecretString,
    verifier: SecretString,
    authorize_url: Url,
    grant: UserGrant,
    endpoint: TokenEndpoint,
}

impl Login {
    /// Listens on `port` of 127.0.0.1 (0: any that is free) and proves that the sign-in can be stored in `state_dir`.
    ///
    /// # Errors
    /// [`LoginError`] when the port is taken, an address cannot be used or the store cannot be written.
    pub async fn begin(
        config: &ZoomConfig,
        secrets: ZoomSecrets,
        state_dir: &Path,
        port: u16,
    ) -> Result<Self, LoginError> {
        let environment_token = match secrets.identity {
            ZoomIdentity::User { refresh_token } => refresh_token,
            ZoomIdentity::Account { .. } => None,
        };
        let grant = UserGrant { store: UserStore::new(state_dir), environment_token };
        let locked = grant.store.lock(LOCK_WITHIN).await.map_err(ZoomError::from)?;
        drop(reserve(locked).await?);

        let callback = Callback::listen(port).await.map_err(|source| LoginError::Listen { port, source })?;
        let state = unguessable().map_err(LoginError::Random)?;
        let verifier = unguessable().map_err(LoginError::Random)?;
        let mut authorize_url = authorize_url(&config.oauth_url).ok_or(LoginError::OauthUrl)?;
        authorize_url
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &secrets.client_id)
            .append_pair("redirect_uri", &callback.redirect_uri())
            .append_pair("state", state.expose_secret())
            .append_pair("code_challenge", &challenge(&verifier))
            .append_pair("code_challenge_method", "S256");
        let http = HttpClients::new(config.request_timeout).map_err(LoginError::Tls)?;
        let endpoint = TokenEndpoint {
            client: http.trusted().clone(),
            oauth_url: config.oauth_url.clone(),
            client_id: secrets.client_id,
            client_secret: secrets.client_secret,
            answer_within: config.request_timeout,
            mode: ZoomMode::User,
        };
        Ok(Self { callback, state, verifier, authorize_url, grant, endpoint })
    }

    /// Where the person agrees.
    #[must_use]
    pub const fn authorize_url(&self) -> &Url {
        &self.authorize_url
    }

    /// Waits for the person, exchanges the code and stores the refresh token; returns where.
    ///
    /// # Errors
    /// [`LoginError`]; a sign-in that was stored before stays as it is.
    pub async fn finish(self, config: &ZoomConfig) -> Result<PathBuf, LoginError> {
        let redirect_uri = self.callback.redirect_uri();
        let reply = tokio::time::timeout(AGREE_WITHIN, self.callback.reply(self.state)).await;
        let code = match reply.map_err(|_elapsed| LoginError::TimedOut)?.map_err(LoginError::Callback)? {
            Reply::Code(code) => code,
            Reply::Denied => return Err(LoginError::Denied),
            Reply::Refused { label } => return Err(LoginError::Refused { label }),
        };
        let locked = self.grant.store.lock(LOCK_WITHIN).await.map_err(ZoomError::from)?;
        let known_before = locked.read().ok().flatten().and_then(|stored| stored.environment_sha256);
        let (locked, draft) = reserve(locked).await?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("redirect_uri", &redirect_uri),
            ("code_verifier", self.verifier.expose_secret()),
        ];
        let issued = retry(config).run(Missing::IsFinal, || self.endpoint.ask(&form)).await?;
        let refresh_token = issued.refresh_token.ok_or(LoginError::NoRefreshToken)?;
        // The new sign-in wins over a value that stands in the environment now, and over the one that was taken up
        // before: it may only be missing from this shell.
        let environment_sha256 = self.grant.environment_sha256().or(known_before);
        commit(locked, draft, SignIn { refresh_token, renewed_at: Timestamp::now(), environment_sha256 }).await?;
        Ok(self.grant.store.path())
    }
}

/// The token endpoint's neighbour, where people agree.
fn authorize_url(oauth_url: &Url) -> Option<Url> {
    if oauth_url.path_segments()?.next_back() != Some("token") {
        return None;
    }
    let mut url = oauth_url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.path_segments_mut().ok()?.pop().push("authorize");
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_agree_beside_the_token_endpoint() {
        let of = |url: &str| authorize_url(&url.parse().unwrap()).map(String::from);
        assert_eq!(of("https://zoom.us/oauth/token").as_deref(), Some("https://zoom.us/oauth/authorize"));
        assert_eq!(of("http://127.0.0.1:81/oauth/token?x=1").as_deref(), Some("http://127.0.0.1:81/oauth/authorize"));
        assert_eq!(of("https://zoom.us/oauth/tokens"), None);
        assert_eq!(of("https://zoom.us"), None);
    }
}
