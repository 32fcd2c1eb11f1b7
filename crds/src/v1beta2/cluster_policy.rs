//! The ClusterPolicy: what Clusters and JoinTokenRequests of some namespaces may look like.

#![allow(
    clippy::duplicated_attributes,
    reason = "every print column has a type"
)]

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ServiceType, StorageType};
use crate::schema;
use crate::schema::cel;

/// What is allowed where. A rule that is left out allows everything.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "k0smotron.io",
    version = "v1beta2",
    kind = "ClusterPolicy",
    plural = "clusterpolicies",
    shortname = "kmcp",
    cel,
    status = "ClusterPolicyStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Says what Clusters and JoinTokenRequests may look like, in all or in some namespaces. Every policy that selects a namespace has to be met.",
    printcolumn(
        name = "Action",
        type_ = "string",
        json_path = ".spec.action",
        description = "what becomes of an object that breaks it"
    ),
    printcolumn(
        name = "Violations",
        type_ = "integer",
        json_path = ".status.violations",
        description = "existing objects that break it"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "whether every rule of it can be read"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = cel::policy)]
pub struct ClusterPolicySpec {
    /// Namespaces in which it holds, by their labels. Left out or empty: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub namespace_selector: Option<LabelSelector>,
    /// What becomes of an object that breaks a rule: `Enforce` refuses it, `Warn` accepts it and
    /// tells its author, `Audit` accepts it and counts it in the status.
    #[schemars(extend("default" = "Enforce"))]
    pub action: PolicyAction,
    /// Ranges of Kubernetes versions, such as `>=1.35.0 <1.37.0` or `1.36`; a version has to be in
    /// one of them. Parts of a range are separated by spaces, and a version by itself stands for
    /// that version. k0s' own count (`+k0s.2`) doesn't matter; a pre-release is in a range only if
    /// that names a pre-release of the same version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 128)))]
    pub versions: Vec<String>,
    /// Registries and repositories, such as `quay.io/k0sproject` or `registry.example.com:5000`,
    /// that images of k0s, etcd and their helpers may come from. An entry covers everything below
    /// it, by whole parts of the path: `quay.io/k0s` doesn't cover `quay.io/k0sproject`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 255)))]
    pub images: Vec<String>,
    /// Types that `spec.service.type` may have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub service_types: Vec<ServiceType>,
    /// Backends that `spec.storage.type` may name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub storage_types: Vec<StorageType>,
    /// Kinds that `spec.persistence.type` may name: `emptyDir`, `hostPath`, `pvc`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3), inner(length(max = 32)))]
    pub persistence_types: Vec<String>,
    /// Bounds of `spec.replicas`, also when it is scaled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<ReplicaBounds>,
    /// Bounds of what the pods ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourcePolicy>,
    /// Labels that a Cluster has to have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub required_labels: Vec<RequiredKey>,
    /// Annotations that a Cluster has to have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub required_annotations: Vec<RequiredKey>,
    /// How much a namespace may have altogether. Of requests that come at once, more can get in: a
    /// quota of the API server's for `count/clusters.k0smotron.io` is exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_limits: Option<NamespaceLimits>,
    /// The longest that a join token may be good for, such as `24h`. A token that never expires
    /// (`0s`) is longer than any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub max_token_lifetime: Option<String>,
    /// Fields of Clusters and JoinTokenRequests that have to be left out, such as
    /// `spec.persistence.hostPath`, `spec.patches`, `spec.mounts[*].hostPath` or
    /// `metadata.annotations["example.com/x"]`. Empty, `false` and null count as left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub forbidden_fields: Vec<String>,
    /// What a new Cluster gets where it says nothing itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defaults: Option<ClusterDefaults>,
    /// Free rules in CEL.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub rules: Vec<PolicyRule>,
    /// What of the stored object is none of the above, as [`crate::policy::read_policy`] finds it.
    #[serde(skip)]
    #[schemars(skip)]
    pub unread: Vec<Unread>,
}

/// A part of a policy that this release does not understand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Where it is.
    pub field: String,
    /// Why.
    pub reason: String,
}

/// What becomes of an object that breaks a rule.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum PolicyAction {
    /// It is refused.
    #[default]
    Enforce,
    /// It is accepted, and its author is told.
    Warn,
    /// It is accepted, and counted.
    Audit,
}

impl PolicyAction {
    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "Enforce",
            Self::Warn => "Warn",
            Self::Audit => "Audit",
        }
    }
}

impl fmt::Display for PolicyAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Bounds of a number of control-plane pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicaBounds {
    /// The fewest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub min: Option<i32>,
    /// The most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max: Option<i32>,
}

/// Bounds of what a Cluster's pods ask for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourcePolicy {
    /// Of each control-plane pod: `spec.resources`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane: Option<ResourceLimits>,
    /// Of each etcd pod: `spec.storage.etcd.resources`. Not asked with other storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etcd: Option<ResourceLimits>,
}

/// Bounds of requests and limits, by resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceLimits {
    /// Of the requests. One that is left out counts as its limit, as Kubernetes has it; without
    /// both it is less than any `min`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, QuantityBounds>,
    /// Of the limits. One that is left out is no limit at all, and so breaks any bound.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, QuantityBounds>,
}

/// Bounds of a quantity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct QuantityBounds {
    /// The least.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub min: Option<Quantity>,
    /// The most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub max: Option<Quantity>,
}

/// A label or annotation that has to be there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequiredKey {
    /// Its key.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// Values that it may have; any unless given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub values: Vec<String>,
    /// Regular expression (RE2) that the whole value has to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub pattern: Option<String>,
}

/// How much a namespace may have altogether.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NamespaceLimits {
    /// The most Clusters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub clusters: Option<i32>,
    /// The most control-plane pods that its Clusters ask for together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,
}

/// What a new Cluster gets where it says nothing itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterDefaults {
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// A part of a Cluster's spec. Fields inside objects are filled in one by one, lists as a
    /// whole. Fields that the schema has a default for are never empty, and refused here.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schema::preserved")]
    pub spec: Map<String, Value>,
}

/// A free rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRule {
    /// Its name, which messages give.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Kinds that it is asked about; Clusters unless given.
    #[serde(default = "clusters", skip_serializing_if = "is_clusters")]
    #[schemars(length(min = 1, max = 2))]
    pub kinds: Vec<PolicyKind>,
    /// A CEL expression that is true for what is allowed. It sees `object`, `oldObject` (null for
    /// a new one), `request` and `namespace`.
    #[schemars(length(min = 1, max = 1024))]
    pub expression: String,
    /// The field that messages name; `spec` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub field_path: Option<String>,
    /// What is said when it is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub message: Option<String>,
    /// A CEL expression that makes the message, a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub message_expression: Option<String>,
    /// What becomes of an object that breaks this rule; as the policy says unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<PolicyAction>,
}

fn clusters() -> Vec<PolicyKind> {
    vec![PolicyKind::Cluster]
}

fn is_clusters(kinds: &Vec<PolicyKind>) -> bool {
    *kinds == [PolicyKind::Cluster]
}

/// Kinds that policies speak of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PolicyKind {
    /// Clusters.
    #[default]
    Cluster,
    /// Requests for join tokens.
    JoinTokenRequest,
}

impl PolicyKind {
    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::JoinTokenRequest => "JoinTokenRequest",
        }
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What became of the policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterPolicyStatus {
    /// Existing objects that break it, whatever its action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub violations: Option<i64>,
    /// The first of them, by namespace and name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub violating: Vec<ViolatingObject>,
    /// When existing objects were last looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub last_audit: Option<Time>,
    /// Whether every rule of it can be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The `metadata.generation` that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// An existing object that breaks a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ViolatingObject {
    /// Its kind.
    pub kind: PolicyKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The first thing that is wrong with it.
    pub message: String,
}
