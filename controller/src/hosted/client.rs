//! The HTTP client with which the controller asks a hosted API: deadlines, limits and which
//! server is trusted.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Response;
use http_body_util::Limited;
use kube::client::{ClientBuilder, DynBody};
use kube::config::AuthInfo;
use kube::{Client, Config};
use pki::{PemPair, certificates};
use secrecy::SecretString;
use tower::util::MapResponseLayer;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;
use zeroize::Zeroizing;

use super::{Endpoint, HostedError};

/// How long connecting may take, the TLS handshake included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a whole call may take, connecting included.
pub const CALL_DEADLINE: Duration = Duration::from_secs(5);

/// How much of an answer is read, in bytes. A list of 500 nodes has about 5 MiB.
pub const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Makes a client of a hosted API. Nothing is sent yet.
///
/// Without a certificate the client is anonymous. Watches do not fit through this client, as it
/// counts what a whole answer has. Needs a running tokio runtime.
pub fn connect(endpoint: &Endpoint, client_cert: Option<&PemPair>) -> Result<Client, HostedError> {
    let url = endpoint.url().map_err(HostedError::Endpoint)?;
    let url = url
        .parse()
        .map_err(|_| HostedError::Endpoint(pki::PkiError::Host(endpoint.host.clone())))?;
    let roots = certificates(&endpoint.ca_certificate).map_err(HostedError::Endpoint)?;

    // Nothing of the process's environment goes into this: neither a kubeconfig with programs to
    // start nor a proxy.
    let mut config = Config::new(url);
    config.root_cert = Some(roots.iter().map(|der| der.to_vec()).collect());
    config.tls_server_name = Some(endpoint.tls_server_name.clone());
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(CALL_DEADLINE);
    config.write_timeout = Some(CALL_DEADLINE);
    // Otherwise the time that a connection was idle in the pool counts as time without an answer.
    config.reset_reader_on_write = true;
    config.default_retry = false;
    if let Some(pair) = client_cert {
        let key = Zeroizing::new(BASE64_STANDARD.encode(pair.key.expose()));
        config.auth_info = AuthInfo {
            client_certificate_data: Some(BASE64_STANDARD.encode(&pair.certificate)),
            client_key_data: Some(SecretString::from(key.as_str())),
            ..AuthInfo::default()
        };
    }

    let limit = MapResponseLayer::new(|answer: Response<Box<DynBody>>| {
        answer.map(|body| Limited::new(body, MAX_ANSWER))
    });
    let builder =
        ClientBuilder::try_from(config).map_err(|error| HostedError::Client(Box::new(error)))?;
    Ok(builder.with_layer(&limit).build())
}

/// Runs one call to a hosted API, for [`CALL_DEADLINE`] at most.
pub async fn deadline<T>(
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, HostedError> {
    within(CALL_DEADLINE, call).await
}

/// Runs one call to a hosted API, for so long at most.
///
/// While it runs the client logs nothing: it would log answers, which may hold a token's secret,
/// and call every refused connection of a control plane that is still starting an error.
pub(super) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, HostedError> {
    let quiet = call.with_subscriber(NoSubscriber::default());
    match tokio::time::timeout(limit, quiet).await {
        Ok(answer) => answer.map_err(HostedError::from),
        Err(_) => Err(HostedError::Timeout),
    }
}
