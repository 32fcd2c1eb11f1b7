//! Something that a rule does not allow.

use serde_json::{Value, json};

use super::text;
use crate::validation::ErrorType;

/// Something that a rule does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Breach {
    pub path: String,
    pub value: String,
    pub sort: ErrorType,
    pub allowed: String,
    /// What it is told by from what was there before: where it was found, without the numbers of
    /// items, and all of what was found there.
    pub found: Value,
}

impl Breach {
    /// What is wrong, to be followed by `by policy ...`.
    pub(super) const fn what(&self) -> &'static str {
        match self.sort {
            ErrorType::Required => "required",
            _ => "not allowed",
        }
    }

    pub(super) fn not_allowed(path: impl Into<String>, value: &str, allowed: String) -> Self {
        let path = path.into();
        Self {
            found: json!([path, value]),
            path,
            value: text::short(value),
            sort: ErrorType::Invalid,
            allowed,
        }
    }

    pub(super) fn missing(path: impl Into<String>, allowed: String) -> Self {
        let path = path.into();
        Self {
            found: json!([path]),
            path,
            value: String::new(),
            sort: ErrorType::Required,
            allowed,
        }
    }
}
