//! `-v`: what goes over the wire, on standard error, with everything secret left out.

use std::future::Future;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures::StreamExt as _;
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyStream, Limited, StreamBody};
use kube::client::{Body, ClientBuilder, DynBody};
use kube::config::AuthInfo;
use kube::{Client, Config};
use tower::util::{BoxService, MapResponseLayer};
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

/// How much a hosted API may answer at once, in bytes: whoever has written its address into a Secret
/// answers there.
const ANSWER: usize = 64 * 1024 * 1024;
/// How many JSON objects may be in it: an empty one is read into a thousand times its size.
const OBJECTS: usize = 1_000_000;

/// A client that shows its requests as far as the level asks for.
pub fn client(config: Config, level: u8) -> Result<Client, kube::Error> {
    if level == 0 {
        return Client::try_from(config);
    }
    let trace = Trace::new(&config, level);
    Ok(ClientBuilder::try_from(config)?.with_layer(&trace).build())
}

/// The same for a hosted API, which is not trusted: what it answers is not read without an end.
pub fn wary(config: Config, level: u8) -> Result<Client, kube::Error> {
    let trace = Trace::new(&config, level);
    let limit = MapResponseLayer::new(|answer: Response<Box<DynBody>>| answer.map(limited));
    let builder = ClientBuilder::try_from(config)?.with_layer(&limit);
    if level == 0 {
        return Ok(builder.build());
    }
    Ok(builder
        .with_layer(&BoxService::layer())
        .with_layer(&trace)
        .build())
}

fn limited(body: Box<DynBody>) -> Box<DynBody> {
    let mut objects = 0;
    let frames = BodyStream::new(Limited::new(body, ANSWER)).map(move |frame| {
        let frame = frame?;
        let data = frame.data_ref().map_or(&[][..], |data| data);
        objects += data.split(|byte| *byte == b'{').count() - 1;
        if objects > OBJECTS {
            return Err("more objects than a cluster has".into());
        }
        Ok(frame)
    });
    Box::new(StreamBody::new(frames))
}

/// The headers that are added to every request further down.
fn identity(user: &AuthInfo) -> Vec<String> {
    let password = user.token.is_some() || user.token_file.is_some() || user.username.is_some();
    let elsewhere = user.exec.is_some() || user.auth_provider.is_some();
    let authorization = (password || elsewhere).then(|| format!("Authorization: {MARK}"));
    let whom = user.impersonate.iter();
    let groups = user.impersonate_groups.iter().flatten();
    authorization
        .into_iter()
        .chain(whom.map(|user| format!("Impersonate-User: {user}")))
        .chain(groups.map(|group| format!("Impersonate-Group: {group}")))
        .collect()
}

/// What is shown, and where.
#[derive(Clone)]
struct Trace {
    level: u8,
    server: String,
    identity: Arc<[String]>,
    show: Arc<dyn Fn(&str) + Send + Sync>,
}

type Inner = BoxService<Request<Body>, Response<Box<DynBody>>, BoxError>;
type Answer = Response<Box<DynBody>>;

impl Layer<Inner> for Trace {
    type Service = Traced;

    fn layer(&self, inner: Inner) -> Traced {
        Traced {
            inner,
            trace: self.clone(),
        }
    }
}

/// A service whose requests are shown.
struct Traced {
    inner: Inner,
    trace: Trace,
}

impl Service<Request<Body>> for Traced {
    type Response = Answer;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let trace = self.trace.clone();
        let asked = Asked::new(&request);
        let answer = self.inner.call(request);
        Box::pin(async move { trace.follow(asked, answer).await })
    }
}

/// A request as it is shown.
struct Asked {
    method: String,
    path: String,
    headers: HeaderMap,
}

impl Asked {
    fn new(request: &Request<Body>) -> Self {
        let path = request.uri().path_and_query().map(ToString::to_string);
        Self {
            method: request.method().to_string(),
            path: path.unwrap_or_default().trim_end_matches('?').to_owned(),
            headers: request.headers().clone(),
        }
    }
}

impl Trace {
    fn new(config: &Config, level: u8) -> Self {
        Self {
            level,
            server: config
                .cluster_url
                .to_string()
                .trim_end_matches('/')
                .to_owned(),
            identity: identity(&config.auth_info).into(),
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
        let Asked { method, path, .. } = &asked;
        (self.show)(&format!("{method} {}{path} {outcome}", self.server));
        if self.level >= HEADERS {
            for line in self.headers(&asked.headers) {
                (self.show)(&format!("  {line}"));
            }
        }
        answer
    }

    fn headers(&self, headers: &HeaderMap) -> Vec<String> {
        let own = headers.iter().map(|(name, value)| {
            let value = match value.to_str() {
                Ok(value) if !SECRET.contains(name) => value,
                _ => MARK,
            };
            format!("{name}: {value}")
        });
        own.chain(self.identity.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests;
