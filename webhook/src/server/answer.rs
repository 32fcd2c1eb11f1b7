//! From a request's bytes to an answer's bytes.
//!
//! `tower-http`'s layers for size, time and panics answer each for itself; here every refusal has its
//! reason in a metric, and what all bodies take together is limited as well.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Limits;
use crate::metrics::Metrics;
use crate::review::{Endpoints, ReviewError};

/// Routes to the endpoints, within the limits.
pub fn router<E: Endpoints>(endpoints: Arc<E>, limits: Limits, metrics: Metrics) -> Router {
    let gate = Arc::new(Gate {
        endpoints,
        limits,
        metrics,
        requests: Semaphore::new(limits.requests),
        kibibytes: Semaphore::new(limits.bodies.div_ceil(KIBI)),
    });
    Router::new()
        .route(
            "/mutate",
            post(async |gate, request| answer(gate, request, E::mutate).await),
        )
        .route(
            "/validate",
            post(async |gate, request| answer(gate, request, E::validate).await),
        )
        .route(
            "/convert",
            post(async |gate, request| answer(gate, request, E::convert).await),
        )
        .with_state(gate)
}

const KIBI: usize = 1 << 10;

struct Gate<E> {
    endpoints: Arc<E>,
    limits: Limits,
    metrics: Metrics,
    requests: Semaphore,
    kibibytes: Semaphore,
}

/// Why a request was not looked at.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("too many requests at once: try again")]
    Requests,
    #[error("too many bytes at once: try again")]
    Bytes,
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
            Self::TooLarge(_) => "too-large",
            Self::TooSlow => "too-slow",
            Self::Empty | Self::Broken => "no-body",
            Self::Review(_) => "no-review",
            Self::Panic => "panic",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Requests | Self::Bytes => StatusCode::SERVICE_UNAVAILABLE,
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
) -> Response {
    let _inflight = gate.metrics.begin();
    match gate.try_answer(request, endpoint).await {
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
    ) -> Result<Vec<u8>, Refusal> {
        let _turn = self.requests.try_acquire().map_err(|_| Refusal::Requests)?;
        let cap = self.limits.body;
        // Who does not say how much comes is counted as if it were the most.
        let length = content_length(request.headers()).unwrap_or(cap);
        if length > cap {
            return Err(Refusal::TooLarge(cap));
        }
        let kibibytes = u32::try_from(length.div_ceil(KIBI)).unwrap_or(u32::MAX);
        let _room = self
            .kibibytes
            .try_acquire_many(kibibytes)
            .map_err(|_| Refusal::Bytes)?;
        let body = Limited::new(request.into_body(), cap).collect();
        let body = match timeout(self.limits.reading, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(Refusal::TooLarge(cap)),
            Ok(Err(_)) => return Err(Refusal::Broken),
            Err(_) => return Err(Refusal::TooSlow),
        };
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

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
