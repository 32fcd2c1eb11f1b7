//! Where a proxy listens, and as whom.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{Shared, serve};
use crate::pki::{Authority, Leaf};

/// As whom a proxy listens, and whom it lets in.
#[derive(Clone)]
pub struct Face {
    pub(super) acceptor: TlsAcceptor,
    /// Whoever has no certificate may only ask how it is.
    pub(super) asks_who: bool,
}

impl Face {
    /// Lets in whoever comes: the user is the proxy's own, so nobody is asked who he is.
    pub fn of_anybody(authority: &Authority) -> Result<Self> {
        let leaf = Leaf {
            common_name: "proxy",
            names: &["localhost"],
            addresses: &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
            ..Leaf::default()
        };
        Self::new(authority, &leaf, None)
    }

    /// Known by the name that API servers have inside their cluster, and asks for a certificate of
    /// the same CA.
    pub fn of_api_server(authority: &Authority) -> Result<Self> {
        let leaf = Leaf {
            common_name: "kube-apiserver",
            names: &["kubernetes.default.svc"],
            ..Leaf::default()
        };
        Self::new(authority, &leaf, Some(authority.cert()))
    }

    fn new(authority: &Authority, leaf: &Leaf<'_>, clients: Option<&str>) -> Result<Self> {
        let pair = authority.issue(leaf)?;
        let chain = certificates(&pair.cert).context("reading the proxy's certificate")?;
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).context("reading its key")?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                for root in certificates(pem)? {
                    roots.add(root)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                    .allow_unauthenticated()
                    .build()?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            asks_who: clients.is_some(),
        })
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>> {
    Ok(CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>()?)
}

/// An address at which a proxy listens; it and its connections end with this.
#[derive(Debug)]
pub struct Listening {
    /// Where.
    pub address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Listening {
    pub(super) fn start(listener: TcpListener, face: Face, shared: Arc<Shared>) -> Result<Self> {
        Ok(Self {
            address: listener.local_addr()?,
            server: tokio::spawn(serve::serve(listener, face, shared)),
        })
    }
}
