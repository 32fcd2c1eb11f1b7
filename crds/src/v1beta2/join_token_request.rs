//! The JoinTokenRequest: one token with which machines join a Cluster.

#![allow(
    clippy::duplicated_attributes,
    reason = "every print column has a type"
)]

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;
use crate::schema::cel;

/// What the token shall be good for.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "k0smotron.io",
    version = "v1beta2",
    kind = "JoinTokenRequest",
    plural = "jointokenrequests",
    shortname = "jtr",
    namespaced,
    cel,
    status = "JoinTokenRequestStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Asks for a token with which machines join a Cluster. The token appears in a Secret of the same name, under the key `token`, and is revoked when this object is deleted.",
    printcolumn(
        name = "Cluster",
        type_ = "string",
        json_path = ".spec.clusterName",
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
    /// Name of the Cluster, in the same namespace.
    #[schemars(length(min = 1, max = 63))]
    pub cluster_name: String,
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
            cluster_name: String::new(),
            expiry: never(),
            role: JoinTokenRole::default(),
        }
    }
}

/// What a machine becomes.
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
#[serde(rename_all = "lowercase")]
pub enum JoinTokenRole {
    /// A node that runs pods.
    #[default]
    Worker,
    /// A further controller.
    Controller,
}

impl JoinTokenRole {
    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Controller => "controller",
        }
    }
}

impl fmt::Display for JoinTokenRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What became of the request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JoinTokenRequestStatus {
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
    /// Fields on their way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<JoinTokenDeprecatedStatus>,
}

/// Fields on their way out, by the version that had them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JoinTokenDeprecatedStatus {
    /// What readers of v1beta1 look for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub v1beta1: Option<JoinTokenV1Beta1Status>,
}

/// The status of v1beta1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JoinTokenV1Beta1Status {
    /// One line about the last reconciliation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconciliation_status: Option<String>,
    /// `metadata.uid` of the Cluster.
    #[serde(rename = "clusterUID", skip_serializing_if = "Option::is_none")]
    pub cluster_uid: Option<String>,
}
