//! `-v`: what goes over the wire, on standard error, with everything secret left out.

mod mask;

use std::future::Future;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, BodyStream, Either, Limited, StreamBody};
use kube::client::{Body, ClientBuilder, DynBody};
use kube::config::AuthInfo;
use kube::{Client, Config};
use tower::util::{BoxService, MapResponseLayer};
use tower::{BoxError, Layer, Service};

use crate::error::innermost;
use crate::redact::{MARK, Redactor};
use crate::{escape, output};

/// From this level on the query is shown; method, path, status and time are from 1 on.
const QUERIES: u8 = 6;
/// From this level on the headers of requests are shown.
const HEADERS: u8 = 7;
/// From this level on bodies are shown.
const BODIES: u8 = 8;
/// From this level on bodies are shown whole.
const WHOLE: u8 = 9;
/// How much of a body is shown below that, in bytes.
const ROOM: usize = 1024;

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
///
/// # Errors
/// As [`Client::try_from`].
pub fn client(config: Config, level: u8) -> Result<Client, kube::Error> {
    if level == 0 {
        return Client::try_from(config);
    }
    let trace = Trace::of(&config, level);
    Ok(ClientBuilder::try_from(config)?.with_layer(&trace).build())
}

/// The same for a hosted API, which is not trusted: what it answers is not read without an end.
///
/// # Errors
/// As [`Client::try_from`].
pub fn wary(config: Config, level: u8) -> Result<Client, kube::Error> {
    let trace = Trace::of(&config, level);
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
type Answer = Response<Either<Box<DynBody>, Body>>;

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
        let asked = Asked::of(&request, trace.level);
        let answer = self.inner.call(request);
        Box::pin(async move { trace.follow(asked, answer).await })
    }
}

/// A request as it is shown.
struct Asked {
    method: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    body: Option<Body>,
}

impl Asked {
    fn of(request: &Request<Body>, level: u8) -> Self {
        let body = request.body().try_clone().filter(|_| level >= BODIES);
        Self {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().map(str::to_owned),
            headers: request.headers().clone(),
            body,
        }
    }

    /// Whether the answer has no end that anybody waits for.
    fn is_stream(&self) -> bool {
        let query = self.query.as_deref().unwrap_or_default();
        let mut parts = query.split('&');
        parts.any(|part| part == "watch=true" || part == "follow=true")
    }
}

impl Trace {
    fn of(config: &Config, level: u8) -> Self {
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
        mut asked: Asked,
        answer: impl Future<Output = Result<Response<Box<DynBody>>, BoxError>>,
    ) -> Result<Answer, BoxError> {
        let started = Instant::now();
        let body = match asked.body.take() {
            Some(body) => body.collect_bytes().await.ok(),
            None => None,
        };
        let answer = answer.await;
        let took = started.elapsed();
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let why = innermost(error.as_ref());
                self.show(
                    &asked,
                    body.as_deref(),
                    &format!("failed after {}: {why}", ms(took)),
                );
                return Err(error);
            }
        };
        let status = answer.status();
        self.show(
            &asked,
            body.as_deref(),
            &format!("{status} in {}", ms(took)),
        );
        let streams = asked.is_stream() || status == StatusCode::SWITCHING_PROTOCOLS;
        if self.level < BODIES || streams {
            return Ok(answer.map(Either::Left));
        }
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await?.to_bytes();
        self.body("Response body", &asked.path, &bytes);
        Ok(Response::from_parts(
            parts,
            Either::Right(Body::from(bytes)),
        ))
    }

    fn show(&self, asked: &Asked, body: Option<&[u8]>, outcome: &str) {
        let query = match asked.query.as_deref() {
            Some(query) if self.level >= QUERIES && !query.is_empty() => format!("?{query}"),
            _ => String::new(),
        };
        let Asked { method, path, .. } = asked;
        (self.show)(&format!("{method} {}{path}{query} {outcome}", self.server));
        if self.level >= HEADERS {
            for line in self.headers(&asked.headers) {
                (self.show)(&format!("  {line}"));
            }
        }
        if let Some(body) = body.filter(|body| !body.is_empty()) {
            self.body("Request body", &asked.path, body);
        }
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

    fn body(&self, title: &str, path: &str, bytes: &[u8]) {
        // Once a body, and bodies are few: who looks at them does not count microseconds.
        let Ok(redactor) = Redactor::new() else {
            return;
        };
        // What is no JSON has lines of its own.
        let text = output::indented(&mask::body(&redactor, path, bytes));
        let text = if self.level >= WHOLE {
            text
        } else {
            shortened(text)
        };
        (self.show)(&format!("  {title}: {text}"));
    }
}

fn ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

/// Its beginning, and how much there is besides.
fn shortened(text: String) -> String {
    let end = text.floor_char_boundary(ROOM);
    match text.split_at_checked(end) {
        Some((start, rest)) if !rest.is_empty() => format!("{start} [{} more bytes]", rest.len()),
        _ => text,
    }
}

#[cfg(test)]
mod tests;
