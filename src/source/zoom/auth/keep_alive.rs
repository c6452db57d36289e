//! Keeping a user's sign-in alive: Zoom lets a refresh token die when it is not used for about 90 days.

use jiff::{SignedDuration, Timestamp};

use crate::source::zoom::client::ZoomClient;
use crate::source::zoom::error::ZoomError;

/// A sign-in older than this is renewed.
const RENEW_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long an unused sign-in holds, as far as Zoom says.
const HOLDS_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);

/// What was done for the sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptAlive {
    /// Account mode: there is no sign-in that could die.
    NotNeeded,
    /// It is young enough; unused, it holds until then.
    Fresh { renewed_at: Timestamp, holds_until: Timestamp },
    /// It was renewed; unused, it holds until then.
    Renewed { holds_until: Timestamp },
}

/// Until when a sign-in of this age holds without being used, about.
#[must_use]
pub fn holds_until(renewed_at: Timestamp) -> Timestamp {
    renewed_at.checked_add(HOLDS_FOR).unwrap_or(Timestamp::MAX)
}

/// Renews the user's sign-in when it is older than 7 days at `now`, or in any case when `force` is set.
///
/// # Errors
/// [`ZoomError`] after all retries; the stored sign-in is untouched unless Zoom has replaced it.
pub async fn keep_alive(client: &ZoomClient, now: Timestamp, force: bool) -> Result<KeptAlive, ZoomError> {
    let Some(stored) = client.auth().stored_sign_in() else { return Ok(KeptAlive::NotNeeded) };
    if let Some(stored) = stored?
        && !force
        && now.duration_since(stored.renewed_at) <= RENEW_AFTER
    {
        let renewed_at = stored.renewed_at;
        return Ok(KeptAlive::Fresh { renewed_at, holds_until: holds_until(renewed_at) });
    }
    client.rotate().await?;
    Ok(KeptAlive::Renewed { holds_until: holds_until(now) })
}
