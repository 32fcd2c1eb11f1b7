//! The control-plane pods' data directory.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use k8s_openapi::api::core::v1::{PersistentVolumeClaimSpec, PersistentVolumeClaimStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::absent;
use crate::schema;
use crate::schema::cel;

/// Where the data directory lives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = cel::persistence)]
pub struct PersistenceSpec {
    /// `emptyDir` (goes with the pod), `hostPath` or `pvc`.
    #[serde(rename = "type")]
    #[schemars(with = "String")]
    pub type_: PersistenceType,
    /// Directory on the node, for type `hostPath`.
    #[serde(
        deserialize_with = "absent::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub host_path: Option<String>,
    /// Claim of each pod, for type `pvc`. Its name is `kmc-<cluster>` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<PersistentVolumeClaimTemplate>,
    /// Whether the claims go together with the cluster.
    #[serde(rename = "autoDeletePVCs")]
    pub auto_delete_pvcs: bool,
}

/// Kinds of data directories.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum PersistenceType {
    /// Goes with the pod; what matters is in etcd and in Secrets.
    #[default]
    EmptyDir,
    /// A directory of the node.
    HostPath,
    /// A claim of each pod's own.
    Pvc,
    /// Anything else. The schema has to let it through because objects with it may be stored
    /// already; validation names it.
    Other(String),
}

impl PersistenceType {
    /// The name in the API.
    pub fn as_str(&self) -> &str {
        match self {
            Self::EmptyDir => "emptyDir",
            Self::HostPath => "hostPath",
            Self::Pvc => "pvc",
            Self::Other(name) => name,
        }
    }
}

impl From<String> for PersistenceType {
    fn from(name: String) -> Self {
        match name.as_str() {
            "" | "emptyDir" => Self::EmptyDir,
            "hostPath" => Self::HostPath,
            "pvc" => Self::Pvc,
            _ => Self::Other(name),
        }
    }
}

impl From<PersistenceType> for String {
    fn from(value: PersistenceType) -> Self {
        value.as_str().to_owned()
    }
}

impl FromStr for PersistenceType {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Ok(Self::from(name.to_owned()))
    }
}

impl fmt::Display for PersistenceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Pattern of the control-plane pods' claims.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PersistentVolumeClaimTemplate {
    /// Always `v1`; may be left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Always `PersistentVolumeClaim`; may be left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name, labels and annotations of the claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ClaimMetadata>,
    /// Size, class and access modes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::claim_spec")]
    pub spec: Option<PersistentVolumeClaimSpec>,
    /// Accepted for the sake of copied objects, and not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::claim_status")]
    pub status: Option<PersistentVolumeClaimStatus>,
}

/// The metadata that a claim's pattern may carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimMetadata {
    /// Name of the volume and first part of the claims' names.
    #[serde(
        deserialize_with = "absent::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub name: Option<String>,
    /// Not used: claims live in the Cluster's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Labels of the claims.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the claims.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Finalizers of the claims.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
}
