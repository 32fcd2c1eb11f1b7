//! Why an own object could not be read or written.

use crate::kubernetes::writer::DEADLINE;

/// A request for an own object failed.
#[derive(Debug, thiserror::Error)]
pub enum PrimaryError {
    /// The API server said no, or nothing.
    #[error("could not {what}: {}", said(source))]
    Failed {
        /// `write the status`, for example.
        what: &'static str,
        /// The cause.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer in time.
    #[error("could not {what}: no answer within {} s", DEADLINE.as_secs())]
    Timeout {
        /// `write the status`, for example.
        what: &'static str,
    },
}

impl PrimaryError {
    pub(super) fn failed(what: &'static str, source: kube::Error) -> Self {
        Self::Failed {
            what,
            source: Box::new(source),
        }
    }

    /// The object is gone.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Somebody has changed the object meanwhile.
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// Nobody knows whether it was carried out.
    pub(super) fn may_be_done(&self) -> bool {
        matches!(self.code(), None | Some(504))
    }

    /// The API server refuses it as it is.
    pub fn is_refused(&self) -> bool {
        matches!(self.code(), Some(400 | 403 | 422))
    }

    fn code(&self) -> Option<u16> {
        match self {
            Self::Failed { source, .. } => match &**source {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            Self::Timeout { .. } => None,
        }
    }
}

/// What the API server said, without the rest of its answer.
fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
