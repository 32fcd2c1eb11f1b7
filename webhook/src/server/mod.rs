//! The server that the API server calls: TLS, limits, and an end without a failed request.
//!
//! The API server speaks HTTP/1.1 with keep-alive, and it does not repeat a POST that met a
//! connection about to close. So a connection is never closed while it is idle, but with an answer
//! that says so (`Connection: close`), or after [`Limits::idle`], which is longer than the API
//! server itself keeps an idle connection (90 s), or when all connections are taken and its caller
//! has most of them (see [`runtime::shares`]). HTTP/2 is not offered: the API server does not
//! want it from webhooks, and each of its streams would be one more thing to limit.

mod answer;
mod timed;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use http::header::CONNECTION;
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rand::Rng;
use runtime::shares::{Share, Shares, accept};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

pub use self::answer::router;
use self::timed::{Progress, Timed};
use crate::metrics::Metrics;

/// How long open requests may take when serving has ended.
const LAST: Duration = Duration::from_secs(5);

/// What one caller, and all together, may use up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one body. An object of 1.5 MiB, the most that etcd takes, comes twice with an
    /// update.
    pub body: usize,
    /// Bytes of all bodies that are held at once.
    pub bodies: usize,
    /// Connections at once.
    pub connections: usize,
    /// Requests at once.
    pub requests: usize,
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For a request's head, from its first byte on.
    pub head: Duration,
    /// For a request's body.
    pub reading: Duration,
    /// For what decisions depend on; less than the API server waits for an answer (5 s).
    pub lists: Duration,
    /// For taking any part of an answer.
    pub writing: Duration,
    /// Without a request.
    pub idle: Duration,
    /// From this age on (give or take a fifth) a connection ends with its next answer.
    pub age: Duration,
    /// How long to serve on after the stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 8 << 20,
            bodies: 32 << 20,
            connections: 1024,
            requests: 256,
            handshake: Duration::from_secs(5),
            head: Duration::from_secs(5),
            reading: Duration::from_secs(5),
            lists: Duration::from_secs(3),
            writing: Duration::from_secs(10),
            idle: Duration::from_secs(180),
            age: Duration::from_secs(300),
            drain: Duration::from_secs(10),
        }
    }
}

/// Serves until [`Limits::drain`] after `stop`, then lets what runs come to its end.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    router: Router,
    limits: Limits,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let places = Shares::new(limits.connections);
    let shared = Arc::new(Shared {
        acceptor: TlsAcceptor::from(tls),
        router,
        limits,
        metrics,
        stop: stop.clone(),
        end: CancellationToken::new(),
    });
    let tasks = TaskTracker::new();
    let drained = async {
        stop.cancelled().await;
        sleep(limits.drain).await;
    };
    tokio::pin!(drained);
    loop {
        let (stream, source) = tokio::select! {
            () = &mut drained => break,
            accepted = accept(&listener) => accepted,
        };
        let place = places.enter(source);
        if place.take(1).is_err() {
            shared.metrics.rejected("connections");
            continue;
        }
        let shared = shared.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = shared.connection(stream, source, &place) => {}
                () = place.ended() => shared.metrics.rejected("connections"),
            }
        });
    }
    drop(listener);
    shared.end.cancel();
    tasks.close();
    if timeout(LAST, tasks.wait()).await.is_err() {
        tracing::warn!("open requests did not finish in time");
    }
}

/// Who called.
#[derive(Clone, Copy)]
struct Source(IpAddr);

struct Shared {
    acceptor: TlsAcceptor,
    router: Router,
    limits: Limits,
    metrics: Metrics,
    stop: CancellationToken,
    end: CancellationToken,
}

impl Shared {
    async fn connection(&self, stream: TcpStream, source: IpAddr, place: &Share) {
        // Answers are small and waited for.
        let _ = stream.set_nodelay(true);
        let tls = match timeout(self.limits.handshake, self.acceptor.accept(stream)).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                return self.metrics.handshake_failed("error");
            }
            Err(_) => return self.metrics.handshake_failed("timeout"),
        };
        let progress = Progress::default();
        let io = TokioIo::new(Timed::new(tls, progress.clone(), self.limits));
        let born = Instant::now();
        let age = self.limits.age.mul_f64(rand::rng().random_range(0.8..1.2));
        let connection = http1::Builder::new()
            // Hyper's own would also close idle connections; see `timed`.
            .header_read_timeout(None)
            .max_buf_size(64 << 10)
            .serve_connection(
                io,
                service_fn(|mut request: Request<Incoming>| {
                    let mut router = self.router.clone();
                    let progress = progress.clone();
                    request.extensions_mut().insert(Source(source));
                    async move {
                        let serving = progress.serving();
                        place.works();
                        let mut response = router.call(request.map(Body::new)).await?;
                        if self.stop.is_cancelled() || born.elapsed() > age {
                            let close = HeaderValue::from_static("close");
                            response.headers_mut().insert(CONNECTION, close);
                        }
                        place.waits();
                        drop(serving);
                        Ok::<_, Infallible>(response)
                    }
                }),
            );
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.end.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}
