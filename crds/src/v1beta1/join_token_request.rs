//! The JoinTokenRequest as v1beta1 writes it.

#![allow(
    clippy::duplicated_attributes,
    reason = "every print column has a type"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;
use crate::schema::cel;
use crate::v1beta2::JoinTokenRole;

/// What the token shall be good for.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "k0smotron.io",
    version = "v1beta1",
    kind = "JoinTokenRequest",
    plural = "jointokenrequests",
    shortname = "jtr",
    namespaced,
    cel,
    deprecated = "k0smotron.io/v1beta1 JoinTokenRequest is deprecated; write k0smotron.io/v1beta2 instead",
    status = "JoinTokenRequestStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Asks for a token with which machines join a Cluster. This version is deprecated: write v1beta2.",
    printcolumn(
        name = "Cluster",
        type_ = "string",
        json_path = ".spec.clusterRef.name",
        description = "cluster that the token is for"
    ),
    printcolumn(
        name = "Role",
        type_ = "string",
        json_path = ".spec.role",
        description = "what a machine becomes"
    ),
    printcolumn(
        name = "Token",
        type_ = "string",
        json_path = ".status.tokenID",
        description = "id of the token"
    ),
    printcolumn(
        name = "Expires",
        type_ = "string",
        json_path = ".status.expiresAt",
        description = "when the token ends"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="JoinTokenSecretCreated")].reason"#,
        description = "why there is a token or not",
        priority = 1
    )
)]
#[kube(validation = cel::join_token_request_name_fits())]
#[serde(rename_all = "camelCase")]
pub struct JoinTokenRequestSpec {
    /// The Cluster. In v1beta2: `spec.clusterName`, in the same namespace.
    pub cluster_ref: ClusterRef,
    /// How long the token is good for, such as `24h` or `1h30m`, counted from the moment it is
    /// made. `0s` means for ever.
    #[serde(default = "never")]
    #[schemars(transform = cel::expiry)]
    pub expiry: String,
    /// What a machine with this token becomes.
    #[serde(default)]
    pub role: JoinTokenRole,
}

fn never() -> String {
    "0s".to_owned()
}

impl Default for JoinTokenRequestSpec {
    fn default() -> Self {
        Self {
            cluster_ref: ClusterRef::default(),
            expiry: never(),
            role: JoinTokenRole::default(),
        }
    }
}

/// A Cluster in a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterRef {
    /// Name of the Cluster.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Namespace of the Cluster. In v1beta2 another than the request's own is an annotation.
    pub namespace: String,
}

/// What became of the request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JoinTokenRequestStatus {
    /// One line about the last reconciliation. In v1beta2: the conditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconciliation_status: Option<String>,
    /// `metadata.uid` of the Cluster.
    #[serde(rename = "clusterUID", skip_serializing_if = "Option::is_none")]
    pub cluster_uid: Option<String>,
    /// Id of the bootstrap token, recorded before the token works.
    #[serde(rename = "tokenID", skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    /// When the token ends; left out when it never does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub expires_at: Option<Time>,
    /// What works, what does not, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The `metadata.generation` that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}
