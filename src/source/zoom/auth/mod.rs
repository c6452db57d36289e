//! Signing in: one access token shared by all callers.
//!
//! [`Authenticator`] keeps the token. However many callers need one at once, one request is in flight, and all of them
//! get its outcome, a failure too. Nothing is retried here: the failure says whether it is worth another try, and the
//! caller's loop decides.
//!
//! Where a token comes from: an account's is asked for with the app's credentials ([`endpoint`]); a user's with the
//! refresh token of [`user`], which [`store`] keeps and [`login`] begins ([`callback`], [`pkce`]). [`refusal`] knows
//! what an error answer means, [`region`] where a token's requests go, [`scopes`] what it may do.

pub mod answer;
pub mod callback;
pub mod endpoint;
pub mod keep_alive;
pub mod login;
pub mod pkce;
pub mod refusal;
pub mod region;
pub mod scopes;
pub mod store;
pub mod user;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::SignedDuration;
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use self::answer::Issued;
use self::endpoint::TokenEndpoint;
use self::region::api_base;
use self::scopes::Scopes;
use self::user::UserGrant;
use super::error::ZoomError;
use crate::config::secrets::{ZoomIdentity, ZoomSecrets};
use crate::config::{WebsocketGrant, ZoomConfig, ZoomMode};

pub use self::store::{SignIn, StoreError, UserStore};

/// A token is renewed this long before it expires, or after half of its life if that is shorter.
const MARGIN: Duration = Duration::from_secs(300);

/// What signs this program in: the app's secrets, and in user mode the place of the user's sign-in.
#[derive(Debug)]
pub struct Credentials {
    client_id: String,
    client_secret: SecretString,
    grant: Grant,
}

#[derive(Debug)]
enum Grant {
    Account {
        account_id: SecretString,
    },
    User(Arc<UserGrant>),
    /// The app itself, for its events; its token opens nothing else.
    App,
}

impl Credentials {
    /// A user's refresh token is kept in `state_dir`; an account's app keeps nothing.
    #[must_use]
    pub fn new(secrets: ZoomSecrets, state_dir: &Path) -> Self {
        let grant = match secrets.identity {
            ZoomIdentity::Account { account_id } => Grant::Account { account_id },
            ZoomIdentity::User { refresh_token: environment_token } => {
                Grant::User(Arc::new(UserGrant { store: UserStore::new(state_dir), environment_token }))
            }
        };
        Self { client_id: secrets.client_id, client_secret: secrets.client_secret, grant }
    }

    const fn mode(&self) -> ZoomMode {
        match self.grant {
            Grant::Account { .. } | Grant::App => ZoomMode::Account,
            Grant::User(_) => ZoomMode::User,
        }
    }
}

/// A bearer token with what Zoom said about it; it cannot be printed.
#[derive(Debug)]
pub struct AccessToken {
    serial: u64,
    value: SecretString,
    asked_at: Instant,
    usable_until: Instant,
    api: Url,
    scopes: Option<Scopes>,
    clock_ahead: Option<SignedDuration>,
}

impl AccessToken {
    /// The token as it goes into the `Authorization` header.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.value.expose_secret()
    }

    /// The address that requests with this token go to, with `/v2`.
    #[must_use]
    pub const fn api(&self) -> &Url {
        &self.api
    }

    /// Since when it counts, at most: it was asked for then.
    #[must_use]
    pub const fn asked_at(&self) -> Instant {
        self.asked_at
    }

    /// When nobody should rely on it any longer: some minutes before it expires.
    #[must_use]
    pub const fn usable_until(&self) -> Instant {
        self.usable_until
    }

    /// What it may do; `None` when Zoom does not say.
    #[must_use]
    pub const fn scopes(&self) -> Option<&Scopes> {
        self.scopes.as_ref()
    }

    /// How far this machine's clock was ahead of Zoom's when it was issued; `None` when Zoom did not tell the time.
    #[must_use]
    pub const fn clock_ahead(&self) -> Option<SignedDuration> {
        self.clock_ahead
    }
}

#[derive(Debug, Clone, Copy)]
enum Wanted {
    Usable,
    OtherThan(u64),
    New,
}

impl Wanted {
    const fn is_served_by(self, token: &AccessToken) -> bool {
        match self {
            Self::Usable => true,
            Self::OtherThan(serial) => token.serial != serial,
            Self::New => false,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    token: Option<Arc<AccessToken>>,
    /// How the last request failed, if it did.
    failure: Option<ZoomError>,
}

/// Gets and renews the access token.
#[derive(Debug)]
pub struct Authenticator {
    endpoint: Arc<TokenEndpoint>,
    grant: Grant,
    api_url: Url,
    state: Mutex<State>,
    /// Requests that came to an end.
    finished: AtomicU64,
}

impl Authenticator {
    /// Asks at `zoom.oauth_url` with `client`; contacts nobody yet.
    #[must_use]
    pub fn new(client: Client, config: &ZoomConfig, credentials: Credentials) -> Self {
        let mode = credentials.mode();
        let endpoint = Arc::new(TokenEndpoint {
            client,
            oauth_url: config.oauth_url.clone(),
            client_id: credentials.client_id,
            client_secret: credentials.client_secret,
            answer_within: config.request_timeout,
            mode,
        });
        let (state, finished) = (Mutex::default(), AtomicU64::new(0));
        Self { endpoint, grant: credentials.grant, api_url: config.api_url.clone(), state, finished }
    }

    /// What gets the token that a WebSocket is opened with: this one itself where it is the account's, another at the
    /// same endpoint where the app has one of its own. `None` in user mode, where Zoom opens no WebSocket.
    #[must_use]
    pub fn for_websocket(self: &Arc<Self>, grant: WebsocketGrant) -> Option<Arc<Self>> {
        match (&self.grant, grant) {
            (Grant::User(_), _) => None,
            (Grant::Account { .. } | Grant::App, WebsocketGrant::Account) => Some(Arc::clone(self)),
            (Grant::Account { .. } | Grant::App, WebsocketGrant::Client) => Some(Arc::new(Self {
                endpoint: Arc::clone(&self.endpoint),
                grant: Grant::App,
                api_url: self.api_url.clone(),
                state: Mutex::default(),
                finished: AtomicU64::new(0),
            })),
        }
    }

    /// A token that is good for some minutes at least.
    ///
    /// # Errors
    /// [`ZoomError::Refused`] when Zoom turns the credentials away; anything else may pass.
    pub async fn token(&self) -> Result<Arc<AccessToken>, ZoomError> {
        self.obtain(Wanted::Usable).await
    }

    /// Another token than `refused`, which Zoom did not accept. All callers that hold the same one share the renewal.
    ///
    /// # Errors
    /// As [`Self::token`].
    pub async fn renew(&self, refused: &AccessToken) -> Result<Arc<AccessToken>, ZoomError> {
        self.obtain(Wanted::OtherThan(refused.serial)).await
    }

    /// A new token, and in user mode a new refresh token with it, whatever the present ones are worth.
    ///
    /// # Errors
    /// As [`Self::token`].
    pub async fn rotate(&self) -> Result<Arc<AccessToken>, ZoomError> {
        self.obtain(Wanted::New).await
    }

    /// The stored sign-in; `None` in account mode, where there is none. Inside, `None` when the next renewal would not
    /// spend a stored one.
    ///
    /// # Errors
    /// [`StoreError`] when there is one and it cannot be read.
    pub fn stored_sign_in(&self) -> Option<Result<Option<SignIn>, StoreError>> {
        match &self.grant {
            Grant::Account { .. } | Grant::App => None,
            Grant::User(grant) => Some(grant.stored()),
        }
    }

    async fn obtain(&self, wanted: Wanted) -> Result<Arc<AccessToken>, ZoomError> {
        let finished_before = self.finished.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        if let Some(token) = &state.token
            && token.usable_until > Instant::now()
            && wanted.is_served_by(token)
        {
            return Ok(Arc::clone(token));
        }
        let finished = self.finished.load(Ordering::Acquire);
        if finished != finished_before
            && let Some(failure) = &state.failure
        {
            return Err(failure.clone());
        }
        let outcome = self.request().await.map(|issued| Arc::new(self.token_from(finished, issued)));
        self.finished.store(finished + 1, Ordering::Release);
        state.token = outcome.as_ref().ok().map(Arc::clone);
        state.failure = outcome.as_ref().err().cloned();
        outcome
    }

    /// How old the token is that is used now; `None` before there is one, and while one is asked for.
    #[must_use]
    pub fn token_age(&self) -> Option<Duration> {
        let state = self.state.try_lock().ok()?;
        Some(state.token.as_ref()?.asked_at.elapsed())
    }

    async fn request(&self) -> Result<Issued, ZoomError> {
        match &self.grant {
            Grant::Account { account_id } => {
                let account_id = account_id.expose_secret();
                self.endpoint.ask(&[("grant_type", "account_credentials"), ("account_id", account_id)]).await
            }
            Grant::App => self.endpoint.ask(&[("grant_type", "client_credentials")]).await,
            Grant::User(grant) => {
                let (grant, endpoint) = (Arc::clone(grant), Arc::clone(&self.endpoint));
                // A task of its own: a caller that goes away must not take the rotated token with it.
                let renewing = tokio::spawn(async move { grant.renew(&endpoint).await });
                match renewing.await {
                    Ok(renewed) => renewed,
                    Err(stopped) => match stopped.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(_runtime_ends) => Err(ZoomError::NoAnswer),
                    },
                }
            }
        }
    }

    fn token_from(&self, serial: u64, issued: Issued) -> AccessToken {
        AccessToken {
            serial,
            value: issued.access_token,
            asked_at: issued.asked_at,
            usable_until: issued.asked_at + issued.life - MARGIN.min(issued.life / 2),
            api: api_base(&self.api_url, &self.endpoint.oauth_url, issued.api_url.as_ref()),
            scopes: issued.scopes,
            clock_ahead: issued.clock_ahead,
        }
    }
}
