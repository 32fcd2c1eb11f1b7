//! What is kept of objects that are larger than what they tell. Pure.

use serde_json::{Map, Value, json};

/// A node: what it runs, how it is, and what it has; not its images, nor its volumes.
pub fn node(mut node: Value) -> Value {
    if let Some(status) = node.get_mut("status").and_then(Value::as_object_mut) {
        status.retain(|field, _| {
            matches!(
                field.as_str(),
                "conditions" | "nodeInfo" | "capacity" | "allocatable" | "addresses"
            )
        });
    }
    node
}

/// The definition of a kind: its versions and conditions, without their schemas.
pub fn definition(definition: Value) -> Value {
    let mut definition = without_authority(definition);
    let versions = definition
        .pointer_mut("/spec/versions")
        .and_then(Value::as_array_mut);
    for version in versions.into_iter().flatten() {
        if let Some(version) = version.as_object_mut() {
            version.retain(|field, _| {
                matches!(field.as_str(), "name" | "served" | "storage" | "deprecated")
            });
        }
    }
    definition
}

/// The object without the certificates by which a webhook is trusted, wherever they stand.
pub fn without_authority(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| match (name.as_str(), &value) {
                // Whether there is one decides whether it works.
                ("caBundle", Value::String(text)) => {
                    let told = format!("[left out: {} characters]", text.len());
                    (name, json!(told))
                }
                _ => (name, without_authority(value)),
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.into_iter().map(without_authority).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_told_without_its_images() {
        let told = node(json!({"metadata": {"name": "a"}, "status": {
            "images": [{"names": ["x"]}], "nodeInfo": {"kubeletVersion": "v1"},
            "conditions": [{"type": "Ready"}]}}));
        assert_eq!(
            told,
            json!({"metadata": {"name": "a"}, "status": {
                "nodeInfo": {"kubeletVersion": "v1"}, "conditions": [{"type": "Ready"}]}})
        );
    }

    #[test]
    fn a_definition_is_told_without_schemas_and_authority() {
        let told = definition(json!({"spec": {
            "conversion": {"webhook": {"clientConfig": {"caBundle": "LS0t"}}},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"a": 1}}]}}));
        assert_eq!(
            told,
            json!({"spec": {
                "conversion": {"webhook": {"clientConfig":
                    {"caBundle": "[left out: 4 characters]"}}},
                "versions": [{"name": "v1", "served": true, "storage": true}]}})
        );
    }
}
