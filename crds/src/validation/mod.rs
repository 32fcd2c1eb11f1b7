//! The rules that an object must meet, as plain functions that find everything wrong at once.
//!
//! The schema's own rules (see `kubectl explain` and `x-kubernetes-validations`) are a part of
//! these: what is here besides needs more than one field of view, or was let through by earlier
//! releases and so cannot be refused at the door.

mod cluster;
mod duration;
mod join_token_request;
mod metadata;
mod not_implemented;
mod quantity;
mod volumes;
mod warnings;

use std::fmt;

pub use cluster::validate_cluster;
pub use duration::{ParseDurationError, parse_go_duration};
pub use join_token_request::validate_join_token_request;
pub use not_implemented::{not_implemented, not_implemented_join_token_request};
pub use warnings::{cluster_warnings, join_token_request_warnings};

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

/// Gathers errors.
#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    fn add(
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
