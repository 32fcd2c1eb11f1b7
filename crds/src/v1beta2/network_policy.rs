//! `spec.networkPolicy`: who may reach the pods.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `NetworkPolicies` of the cluster's pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicySpec {
    /// Whether they are there: then nobody reaches the control plane but at the ports of its API and
    /// of konnectivity, and nobody etcd but the control plane and the other members.
    pub enabled: bool,
}
