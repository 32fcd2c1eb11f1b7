//! The objects that are made for Clusters.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, TypeMeta};
use kube::{Client, ResourceExt as _};
use serde_json::Value;

/// Kind and name, `Service/kmc-a`.
pub type Children = BTreeMap<String, Value>;

/// The kinds that the controller makes.
pub const KINDS: [&str; 6] = [
    "ConfigMap",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Secret",
    "Service",
    "StatefulSet",
];

/// Group, version and plural of a kind.
pub fn resource(kind: &str) -> Result<ApiResource> {
    Ok(match kind {
        "ConfigMap" => ApiResource::erase::<ConfigMap>(&()),
        "NetworkPolicy" => ApiResource::erase::<NetworkPolicy>(&()),
        "PersistentVolumeClaim" => ApiResource::erase::<PersistentVolumeClaim>(&()),
        "PodDisruptionBudget" => ApiResource::erase::<PodDisruptionBudget>(&()),
        "Secret" => ApiResource::erase::<Secret>(&()),
        "Service" => ApiResource::erase::<Service>(&()),
        "StatefulSet" => ApiResource::erase::<StatefulSet>(&()),
        other => anyhow::bail!("no such kind here: {other}"),
    })
}

/// The objects of a kind in a namespace.
pub fn api(client: &Client, namespace: &str, kind: &str) -> Result<Api<DynamicObject>> {
    Ok(Api::namespaced_with(
        client.clone(),
        namespace,
        &resource(kind)?,
    ))
}

/// All objects of some kinds in a namespace, but for what Kubernetes puts into each.
pub async fn all(client: &Client, namespace: &str, kinds: &[&str]) -> Result<Children> {
    let mut all = Children::new();
    for kind in kinds {
        let resource = resource(kind)?;
        let listed = api(client, namespace, kind)?
            .list(&ListParams::default())
            .await
            .with_context(|| format!("listing {kind}"))?;
        for mut object in listed {
            // What a list leaves out, as a get gives it.
            object.types = Some(TypeMeta {
                api_version: resource.api_version.clone(),
                kind: resource.kind.clone(),
            });
            let name = object.name_any();
            if name != "kube-root-ca.crt" {
                all.insert(format!("{kind}/{name}"), serde_json::to_value(object)?);
            }
        }
    }
    Ok(all)
}

/// A part of an object; null where there is none.
pub fn at<'v>(object: &'v Value, pointer: &str) -> &'v Value {
    static NULL: Value = Value::Null;
    object.pointer(pointer).unwrap_or(&NULL)
}

/// A text in an object; empty where there is none.
pub fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    at(object, pointer).as_str().unwrap_or_default()
}

/// What somebody wants of the object, without what the API server and others note on it.
pub fn essence(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(Value::Object(metadata)) = object.pointer_mut("/metadata") {
        for field in [
            "resourceVersion",
            "uid",
            "generation",
            "managedFields",
            "creationTimestamp",
        ] {
            metadata.remove(field);
        }
    }
    object
}

/// Paths at which two values differ, with both sides, for a failed test's message.
pub fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut all = Vec::new();
    compare("", expected, found, &mut all);
    all
}

fn compare(path: &str, expected: &Value, found: &Value, all: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            let keys: std::collections::BTreeSet<_> = expected.keys().chain(found.keys()).collect();
            for key in keys {
                let (expected, found) = (expected.get(key), found.get(key));
                compare(
                    &format!("{path}/{}", key.replace('/', "~1")),
                    expected.unwrap_or(&Value::Null),
                    found.unwrap_or(&Value::Null),
                    all,
                );
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
                compare(&format!("{path}/{index}"), expected, found, all);
            }
        }
        _ if expected == found => {}
        _ => all.push(format!("{path}: expected {expected}, found {found}")),
    }
}
