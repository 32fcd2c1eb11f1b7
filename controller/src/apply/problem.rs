//! What could not be written, and why.

use crds::conditions::steady;
use pki::PkiError;

use crate::kubernetes::store::ObjectKey;
use crate::kubernetes::writer::WriteError;

/// Why a write did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A write failed.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A certificate could not be made.
    #[error("could not create {key}: {source}")]
    Pki {
        /// The Secret.
        key: ObjectKey,
        /// The cause.
        #[source]
        source: PkiError,
    },
    /// The Secret with the authority is missing or not whole.
    #[error("{key} must hold a CA: a certificate in tls.crt and its key in tls.key")]
    NoAuthority {
        /// The Secret.
        key: ObjectKey,
    },
    /// The Secret with the authority has changed since it was seen.
    #[error("{key} has changed: nothing is signed before the change has been seen")]
    AuthorityChanged {
        /// The Secret.
        key: ObjectKey,
    },
}

/// What could not be done for a Cluster; all else was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The object that it is about.
    pub about: String,
    /// What the API server, or the check before it, said.
    pub message: String,
    /// The API server did not answer or had trouble of its own: nobody has to mend the object.
    pub passing: bool,
}

impl Problem {
    /// What stays until somebody changes something.
    pub fn new(about: &ObjectKey, message: impl Into<String>) -> Self {
        Self {
            about: about.to_string(),
            message: message.into(),
            passing: false,
        }
    }

    /// What an error says about an object.
    pub fn from_error(about: &ObjectKey, error: &ApplyError) -> Self {
        let (message, passing) = match error {
            ApplyError::Write(error) => (
                error.message(),
                matches!(
                    error,
                    WriteError::Timeout { .. } | WriteError::Failed { .. }
                ),
            ),
            ApplyError::Pki { source, .. } => (source.to_string(), false),
            ApplyError::NoAuthority { .. } => (error.to_string(), false),
            ApplyError::AuthorityChanged { .. } => (error.to_string(), true),
        };
        Self {
            passing,
            ..Self::new(about, steady(&message))
        }
    }
}
