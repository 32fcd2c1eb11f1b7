//! What an object has to meet besides policies. The one place that says which rules those are.

use crds::v1beta2::{Cluster, ClusterPolicy, JoinTokenRequest, PolicyKind};
use crds::{policy, validation};
use serde_json::Value;

/// An object as the API server hands it to admission, and what its own rules say.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// With the defaults of the schema.
    pub object: Value,
    /// What is wrong.
    pub errors: Vec<String>,
    /// What its author should know.
    pub warnings: Vec<String>,
}

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

/// The rules of the kind itself, for an object that [`filled`] has made.
pub fn check(kind: PolicyKind, object: Value) -> Submitted {
    let texts = |errors: Vec<validation::FieldError>| -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    };
    let (errors, warnings) = match kind {
        PolicyKind::Cluster => match serde_json::from_value::<Cluster>(object.clone()) {
            Ok(cluster) => (
                texts(validation::validate_cluster(&cluster)),
                texts(validation::cluster_warnings(&cluster)),
            ),
            Err(error) => (vec![error.to_string()], Vec::new()),
        },
        PolicyKind::JoinTokenRequest => {
            match serde_json::from_value::<JoinTokenRequest>(object.clone()) {
                Ok(request) => (
                    texts(validation::validate_join_token_request(&request)),
                    texts(validation::join_token_request_warnings(&request)),
                ),
                Err(error) => (vec![error.to_string()], Vec::new()),
            }
        }
    };
    Submitted {
        object,
        errors,
        warnings,
    }
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
