//! What a namespace comes to, told so that two runs of one workload can be compared.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::history::Objects;
use crate::light::children::{at, text};

/// Object and place in it, and what is there.
pub type Leaves = BTreeMap<String, String>;

/// Kinds whose status is what is tested.
const OURS: [&str; 3] = ["Cluster", "ClusterPolicy", "JoinTokenRequest"];

/// What a Cluster's status says in numbers.
pub const NUMBERS: [&str; 5] = [
    "replicas",
    "readyReplicas",
    "updatedReplicas",
    "deprecated",
    "nodes",
];

/// Conditions that follow them.
pub const OF_NUMBERS: [&str; 2] = ["ControlPlaneScaling", "ControlPlaneUpToDate"];

/// The places in what a namespace has come to, without what is of one run only: its name, versions,
/// times and keys.
pub fn leaves(objects: &Objects, namespace: &str) -> Leaves {
    let mut all = Leaves::new();
    let own = own(objects, namespace);
    for (key, object) in objects {
        let (kind, _) = key.split_once('/').unwrap_or_default();
        if kind == "Event" {
            continue;
        }
        let mut object = Value::clone(object);
        if !OURS.contains(&kind) {
            remove(&mut object, "", "status");
        }
        if kind == "Cluster" {
            leave_out_numbers(&mut object);
        }
        for field in [
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "managedFields",
        ] {
            remove(&mut object, "/metadata", field);
        }
        for field in ["data", "stringData"] {
            if kind == "Secret" {
                hide(&mut object, field);
            }
        }
        walk(key.clone(), &object, &own, &mut all);
    }
    all
}

/// Texts that are another in each run and stand in others, and what stands for them; the longest first.
fn own(objects: &Objects, namespace: &str) -> Vec<(String, String)> {
    let mut own = vec![(namespace.to_owned(), "NAMESPACE".to_owned())];
    for (key, object) in objects {
        let (what, place) = match key.split_once('/') {
            Some(("Service", _)) => ("ADDRESS", "/spec/clusterIP"),
            Some(("Cluster", _)) => ("UID", "/metadata/uid"),
            _ => continue,
        };
        let own_text = text(object, place);
        if !matches!(own_text, "" | "None") {
            own.push((own_text.to_owned(), format!("{what} of {key}")));
        }
    }
    // What an earlier life left behind names a Cluster that is not there any more.
    for object in objects.values() {
        let uid = text(object, "/metadata/labels/k0smotron.io~1cluster-uid");
        if !uid.is_empty() && own.iter().all(|(text, _)| text != uid) {
            own.push((uid.to_owned(), "UID of a Cluster that is gone".to_owned()));
        }
    }
    own.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
    own
}

fn remove(object: &mut Value, parent: &str, field: &str) {
    if let Some(Value::Object(fields)) = object.pointer_mut(parent) {
        fields.remove(field);
    }
}

/// How many pods there are is for Kubernetes' own controllers to say, and is no news to a Cluster
/// that starts; nodes are counted in the background.
fn leave_out_numbers(cluster: &mut Value) {
    for field in NUMBERS {
        remove(cluster, "/status", field);
    }
    let conditions = cluster.pointer_mut("/status/conditions");
    for condition in conditions
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let type_ = text(condition, "/type");
        if OF_NUMBERS.contains(&type_) {
            for field in ["status", "reason", "message"] {
                remove(condition, "", field);
            }
        }
    }
}

fn hide(object: &mut Value, field: &str) {
    if let Some(Value::Object(data)) = object.get_mut(field) {
        for value in data.values_mut() {
            *value = sort_of(value.as_str().unwrap_or_default()).into();
        }
    }
}

/// What a value of a Secret is, since the value itself is another in each run.
fn sort_of(encoded: &str) -> String {
    let bytes = STANDARD.decode(encoded).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    match text.lines().next() {
        Some(first) if first.starts_with("-----BEGIN") => first.to_owned(),
        _ if text.contains("kind: Config") && text.contains("client-key-data") => {
            "a kubeconfig".to_owned()
        }
        // Compressed, and in base64: another length each time.
        _ if text.starts_with("H4sI") => "a token".to_owned(),
        _ => text.into_owned(),
    }
}

fn walk(path: String, value: &Value, own: &[(String, String)], all: &mut Leaves) {
    match value {
        Value::Object(fields) if fields.is_empty() => {
            all.insert(path, "{}".to_owned());
        }
        Value::Array(items) if items.is_empty() => {
            all.insert(path, "[]".to_owned());
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                if !matches!(key.as_str(), "uid" | "observedGeneration") {
                    walk(
                        format!("{path}/{}", key.replace('/', "~1")),
                        value,
                        own,
                        all,
                    );
                }
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                // Of conditions the order says nothing.
                let place = match value.get("type").and_then(Value::as_str) {
                    Some(type_) if path.ends_with("/conditions") => type_.to_owned(),
                    _ => index.to_string(),
                };
                walk(format!("{path}/{place}"), value, own, all);
            }
        }
        Value::String(text) => {
            let text = own.iter().fold(without_times(text), |all, (own, name)| {
                all.replace(own, name)
            });
            all.insert(path, text);
        }
        other => {
            all.insert(path, other.to_string());
        }
    }
}

fn without_times(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let time = word.trim_end_matches([',', '.', ':', ';']);
        if time.parse::<jiff::Timestamp>().is_ok() {
            word.replace(time, "TIME")
        } else {
            word.to_owned()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Places that differ between two runs in which nothing went wrong.
pub fn differing(one: &Leaves, other: &Leaves) -> BTreeSet<String> {
    let places: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    places
        .into_iter()
        .filter(|place| one.get(*place) != other.get(*place))
        .cloned()
        .collect()
}

/// How what was found differs from what was expected, but for what always differs.
pub fn differences(expected: &Leaves, found: &Leaves, mask: &BTreeSet<String>) -> Vec<String> {
    let absent = "nothing".to_owned();
    differing(expected, found)
        .difference(mask)
        .map(|place| {
            let expected = expected.get(place).unwrap_or(&absent);
            let found = found.get(place).unwrap_or(&absent);
            format!("{place}: expected {expected}, found {found}")
        })
        .collect()
}

/// Clusters whose status is about a spec that is not any more.
pub fn about_an_old_spec(objects: &Objects) -> Vec<String> {
    let clusters = objects
        .iter()
        .filter(|(key, _)| key.starts_with("Cluster/"));
    let old = clusters.filter(|(_, object)| {
        at(object, "/metadata/generation") != at(object, "/status/observedGeneration")
    });
    old.map(|(key, _)| format!("{key}/status is about an old spec"))
        .collect()
}

/// Whether Kubernetes' own controllers have nothing left to do, and each of our objects has a status
/// that is about its spec: what ours tells depends on both.
pub fn is_at_rest(objects: &Objects) -> bool {
    let uids: BTreeSet<&str> = objects
        .values()
        .map(|object| text(object, "/metadata/uid"))
        .collect();
    objects.iter().all(|(key, object)| {
        let same = |one: &str, other: &str| at(object, one) == at(object, other);
        let owner = text(object, "/metadata/ownerReferences/0/uid");
        let is_owned = owner.is_empty() || uids.contains(owner);
        is_owned
            && match key.split_once('/') {
                Some(("Cluster", _)) => same("/metadata/generation", "/status/observedGeneration"),
                Some(("StatefulSet", _)) => {
                    same("/metadata/generation", "/status/observedGeneration")
                        && same("/spec/replicas", "/status/replicas")
                }
                _ => true,
            }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn told(namespace: &str, object: Value) -> Leaves {
        let objects = [("Secret/a".to_owned(), Arc::new(object))].into();
        leaves(&objects, namespace)
    }

    #[test]
    fn what_is_of_one_run_only_does_not_count() {
        let object = |namespace: &str, version: &str, second: u8, key: &str| {
            json!({
                "metadata": {"name": "a", "namespace": namespace, "resourceVersion": version,
                    "annotations": {"since": format!("at 2026-01-01T00:00:0{second}Z: it fell")}},
                "data": {"key": STANDARD.encode(format!("-----BEGIN KEY-----\n{key}"))},
                "type": "Opaque",
            })
        };
        let one = told("plan-1", object("plan-1", "5", 1, "a"));
        let other = told("plan-2", object("plan-2", "7", 2, "b"));
        assert_eq!(one, other);
        let lost = told(
            "plan-2",
            json!({"metadata": {"name": "a"}, "type": "Opaque"}),
        );
        let all = differences(&one, &lost, &BTreeSet::new());
        assert!(
            all.iter()
                .any(|line| line.starts_with("Secret/a/data/key:")),
            "{all:?}"
        );
        assert!(differences(&one, &lost, &differing(&one, &lost)).is_empty());
    }
}
