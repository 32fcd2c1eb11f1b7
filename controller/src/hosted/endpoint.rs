//! Where a hosted API listens, and the CA and name by which it is known.

use pki::{PkiError, address};

/// The name that the certificate of every hosted API has, whatever address it is reached at.
pub const TLS_SERVER_NAME: &str = "kubernetes.default.svc";

/// Where a hosted API is and how to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// An IP address or a DNS name. Take that of a Service of ours, never one out of a user's
    /// spec: what is dialled from here is dialled from inside the mothership's network.
    pub host: String,
    /// The port of the API.
    pub port: u16,
    /// The name that the API's certificate must have: [`TLS_SERVER_NAME`].
    pub tls_server_name: String,
    /// The cluster's authority in PEM, or several.
    pub ca_certificate: String,
}

impl Endpoint {
    /// An endpoint with the usual name in its certificate.
    pub fn new(host: impl Into<String>, port: u16, ca_certificate: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port,
            tls_server_name: TLS_SERVER_NAME.to_owned(),
            ca_certificate: ca_certificate.into(),
        }
    }

    /// The URL of the API, with an IPv6 address in brackets.
    pub fn url(&self) -> Result<String, PkiError> {
        address::https_url(&self.host, self.port)
    }
}
