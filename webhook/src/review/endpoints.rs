//! What the server asks, answered by what is known.

use super::{ReviewError, Stage};
use crate::cache::{Cache, Watches};
use crate::handlers::{Handlers, World};
use crate::metrics::Metrics;

/// What answers, each from a body to a body.
pub trait Endpoints: Send + Sync + 'static {
    /// What a decision needs and has not come yet. Conversion needs nothing.
    fn missing(&self) -> Option<String> {
        None
    }
    /// `/mutate`: an AdmissionReview.
    fn mutate(&self, body: &[u8]) -> Result<Vec<u8>, ReviewError>;
    /// `/validate`: an AdmissionReview.
    fn validate(&self, body: &[u8]) -> Result<Vec<u8>, ReviewError>;
    /// `/convert`: a ConversionReview.
    fn convert(&self, body: &[u8]) -> Result<Vec<u8>, ReviewError>;
}

/// Answers by what the cache holds.
pub struct Reviews {
    /// By kind.
    pub handlers: Handlers,
    /// What is known.
    pub cache: Cache,
    /// What fills it.
    pub watches: Watches,
    /// Counts.
    pub metrics: Metrics,
}

impl Reviews {
    fn admit(&self, stage: Stage, body: &[u8]) -> Result<Vec<u8>, ReviewError> {
        let policies = self.cache.policies();
        let world = World {
            mothership: &self.cache,
            policies: &policies,
        };
        super::admit(&self.handlers, world, stage, &self.metrics, body)
    }
}

impl Endpoints for Reviews {
    fn missing(&self) -> Option<String> {
        let missing: Vec<&str> = self.watches.missing().collect();
        (!missing.is_empty()).then(|| missing.join(", "))
    }

    fn mutate(&self, body: &[u8]) -> Result<Vec<u8>, ReviewError> {
        self.admit(Stage::Mutate, body)
    }

    fn validate(&self, body: &[u8]) -> Result<Vec<u8>, ReviewError> {
        self.admit(Stage::Validate, body)
    }

    fn convert(&self, body: &[u8]) -> Result<Vec<u8>, ReviewError> {
        super::convert(super::converter, &self.metrics, body)
    }
}
