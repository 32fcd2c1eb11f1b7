//! Why a text is no join token, or none can be made.

use thiserror::Error;

/// Why a text is no join token, or none can be made.
///
/// No variant carries any part of the token.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The text is not base64.
    #[error("join token is not base64")]
    Base64,

    /// What the base64 holds is not one gzip stream.
    #[error("join token is not gzip inside its base64")]
    Gzip,

    /// The token is larger than any real one.
    #[error("join token unpacks to more than {limit} bytes")]
    TooLarge {
        /// The most that is unpacked.
        limit: usize,
    },

    /// What was unpacked is not a kubeconfig, or one with fields that no join token has.
    #[error("join token holds no kubeconfig that is a join token's")]
    Kubeconfig,

    /// The kubeconfig differs from a join token's.
    #[error("join token's kubeconfig is wrong: {0}")]
    Shape(&'static str),

    /// The id is not 6 characters of a-z and 0-9.
    #[error("token id must be 6 characters of a-z and 0-9")]
    Id,

    /// The secret is not 16 characters of a-z and 0-9.
    #[error("token secret must be 16 characters of a-z and 0-9")]
    Secret,

    /// A bootstrap Secret lacks a key, or holds there what cannot be read.
    #[error("bootstrap secret has no usable {0:?}")]
    BootstrapKey(&'static str),

    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness")]
    Randomness(#[source] rand::rand_core::OsError),

    /// The token could not be packed.
    #[error("join token could not be packed")]
    Pack(#[source] std::io::Error),

    /// The kubeconfig inside the token could not be written.
    #[error("join token's kubeconfig could not be written")]
    Write(#[source] crate::PkiError),
}
