//! A mothership that is played, for tests of what is made of its answers.

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower::{BoxError, service_fn};

use super::Connection;
use crate::flags::GlobalArgs;
use crate::output::{Captured, Output};
use crate::session::Session;
use crate::tokens::{Role, TokenArgs};

pub fn session() -> (Session, Captured) {
    let (out, captured) = Output::captured();
    (Session::new(GlobalArgs::default(), out), captured)
}

/// A connection to who answers a method and a path with a code and a body.
pub fn connection(
    out: &Output,
    answers: impl Fn(&str, &str) -> (u16, Value) + Clone + Send + Sync + 'static,
) -> Connection<'_> {
    connection_by(out, move |request| {
        answers(request.method().as_str(), request.uri().path())
    })
}

/// The same to who looks at the whole request.
pub fn connection_by(
    out: &Output,
    answers: impl Fn(&Request<Vec<u8>>) -> (u16, Value) + Clone + Send + Sync + 'static,
) -> Connection<'_> {
    let service = service_fn(move |request: Request<Body>| {
        let answers = answers.clone();
        async move {
            let (parts, body) = request.into_parts();
            let sent = Request::from_parts(parts, body.collect_bytes().await?.to_vec());
            let (code, body) = answers(&sent);
            let answer = Response::builder().status(code);
            Ok::<_, BoxError>(answer.body(Body::from(body.to_string().into_bytes()))?)
        }
    });
    Connection {
        client: Client::new(service, "default"),
        namespace: "default".to_owned(),
        server: "https://mothership:6443".to_owned(),
        proxy: None,
        deadline: None,
        out,
    }
}

/// What an API server answers when it does not do what it was asked to.
pub fn status(code: u16, reason: &str) -> (u16, Value) {
    let body = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code,
        "reason": reason, "message": reason});
    (code, body)
}

/// The same for an object that is not there.
pub fn missing(path: &str) -> (u16, Value) {
    let (code, mut body) = status(404, "NotFound");
    body["details"] = json!({"name": path.rsplit('/').next()});
    (code, body)
}

/// A worker's token of the cluster demo.
pub fn wanted(name: Option<&str>) -> TokenArgs {
    TokenArgs {
        cluster: "demo".to_owned(),
        role: Role::Worker,
        ttl: None,
        name: name.map(str::to_owned),
        timeout: None,
    }
}
