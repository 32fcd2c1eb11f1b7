//! What the hosted API takes of the configuration once it is an object there. At its start k0s writes
//! that object itself, with what is left out filled in; what is changed later is held against a schema
//! that knows less than k0s.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::kind::{Field, Kind, Text};
use super::{PATH, schema, text, walk};
use crate::v1beta2::ClusterSpec;

/// The configuration without what counts as left out, and with what may not be left out.
pub fn stored(config: Value) -> Value {
    let Value::Object(config) = config else {
        return config;
    };
    let mut config = Value::Object(object(schema::CONFIG, config));
    let gates = config.pointer_mut("/spec/featureGates");
    for gate in gates.and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(gate) = gate.as_object_mut() else {
            continue;
        };
        gate.entry("enabled").or_insert(json!(false));
        if gate.get("components") == Some(&json!([])) {
            gate.remove("components");
        }
    }
    let router = config.pointer_mut("/spec/network/kuberouter");
    if let Some(router) = router.and_then(Value::as_object_mut)
        && router.get("hairpin").is_some_and(|hairpin| hairpin == "")
    {
        router.remove("hairpin");
    }
    config
}

fn object(fields: &[Field], object: Map<String, Value>) -> Map<String, Value> {
    let fields = |key: &str| walk::find(fields, key);
    let kept = object
        .into_iter()
        .filter_map(|(key, value)| match fields(&key) {
            Some(field) => Some((key, kept(&field.kind, value)?)),
            None => Some((key, value)),
        });
    kept.collect()
}

fn kept(kind: &Kind, value: Value) -> Option<Value> {
    match (kind, value) {
        (_, Value::Null) => None,
        (Kind::Text(Text::OneOf(_)), Value::String(text)) if text.is_empty() => None,
        // A text that is looked at, and is well when it is empty, means nothing then.
        (Kind::Text(Text::Like(is_like, _)), Value::String(text))
            if text.is_empty() && is_like("") =>
        {
            None
        }
        (Kind::Integer(0, 65535), Value::Number(number)) if number.as_i64() == Some(0) => None,
        (Kind::Object(fields), Value::Object(inner)) => {
            let inner = object(fields, inner);
            let is_empty = HALVES.iter().all(|half| !inner.contains_key(*half));
            (!(is_image(fields) && is_empty)).then_some(Value::Object(inner))
        }
        (Kind::List(kind), Value::Array(items)) => {
            let items = items.into_iter().map(|item| match (kind, item) {
                (Kind::Object(_), Value::Null) => json!({}),
                (Kind::Text(_), Value::Null) => json!(""),
                (Kind::Object(fields), Value::Object(inner)) => {
                    Value::Object(object(fields, inner))
                }
                (_, item) => item,
            });
            Some(items.collect())
        }
        (_, value) => Some(value),
    }
}

const HALVES: [&str; 2] = ["image", "version"];

fn is_image(fields: &[Field]) -> bool {
    fields.iter().map(|field| field.name).eq(HALVES)
}

/// Which halves of its images a configuration says, by their paths: the image and its version.
pub(crate) fn images(spec: &ClusterSpec) -> BTreeMap<String, [(&'static str, bool); 2]> {
    let mut found = BTreeMap::new();
    if let Some(config) = &spec.k0s_config {
        gather(schema::CONFIG, config, PATH, &mut found);
    }
    found
}

fn gather(
    fields: &[Field],
    value: &Value,
    path: &str,
    found: &mut BTreeMap<String, [(&'static str, bool); 2]>,
) {
    for field in fields {
        let Kind::Object(inner) = &field.kind else {
            continue;
        };
        let Some(value) = text::get(value, &[field.name]) else {
            continue;
        };
        let path = format!("{path}.{}", field.name);
        if is_image(inner) {
            let says = |half| {
                let said = text::get_text(value, &[half]);
                (half, said.is_some_and(|text| !text.is_empty()))
            };
            found.insert(path, HALVES.map(says));
        } else {
            gather(inner, value, &path, found);
        }
    }
}
