//! Why key material cannot be read or made.

use thiserror::Error;

/// Why key material could not be read or made.
///
/// No variant carries any part of a key: only what kind of thing was wrong.
#[derive(Debug, Error)]
pub enum PkiError {
    /// The PEM text is longer than any real certificate or key.
    #[error("PEM text of {0} bytes is too long")]
    PemTooLong(usize),

    /// The text holds a PEM block that cannot be read.
    #[error("PEM text cannot be read")]
    Pem,

    /// The text holds no certificate.
    #[error("no certificate in the PEM text")]
    NoCertificate,

    /// The text holds neither a certificate nor a public key.
    #[error("no public key in the PEM text")]
    NoPublicKey,

    /// The text holds no private key of a known encoding.
    #[error("no private key in the PEM text")]
    NoPrivateKey,

    /// The certificate is no well-formed X.509 certificate.
    #[error("certificate cannot be read")]
    Certificate,

    /// The private key's algorithm, curve, size or encoding is not supported.
    #[error("private key is of a kind that cannot be used: {0}")]
    UnsupportedKey(&'static str),

    /// Certificate and private key do not belong together.
    #[error("certificate and private key do not belong together")]
    KeyMismatch,

    /// The certificate may not sign others.
    #[error("certificate is not an authority's: {0}")]
    NotAnAuthority(&'static str),

    /// The authority has expired, or is not valid yet.
    #[error("authority is valid from {not_before} to {not_after} only")]
    AuthorityNotValid {
        /// The authority's first valid second.
        not_before: jiff::Timestamp,
        /// The authority's last valid second.
        not_after: jiff::Timestamp,
    },

    /// The authority's subject has a form that cannot be repeated as an issuer.
    #[error("authority's subject name has a form that cannot be used as an issuer")]
    IssuerName,

    /// A subject alternative name is neither an IP address nor a DNS name.
    #[error("{0:?} is neither an IP address nor a DNS name")]
    SubjectAlternativeName(String),

    /// A host is neither an IP address nor a DNS name.
    #[error("host {0:?} is neither an IP address nor a DNS name")]
    Host(String),

    /// A name in the subject is empty or too long.
    #[error("{0} must have 1 to 64 characters")]
    SubjectName(&'static str),

    /// The lifetime is not positive, or ends beyond what a certificate can say.
    #[error("lifetime is out of range")]
    Lifetime,

    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness")]
    Randomness(#[source] rand::rand_core::OsError),

    /// The certificate could not be made.
    #[error("certificate could not be made")]
    Make(#[source] rcgen::Error),

    /// The kubeconfig could not be written as YAML.
    #[error("kubeconfig could not be written")]
    Kubeconfig(#[source] serde_saphyr::ser::Error),
}
