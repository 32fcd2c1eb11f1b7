//! The rules that an object must meet, as plain functions that find everything wrong at once.
//!
//! The schema's own rules (see `kubectl explain` and `x-kubernetes-validations`) are a part of
//! these: what is here besides needs more than one field of view, or was let through by earlier
//! releases and so cannot be refused at the door.

mod cluster;
mod conflicts;
mod duration;
mod field_error;
mod ingress;
mod join_token_request;
pub(crate) mod metadata;
mod namesakes;
mod not_implemented;
mod patches;
mod persistence;
mod ports;
pub mod quantity;
mod quota;
mod stacks;
mod start;
mod storage;
pub(crate) mod texts;
mod update;
mod volumes;
mod warnings;

use std::fmt;

pub use cluster::{cluster_boundaries, validate_cluster};
pub use conflicts::conflicts;
pub use duration::{ParseDurationError, parse_go_duration};
pub use field_error::{ErrorType, FieldError};
pub use join_token_request::{join_token_request_update, validate_join_token_request};
pub use metadata::{is_label_key, is_label_value};
pub use namesakes::of_request as request_namesakes;
pub use not_implemented::{not_implemented, not_implemented_join_token_request};
pub use start::cluster_start;
pub use storage::{etcd_flag, is_etcds_own};
pub use texts::{KEY, LABEL, LABEL_VALUE, SUBDOMAIN, is_obeyed};
pub use update::cluster_update;
pub use warnings::{cluster_warnings, join_token_request_warnings};

use crate::v1beta2::Cluster;

/// Whether anything is made for a Cluster. One for which nothing is keeps nothing from others by
/// asking for it.
pub fn is_served(cluster: &Cluster) -> bool {
    not_implemented(&cluster.spec).is_empty() && validate_cluster(cluster).is_empty()
}

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

    pub(crate) fn new(errors: Errors, warnings: Errors) -> Self {
        Self {
            errors: errors.0,
            // A stored object may have what a new one may not.
            warnings: warnings
                .0
                .into_iter()
                .map(FieldError::into_warning)
                .collect(),
        }
    }
}

/// Gathers errors.
#[derive(Default)]
pub(crate) struct Errors(pub(crate) Vec<FieldError>);

impl Errors {
    pub(crate) fn required(
        &mut self,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Added<'_> {
        self.add(FieldError::required(path, message))
    }

    pub(crate) fn invalid(
        &mut self,
        path: impl Into<String>,
        value: impl fmt::Display,
        message: impl Into<String>,
    ) -> Added<'_> {
        self.add(FieldError::invalid(path, value, message))
    }

    /// A value that has changed and may not.
    pub(crate) fn immutable(
        &mut self,
        path: impl Into<String>,
        value: impl fmt::Display,
        why: impl fmt::Display,
    ) -> Added<'_> {
        self.invalid(path, value, format!("field is immutable: {why}"))
    }

    pub(crate) fn not_supported<T: fmt::Display>(
        &mut self,
        path: impl Into<String>,
        value: impl fmt::Display,
        supported: impl IntoIterator<Item = T>,
    ) -> Added<'_> {
        self.add(FieldError::not_supported(path, value, supported))
    }

    pub(crate) fn forbidden(
        &mut self,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Added<'_> {
        self.add(FieldError::forbidden(path, message))
    }

    pub(crate) fn duplicate(
        &mut self,
        path: impl Into<String>,
        value: impl fmt::Display,
        message: impl Into<String>,
    ) -> Added<'_> {
        self.add(FieldError::duplicate(path, value, message))
    }

    pub(crate) fn warning(
        &mut self,
        path: impl Into<String>,
        value: impl fmt::Display,
        message: impl Into<String>,
    ) -> Added<'_> {
        self.add(FieldError::warning(path, value, message))
    }

    pub(crate) fn add(&mut self, error: FieldError) -> Added<'_> {
        self.0.push(error);
        Added(self.0.last_mut())
    }
}

/// What was gathered last.
pub(crate) struct Added<'a>(Option<&'a mut FieldError>);

impl Added<'_> {
    /// Says what to do about it.
    pub(crate) fn hint(self, hint: impl Into<String>) {
        if let Some(error) = self.0 {
            error.hint = hint.into();
        }
    }
}
