//! What the API server asks of an object before admission, and the rules of policies themselves.

use crds::policy;
use crds::v1beta2::{Cluster, JoinTokenRequest, PolicyKind};
use serde::Deserialize as _;
use serde_json::Value;

/// Whether the object is of the types that the schema demands: no webhook is asked about another.
pub fn fits(kind: PolicyKind, object: &Value) -> bool {
    match kind {
        PolicyKind::Cluster => Cluster::deserialize(object).is_ok(),
        PolicyKind::JoinTokenRequest => JoinTokenRequest::deserialize(object).is_ok(),
    }
}

/// The rules of policies themselves.
pub fn check_policy(object: &Value) -> Vec<String> {
    match policy::read_policy(object) {
        Ok(policy) => policy::validate_policy(&policy)
            .iter()
            .map(ToString::to_string)
            .collect(),
        Err(error) => vec![error.to_string()],
    }
}
