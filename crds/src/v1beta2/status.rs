//! What the controller found out about a Cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema;

/// What is true of the control plane now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterStatus {
    /// What works, what does not, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The `metadata.generation` that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Address of the hosted API, `https://host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Host or IP under which workers reach the control plane, once found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_address: Option<String>,
    /// k0s version that all control-plane pods run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Port numbers in use; they stay for the cluster's life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<StatusPorts>,
    /// The hosted cluster's nodes, as they were seen last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<StatusNodes>,
    /// Number of members with which etcd was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etcd_members: Option<i32>,
    /// What of spec.k0sConfig the hosted cluster's ClusterConfig was last given: the part that k0s
    /// takes over while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::preserved")]
    pub k0s_config: Option<Value>,
    /// Control-plane pods there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Control-plane pods that are ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// Control-plane pods that follow the newest specification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_replicas: Option<i32>,
    /// Label selector of the control-plane pods, for `kubectl scale` and autoscalers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Fields on their way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<DeprecatedStatus>,
}

/// The ports that a control plane listens on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusPorts {
    /// Port of the hosted API.
    pub api: i32,
    /// Port of konnectivity.
    pub konnectivity: i32,
}

impl ClusterStatus {
    /// Type of the condition that all of the control plane works.
    pub const AVAILABLE: &str = "Available";
    /// Type of the condition that the hosted API answers that it is ready.
    pub const FUNCTIONAL: &str = "ControlPlaneFunctional";
    /// Type of the condition that the CAs and the key pair of service accounts are there.
    pub const CERTIFICATES: &str = "CertificatesAvailable";
    /// Type of the condition that workers can reach the control plane.
    pub const EXPOSED: &str = "ControlPlaneExposed";
    /// Type of the condition that the kubeconfig Secret is there.
    pub const KUBECONFIG: &str = "KubeconfigSecretAvailable";
    /// Reason for a key that was there and is not any more.
    pub const KEY_LOST: &str = "KeyLost";

    /// Reason for a key whose Secret somebody deletes: it comes back with the same key.
    pub const KEY_DELETING: &str = "KeyDeleting";

    /// Reason for a key whose name somebody else's Secret has, while a copy holds it.
    pub const KEY_NAME_TAKEN: &str = "KeyNameTaken";

    /// Reason for a key that is another one than the pods run with.
    pub const KEY_REPLACED: &str = "KeyReplaced";

    /// The condition of a type.
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions
            .iter()
            .find(|condition| condition.type_ == type_)
    }

    /// Whether a condition of this type is True.
    pub fn is_true(&self, type_: &str) -> bool {
        self.condition(type_)
            .is_some_and(|condition| condition.status == "True")
    }

    /// Whether it has been available once. Where no version could be recorded, as its pods never ran
    /// the same one, nodes that were counted while it could be reached say so.
    pub fn was_available(&self) -> bool {
        let can_be_reached = || self.is_true(Self::EXPOSED) && self.is_true(Self::KUBECONFIG);
        self.version.is_some()
            || self.is_true(Self::AVAILABLE)
            || (self.nodes.is_some() && can_be_reached())
    }

    /// Whether every key was there once. A condition that was True says so, and so do the reasons
    /// that follow it.
    pub fn keys_were_made(&self) -> bool {
        let reason = || {
            self.condition(Self::CERTIFICATES)
                .map(|c| c.reason.as_str())
        };
        self.version.is_some()
            || self.is_true(Self::CERTIFICATES)
            || matches!(
                reason(),
                Some(
                    Self::KEY_LOST | Self::KEY_DELETING | Self::KEY_NAME_TAKEN | Self::KEY_REPLACED
                )
            )
    }

    /// Whether anything was made for the Cluster that it depends on from then on: ports, etcd
    /// members, pods. Earlier installations recorded pods only.
    pub fn is_built(&self) -> bool {
        let some = |count: Option<i32>| count.is_some_and(|count| count > 0);
        self.has_served() || self.etcd_members.is_some() || some(self.replicas)
    }

    /// Whether its API was asked and has never answered, so that nobody can have joined. Earlier
    /// installations ask none, and record no version.
    pub fn has_never_served(&self) -> bool {
        let is_asked = self.condition(Self::FUNCTIONAL).is_some();
        let is_running = self.ready_replicas.is_some_and(|count| count > 0);
        is_asked && !self.was_available() && self.nodes.is_none() && !is_running
    }

    /// Whether workers may have learnt where the control plane is.
    pub fn has_served(&self) -> bool {
        self.version.is_some()
            || self.ports.is_some()
            || self.ready_replicas.is_some_and(|count| count > 0)
    }
}

/// The hosted cluster's nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StatusNodes {
    /// Nodes that have joined.
    pub joined: i32,
    /// Nodes that are ready.
    pub ready: i32,
    /// Version of the oldest kubelet among them, such as `v1.35.7+k0s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_kubelet: Option<String>,
}

/// Fields on their way out, by the version that had them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeprecatedStatus {
    /// What readers of v1beta1 look for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub v1beta1: Option<V1Beta1Status>,
}

/// The status of v1beta1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct V1Beta1Status {
    /// Whether the control plane is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// One line about the last reconciliation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconciliation_status: Option<String>,
}
