//! Fields as rules read them: a zero or an empty text is none, as the product takes it.

use serde::Deserialize;
use serde_json::Value;

use crate::quantity::amount;
use crate::v1beta2::{ClusterSpec, PolicyKind};

/// An object with what the product takes zeros for, which Go's encoder writes for what its program
/// has left out: the default, or nothing. All else is as it was submitted; `None` when all of it is.
pub(super) fn as_read(kind: PolicyKind, object: &Value) -> Option<Value> {
    let spec = object
        .get("spec")
        .filter(|spec| kind == PolicyKind::Cluster && has_zeros(spec));
    let read = spec
        .and_then(|spec| ClusterSpec::deserialize(spec).ok())
        .and_then(|spec| serde_json::to_value(spec).ok())?;
    let mut object = object.clone();
    if let Some(spec) = object.get_mut("spec") {
        fill(spec, &read);
    }
    Some(object)
}

fn has_zeros(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().any(has_zeros),
        Value::Array(items) => items.iter().any(has_zeros),
        value => is_zero(value),
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty() || amount(text) == Some(0.0),
        Value::Number(number) => number.as_f64() == Some(0.0),
        _ => false,
    }
}

fn fill(there: &mut Value, read: &Value) {
    match (there, read) {
        (Value::Object(there), Value::Object(read)) => {
            // What is read as left out.
            there.retain(|name, value| read.contains_key(name) || value != "");
            for (name, value) in there {
                if let Some(read) = read.get(name) {
                    fill(value, read);
                }
            }
        }
        (Value::Array(there), Value::Array(read)) => {
            for (value, read) in there.iter_mut().zip(read) {
                fill(value, read);
            }
        }
        (there, read) if is_zero(there) && !is_zero(read) => *there = read.clone(),
        _ => {}
    }
}
