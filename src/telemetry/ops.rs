//! What operators ask the service over HTTP: `/healthz` (it runs), `/readyz` (it can do its work), `/metrics`.
//!
//! On an address of its own, never on the webhook's. It tells no secret and nothing personal.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Health, Metrics};

/// Sets the gauges to what they are now.
pub type Refresh = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What the answers are made of.
#[derive(Clone)]
pub struct Ops {
    pub health: Arc<Health>,
    pub metrics: Metrics,
    pub refresh: Refresh,
}

impl Ops {
    /// Takes the address.
    ///
    /// # Errors
    /// When it is taken already or is none of this machine's.
    pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind(address).await
    }

    /// Answers until `stop`.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let router = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .with_state(self);
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "health and metrics are not served any more");
        }
    }
}

async fn ready(State(ops): State<Ops>) -> Response {
    (ops.refresh)().await;
    let needs: Map<String, Value> = ops
        .health
        .report()
        .into_iter()
        .map(|(need, why)| (need.as_str().to_owned(), why.map_or(json!("ok"), Value::from)))
        .collect();
    let is_ready = ops.health.is_ready();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = format!("{}\n", json!({"ready": is_ready, "needs": needs}));
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn metrics(State(ops): State<Ops>) -> Response {
    (ops.refresh)().await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], ops.metrics.render()).into_response()
}
