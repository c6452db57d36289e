//! One request, from its head to its answer.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use jiff::Timestamp;
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::body::{self, Unread};
use super::crowd::Seat;
use super::peer::Peer;
use super::{Shared, refusals};
use crate::queue::Via;
use crate::trigger::event::{self, NotAnEvent, Told};
use crate::trigger::signature::{Claim, Forged};

/// The connection that a request came over.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) seat: Arc<Seat>,
    pub(super) peer: Peer,
}

/// What was right about a request.
enum Accepted {
    /// It is in the ledger, or tells nothing that goes there.
    Kept,
    Ignored,
    Challenge {
        plain_token: String,
        encrypted_token: String,
    },
}

/// What was wrong.
#[derive(Debug, Clone, Copy)]
enum Refused {
    Forged(Forged),
    Body(Unread),
    NotAnEvent,
    /// Zoom shall send it again.
    NotKept,
}

/// POST on `path` and nothing else.
pub(super) fn router(path: &str, shared: Arc<Shared>) -> Router {
    Router::new().without_v07_checks().route(path, post(answer)).with_state(shared)
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Extension<Connection>,
    request: Request,
) -> Response {
    let began = Instant::now();
    let peer = connection.peer.behind_proxies(request.headers(), &shared.trusted_proxies);
    let outcome = receive(&shared, &connection.seat, request).await;
    let word = match &outcome {
        Ok(accepted) => accepted.as_str(),
        Err(refused) => {
            refused.log(peer, &shared.refusals);
            refused.as_str()
        }
    };
    metrics::counter!("transcribe_webhook_answers_total", "answer" => word).increment(1);
    metrics::histogram!("transcribe_webhook_answer_seconds").record(began.elapsed());
    match outcome {
        Ok(Accepted::Kept | Accepted::Ignored) => StatusCode::OK.into_response(),
        Ok(Accepted::Challenge { plain_token, encrypted_token }) => {
            Json(json!({"plainToken": plain_token, "encryptedToken": encrypted_token})).into_response()
        }
        Err(refused) => refused.status().into_response(),
    }
}

/// Cheap checks first: nothing is read for a head that is wrong, and nothing parsed that is not signed.
async fn receive(shared: &Shared, seat: &Arc<Seat>, request: Request) -> Result<Accepted, Refused> {
    let verifier = shared.verifier();
    let claim = Claim::read(request.headers()).map_err(Refused::Forged)?;
    verifier.check_time(&claim, Timestamp::now()).map_err(Refused::Forged)?;
    let read = body::read(request.into_body(), shared.max_body, shared.limits.body).await;
    let body = read.map_err(Refused::Body)?;
    verifier.check_body(&claim, &body).map_err(Refused::Forged)?;
    let _engaged = seat.engage().ok_or(Refused::NotKept)?;
    match event::read(&body, Via::Webhook, Timestamp::now()).map_err(|NotAnEvent| Refused::NotAnEvent)? {
        Told::Challenge { plain_token } => {
            let encrypted_token = verifier.encrypted_token(&plain_token);
            Ok(Accepted::Challenge { plain_token, encrypted_token })
        }
        Told::Ignored(_kind) => Ok(Accepted::Ignored),
        Told::Notices(notices) => match timeout(shared.limits.keep, shared.intake.keep(notices)).await {
            Ok(Ok(())) => Ok(Accepted::Kept),
            Ok(Err(_not_kept)) => Err(Refused::NotKept),
            Err(_elapsed) => Err(Refused::NotKept),
        },
    }
}

impl Accepted {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Ignored => "ignored",
            Self::Challenge { .. } => "challenge",
        }
    }
}

impl Refused {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Forged(forged) => forged.as_str(),
            Self::Body(Unread::TooLarge) => "too_large",
            Self::Body(Unread::TooSlow) => "too_slow",
            Self::Body(Unread::BrokenOff) => "broken_off",
            Self::NotAnEvent => "not_an_event",
            Self::NotKept => "not_kept",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Forged(_) => StatusCode::UNAUTHORIZED,
            Self::Body(Unread::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(Unread::TooSlow) => StatusCode::REQUEST_TIMEOUT,
            Self::Body(Unread::BrokenOff) | Self::NotAnEvent => StatusCode::BAD_REQUEST,
            Self::NotKept => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Who and why, never what.
    fn log(self, peer: Peer, refusals: &refusals::Refusals) {
        if let Some(untold) = refusals.note(Instant::now()) {
            tracing::warn!(%peer, reason = self.as_str(), untold, "event refused");
        }
    }
}
