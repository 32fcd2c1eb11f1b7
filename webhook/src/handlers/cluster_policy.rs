//! Decides about ClusterPolicies: whether all that one says can be understood.

use crds::admission::{Decision, Operation, Request};
use crds::policy::{read_policy, validate_policy};
use crds::validation::FieldError;
use serde_json::Value;

use super::{Kind, World};

/// The rules for ClusterPolicies.
pub struct ClusterPolicy;

impl Kind for ClusterPolicy {
    fn name(&self) -> &'static str {
        "ClusterPolicy"
    }

    fn resource(&self) -> &'static str {
        "clusterpolicies"
    }

    fn decide(&self, request: &Request<'_>, _world: World<'_>) -> Decision {
        let (Some(object), None) = (request.object, request.sub_resource) else {
            return Decision::default();
        };
        let spec = |object: Option<&Value>| object.and_then(|object| object.get("spec").cloned());
        let leaves_spec = request.operation == Operation::Update
            && spec(request.old_object) == spec(request.object);
        if request.operation == Operation::Delete || request.is_ending() || leaves_spec {
            return Decision::default();
        }
        let errors = match read_policy(object) {
            Ok(policy) => validate_policy(&policy),
            Err(error) => vec![
                FieldError::invalid("spec", "", format!("cannot be parsed: {error}"))
                    .hint("kubectl explain clusterpolicy.spec shows what is valid"),
            ],
        };
        Decision {
            errors,
            warnings: Vec::new(),
        }
    }
}
