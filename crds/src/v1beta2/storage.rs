//! Where the hosted cluster keeps its state.

use std::fmt;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::ClusterSpec;
use super::absent::{self, texts_or};
use crate::schema;

/// etcd image unless `spec.storage.etcd.image` names another.
pub const DEFAULT_ETCD_IMAGE: &str = "quay.io/k0sproject/etcd:v3.7.1";
/// Defragmentation image unless `spec.storage.etcd.defragJob.image` names another.
pub const DEFAULT_DEFRAG_IMAGE: &str = "ghcr.io/ahrtr/etcd-defrag:v0.16.0";

const DEFAULT_DEFRAG_RULE: &str = "dbQuotaUsage > 0.8 || dbSize - dbSizeInUse > 200*1024*1024";
const DEFAULT_DEFRAG_SCHEDULE: &str = "0 12 * * *";
const DEFAULT_VOLUME_SIZE: &str = "1Gi";

texts_or! {
    etcd_image: DEFAULT_ETCD_IMAGE,
    defrag_image: DEFAULT_DEFRAG_IMAGE,
    defrag_rule: DEFAULT_DEFRAG_RULE,
    defrag_schedule: DEFAULT_DEFRAG_SCHEDULE,
}

fn volume_size<'de, D: Deserializer<'de>>(from: D) -> Result<Quantity, D::Error> {
    absent::quantity_or(from, DEFAULT_VOLUME_SIZE)
}

/// With how many members etcd is created where there have to be at least so many: an odd number, as
/// an even one survives no more losses than the odd one below it.
pub const fn odd_etcd_members(at_least: i32) -> i32 {
    if at_least < 1 { 1 } else { at_least | 1 }
}

impl ClusterSpec {
    /// With how many members its etcd is created. Once it is, `status.etcdMembers` says how many
    /// there are, whatever becomes of `replicas`.
    pub const fn initial_etcd_members(&self) -> i32 {
        odd_etcd_members(self.replicas)
    }
}

/// The backend and its settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StorageSpec {
    /// Which backend keeps the state.
    #[serde(rename = "type")]
    pub type_: StorageType,
    /// Settings of type `etcd`.
    #[schemars(extend("default" = {"image": DEFAULT_ETCD_IMAGE, "persistence": {}}))]
    pub etcd: EtcdSpec,
    /// Settings of type `kine`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kine: Option<KineSpec>,
    /// Settings of type `nats`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats: Option<NatsSpec>,
}

/// The backends.
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
pub enum StorageType {
    /// etcd members of the cluster's own, in pods beside the control plane.
    #[default]
    Etcd,
    /// A database elsewhere, through kine.
    Kine,
    /// NATS inside the control-plane pods, through kine.
    Nats,
}

impl StorageType {
    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Kine => "kine",
            Self::Nats => "nats",
        }
    }
}

impl fmt::Display for StorageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// etcd in pods of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EtcdSpec {
    /// Image of etcd, with tag.
    #[serde(deserialize_with = "etcd_image")]
    pub image: String,
    /// More command-line arguments for etcd, one a string.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Whether the members' volumes go together with the cluster.
    #[serde(rename = "autoDeletePVCs")]
    pub auto_delete_pvcs: bool,
    /// The volume of each member.
    pub persistence: EtcdPersistence,
    /// Requests and limits of the etcd container.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::resources")]
    pub resources: Option<ResourceRequirements>,
    /// Regular defragmentation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defrag_job: Option<DefragJob>,
}

impl Default for EtcdSpec {
    fn default() -> Self {
        Self {
            image: DEFAULT_ETCD_IMAGE.to_owned(),
            args: Vec::new(),
            auto_delete_pvcs: false,
            persistence: EtcdPersistence::default(),
            resources: None,
            defrag_job: None,
        }
    }
}

/// The volume of an etcd member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EtcdPersistence {
    /// Size of the volume.
    #[serde(deserialize_with = "volume_size")]
    #[schemars(schema_with = "schema::quantity", extend("default" = DEFAULT_VOLUME_SIZE))]
    pub size: Quantity,
    /// Storage class of the volume; the default class when left out.
    #[serde(
        deserialize_with = "absent::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub storage_class: Option<String>,
}

impl Default for EtcdPersistence {
    fn default() -> Self {
        Self {
            size: Quantity(DEFAULT_VOLUME_SIZE.to_owned()),
            storage_class: None,
        }
    }
}

/// Regular defragmentation of etcd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DefragJob {
    /// Whether the job runs.
    pub enabled: bool,
    /// Image of the tool.
    #[serde(deserialize_with = "defrag_image")]
    pub image: String,
    /// Expression that a member has to meet to be defragmented.
    #[serde(deserialize_with = "defrag_rule")]
    pub rule: String,
    /// When it runs, as a cron expression.
    #[serde(deserialize_with = "defrag_schedule")]
    pub schedule: String,
}

impl Default for DefragJob {
    fn default() -> Self {
        Self {
            enabled: false,
            image: DEFAULT_DEFRAG_IMAGE.to_owned(),
            rule: DEFAULT_DEFRAG_RULE.to_owned(),
            schedule: DEFAULT_DEFRAG_SCHEDULE.to_owned(),
        }
    }
}

/// A database that kine talks to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KineSpec {
    /// The data source in clear, such as `postgres://user:password@host:5432/database`.
    #[serde(
        rename = "dataSourceURL",
        deserialize_with = "absent::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub data_source_url: Option<String>,
    /// A Secret that holds the data source.
    #[serde(
        deserialize_with = "absent::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub data_source_secret_name: Option<String>,
}

/// NATS inside the control-plane pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NatsSpec {
    /// The volume of each NATS store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistence: Option<NatsPersistence>,
}

/// The volume of a NATS store: the same fields as etcd's.
pub type NatsPersistence = EtcdPersistence;

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(1, 1)]
    #[case(2, 3)]
    #[case(3, 3)]
    #[case(4, 5)]
    #[case::asleep(0, 1)]
    #[case::nonsense(-2, 1)]
    #[case::the_most(i32::MAX, i32::MAX)]
    fn etcd_is_created_with_an_odd_number(#[case] replicas: i32, #[case] members: i32) {
        let spec = ClusterSpec {
            replicas,
            ..ClusterSpec::default()
        };
        assert_eq!(spec.initial_etcd_members(), members);
    }
}
