//! `/healthz`, `/readyz` and `/metrics`, on a plain port of their own.
//!
//! Anybody in the mothership may connect to it and say nothing, and a program whose kubelet gets no
//! answer is ended. So a connection is for one request and for a short time, and when all places are
//! taken nobody waits for one: whoever has most of them gives way (see [`crate::shares`]).

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::shares::{Shares, accept};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Connections at once. A kubelet and who scrapes have one each, for a moment.
const CONNECTIONS: usize = 64;
/// For a request's head.
const HEAD: Duration = Duration::from_secs(5);
/// For all of a connection.
const WHOLE: Duration = Duration::from_secs(10);
/// Bytes of a head that has yet to come whole.
const BUFFER: usize = 16 << 10;

/// Binds the address and gives the server to run. `unready` says why nobody may be sent here yet,
/// or any more, and `metrics` is asked each time.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(
    address: SocketAddr,
    unready: impl Fn() -> Option<String> + Clone + Send + Sync + 'static,
    metrics: impl Fn() -> String + Clone + Send + Sync + 'static,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: choose another --health-address"))?;
    Ok(answer(listener, router(unready, metrics)))
}

fn router(
    unready: impl Fn() -> Option<String> + Clone + Send + Sync + 'static,
    metrics: impl Fn() -> String + Clone + Send + Sync + 'static,
) -> Router {
    let ready = async move || match unready() {
        None => (StatusCode::OK, "ok".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    };
    let scrape = async move || ([(CONTENT_TYPE, OPEN_METRICS)], metrics());
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
}

async fn answer(listener: TcpListener, router: Router) {
    let places = Shares::new(CONNECTIONS);
    loop {
        let (stream, source) = accept(&listener).await;
        // All of them count as waiting, so that there is always one who gives way: who is slow to take
        // an answer holds up a probe no more than who is slow to ask.
        let place = places.enter(source);
        if place.take(1).is_err() {
            continue;
        }
        let router = router.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = timeout(WHOLE, connection(stream, router)) => {}
                () = place.ended() => {}
            }
        });
    }
}

async fn connection(stream: TcpStream, router: Router) {
    let ended = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .keep_alive(false)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests;
