//! `/healthz`, `/readyz` and `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::kubernetes::store::Store;
use crate::kubernetes::watches::Watches;
use crate::metrics::Metrics;

/// What has to be there before this replica can take over.
#[derive(Clone)]
pub struct Gates {
    /// The children's watches.
    pub watches: Watches,
    /// The first list of Clusters.
    pub clusters: watch::Receiver<bool>,
    /// The first list of JoinTokenRequests.
    pub requests: watch::Receiver<bool>,
}

impl Gates {
    fn missing(&self) -> Vec<&'static str> {
        [
            (self.watches.ready(), "the first lists of the children"),
            (
                *self.clusters.borrow(),
                "the first list of clusters.k0smotron.io",
            ),
            (
                *self.requests.borrow(),
                "the first list of jointokenrequests.k0smotron.io",
            ),
        ]
        .into_iter()
        .filter(|(ready, _)| !ready)
        .map(|(_, what)| what)
        .collect()
    }
}

struct Shared {
    gates: Gates,
    metrics: Metrics,
    store: Store,
}

/// Binds the address and gives the server to run.
pub async fn serve(
    address: SocketAddr,
    gates: Gates,
    metrics: Metrics,
    store: Store,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: choose another --health-address"))?;
    let router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
        .with_state(Arc::new(Shared {
            gates,
            metrics,
            store,
        }));
    Ok(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the health server ended");
        }
    })
}

async fn ready(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let missing = shared.gates.missing();
    if missing.is_empty() {
        (StatusCode::OK, "ok".to_owned())
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("waiting for {}", missing.join(", ")),
        )
    }
}

async fn scrape(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let counts = shared
        .store
        .counts()
        .into_iter()
        .map(|(kind, count)| (kind.as_str(), count));
    let text = shared.metrics.render(counts);
    (
        [(
            "content-type",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        text,
    )
}
