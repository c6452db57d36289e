//! The grant of a user who signed in: a refresh token that every renewal replaces.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::answer::Issued;
use super::endpoint::TokenEndpoint;
use super::store::{Draft, LockedStore, SignIn, StoreError, UserStore};
use crate::source::zoom::error::{Refusal, ZoomError};

/// How long another process may take to renew before this one gives up for now.
pub(super) const LOCK_WITHIN: Duration = Duration::from_secs(90);

/// Where the refresh token comes from.
#[derive(Debug)]
pub struct UserGrant {
    pub store: UserStore,
    /// `ZOOM_REFRESH_TOKEN`: taken up once, then the stored one counts until this one changes.
    pub environment_token: Option<SecretString>,
}

impl UserGrant {
    /// Spends the refresh token on a new pair and stores the new refresh token before it returns.
    ///
    /// The future must run to its end once it has begun: dropped after Zoom has answered, it would lose the new token.
    ///
    /// # Errors
    /// [`ZoomError::Refused`] when nobody is signed in or Zoom no longer takes the token; [`ZoomError::Store`] when
    /// the new one cannot be stored, before anything is asked for or after. What may pass leaves the stored one as it was.
    pub async fn renew(&self, endpoint: &TokenEndpoint) -> Result<Issued, ZoomError> {
        if self.environment_token.is_none() && !self.store.is_begun() {
            return Err(ZoomError::Refused(Refusal::NotSignedIn));
        }
        let locked = self.store.lock(LOCK_WITHIN).await?;
        let (token, environment_sha256) = self.choose(locked.read()?)?;
        let (locked, draft) = reserve(locked).await?;
        let form = [("grant_type", "refresh_token"), ("refresh_token", token.expose_secret())];
        let issued = endpoint.ask(&form).await?;
        let refresh_token = issued.refresh_token.clone().unwrap_or(token);
        let next = SignIn { refresh_token, renewed_at: Timestamp::now(), environment_sha256 };
        commit(locked, draft, next).await?;
        tracing::debug!("the new refresh token is stored");
        Ok(issued)
    }

    /// The sign-in that the next renewal would spend, unless `ZOOM_REFRESH_TOKEN` has changed.
    ///
    /// # Errors
    /// [`StoreError`] when the stored one cannot be read.
    pub fn stored(&self) -> Result<Option<SignIn>, StoreError> {
        Ok(self.store.read()?.filter(|stored| !self.is_overruled(stored)))
    }

    fn is_overruled(&self, stored: &SignIn) -> bool {
        self.environment_sha256().is_some_and(|sha256| stored.environment_sha256.as_ref() != Some(&sha256))
    }

    /// The digest by which a value of the environment is known again.
    #[must_use]
    pub fn environment_sha256(&self) -> Option<String> {
        self.environment_token.as_ref().map(|token| hex::encode(Sha256::digest(token.expose_secret())))
    }

    fn choose(&self, stored: Option<SignIn>) -> Result<(SecretString, Option<String>), ZoomError> {
        match (stored, &self.environment_token) {
            (Some(stored), _) if !self.is_overruled(&stored) => Ok((stored.refresh_token, stored.environment_sha256)),
            (_, Some(token)) => Ok((token.clone(), self.environment_sha256())),
            (_, None) => Err(ZoomError::Refused(Refusal::NotSignedIn)),
        }
    }
}

/// Makes the draft of the next sign-in on a thread that may block.
///
/// # Errors
/// [`StoreError::Disk`].
pub(super) async fn reserve(locked: LockedStore) -> Result<(LockedStore, Draft), ZoomError> {
    let made = tokio::task::spawn_blocking(move || locked.draft().map(|draft| (locked, draft)));
    Ok(made.await.map_err(|_stopped| ZoomError::NoAnswer)??)
}

/// Stores the sign-in on a thread that may block, and only then frees the lock.
///
/// # Errors
/// [`StoreError::Disk`].
pub(super) async fn commit(locked: LockedStore, draft: Draft, sign_in: SignIn) -> Result<(), ZoomError> {
    let stored = tokio::task::spawn_blocking(move || {
        let stored = draft.commit(&sign_in);
        drop(locked);
        stored
    });
    Ok(stored.await.map_err(|_stopped| ZoomError::NoAnswer)??)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(environment: Option<&str>) -> UserGrant {
        let store = UserStore::new(std::path::Path::new("unused"));
        UserGrant { store, environment_token: environment.map(|token| token.to_owned().into()) }
    }

    fn stored(token: &str, taken_from: Option<&str>) -> Option<SignIn> {
        let environment_sha256 = grant(taken_from).environment_sha256();
        let renewed_at = Timestamp::UNIX_EPOCH;
        Some(SignIn { refresh_token: token.to_owned().into(), renewed_at, environment_sha256 })
    }

    fn chosen(environment: Option<&str>, stored: Option<SignIn>) -> Option<(String, Option<String>)> {
        let (token, sha256) = grant(environment).choose(stored).ok()?;
        Some((token.expose_secret().to_owned(), sha256))
    }

    #[test]
    fn the_stored_token_wins_until_the_value_in_the_environment_changes() {
        let sha256 = |token| grant(Some(token)).environment_sha256();
        let both = |token: &str, sha256| Some((token.to_owned(), sha256));
        assert_eq!(chosen(None, None), None);
        assert_eq!(chosen(Some("e1"), None), both("e1", sha256("e1")));
        assert_eq!(chosen(Some("e1"), stored("s", Some("e1"))), both("s", sha256("e1")));
        assert_eq!(chosen(Some("e2"), stored("s", Some("e1"))), both("e2", sha256("e2")));
        assert_eq!(chosen(Some("e1"), stored("s", None)), both("e1", sha256("e1")));
        assert_eq!(chosen(None, stored("s", Some("e1"))), both("s", sha256("e1")));
    }
}
