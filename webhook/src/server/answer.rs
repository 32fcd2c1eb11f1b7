//! From a request's bytes to an answer's bytes.
//!
//! `tower-http`'s layers for size, time and panics answer each for itself; here every refusal has its
//! reason in a metric, and what all bodies take together is limited as well.

use std::net::{IpAddr, Ipv4Addr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::BodyExt;
use runtime::shares::{Share, Shares};
use tokio::time::{Instant, sleep, timeout};

use super::{Limits, Source};
use crate::metrics::Metrics;
use crate::review::{Endpoints, ReviewError};

/// Routes to the endpoints, within the limits.
pub fn router<E: Endpoints>(endpoints: Arc<E>, limits: Limits, metrics: Metrics) -> Router {
    let gate = Arc::new(Gate {
        endpoints,
        limits,
        metrics,
        requests: Shares::new(limits.requests),
        bytes: Shares::new(limits.bodies),
    });
    Router::new()
        .route(
            "/mutate",
            post(async |gate, request| answer(gate, request, E::mutate, E::missing).await),
        )
        .route(
            "/validate",
            post(async |gate, request| answer(gate, request, E::validate, E::missing).await),
        )
        .route(
            "/convert",
            post(async |gate, request| answer(gate, request, E::convert, |_| None).await),
        )
        .with_state(gate)
}

struct Gate<E> {
    endpoints: Arc<E>,
    limits: Limits,
    metrics: Metrics,
    requests: Arc<Shares>,
    bytes: Arc<Shares>,
}

/// Why a request was not looked at.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("too many requests at once: try again")]
    Requests,
    #[error("too many bytes at once: try again")]
    Bytes,
    #[error("waiting for the first list of {0}: try again")]
    Unready(String),
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not come in time")]
    TooSlow,
    #[error("the body is empty")]
    Empty,
    #[error("the body could not be read")]
    Broken,
    #[error(transparent)]
    Review(#[from] ReviewError),
    #[error("internal error of the webhook; see its log")]
    Panic,
}

impl Refusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Bytes => "bytes",
            Self::Unready(_) => "unready",
            Self::TooLarge(_) => "too-large",
            Self::TooSlow => "too-slow",
            Self::Empty | Self::Broken => "no-body",
            Self::Review(_) => "no-review",
            Self::Panic => "panic",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Requests | Self::Bytes | Self::Unready(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Empty | Self::Broken | Self::Review(_) => StatusCode::BAD_REQUEST,
            Self::Panic => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

async fn answer<E: Endpoints>(
    State(gate): State<Arc<Gate<E>>>,
    request: Request<Body>,
    endpoint: fn(&E, &[u8]) -> Result<Vec<u8>, ReviewError>,
    missing: fn(&E) -> Option<String>,
) -> Response {
    let _inflight = gate.metrics.begin();
    match gate.try_answer(request, endpoint, missing).await {
        Ok(body) => {
            let json = HeaderValue::from_static("application/json");
            ([(CONTENT_TYPE, json)], body).into_response()
        }
        Err(refusal) => {
            gate.metrics.rejected(refusal.reason());
            let mut response = (refusal.status(), refusal.to_string()).into_response();
            if refusal.status() == StatusCode::SERVICE_UNAVAILABLE {
                let second = HeaderValue::from_static("1");
                response.headers_mut().insert(RETRY_AFTER, second);
            }
            response
        }
    }
}

impl<E: Endpoints> Gate<E> {
    async fn try_answer(
        &self,
        request: Request<Body>,
        endpoint: fn(&E, &[u8]) -> Result<Vec<u8>, ReviewError>,
        missing: fn(&E) -> Option<String>,
    ) -> Result<Vec<u8>, Refusal> {
        let source = request.extensions().get::<Source>();
        let source = source.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |source| source.0);
        let (turn, room) = (self.requests.enter(source), self.bytes.enter(source));
        turn.take(1).map_err(|_| Refusal::Requests)?;
        if content_length(request.headers()).is_some_and(|length| length > self.limits.body) {
            return Err(Refusal::TooLarge(self.limits.body));
        }
        let whole = async {
            self.prepared(missing).await?;
            let body = self.read(request.into_body(), &room);
            timeout(self.limits.reading, body)
                .await
                .unwrap_or(Err(Refusal::TooSlow))
        };
        let body = tokio::select! {
            body = whole => body?,
            () = turn.ended() => return Err(Refusal::Requests),
            () = room.ended() => return Err(Refusal::Bytes),
        };
        turn.works();
        room.works();
        if body.is_empty() {
            return Err(Refusal::Empty);
        }
        // The endpoints keep nothing that half a decision could leave broken: locks are taken for
        // reading, and metrics are counted afterwards.
        catch_unwind(AssertUnwindSafe(|| endpoint(&self.endpoints, &body)))
            .map_err(|_| Refusal::Panic)?
            .map_err(Refusal::Review)
    }
}

impl<E> Gate<E> {
    /// Waits for what is missing: a moment, mostly, in which nobody has to be refused.
    async fn prepared(&self, missing: fn(&E) -> Option<String>) -> Result<(), Refusal> {
        let until = Instant::now() + self.limits.lists;
        while let Some(what) = missing(&self.endpoints) {
            if Instant::now() >= until {
                return Err(Refusal::Unready(what));
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Bytes count as they come: what is only announced takes nothing from others.
    async fn read(&self, mut body: Body, room: &Share) -> Result<Vec<u8>, Refusal> {
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Refusal::Broken)?.into_data() else {
                continue;
            };
            if read.len() + data.len() > self.limits.body {
                return Err(Refusal::TooLarge(self.limits.body));
            }
            room.take(data.len()).map_err(|_| Refusal::Bytes)?;
            read.extend_from_slice(&data);
        }
        Ok(read)
    }
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
