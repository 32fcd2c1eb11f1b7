//! An API server for tests.

use std::convert::Infallible;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// A client of one that answers like this.
pub fn client<F>(answer: impl Fn(Request<Body>) -> F + Clone + Send + Sync + 'static) -> Client
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let server = tower::service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    Client::new(server, "default")
}

/// An object, or a list of some.
pub fn answer(object: &Value) -> Response<Body> {
    Response::new(Body::from(object.to_string().into_bytes()))
}

/// What it says instead of doing something.
pub fn refusal(code: u16) -> Response<Body> {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        _ => "Invalid",
    };
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "x", "reason": reason, "code": code});
    let (mut parts, body) = answer(&status).into_parts();
    parts.status = code.try_into().unwrap();
    Response::from_parts(parts, body)
}
