//! Labels and annotations that a spec carries to other objects: which keys and values can be.

use super::{Errors, texts};
use crate::labels::Labels;
use crate::names;

pub(crate) fn labels(errors: &mut Errors, path: &str, labels: &Labels) {
    for (key, value) in labels {
        if !is_label_key(key) {
            errors.invalid(format!("{path}[{key}]"), key, texts::KEY);
        }
        if !is_label_value(value) {
            errors.invalid(format!("{path}[{key}]"), value, texts::LABEL_VALUE);
        }
    }
}

pub(crate) fn annotations(errors: &mut Errors, path: &str, annotations: &Labels) {
    for key in annotations.keys() {
        if !is_annotation_key(key) {
            errors.invalid(format!("{path}[{key}]"), key, texts::KEY);
        }
    }
}

/// Whether Kubernetes takes it as the key of a label, or of a taint.
pub fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => names::is_object_name(prefix) && is_word(name),
        None => is_word(key),
    }
}

/// Whether Kubernetes takes it as the value of a label, or of a taint.
pub fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_word(value)
}

/// Whether Kubernetes takes it as the key of an annotation: there it does not mind capitals before
/// the slash.
pub(crate) fn is_annotation_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_label_key(&format!("{}/{name}", prefix.to_ascii_lowercase())),
        None => is_word(key),
    }
}

fn is_word(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && edge(text.chars().next())
        && edge(text.chars().last())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
}
