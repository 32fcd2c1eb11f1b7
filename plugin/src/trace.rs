//! `-v`: what goes over the wire, on standard error, with everything secret left out.

use std::future::Future;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{HeaderMap, Request, Response, header};
use kube::client::{Body, DynBody};
use tower::{BoxError, Layer, Service};

use crate::error::innermost;
use crate::escape;
use crate::redact::MARK;

/// From this level on the headers of requests are shown, as kubectl does; method, path, status and
/// time are from 1 on.
const HEADERS: u8 = 7;

/// The headers that are nobody else's business.
const SECRET: [header::HeaderName; 3] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
];

/// What is shown, and where.
#[derive(Clone)]
pub struct Trace {
    level: u8,
    show: Arc<dyn Fn(&str) + Send + Sync>,
}

type Answer = Response<Box<DynBody>>;

impl<S> Layer<S> for Trace {
    type Service = Traced<S>;

    fn layer(&self, inner: S) -> Traced<S> {
        Traced {
            inner,
            trace: self.clone(),
        }
    }
}

/// A service whose requests are shown.
#[derive(Clone)]
pub struct Traced<S> {
    inner: S,
    trace: Trace,
}

impl<S> Service<Request<Body>> for Traced<S>
where
    S: Service<Request<Body>, Response = Answer>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Answer;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let trace = self.trace.clone();
        let asked = Asked::new(&request);
        let answer = self.inner.call(request);
        Box::pin(async move {
            trace
                .follow(asked, async { answer.await.map_err(Into::into) })
                .await
        })
    }
}

/// A request as it is shown.
struct Asked {
    method: String,
    url: String,
    headers: HeaderMap,
}

impl Asked {
    fn new(request: &Request<Body>) -> Self {
        Self {
            method: request.method().to_string(),
            url: request.uri().to_string().trim_end_matches('?').to_owned(),
            headers: request.headers().clone(),
        }
    }
}

impl Trace {
    /// What shows requests as far as the level asks for.
    pub fn new(level: u8) -> Self {
        Self {
            level,
            show: Arc::new(|text| {
                // A stream that is gone is no failure.
                let _ = writeln!(std::io::stderr().lock(), "{}", escape::text(text));
            }),
        }
    }

    async fn follow(
        &self,
        asked: Asked,
        answer: impl Future<Output = Result<Answer, BoxError>>,
    ) -> Result<Answer, BoxError> {
        let started = Instant::now();
        let answer = answer.await;
        let took = started.elapsed().as_millis();
        let outcome = match &answer {
            Ok(answer) => format!("{} in {took} ms", answer.status()),
            Err(error) => format!("failed after {took} ms: {}", innermost(error.as_ref())),
        };
        let Asked { method, url, .. } = &asked;
        (self.show)(&format!("{method} {url} {outcome}"));
        if self.level >= HEADERS {
            for (name, value) in &asked.headers {
                let value = match value.to_str() {
                    Ok(value) if !SECRET.contains(name) => value,
                    _ => MARK,
                };
                (self.show)(&format!("  {name}: {value}"));
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests;
