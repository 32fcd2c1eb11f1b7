//! Takes requests, hands them on, and does to them what is asked for.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use futures::{StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;

use super::call::{Call, Verb};
use super::face::Face;
use super::fault::{Fault, LATE};
use super::{Found, Shared, watch};

/// A body that may end in the middle.
pub(super) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// What an API server tells whoever asks.
const OPEN: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];

/// Longer than any client of ours waits for an answer.
const FOR_EVER: Duration = Duration::from_secs(600);

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, face: Face, shared: Arc<Shared>) {
    // The connections end with it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    // There are too many files open, for a while.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let _ = stream.set_nodelay(true);
                let (face, shared) = (face.clone(), Arc::clone(&shared));
                connections.spawn(async move {
                    let Ok(stream) = face.acceptor.accept(stream).await else { return };
                    let is_known = !face.asks_who || stream.get_ref().1.peer_certificates().is_some();
                    let service =
                        service_fn(move |request| handle(Arc::clone(&shared), is_known, request));
                    // An error here is a cut connection, which is what was asked for.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// An error ends the connection without an answer.
async fn handle(
    shared: Arc<Shared>,
    is_known: bool,
    request: Request<Incoming>,
) -> Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .context("reading a request")?
        .to_bytes();
    let call = Call::from_request(&head.method, &head.uri, &body);
    let cut = shared.state().cut.contains(call.resource.as_str());
    let found = shared.note(&call);
    let Found { record, fault, .. } = found;
    if cut {
        tokio::time::sleep(FOR_EVER).await;
    }
    match fault {
        Some(Fault::KillBefore) => {
            shared.kill();
            return Err(anyhow!("killed before"));
        }
        Some(Fault::Hang) => {
            tokio::time::sleep(FOR_EVER).await;
            return Err(anyhow!("hung"));
        }
        Some(Fault::Answer(code) | Fault::Lasting(code)) => return Ok(refusal(call.verb, code)),
        _ => {}
    }
    if !is_known && !OPEN.contains(&call.resource.as_str()) {
        shared.answered(record, 401);
        return Ok(refusal(call.verb, 401));
    }
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = match &shared.state().view {
        Some(view) => view.through(path),
        None => path.to_owned(),
    };
    let mut upstream = Request::builder()
        .method(head.method.clone())
        .uri(path.as_str());
    if let Some(headers) = upstream.headers_mut() {
        *headers = passed_on(&head.headers);
    }
    let upstream = upstream.body(kube::client::Body::from(body.to_vec()))?;
    let answer = shared
        .upstream
        .send(upstream)
        .await
        .context("asking the API server")?;
    shared.answered(record, answer.status().as_u16());
    let (head, body) = answer.into_parts();
    let mut response = Response::builder().status(head.status);
    if let Some(headers) = response.headers_mut() {
        *headers = head.headers.clone();
        for own in [
            header::TRANSFER_ENCODING,
            header::CONTENT_LENGTH,
            header::CONNECTION,
        ] {
            headers.remove(own);
        }
    }
    if call.verb == Verb::Watch && head.status.is_success() {
        let chunks = body.into_data_stream().map_err(std::io::Error::other);
        return Ok(response.body(watch::body(chunks.boxed(), found, shared))?);
    }
    let mut bytes = body
        .collect()
        .await
        .context("reading an answer")?
        .to_bytes();
    if call.verb == Verb::List && head.status.is_success() {
        let old = {
            let mut state = shared.state();
            state
                .lists
                .entry(path)
                .or_insert_with(|| bytes.clone())
                .clone()
        };
        if fault == Some(Fault::OldList) {
            bytes = old;
        }
    }
    match fault {
        Some(Fault::KillAfter) => {
            shared.kill();
            Err(anyhow!("killed after"))
        }
        Some(Fault::LostReply) => Err(anyhow!("lost")),
        Some(Fault::DoneAnd504) => Ok(refusal(call.verb, 504)),
        Some(Fault::Truncated) => {
            let half = bytes.slice(..bytes.len() / 2);
            let chunks = [Ok(Frame::data(half)), Err(std::io::Error::other("cut"))];
            let body = StreamBody::new(futures::stream::iter(chunks));
            Ok(response.body(body.boxed_unsync())?)
        }
        Some(Fault::Half) => Ok(response.body(whole(bytes.slice(..bytes.len() * 9 / 10)))?),
        Some(Fault::Garbage) => Ok(response.body(whole(b"{\"kind\":\"\x1b]0;".as_slice()))?),
        Some(Fault::Late) => {
            tokio::time::sleep(LATE).await;
            Ok(response.body(whole(bytes))?)
        }
        _ => Ok(response.body(whole(bytes))?),
    }
}

/// What the API server is told; the rest is for this connection. An answer is read here, so it
/// comes neither compressed nor as protocol buffers.
fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for own in [
        header::HOST,
        header::CONNECTION,
        header::AUTHORIZATION,
        header::ACCEPT_ENCODING,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
    ] {
        headers.remove(own);
    }
    let accepted = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    if let Some(accepted) = accepted {
        let json: Vec<_> = accepted
            .split(',')
            .filter(|kind| !kind.contains("protobuf") && !kind.contains("cbor"))
            .collect();
        let accepted = if json.is_empty() {
            "application/json".to_owned()
        } else {
            json.join(",")
        };
        if let Ok(value) = accepted.parse() {
            headers.insert(header::ACCEPT, value);
        }
    }
    headers
}

pub(super) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// An error as the API server words it.
fn refusal(verb: Verb, code: u16) -> Response<Body> {
    let reason = match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        409 if verb == Verb::Create => "AlreadyExists",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "Unknown",
    };
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("{reason}: injected"), "reason": reason, "code": code,
    });
    let mut response = Response::new(whole(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::IM_A_TEAPOT);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    if code == 429 {
        headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}
