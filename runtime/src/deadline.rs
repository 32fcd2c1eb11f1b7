//! Every request to the API server ends: a layer of the client.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use kube::client::Body;
use tower::{BoxError, Layer, Service};
use tower_http::timeout::TimeoutBody;

use crate::watch::WATCH_LASTS;

/// How long the API server may take until it begins to answer, and how long it may pause while it
/// goes on. Writes have shorter deadlines of their own; what is left are lists, whose pages take
/// long where few of very many objects match.
const ANSWER: Duration = Duration::from_secs(45);

/// How long the start of a watch may take, which reads nothing.
const WATCH_STARTS: Duration = Duration::from_secs(20);

/// How long a watch may be silent. The API server ends it before that, as it is asked to.
const WATCH_SILENCE: Duration = Duration::from_secs(WATCH_LASTS as u64 + 30);

/// Ends requests that are not answered: with an error, as if the connection had been lost.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines;

impl<S> Layer<S> for Deadlines {
    type Service = Ending<S>;

    fn layer(&self, inner: S) -> Ending<S> {
        Ending { inner }
    }
}

/// A client whose requests end.
#[derive(Clone, Debug)]
pub struct Ending<S> {
    inner: S,
}

type Answer<B> = Result<Response<TimeoutBody<B>>, BoxError>;

impl<S, B> Service<Request<Body>> for Ending<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Send + 'static,
{
    type Response = Response<TimeoutBody<B>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Answer<B>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let query = request.uri().query().unwrap_or_default();
        let is_watch = query.split('&').any(|pair| pair == "watch=true");
        let (head, pause) = if is_watch {
            (WATCH_STARTS, WATCH_SILENCE)
        } else {
            (ANSWER, ANSWER)
        };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = tokio::time::timeout(head, answer)
                .await
                .map_err(|_| format!("no answer within {} s", head.as_secs()))?
                .map_err(Into::into)?;
            Ok(answer.map(|body| TimeoutBody::new(pause, body)))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{BodyExt as _, StreamBody};
    use hyper::body::{Bytes, Frame};
    use tower::ServiceExt as _;

    use super::*;

    async fn asked(uri: &str, head: Duration, next: Duration) -> Result<(), String> {
        let inner = tower::service_fn(move |_: Request<Body>| async move {
            tokio::time::sleep(head).await;
            let frames = futures::stream::once(async move {
                tokio::time::sleep(next).await;
                Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"{}")))
            });
            Ok::<_, Infallible>(Response::new(Box::pin(StreamBody::new(frames))))
        });
        let request = Request::get(uri)
            .body(Body::empty())
            .map_err(|error| error.to_string())?;
        let answer = Deadlines.layer(inner).oneshot(request).await;
        let body = answer.map_err(|error| error.to_string())?.into_body();
        body.collect()
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_answered_ends_and_a_quiet_watch_goes_on() {
        let (soon, late) = (WATCH_STARTS / 2, ANSWER * 2);
        assert_eq!(asked("/api/v1/pods?limit=100", soon, soon).await, Ok(()));
        let hung = asked("/api/v1/pods?limit=100", late, soon).await;
        assert_eq!(hung, Err("no answer within 45 s".to_owned()));
        asked("/api/v1/pods?limit=100", soon, late)
            .await
            .unwrap_err();
        asked("/api/v1/pods?watch=true", late, soon)
            .await
            .unwrap_err();
        let quiet = Duration::from_secs(u64::from(WATCH_LASTS));
        let watched = async |pause| asked("/api/v1/pods?watch=true&x=y", soon, pause).await;
        assert_eq!(watched(quiet).await, Ok(()));
        watched(quiet * 2).await.unwrap_err();
    }
}
