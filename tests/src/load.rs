//! Load on an HTTPS server of this machine, as an API server puts it on a webhook: HTTP/1.1 over
//! connections that stay open.
//!
//! At a given rate the requests have their times beforehand, and one that could not be sent in
//! time counts as late: a server that stops for a second cannot hide the requests that it kept
//! waiting.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// What to send, and how.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where the server listens. Only loopback is accepted.
    pub address: SocketAddr,
    /// The name that its certificate has.
    pub name: String,
    /// Path of the request.
    pub path: String,
    /// Bodies, sent in turn.
    pub bodies: Vec<Bytes>,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// Requests a second over all connections; without a rate each connection sends its next
    /// request as soon as it has an answer.
    pub rate: Option<f64>,
    /// For how long.
    pub duration: Duration,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Report {
    /// Answers with status 200.
    pub answered: u64,
    /// What went wrong, and how often.
    pub failures: std::collections::BTreeMap<String, u64>,
    /// From the time at which a request was due to the end of its answer, in microseconds.
    pub latency: Histogram<u64>,
    /// How long it took.
    pub took: Duration,
}

impl Report {
    fn empty() -> Result<Self> {
        Ok(Self {
            answered: 0,
            failures: std::collections::BTreeMap::new(),
            latency: Histogram::new_with_bounds(1, 60_000_000, 3)?,
            took: Duration::ZERO,
        })
    }

    /// The latency that a share of the answers does not exceed, such as 0.99.
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.latency.value_at_quantile(share))
    }

    /// Answers a second.
    pub fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
        let answered = self.answered as f64;
        answered / self.took.as_secs_f64()
    }

    /// One line.
    pub fn line(&self) -> String {
        let ms = |share| self.quantile(share).as_secs_f64() * 1000.0;
        let failed: u64 = self.failures.values().sum();
        format!(
            "{:.0}/s, p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms; {} answered, \
             {failed} failed {:?}",
            self.rate(),
            ms(0.5),
            ms(0.99),
            ms(0.999),
            ms(1.0),
            self.answered,
            self.failures,
        )
    }
}

/// Sends it from a thread of its own, and from no other, and waits until every answer is there: the
/// rest of the machine is the server's.
pub async fn run(load: &Load, authority: &str) -> Result<Report> {
    let (load, authority) = (load.clone(), authority.to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let sent = tokio::task::spawn_blocking(move || runtime.block_on(send(&load, &authority)));
    sent.await?
}

async fn send(load: &Load, authority: &str) -> Result<Report> {
    ensure!(
        load.address.ip().is_loopback(),
        "load goes to loopback only, not to {}",
        load.address
    );
    ensure!(
        !load.bodies.is_empty() && load.connections > 0,
        "nothing to send"
    );
    let connector = connector(authority)?;
    let started = Instant::now() + Duration::from_millis(50);
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..load.connections {
        let sender = Sender {
            load: load.clone(),
            connector: connector.clone(),
            index,
            started,
        };
        tasks.spawn(sender.run());
    }
    let mut total = Report::empty()?;
    while let Some(report) = tasks.join_next().await {
        let report = report??;
        total.answered += report.answered;
        total.latency.add(&report.latency)?;
        for (what, count) in report.failures {
            *total.failures.entry(what).or_default() += count;
        }
    }
    total.took = started.elapsed();
    Ok(total)
}

fn connector(authority: &str) -> Result<TlsConnector> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        roots.add(certificate.context("reading the authority")?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

struct Sender {
    load: Load,
    connector: TlsConnector,
    index: usize,
    started: Instant,
}

impl Sender {
    async fn run(self) -> Result<Report> {
        let mut report = Report::empty()?;
        let mut connection: Option<SendRequest<Full<Bytes>>> = None;
        let end = self.started + self.load.duration;
        for turn in 0.. {
            let due = self.due(turn);
            if due >= end {
                break;
            }
            tokio::time::sleep_until(due).await;
            let mut open = match connection.take() {
                Some(open) if !open.is_closed() => open,
                _ => match self.connect().await {
                    Ok(open) => open,
                    Err(error) => {
                        *report.failures.entry(format!("{error:#}")).or_default() += 1;
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        continue;
                    }
                },
            };
            match self.ask(&mut open, turn).await {
                Ok((StatusCode::OK, stays)) => {
                    report.answered += 1;
                    let took = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
                    report.latency.saturating_record(took);
                    if stays {
                        connection = Some(open);
                    }
                }
                Ok((status, stays)) => {
                    *report.failures.entry(status.to_string()).or_default() += 1;
                    if stays {
                        connection = Some(open);
                    }
                }
                Err(error) => *report.failures.entry(format!("{error:#}")).or_default() += 1,
            }
        }
        Ok(report)
    }

    /// When a request is due: at once, or in its turn among those of the other connections.
    fn due(&self, turn: u32) -> Instant {
        let Some(rate) = self.load.rate else {
            return Instant::now().max(self.started);
        };
        #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
        let place = f64::from(turn) * self.load.connections as f64 + self.index as f64;
        self.started + Duration::from_secs_f64(place / rate)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let name = ServerName::try_from(self.load.name.clone())?;
        let stream = TcpStream::connect(self.load.address)
            .await
            .context("connecting")?;
        stream.set_nodelay(true)?;
        let stream = self
            .connector
            .connect(name, stream)
            .await
            .context("TLS handshake")?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .context("opening")?;
        tokio::spawn(async move {
            // What goes wrong here goes wrong for the request as well.
            let _ = connection.await;
        });
        Ok(sender)
    }

    /// The status, and whether the server leaves the connection open.
    async fn ask(
        &self,
        connection: &mut SendRequest<Full<Bytes>>,
        turn: u32,
    ) -> Result<(StatusCode, bool)> {
        let bodies = &self.load.bodies;
        let body = bodies
            .get((turn as usize + self.index) % bodies.len())
            .cloned()
            .unwrap_or_default();
        let request = Request::post(&self.load.path)
            .header(http::header::HOST, &self.load.name)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        connection.ready().await.context("waiting to send")?;
        let answer = connection
            .send_request(request)
            .await
            .context("no answer")?;
        let status = answer.status();
        let stays = answer
            .headers()
            .get(http::header::CONNECTION)
            .is_none_or(|value| value != "close");
        answer
            .into_body()
            .collect()
            .await
            .context("half an answer")?;
        Ok((status, stays))
    }
}
