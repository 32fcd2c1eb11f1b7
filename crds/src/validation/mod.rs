//! The rules that an object must meet, as plain functions that find everything wrong at once.
//!
//! The schema's own rules (see `kubectl explain` and `x-kubernetes-validations`) are a part of
//! these: what is here besides needs more than one field of view, or was let through by earlier
//! releases and so cannot be refused at the door.

mod cluster;
mod conflicts;
mod duration;
mod ingress;
mod join_token_request;
pub(crate) mod metadata;
mod not_implemented;
mod patches;
mod persistence;
pub mod quantity;
mod quota;
mod storage;
mod update;
mod volumes;
mod warnings;

use std::fmt;

pub use cluster::{cluster_boundaries, validate_cluster};
pub use conflicts::conflicts;
pub use duration::{ParseDurationError, parse_go_duration};
pub use join_token_request::{join_token_request_update, validate_join_token_request};
pub use not_implemented::{not_implemented, not_implemented_join_token_request};
pub use update::cluster_update;
pub use warnings::{cluster_warnings, join_token_request_warnings};

use crate::v1beta2::Cluster;

/// Whether anything is made for a Cluster. One for which nothing is keeps nothing from others by
/// asking for it.
pub fn is_served(cluster: &Cluster) -> bool {
    not_implemented(&cluster.spec).is_empty() && validate_cluster(cluster).is_empty()
}

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldError {
    /// Path of the field, such as `spec.mounts[1].path`.
    pub path: String,
    /// The offending value; empty when the field is missing.
    pub value: String,
    /// What is wrong with it.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path)?;
        if !self.value.is_empty() {
            write!(f, "{:?}: ", self.value)?;
        }
        f.write_str(&self.message)?;
        if !self.hint.is_empty() {
            write!(f, " ({})", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for FieldError {}

/// What is wrong with a change or with the place that an object wants to take, and what about it
/// works but has a price.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What forbids it.
    pub errors: Vec<FieldError>,
    /// What its author should know.
    pub warnings: Vec<FieldError>,
}

impl Findings {
    /// Takes over what another rule has found.
    pub fn extend(&mut self, other: Self) {
        self.errors.extend(other.errors);
        self.warnings.extend(other.warnings);
    }

    fn of(errors: Errors, warnings: Errors) -> Self {
        Self {
            errors: errors.0,
            warnings: warnings.0,
        }
    }
}

/// Gathers errors.
#[derive(Default)]
pub(crate) struct Errors(pub(crate) Vec<FieldError>);

impl Errors {
    pub(crate) fn add(
        &mut self,
        path: impl Into<String>,
        value: impl fmt::Display,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.0.push(FieldError {
            path: path.into(),
            value: value.to_string(),
            message: message.into(),
            hint: hint.into(),
        });
    }
}
