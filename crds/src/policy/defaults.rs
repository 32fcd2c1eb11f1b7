//! What policies fill in where a new Cluster says nothing.

use serde_json::{Map, Value, json};

use crate::v1beta2::{ClusterDefaults, ClusterSpec};
use crate::validation::FieldError;

/// Fills in what is not there; whether that was anything.
pub(super) fn merge(defaults: &ClusterDefaults, object: &mut Value) -> bool {
    let Some(root) = object.as_object_mut() else {
        return false;
    };
    let texts = |texts: &std::collections::BTreeMap<String, String>| -> Map<String, Value> {
        let pairs = texts.iter().map(|(key, value)| (key.clone(), json!(value)));
        pairs.collect()
    };
    let mut metadata = Map::new();
    for (field, values) in [
        ("labels", &defaults.labels),
        ("annotations", &defaults.annotations),
    ] {
        if !values.is_empty() {
            metadata.insert(field.to_owned(), Value::Object(texts(values)));
        }
    }
    let mut wanted = Map::new();
    if !metadata.is_empty() {
        wanted.insert("metadata".to_owned(), Value::Object(metadata));
    }
    if !defaults.spec.is_empty() {
        wanted.insert("spec".to_owned(), Value::Object(defaults.spec.clone()));
    }
    fill(&wanted, root)
}

fn fill(wanted: &Map<String, Value>, there: &mut Map<String, Value>) -> bool {
    let mut changed = false;
    for (key, wanted) in wanted {
        match (there.get_mut(key), wanted) {
            // Null is how a field is left out on purpose by some programs, and stored as nothing.
            (None | Some(Value::Null), Value::Null) => {}
            (None | Some(Value::Null), wanted) => {
                there.insert(key.clone(), wanted.clone());
                changed = true;
            }
            (Some(Value::Object(there)), Value::Object(wanted)) => {
                changed |= fill(wanted, there);
            }
            (Some(_), _) => {}
        }
    }
    changed
}

/// What is wrong with defaults: what is no part of a spec, and what could never take effect.
pub(super) fn validate(defaults: &ClusterDefaults) -> Vec<FieldError> {
    const PATH: &str = "spec.defaults.spec";
    if defaults.spec.is_empty() {
        return Vec::new();
    }
    let wanted = Value::Object(defaults.spec.clone());
    let mut errors = Vec::new();
    let read: Result<ClusterSpec, _> = serde_json::from_value(wanted.clone());
    match read.map(serde_json::to_value) {
        Ok(Ok(known)) => unknown(PATH, &wanted, &known, &mut errors),
        Ok(Err(error)) | Err(error) => {
            let message = format!("must be a part of a Cluster's spec: {error}");
            errors.push(FieldError::invalid(PATH, "", message));
        }
    }
    if let Ok(filled) = serde_json::to_value(ClusterSpec::default()) {
        already(PATH, &wanted, &filled, &mut errors);
    }
    errors
}

/// Fields that got lost on the way through the types.
fn unknown(path: &str, wanted: &Value, known: &Value, errors: &mut Vec<FieldError>) {
    for (key, wanted) in wanted.as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        match known.get(key) {
            Some(known) => unknown(&path, wanted, known, errors),
            None if is_empty(wanted) => {}
            None => errors.push(FieldError::invalid(path, "", "unknown field")),
        }
    }
}

pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// Fields that the schema has filled in before any policy is asked.
fn already(path: &str, wanted: &Value, filled: &Value, errors: &mut Vec<FieldError>) {
    for (key, wanted) in wanted.as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        match filled.get(key) {
            Some(Value::Object(_)) if wanted.is_object() => {
                if let Some(filled) = filled.get(key) {
                    already(&path, wanted, filled, errors);
                }
            }
            None => {}
            Some(filled) => {
                let message = format!("has no effect: the schema sets {filled} first");
                errors
                    .push(FieldError::forbidden(path, message).hint("set what is allowed instead"));
            }
        }
    }
}
