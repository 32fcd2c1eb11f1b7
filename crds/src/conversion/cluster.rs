//! Clusters from v1beta1 to v1beta2 and back, field by field.

use serde_json::{Value, json};

use super::ConversionError;
use super::differences::CLUSTER;
use super::tree::{annotation, is_string_map, put, remove_annotation, set_annotation, take, wrong};
use crate::names::{
    EXTERNAL_TRAFFIC_POLICY_ANNOTATION, LOAD_BALANCER_CLASS_ANNOTATION,
    SERVICE_ANNOTATIONS_ANNOTATION, SERVICE_LABELS_ANNOTATION,
};

/// Fields by another name: v1beta1's, v1beta2's.
const MOVES: [(&str, &str); 5] = [
    ("spec.controllerPlaneFlags", "spec.controlPlaneFlags"),
    ("spec.kubeconfigRef", "spec.remoteHostCluster.kubeconfigRef"),
    ("spec.etcd", "spec.storage.etcd"),
    ("status.ready", "status.deprecated.v1beta1.ready"),
    (
        "status.reconciliationStatus",
        "status.deprecated.v1beta1.reconciliationStatus",
    ),
];

/// The same, of Clusters that keep their state in kine: v1beta1 has no other mark for them.
const KINE_MOVES: [(&str, &str); 2] = [
    ("spec.kineDataSourceURL", "spec.storage.kine.dataSourceURL"),
    (
        "spec.kineDataSourceSecretName",
        "spec.storage.kine.dataSourceSecretName",
    ),
];

/// Fields that are annotations in v1beta2, whose values are JSON.
const ANNOTATED: [(&str, &str, Form); 4] = [
    ("spec.service.labels", SERVICE_LABELS_ANNOTATION, Form::Map),
    (
        "spec.service.annotations",
        SERVICE_ANNOTATIONS_ANNOTATION,
        Form::Map,
    ),
    (
        "spec.service.externalTrafficPolicy",
        EXTERNAL_TRAFFIC_POLICY_ANNOTATION,
        Form::Policy,
    ),
    (
        "spec.service.loadBalancerClass",
        LOAD_BALANCER_CLASS_ANNOTATION,
        Form::Text,
    ),
];

const PERSISTENCE: &str = "spec.persistence";

#[derive(Clone, Copy, Debug)]
enum Form {
    Map,
    Policy,
    Text,
}

impl Form {
    const fn name(self) -> &'static str {
        match self {
            Self::Map => "an object of strings",
            Self::Policy => "Cluster or Local",
            Self::Text => "a string",
        }
    }

    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Map => is_string_map(value),
            Self::Policy => matches!(value.as_str(), Some("Cluster" | "Local")),
            Self::Text => value.is_string(),
        }
    }
}

/// Makes a v1beta2 Cluster of a v1beta1 one.
pub fn to_v1beta2(object: &mut Value) -> Result<(), ConversionError> {
    let kine = KINE_MOVES.iter().any(|(path, _)| {
        at(object, path)
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
    });
    let mut annotations = Vec::new();
    for (path, key, form) in ANNOTATED {
        match take(object, path)? {
            None | Some(Value::Null) => {}
            Some(value) if form.fits(&value) => annotations.push((key, value.to_string())),
            Some(value) => return Err(wrong(path.to_owned(), form.name(), &value)),
        }
    }
    relocate(object, moves(kine))?;
    if object.get("spec").is_some_and(Value::is_object) {
        let storage = if kine { "kine" } else { "etcd" };
        put(object, "spec.storage.type", storage.into())?;
    }
    if at(object, PERSISTENCE) == Some(&default_persistence()) {
        take(object, PERSISTENCE)?;
    }
    for (key, text) in annotations {
        set_annotation(object, key, text)?;
    }
    Ok(())
}

/// Makes a v1beta1 Cluster of a v1beta2 one.
pub fn to_v1beta1(object: &mut Value) -> Result<(), ConversionError> {
    let kine = at(object, "spec.storage.type").and_then(Value::as_str) == Some("kine");
    relocate(object, moves(kine).map(|(old, new)| (new, old)))?;
    if !object.get("spec").is_some_and(Value::is_object) {
        return Ok(());
    }
    for (path, key, form) in ANNOTATED {
        // A text that is none of these was not written by a conversion, and means nothing.
        let value = annotation(object, key)
            .and_then(|text| serde_json::from_str::<Value>(text).ok())
            .filter(|value| form.fits(value));
        if let Some(value) = value {
            remove_annotation(object, key);
            put(object, path, value)?;
        }
    }
    if at(object, PERSISTENCE).is_none() {
        put(object, PERSISTENCE, default_persistence())?;
    }
    Ok(())
}

/// What the API server puts into a v1beta1 Cluster that has none. In v1beta2 none stays none: whoever
/// labels such a Cluster through v1beta1 must not change its spec.
fn default_persistence() -> Value {
    json!({"type": "emptyDir", "autoDeletePVCs": false})
}

fn moves(kine: bool) -> impl Iterator<Item = (&'static str, &'static str)> {
    let kine_moves: &[_] = if kine { &KINE_MOVES } else { &[] };
    MOVES.iter().chain(kine_moves).copied()
}

fn relocate(
    object: &mut Value,
    moves: impl Iterator<Item = (&'static str, &'static str)>,
) -> Result<(), ConversionError> {
    super::relocate(object, moves, &CLUSTER)
}

fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .try_fold(object, |value, name| value.get(name))
}
