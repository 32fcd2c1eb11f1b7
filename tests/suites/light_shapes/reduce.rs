//! From an object to its shape.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use support::light::children::{at, text};

/// What stands for the address of a Service, which is chance.
const ADDRESS: &str = "SERVICE-IP";
/// What stands for the namespace.
const NAMESPACE: &str = "NAMESPACE";
/// What stands for the uid of a Cluster.
pub const UID: &str = "UID";

/// The shape of an object.
pub fn shape(object: &Value, addresses: &BTreeSet<String>) -> Result<Value> {
    let mut labels = at(object, "/metadata/labels").clone();
    if let Some(uid) = labels.get_mut("k0smotron.io/cluster-uid") {
        *uid = json!(UID);
    }
    let mut shape = json!({
        "labels": labels,
        "owner": each(at(object, "/metadata/ownerReferences"), |owner| {
            json!([at(owner, "/kind"), at(owner, "/name")])
        }),
    });
    let more = match text(object, "/kind") {
        "StatefulSet" => stateful_set(at(object, "/spec")),
        "Service" => service(at(object, "/spec")),
        "ConfigMap" => config_map(object, addresses)?,
        "Secret" => json!({"type": at(object, "/type"), "keys": keys(at(object, "/data"))}),
        _ => json!({}),
    };
    if let (Value::Object(shape), Value::Object(more)) = (&mut shape, more) {
        shape.extend(more);
    }
    let namespace = text(object, "/metadata/namespace");
    Ok(replaced(shape, namespace))
}

fn each(list: &Value, reduce: impl Fn(&Value) -> Value) -> Value {
    list.as_array().into_iter().flatten().map(reduce).collect()
}

fn keys(map: &Value) -> Value {
    let keys: BTreeSet<&String> = map.as_object().into_iter().flat_map(Map::keys).collect();
    json!(keys)
}

fn or(value: &Value, default: Value) -> Value {
    if value.is_null() {
        default
    } else {
        value.clone()
    }
}

fn is(value: &Value) -> bool {
    value.as_bool().unwrap_or_default()
}

fn stateful_set(spec: &Value) -> Value {
    let pod = at(spec, "/template/spec");
    let metadata = at(spec, "/template/metadata");
    json!({
        "replicas": at(spec, "/replicas"),
        "selector": at(spec, "/selector"),
        "serviceName": or(at(spec, "/serviceName"), json!("")),
        "podLabels": at(metadata, "/labels"),
        "podAnnotations": keys(at(metadata, "/annotations")),
        "containers": each(at(pod, "/containers"), container),
        "init": each(at(pod, "/initContainers"), container),
        "volumes": each(at(pod, "/volumes"), volume),
        "vct": each(at(spec, "/volumeClaimTemplates"), |claim| json!([
            at(claim, "/metadata/name"),
            at(claim, "/spec/resources/requests/storage"),
            at(claim, "/spec/storageClassName"),
        ])),
        "serviceAccount": or(at(pod, "/serviceAccountName"), json!("")),
        "automount": at(pod, "/automountServiceAccountToken"),
        "tsc": or(at(pod, "/topologySpreadConstraints"), json!([])),
        "retention": at(spec, "/persistentVolumeClaimRetentionPolicy"),
        "policy": at(spec, "/podManagementPolicy"),
    })
}

fn container(container: &Value) -> Value {
    let probes: Map<String, Value> = ["startupProbe", "readinessProbe", "livenessProbe"]
        .into_iter()
        .filter_map(|name| Some((name, container.get(name)?.as_object()?)))
        .map(|(name, probe)| {
            let kinds: Vec<_> = ["exec", "httpGet", "tcpSocket"]
                .into_iter()
                .filter(|kind| probe.contains_key(*kind))
                .collect();
            (name.to_owned(), json!(kinds))
        })
        .collect();
    json!({
        "name": at(container, "/name"),
        "image": at(container, "/image"),
        "ports": each(at(container, "/ports"), |port| {
            json!([or(at(port, "/name"), json!("")), at(port, "/containerPort")])
        }),
        "mounts": each(at(container, "/volumeMounts"), |mount| {
            json!([at(mount, "/mountPath"), text(mount, "/subPath"), is(at(mount, "/readOnly"))])
        }),
        "env": each(at(container, "/env"), |variable| at(variable, "/name").clone()),
        "envFrom": each(at(container, "/envFrom"), |from| {
            let kind = from.as_object().and_then(|from| from.keys().next_back());
            json!(kind)
        }),
        "resources": or(at(container, "/resources"), json!({})),
        "probes": probes,
    })
}

fn volume(volume: &Value) -> Value {
    let source = volume
        .as_object()
        .into_iter()
        .flatten()
        .find(|(key, _)| *key != "name");
    let (kind, source) = source.map_or(("", &Value::Null), |(kind, source)| (kind, source));
    let reference = ["/name", "/secretName", "/claimName", "/path"]
        .into_iter()
        .map(|field| text(source, field))
        .find(|text| !text.is_empty())
        .unwrap_or_default();
    json!({"name": at(volume, "/name"), "kind": kind, "ref": reference})
}

fn service(spec: &Value) -> Value {
    let is_node_port = text(spec, "/type") == "NodePort";
    json!({
        "type": at(spec, "/type"),
        "headless": text(spec, "/clusterIP") == "None",
        "selector": at(spec, "/selector"),
        "ports": each(at(spec, "/ports"), |port| json!([
            at(port, "/name"),
            at(port, "/port"),
            at(port, "/targetPort"),
            if is_node_port { at(port, "/nodePort").clone() } else { Value::Null },
        ])),
        "publishNotReady": is(at(spec, "/publishNotReadyAddresses")),
    })
}

fn config_map(object: &Value, addresses: &BTreeSet<String>) -> Result<Value> {
    let mut shape = json!({"keys": keys(at(object, "/data"))});
    let text = text(object, "/data/K0SMOTRON_K0S_YAML");
    if text.is_empty() {
        return Ok(shape);
    }
    let mut config: Value = serde_saphyr::from_str(text).context("the k0s configuration")?;
    // Which of the names comes first depends on the address.
    if let Some(Value::Array(names)) = config.pointer_mut("/spec/api/sans") {
        for name in names.iter_mut() {
            if name.as_str().is_some_and(|name| addresses.contains(name)) {
                *name = json!(ADDRESS);
            }
        }
        names.sort_by_key(Value::to_string);
    }
    if let Some(shape) = shape.as_object_mut() {
        shape.insert("k0s".to_owned(), config);
    }
    Ok(shape)
}

fn replaced(value: Value, namespace: &str) -> Value {
    match value {
        Value::String(text) => Value::String(
            text.split('.')
                .map(|part| if part == namespace { NAMESPACE } else { part })
                .collect::<Vec<_>>()
                .join("."),
        ),
        Value::Array(list) => list
            .into_iter()
            .map(|value| replaced(value, namespace))
            .collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, replaced(value, namespace)))
            .collect(),
        other => other,
    }
}
