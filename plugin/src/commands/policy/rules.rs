//! What the API server does with an object before admission, and the rules of policies themselves.

use crds::policy;
use crds::v1beta2::{Cluster, ClusterPolicy, JoinTokenRequest, PolicyKind};
use serde_json::Value;

/// Fills in the schema's defaults; an error when the object doesn't fit the schema.
pub fn filled(kind: PolicyKind, object: &Value) -> Result<Value, String> {
    let object = object.clone();
    let filled = match kind {
        PolicyKind::Cluster => {
            serde_json::from_value::<Cluster>(with_spec(object)).and_then(serde_json::to_value)
        }
        PolicyKind::JoinTokenRequest => {
            serde_json::from_value::<JoinTokenRequest>(object).and_then(serde_json::to_value)
        }
    };
    filled.map_err(|error| error.to_string())
}

/// A Cluster without a spec is one with a `NodePort`.
fn with_spec(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields
            .entry("spec")
            .or_insert_with(|| serde_json::json!({"service": {"type": "NodePort"}}));
    }
    object
}

/// The rules of policies themselves.
pub fn check_policy(object: &Value) -> Vec<String> {
    match serde_json::from_value::<ClusterPolicy>(object.clone()) {
        Ok(policy) => policy::validate_policy(&policy)
            .iter()
            .map(ToString::to_string)
            .collect(),
        Err(error) => vec![error.to_string()],
    }
}
