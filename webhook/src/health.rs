//! `/healthz`, `/readyz` and `/metrics`, on a plain port of their own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::cache::{Cache, Watches};
use crate::certificates::Served;
use crate::metrics::Metrics;

/// What has to be there before anybody may be sent here.
#[derive(Clone)]
pub struct Gates {
    /// The stores.
    pub watches: Watches,
    /// The certificate.
    pub served: Served,
    /// Whether the API servers were once told how to verify it.
    pub published: Arc<AtomicBool>,
    /// Whether this replica goes.
    pub stop: CancellationToken,
}

impl Gates {
    fn missing(&self) -> Vec<String> {
        let first_list = |kind: &str| format!("the first list of {kind}");
        let mut missing: Vec<String> = self.watches.missing().map(first_list).collect();
        if !self.served.is_there() {
            missing.push("a certificate".to_owned());
        } else if !self.published.load(Relaxed) {
            missing.push("caBundle to hold the CA of the certificate".to_owned());
        }
        missing
    }

    /// Waits until nothing is missing.
    pub async fn ready(&self) {
        while !self.missing().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

struct Shared {
    gates: Gates,
    known: Cache,
    metrics: Metrics,
}

/// Binds the address and gives the server to run.
pub async fn serve(
    address: SocketAddr,
    gates: Gates,
    known: Cache,
    metrics: Metrics,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: choose another --health-address"))?;
    let shared = Shared {
        gates,
        known,
        metrics,
    };
    let router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
        .with_state(Arc::new(shared));
    Ok(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the health server ended");
        }
    })
}

async fn ready(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let unready = |why: String| (StatusCode::SERVICE_UNAVAILABLE, why);
    if shared.gates.stop.is_cancelled() {
        return unready("stopping".to_owned());
    }
    let missing = shared.gates.missing();
    if missing.is_empty() {
        (StatusCode::OK, "ok".to_owned())
    } else {
        unready(format!("waiting for {}", missing.join(", ")))
    }
}

async fn scrape(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    (
        [(
            "content-type",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        shared.metrics.render(shared.known.counts()),
    )
}
