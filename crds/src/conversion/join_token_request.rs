//! `JoinTokenRequests` from v1beta1 to v1beta2 and back, field by field.

use serde_json::Value;

use super::differences::JOIN_TOKEN_REQUEST;
use super::tree::{annotation, put, remove_annotation, set_annotation, take, wrong};
use super::{ConversionError, relocate};
use crate::names::CLUSTER_REF_NAMESPACE_ANNOTATION;

/// Fields by another name: v1beta1's, v1beta2's.
const MOVES: [(&str, &str); 3] = [
    ("spec.clusterRef.name", "spec.clusterName"),
    (
        "status.reconciliationStatus",
        "status.deprecated.v1beta1.reconciliationStatus",
    ),
    ("status.clusterUID", "status.deprecated.v1beta1.clusterUID"),
];

const NAMESPACE: &str = "spec.clusterRef.namespace";

/// Makes a v1beta2 request of a v1beta1 one.
pub fn to_v1beta2(object: &mut Value) -> Result<(), ConversionError> {
    let namespace = take(object, NAMESPACE)?;
    relocate(object, MOVES.into_iter(), &JOIN_TOKEN_REQUEST)?;
    // In v1beta2 a request without the annotation is for its own namespace.
    match namespace {
        None | Some(Value::Null) => {}
        Some(Value::String(namespace)) => {
            if namespace.is_empty() || own_namespace(object) == Some(&namespace) {
                remove_annotation(object, CLUSTER_REF_NAMESPACE_ANNOTATION);
            } else {
                set_annotation(object, CLUSTER_REF_NAMESPACE_ANNOTATION, namespace)?;
            }
        }
        Some(other) => return Err(wrong(NAMESPACE.to_owned(), "a string", &other)),
    }
    Ok(())
}

/// Makes a v1beta1 request of a v1beta2 one.
pub fn to_v1beta1(object: &mut Value) -> Result<(), ConversionError> {
    relocate(
        object,
        MOVES.into_iter().map(|(old, new)| (new, old)),
        &JOIN_TOKEN_REQUEST,
    )?;
    if !object.get("spec").is_some_and(Value::is_object) {
        return Ok(());
    }
    let elsewhere = annotation(object, CLUSTER_REF_NAMESPACE_ANNOTATION);
    if let Some(namespace) = elsewhere
        .or_else(|| own_namespace(object))
        .map(str::to_owned)
    {
        remove_annotation(object, CLUSTER_REF_NAMESPACE_ANNOTATION);
        put(object, NAMESPACE, namespace.into())?;
    }
    Ok(())
}

fn own_namespace(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("namespace")?.as_str()
}
