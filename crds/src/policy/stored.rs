//! Policies as they are stored: by another release, perhaps, which knows fields that this one does
//! not, or other values of a field. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::text;
use crate::v1beta2::{ClusterPolicy, ClusterPolicySpec, Unread};

/// Reads what can be read of a policy, field by field and item by item, and lists the rest: a part of
/// one that is not understood was meant to hold something back all the same.
///
/// # Errors
/// For metadata that are none.
pub fn read_policy(object: &Value) -> serde_json::Result<ClusterPolicy> {
    let part = |name: &str| object.get(name).cloned().unwrap_or_default();
    Ok(ClusterPolicy {
        metadata: Option::deserialize(part("metadata"))?.unwrap_or_default(),
        spec: spec(part("spec")),
        status: status(part("status")),
    })
}

fn spec(written: Value) -> ClusterPolicySpec {
    let mut unread = Vec::new();
    let fields = if let Value::Object(fields) = written {
        fields
    } else {
        unread.push(cannot("spec", "must be an object"));
        Map::new()
    };
    let readable = fields.into_iter().filter_map(|(name, value)| {
        let value = field(&name, value, &mut unread)?;
        Some((name, value))
    });
    let readable = Value::Object(readable.collect());
    // Each field was read by itself, and none depends on another.
    let mut spec: ClusterPolicySpec = parsed(&readable).unwrap_or_default();
    lost("spec", &readable, &written_by(&spec), &mut unread);
    spec.unread = unread;
    spec
}

/// What of a field can be read: of a list those items that can.
fn field(name: &str, value: Value, unread: &mut Vec<Unread>) -> Option<Value> {
    let reads = |value: &Value| parsed::<ClusterPolicySpec>(&json!({ name: value })).map(drop);
    let error = match reads(&value) {
        Ok(()) => return Some(value),
        Err(error) => error,
    };
    let Value::Array(items) = value else {
        let path = format!("spec.{}", text::short(name));
        unread.push(cannot(&path, &error.to_string()));
        return None;
    };
    let mut readable = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        match reads(&json!([item])) {
            Ok(()) => readable.push(item),
            Err(error) => {
                let path = format!("spec.{name}[{index}]");
                unread.push(cannot(&path, &error.to_string()));
            }
        }
    }
    Some(Value::Array(readable))
}

fn cannot(field: &str, why: &str) -> Unread {
    Unread {
        field: field.to_owned(),
        reason: format!("cannot be read: {}", text::short(why)),
    }
}

fn parsed<T: DeserializeOwned>(value: &Value) -> serde_json::Result<T> {
    T::deserialize(value)
}

/// The spec as this release writes it, with what it would leave out.
fn written_by(spec: &ClusterPolicySpec) -> Value {
    let mut written = serde_json::to_value(spec).unwrap_or_default();
    let rules = written.get_mut("rules").and_then(Value::as_array_mut);
    for (rule, read) in rules.into_iter().flatten().zip(&spec.rules) {
        if let Some(rule) = rule.as_object_mut() {
            rule.insert("kinds".to_owned(), json!(read.kinds));
        }
    }
    written
}

/// Fields that got lost on the way through the types: this release does not know them.
fn lost(path: &str, written: &Value, read: &Value, unread: &mut Vec<Unread>) {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => {
            for (key, value) in written {
                let path = format!("{path}.{}", text::short(key));
                match read.get(key) {
                    Some(read) => lost(&path, value, read, unread),
                    None if super::defaults::is_empty(value) => {}
                    None => unread.push(Unread {
                        field: path,
                        reason: "unknown field, perhaps of a later release".to_owned(),
                    }),
                }
            }
        }
        (Value::Array(written), Value::Array(read)) => {
            for (index, (value, read)) in written.iter().zip(read).enumerate() {
                lost(&format!("{path}[{index}]"), value, read, unread);
            }
        }
        _ => {}
    }
}

/// Conditions that cannot be read are left out: anybody may add one.
fn status<S: DeserializeOwned>(mut status: Value) -> Option<S> {
    if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
        conditions.retain(|condition| Condition::deserialize(condition).is_ok());
    }
    Option::deserialize(status).ok().flatten()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::v1beta2::PolicyAction;

    fn read(spec: &Value) -> ClusterPolicySpec {
        let object = json!({"metadata": {"name": "p"}, "spec": spec});
        read_policy(&object).unwrap().spec
    }

    fn unread(spec: &Value) -> Vec<String> {
        let unread = read(spec).unread.into_iter();
        unread.map(|unread| unread.field).collect()
    }

    #[test]
    fn a_policy_of_this_release_is_read_whole() {
        let spec = json!({
            "namespaceSelector": {"matchLabels": {"a": "b"}, "matchExpressions": []},
            "action": "Enforce", "versions": ["1.36"], "images": [], "serviceTypes": ["ClusterIP"],
            "replicas": {"max": 3, "min": null}, "maxTokenLifetime": null,
            "resources": {"etcd": {"limits": {"cpu": {"max": "2"}}}},
            "requiredLabels": [{"key": "team", "values": []}],
            "defaults": {"labels": {}, "spec": {"anything": [{"deep": null}]}},
            "rules": [{"name": "a", "kinds": ["Cluster"], "expression": "true"}],
        });
        assert_eq!(unread(&spec), [""; 0]);
        let mut strict: ClusterPolicySpec = serde_json::from_value(spec.clone()).unwrap();
        strict.unread = Vec::new();
        assert_eq!(read(&spec), strict);
    }

    #[rstest]
    #[case::unknown(json!({"oneMore": 1}), &["spec.oneMore"])]
    #[case::of_a_part(json!({"replicas": {"odd": true}}), &["spec.replicas.odd"])]
    #[case::of_an_item(json!({"rules": [{"name": "a", "expression": "true", "matches": "x"}]}),
        &["spec.rules[0].matches"])]
    #[case::of_the_selector(json!({"namespaceSelector": {"matchFields": {"a": "b"}}}),
        &["spec.namespaceSelector.matchFields"])]
    #[case::a_value(json!({"replicas": {"max": "three"}, "action": "Deny"}),
        &["spec.action", "spec.replicas"])]
    #[case::an_item(json!({"serviceTypes": ["ClusterIP", "Ingress"], "versions": ["1.36", 5]}),
        &["spec.serviceTypes[1]", "spec.versions[1]"])]
    #[case::no_list(json!({"rules": {"name": "a"}}), &["spec.rules"])]
    #[case::nothing(json!("x"), &["spec"])]
    #[case::left_out(Value::Null, &["spec"])]
    fn what_this_release_does_not_understand_is_named(
        #[case] spec: Value,
        #[case] fields: &[&str],
    ) {
        assert_eq!(unread(&spec), fields);
    }

    #[test]
    fn what_can_be_read_holds() {
        let spec = read(&json!({
            "action": "Audit", "namespaceSelector": {"matchLabels": {"a": "b"}},
            "replicas": {"max": "three"}, "versions": ["1.36", 5],
            "rules": [{"name": "a", "expression": 1}, {"name": "b", "expression": "true"}],
        }));
        assert_eq!(spec.action, PolicyAction::Audit);
        assert!(spec.namespace_selector.is_some());
        assert_eq!(spec.versions, ["1.36"]);
        assert_eq!(spec.rules.len(), 1);
        // One that cannot be read selects everything, and its policy is broken.
        let spec = read(&json!({"action": "Audit", "namespaceSelector": {"matchLabels": 5}}));
        assert_eq!(
            (spec.action, spec.namespace_selector),
            (PolicyAction::Audit, None)
        );
    }

    #[test]
    fn a_status_of_which_a_part_cannot_be_read_is_read_without() {
        let object = json!({"metadata": {"name": "p"}, "spec": {},
            "status": {"violations": 3, "conditions": [{"type": 5}]}});
        let status = read_policy(&object).unwrap().status.unwrap();
        assert_eq!((status.violations, status.conditions.len()), (Some(3), 0));
    }
}
