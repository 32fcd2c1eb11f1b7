//! A server with certificates of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use webhook::certificates::Served;
use webhook::certificates::plan::{Change, Timings};
use webhook::certificates::state::Stored;
use webhook::metrics::Metrics;
use webhook::review::{Endpoints, ReviewError};
use webhook::server::{self, Limits};

use super::client::Caller;

pub const NAME: &str = "k0smotron-webhook.k0smotron.svc";

/// Says what it was sent, or panics when it is asked to.
#[derive(Default)]
pub struct Echo {
    /// Whether something has yet to come.
    pub waits: AtomicBool,
}

impl Endpoints for Echo {
    fn missing(&self) -> Option<String> {
        self.waits.load(Relaxed).then(|| "Cluster".to_owned())
    }

    fn mutate(&self, body: &[u8]) -> Result<Vec<u8>, ReviewError> {
        Ok(body.to_vec())
    }

    fn validate(&self, _: &[u8]) -> Result<Vec<u8>, ReviewError> {
        panic!("as asked")
    }

    fn convert(&self, _: &[u8]) -> Result<Vec<u8>, ReviewError> {
        Err(ReviewError::NoUid)
    }
}

pub struct Scene {
    pub echo: Arc<Echo>,
    pub address: SocketAddr,
    pub served: Served,
    pub stored: Stored,
    pub metrics: Metrics,
    pub stop: CancellationToken,
    pub task: JoinHandle<()>,
}

/// Limits that make a test short.
pub fn limits() -> Limits {
    Limits {
        body: 64 << 10,
        bodies: 128 << 10,
        handshake: Duration::from_millis(300),
        head: Duration::from_millis(300),
        reading: Duration::from_millis(300),
        drain: Duration::from_millis(500),
        ..Limits::default()
    }
}

pub fn changed(stored: Stored, change: Change) -> Stored {
    let timings = Timings::new(SignedDuration::from_hours(9), SignedDuration::from_hours(1));
    stored
        .changed(change, &[NAME.to_owned()], timings, Timestamp::now())
        .unwrap()
}

pub fn secret(stored: &Stored) -> Secret {
    Secret {
        data: Some(stored.data()),
        ..Secret::default()
    }
}

/// The CAs under these keys of the Secret.
pub fn roots(stored: &Stored, keys: &[&str]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for key in keys {
        roots
            .add(CertificateDer::from_pem_slice(&stored.data()[*key].0).unwrap())
            .unwrap();
    }
    roots
}

impl Scene {
    pub async fn start(limits: Limits) -> Self {
        let metrics = Metrics::default();
        let served = Served::new(metrics.clone());
        let stored = changed(Stored::default(), Change::Begin);
        served.take(&secret(&stored), Timestamp::now());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let echo = Arc::new(Echo::default());
        let router = server::router(echo.clone(), limits, metrics.clone());
        let tls = Arc::new(served.tls().unwrap());
        let task = tokio::spawn(server::serve(
            listener,
            tls,
            router,
            limits,
            metrics.clone(),
            stop.clone(),
        ));
        Self {
            echo,
            address,
            served,
            stored,
            metrics,
            stop,
            task,
        }
    }

    pub async fn caller(&self) -> Caller {
        Caller::connect(self.address, roots(&self.stored, &["ca.crt"]))
            .await
            .unwrap()
    }

    pub fn metric(&self, line: &str) -> bool {
        self.metrics.render([]).lines().any(|have| have == line)
    }
}
