//! Reading texts out of submitted JSON.

use std::borrow::Cow;

use serde_json::Value;

use crate::v1beta2::StorageType;

/// The longest value that a message repeats, in characters.
const MAX_SHOWN: usize = 100;

/// What stands at a path of plain names.
pub(super) fn field<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(object, |at, name| at.get(name))
}

/// What stands at a path such as `spec.image`, as text; `None` when nothing, null or nothing but an empty text
/// does. What is no text is taken as it is written: no rule allows it by accident.
pub(super) fn at<'a>(object: &'a Value, path: &str) -> Option<Cow<'a, str>> {
    match field(object, path)? {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        other => Some(Cow::Owned(other.to_string())),
    }
}

/// The same, with what the product takes where nothing is said.
pub(super) fn filled<'a>(object: &'a Value, path: &str, default: &'a str) -> Cow<'a, str> {
    at(object, path).unwrap_or(Cow::Borrowed(default))
}

/// The storage that a Cluster asks for.
pub(super) fn storage_type(object: &Value) -> Cow<'_, str> {
    filled(object, "spec.storage.type", StorageType::Etcd.as_str())
}

/// A value as messages repeat it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => short(text),
        other => short(&other.to_string()),
    }
}

/// A text as messages repeat it.
pub(super) fn short(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
