//! A hosted API for tests: TLS on a local port, with client certificates asked for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::extract::connect_info::Connected;
use axum::http::StatusCode;
use axum::routing::get;
use axum::serve::{IncomingStream, Listener};
use jiff::{SignedDuration, Timestamp};
use pki::leaf::{self, LeafRequest};
use pki::{PemPair, ca, certificates};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Endpoint;

/// The server; dropping it ends it.
pub(crate) struct Server {
    pub ca: PemPair,
    pub endpoint: Endpoint,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether a client showed a certificate of the CA's.
#[derive(Clone)]
pub(crate) struct Peer {
    pub has_certificate: bool,
}

/// An API that is ready, and knows nobody without a certificate of its CA's.
pub(crate) fn knows_its_own() -> Router {
    let ready = async |ConnectInfo(peer): ConnectInfo<Peer>| {
        if peer.has_certificate {
            StatusCode::OK
        } else {
            StatusCode::UNAUTHORIZED
        }
    };
    Router::new().route("/readyz", get(ready))
}

impl Server {
    /// Serves the routes, with a certificate for the usual name.
    pub async fn start(routes: Router) -> Self {
        let ca = new_ca();
        Self::start_with(routes, ca, super::endpoint::TLS_SERVER_NAME).await
    }

    /// Serves the routes, with a certificate of this CA for this name.
    pub async fn start_with(routes: Router, ca: PemPair, name: &str) -> Self {
        let request = LeafRequest {
            common_name: "kubernetes".into(),
            organization: None,
            sans: vec![name.into()],
            server: true,
            client: false,
            lifetime: SignedDuration::from_hours(1),
        };
        let pair = leaf::issue(&ca, &request, Timestamp::now()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots
            .add(certificates(&ca.certificate).unwrap().remove(0))
            .unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
            .allow_unauthenticated()
            .build()
            .unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(
                certificates(&pair.certificate).unwrap(),
                PrivateKeyDer::from_pem_slice(pair.key.expose().as_bytes()).unwrap(),
            )
            .unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::new(
            "127.0.0.1",
            tcp.local_addr().unwrap().port(),
            &ca.certificate,
        );
        let listener = TlsListener {
            tcp,
            tls: TlsAcceptor::from(Arc::new(config)),
        };
        let service = routes.into_make_service_with_connect_info::<Peer>();
        let task = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { ca, endpoint, task }
    }

    /// A client certificate that the server accepts.
    pub fn client_cert(&self) -> PemPair {
        client_cert(&self.ca, SignedDuration::from_hours(1))
    }
}

/// An endpoint that accepts and never answers, for as long as the listener is kept.
pub(super) async fn hanging() -> (TcpListener, Endpoint) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let endpoint = Endpoint::new("127.0.0.1", port, new_ca().certificate);
    (listener, endpoint)
}

pub(super) fn new_ca() -> PemPair {
    ca::new("kubernetes", Timestamp::now(), ca::LIFETIME).unwrap()
}

pub(super) fn client_cert(ca: &PemPair, lifetime: SignedDuration) -> PemPair {
    let request = LeafRequest {
        common_name: "k0smotron-controller".into(),
        organization: Some("system:masters".into()),
        sans: Vec::new(),
        server: false,
        client: true,
        lifetime,
    };
    leaf::issue(ca, &request, Timestamp::now()).unwrap()
}

struct TlsListener {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (tcp, address) = self.tcp.accept().await.unwrap();
            let handshake = self.tls.accept(tcp);
            if let Ok(Ok(tls)) = tokio::time::timeout(Duration::from_secs(1), handshake).await {
                return (tls, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        let certificates = stream.io().get_ref().1.peer_certificates();
        Self {
            has_certificate: certificates.is_some_and(|chain| !chain.is_empty()),
        }
    }
}
