//! Fields of a value by their paths, such as `spec.storage.etcd`.

use serde_json::{Map, Value};

use super::ConversionError;

/// Takes a field away. A parent that is missing or null has none.
pub fn take(root: &mut Value, path: &str) -> Result<Option<Value>, ConversionError> {
    let (parents, name) = path.rsplit_once('.').unwrap_or(("", path));
    let Some(mut fields) = root.as_object_mut() else {
        return Ok(None);
    };
    let mut reached = String::new();
    for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
        extend(&mut reached, parent);
        fields = match fields.get_mut(parent) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Object(inner)) => inner,
            Some(other) => return Err(wrong(reached, "an object", other)),
        };
    }
    Ok(fields.remove(name))
}

/// Puts a field, and its parents where they are missing.
pub fn put(root: &mut Value, path: &str, value: Value) -> Result<(), ConversionError> {
    let (parents, name) = path.rsplit_once('.').unwrap_or(("", path));
    let mut current = root;
    let mut reached = String::new();
    for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
        current = fields(current, &reached)?
            .entry(parent)
            .or_insert(Value::Null);
        extend(&mut reached, parent);
    }
    fields(current, &reached)?.insert(name.to_owned(), value);
    Ok(())
}

fn fields<'a>(
    value: &'a mut Value,
    path: &str,
) -> Result<&'a mut Map<String, Value>, ConversionError> {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(fields) => Ok(fields),
        other => Err(wrong(path.to_owned(), "an object", other)),
    }
}

fn extend(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

/// The error of a field of the wrong type.
pub fn wrong(path: String, expected: &'static str, found: &Value) -> ConversionError {
    ConversionError::Type {
        path,
        expected,
        found: match found {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        },
    }
}

/// Whether all values of an object are strings.
pub fn is_string_map(value: &Value) -> bool {
    value
        .as_object()
        .is_some_and(|fields| fields.values().all(Value::is_string))
}

/// Refuses metadata that could not be the API server's.
pub fn check_metadata(object: &Value) -> Result<(), ConversionError> {
    let metadata = object.get("metadata").unwrap_or(&Value::Null);
    if !metadata.is_object() {
        return Err(wrong("metadata".to_owned(), "an object", metadata));
    }
    for field in ["labels", "annotations"] {
        match metadata.get(field) {
            None | Some(Value::Null) => {}
            Some(strings) if is_string_map(strings) => {}
            Some(other) => {
                let expected = "an object of strings";
                return Err(wrong(format!("metadata.{field}"), expected, other));
            }
        }
    }
    Ok(())
}

/// The value of an annotation.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object
        .get("metadata")?
        .get("annotations")?
        .get(key)?
        .as_str()
}

/// Sets an annotation.
pub fn set_annotation(object: &mut Value, key: &str, text: String) -> Result<(), ConversionError> {
    set(object, "annotations", key, text)
}

/// Sets a label.
pub fn set_label(object: &mut Value, key: &str, text: &str) -> Result<(), ConversionError> {
    set(object, "labels", key, text.to_owned())
}

// Keys have dots of their own, hence no path.
fn set(object: &mut Value, field: &str, key: &str, text: String) -> Result<(), ConversionError> {
    let metadata = fields(object, "")?.entry("metadata").or_insert(Value::Null);
    let strings = fields(metadata, "metadata")?
        .entry(field)
        .or_insert(Value::Null);
    fields(strings, &format!("metadata.{field}"))?.insert(key.to_owned(), Value::String(text));
    Ok(())
}

/// Removes an annotation, and the annotations with the last of them.
pub fn remove_annotation(object: &mut Value, key: &str) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    if let Some(annotations) = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
        && annotations.remove(key).is_some()
        && annotations.is_empty()
    {
        metadata.remove("annotations");
    }
}

/// What Kubernetes counts as the size of an object's annotations, in bytes.
pub fn annotations_size(object: &Value) -> usize {
    let annotations = object
        .get("metadata")
        .and_then(|metadata| metadata.get("annotations"))
        .and_then(Value::as_object);
    annotations
        .into_iter()
        .flatten()
        .map(|(key, text)| key.len() + text.as_str().map_or(0, str::len))
        .sum()
}

/// The value of a label.
pub fn label(object: &Value, key: &str) -> Option<String> {
    let label = object.get("metadata")?.get("labels")?.get(key)?;
    label.as_str().map(str::to_owned)
}

/// What the API server calls the object, if it has stored it.
pub fn uid(object: &Value) -> Option<String> {
    let uid = object.get("metadata")?.get("uid")?;
    uid.as_str().map(str::to_owned)
}
