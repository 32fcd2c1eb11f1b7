//! Why a call to a hosted API failed, in words that stay the same for the same cause.

use std::error::Error;
use std::io;

use pki::PkiError;
use pki::token::{TokenError, TokenId};
use rustls::CertificateError;
use thiserror::Error;

/// Why a call to a hosted API failed.
///
/// The texts are the same for the same cause (no times, no ports of this side), so that they can
/// stand in a condition without changing it at every try.
#[derive(Debug, Error)]
pub enum HostedError {
    /// The endpoint's address or authority cannot be used.
    #[error("endpoint of the hosted API is invalid")]
    Endpoint(#[source] PkiError),

    /// No client can be made of the endpoint and the certificate.
    #[error("no client can be created for the hosted API")]
    Client(#[source] Box<kube::Error>),

    /// There was no answer in time.
    #[error("hosted API did not respond in time")]
    Timeout,

    /// Nothing answers at the address.
    #[error("hosted API cannot be reached: {0}")]
    Unreachable(String),

    /// The other side is not the API that was expected, or does not accept our certificate.
    #[error("hosted API cannot be trusted: {0}")]
    Tls(String),

    /// The API does not know us, or does not let us.
    #[error("hosted API refused the request with status {code}")]
    Unauthorized {
        /// 401 or 403.
        code: u16,
    },

    /// The API answered with an error.
    #[error("hosted API responded with status {code} {reason}")]
    Api {
        /// The HTTP status.
        code: u16,
        /// The machine-readable reason, such as `Conflict`.
        reason: String,
    },

    /// The answer is larger than any real one, or not what was asked for.
    #[error("hosted API returned an invalid response")]
    Answer,

    /// The bootstrap Secret in the hosted cluster is not one.
    #[error("bootstrap Secret in the hosted cluster is invalid")]
    Token(#[source] TokenError),

    /// Another token has the id already.
    #[error("token id {0} belongs to another token")]
    TokenTaken(TokenId),
}

impl HostedError {
    /// Whether the API answered with this HTTP status.
    pub(super) fn is_status(&self, status: u16) -> bool {
        matches!(self, Self::Api { code, .. } if *code == status)
    }
}

impl From<kube::Error> for HostedError {
    fn from(error: kube::Error) -> Self {
        if let kube::Error::Api(status) = &error {
            return match status.code {
                code @ (401 | 403) => Self::Unauthorized { code },
                code => Self::Api {
                    code,
                    // The peer's own text, and a word where there is one.
                    reason: status
                        .reason
                        .chars()
                        .filter(char::is_ascii_alphanumeric)
                        .take(64)
                        .collect(),
                },
            };
        }
        from_chain(&error)
    }
}

/// What a transport error comes down to: the first telling link of its chain.
fn from_chain(error: &(dyn Error + 'static)) -> HostedError {
    let mut link = Some(error);
    while let Some(current) = link {
        if let Some(tls) = current.downcast_ref::<rustls::Error>() {
            return HostedError::Tls(describe(tls));
        }
        if current.is::<serde_json::Error>() || current.is::<http_body_util::LengthLimitError>() {
            return HostedError::Answer;
        }
        if let Some(io) = current.downcast_ref::<io::Error>() {
            // An error inside an io::Error is not among its sources.
            if let Some(inner) = io.get_ref() {
                let inner: &(dyn Error + 'static) = inner;
                if let found @ (HostedError::Tls(_) | HostedError::Timeout) = from_chain(inner) {
                    return found;
                }
            }
            if io.kind() == io::ErrorKind::TimedOut {
                return HostedError::Timeout;
            }
        }
        match current.source() {
            Some(source) => link = Some(source),
            None => return HostedError::Unreachable(current.to_string().to_lowercase()),
        }
    }
    HostedError::Unreachable(error.to_string())
}

/// rustls puts the time of the check and lists of names into some of its texts.
fn describe(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(reason) => match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired".into()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet".into()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name".into()
            }
            // Which of the two depends only on whether the other authority has the same name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its certificate is not signed by the cluster's CA".into()
            }
            _ => "its certificate is not valid".into(),
        },
        rustls::Error::AlertReceived(alert) => format!("it closed the handshake with {alert:?}"),
        _ => "it does not speak valid TLS".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_inside_an_io_error_is_found() {
        let tls = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let wrapped = io::Error::new(io::ErrorKind::InvalidData, tls);
        let outer = kube::Error::Service(Box::new(wrapped));
        assert!(matches!(HostedError::from(outer), HostedError::Tls(_)));
    }

    #[test]
    fn a_status_is_told_by_its_code() {
        let api = |code: u16| {
            let status = kube::core::Status::failure("etcd is busy", "ServiceUnavailable");
            HostedError::from(kube::Error::Api(status.with_code(code).boxed()))
        };
        assert!(matches!(api(401), HostedError::Unauthorized { code: 401 }));
        assert!(matches!(api(403), HostedError::Unauthorized { code: 403 }));
        assert!(api(503).is_status(503));
        assert!(!api(422).to_string().contains("etcd is busy"));
        let strange = kube::core::Status::failure("", "\u{1b}[2JConflict\n").with_code(409);
        let error = HostedError::from(kube::Error::Api(strange.boxed()));
        assert_eq!(
            error.to_string(),
            "hosted API responded with status 409 2JConflict"
        );
    }
}
