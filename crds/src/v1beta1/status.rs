//! What the controller found out about a Cluster, as v1beta1 shows it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema;
use crate::v1beta2::{StatusNodes, StatusPorts};

// Everything that v1beta2's status has is here as well: kept in an annotation instead, it would be
// lost whenever a client wrote the object without that annotation.
/// What is true of the control plane now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterStatus {
    /// Whether the control plane is ready. In v1beta2: the condition `Available`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// One line about the last reconciliation. In v1beta2: the conditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconciliation_status: Option<String>,
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
}
