//! The certificate that is served: checked before it takes the place of the one before.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::certificates::state::{self, CERTIFICATE, KEY};
use crate::metrics::Metrics;

/// Why a certificate is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServedError {
    /// A key of the Secret is missing.
    #[error("the Secret has no {0}")]
    Missing(&'static str),
    /// The certificate cannot be read.
    #[error("{CERTIFICATE} is invalid")]
    Certificate,
    /// The private key cannot be read.
    #[error("{KEY} is invalid")]
    Key,
    /// The two are not a pair, or not of a kind that can be served.
    #[error("the certificate cannot be served with this key: {0}")]
    Pair(#[from] rustls::Error),
    /// It has expired.
    #[error("the certificate expired at {0}")]
    Expired(Timestamp),
}

/// What is served; clones share it.
#[derive(Clone)]
pub struct Served {
    now: Arc<Slot>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Slot(ArcSwapOption<CertifiedKey>);

impl ResolvesServerCert for Slot {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

impl Served {
    /// Nothing is served yet: every handshake fails.
    pub fn new(metrics: Metrics) -> Self {
        Self {
            now: Arc::default(),
            metrics,
        }
    }

    /// Whether there is anything to serve.
    pub fn is_there(&self) -> bool {
        self.now.0.load().is_some()
    }

    /// TLS as it is offered: 1.2 and later, HTTP/1.1.
    pub fn tls(&self) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(self.now.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Serves what the Secret holds from the next handshake on; if it is of no use, what was
    /// served before stays.
    pub fn take(&self, secret: &Secret, now: Timestamp) {
        match checked(secret, now) {
            Ok((key, not_after)) => {
                let same = self
                    .now
                    .0
                    .load()
                    .as_ref()
                    .is_some_and(|old| old.cert == key.cert);
                self.now.0.store(Some(Arc::new(key)));
                self.metrics.serves_until(not_after);
                if !same {
                    self.metrics.reloaded("served");
                    tracing::info!(%not_after, "serving a certificate");
                }
            }
            Err(error) => {
                self.metrics.reloaded("refused");
                tracing::warn!(%error, "a certificate is not served");
            }
        }
    }
}

fn checked(secret: &Secret, now: Timestamp) -> Result<(CertifiedKey, Timestamp), ServedError> {
    let bytes = |key: &'static str| {
        let data = secret.data.as_ref().and_then(|data| data.get(key));
        data.map(|bytes| bytes.0.as_slice())
            .ok_or(ServedError::Missing(key))
    };
    let pem = bytes(CERTIFICATE)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| ServedError::Certificate)?;
    let span = std::str::from_utf8(pem)
        .ok()
        .and_then(state::span)
        .ok_or(ServedError::Certificate)?;
    if span.until <= now {
        return Err(ServedError::Expired(span.until));
    }
    let key = PrivateKeyDer::from_pem_slice(bytes(KEY)?).map_err(|_| ServedError::Key)?;
    let key = CertifiedKey::from_der(chain, key, &ring::default_provider())?;
    Ok((key, span.until))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use rstest::rstest;

    use super::*;
    use crate::certificates::plan::{Change, Timings};
    use crate::certificates::state::Stored;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn secret() -> Secret {
        let timings = Timings::new(SignedDuration::from_hours(9), SignedDuration::from_hours(1));
        let stored = Stored::default()
            .changed(Change::Begin, &["a.b.svc".to_owned()], timings, now())
            .unwrap();
        Secret {
            data: Some(stored.data()),
            ..Secret::default()
        }
    }

    #[rstest]
    #[case::without_key(|s: &mut Secret| drop(s.data.as_mut().unwrap().remove(KEY)), 0)]
    #[case::with_anothers_key(
        |s: &mut Secret| {
            let other = secret().data.unwrap().remove(KEY).unwrap();
            s.data.as_mut().unwrap().insert(KEY.to_owned(), other);
        }, 0
    )]
    #[case::that_is_no_certificate(
        |s: &mut Secret| s.data.as_mut().unwrap().get_mut(CERTIFICATE).unwrap().0 = b"x".to_vec(), 0
    )]
    #[case::that_has_expired(|_: &mut Secret| {}, 3600)]
    fn what_is_of_no_use_is_not_served_and_the_one_before_stays(
        #[case] change: fn(&mut Secret),
        #[case] after: i64,
    ) {
        let served = Served::new(Metrics::default());
        let mut bad = secret();
        change(&mut bad);
        let later = now() + SignedDuration::from_secs(after);
        served.take(&bad, later);
        assert!(!served.is_there());
        served.take(&secret(), now());
        let before = served.now.0.load_full().unwrap();
        served.take(&bad, later);
        assert!(Arc::ptr_eq(&before, &served.now.0.load_full().unwrap()));
    }
}
