//! The envelopes: AdmissionReview and ConversionReview, both `v1` only.
//!
//! Requests are borrowed from the body as far as they can be; only the objects become trees.

mod admission;
mod conversion;
mod endpoints;
#[cfg(test)]
mod fuzz;
mod object;

pub use admission::{Stage, admit};
pub use conversion::{Convert, convert, converter};
pub use endpoints::{Endpoints, Reviews};

/// Why a body is no request that could be answered: there is no uid to answer to.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// It is not JSON of the expected shape.
    #[error("the body must be of kind {kind}: {source}")]
    Parse {
        /// The kind that was expected.
        kind: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// It is of another kind or version.
    #[error("the body is a {kind} of {api_version}, but must be {expected}")]
    Version {
        /// Its kind.
        kind: String,
        /// Its version.
        api_version: String,
        /// What is answered.
        expected: &'static str,
    },
    /// It asks for nothing.
    #[error("the {0} has no request")]
    NoRequest(&'static str),
    /// Nobody could tell whom the answer is for.
    #[error("the request has no uid")]
    NoUid,
    /// The answer could not be written.
    #[error("the answer could not be written")]
    Answer(#[source] serde_json::Error),
}
