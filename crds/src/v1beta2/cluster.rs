//! The Cluster: one hosted control plane.

#![allow(
    clippy::duplicated_attributes,
    reason = "every print column has a type"
)]

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ResourceRequirements, TopologySpreadConstraint};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::absent::{self, texts_or};
use super::{
    CertificateRef, ClusterStatus, IngressSpec, Manifest, MonitoringSpec, Mount, NetworkPolicySpec,
    PatchSpec, PersistenceSpec, RemoteHostCluster, ServiceSpec, StorageSpec,
};
use crate::schema;
use crate::schema::cel;

/// Repository of the k0s image unless `spec.image` names another.
pub const DEFAULT_IMAGE: &str = "quay.io/k0sproject/k0s";

/// What the control plane shall look like.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "k0smotron.io",
    version = "v1beta2",
    kind = "Cluster",
    plural = "clusters",
    shortname = "kmc",
    namespaced,
    cel,
    status = "ClusterStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A Kubernetes control plane that runs as pods in this cluster. Workers join it from anywhere with a token (see JoinTokenRequest).",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Version",
        type_ = "string",
        json_path = ".status.version",
        description = "k0s version that runs"
    ),
    printcolumn(
        name = "Replicas",
        type_ = "integer",
        json_path = ".spec.replicas",
        description = "control-plane pods asked for"
    ),
    printcolumn(
        name = "Ready",
        type_ = "integer",
        json_path = ".status.readyReplicas",
        description = "control-plane pods that are ready"
    ),
    printcolumn(
        name = "Endpoint",
        type_ = "string",
        json_path = ".status.endpoint",
        description = "address of the hosted API"
    ),
    printcolumn(
        name = "Storage",
        type_ = "string",
        json_path = ".spec.storage.type",
        description = "where the hosted cluster keeps its state"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Available")].reason"#,
        description = "why it is available or not",
        priority = 1
    )
)]
#[kube(validation = cel::cluster_name_has_no_dot(), validation = cel::cluster_name_fits())]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterSpec {
    /// Number of control-plane pods; 3 survives the loss of any one of them. etcd is created with
    /// the same number, rounded up to odd, and keeps it. Default 1.
    #[schemars(range(min = 0))]
    pub replicas: i32,
    /// Repository of the k0s image, without tag: the tag comes from the version.
    #[serde(deserialize_with = "image")]
    pub image: String,
    /// k0s version, such as `v1.36.3`, `v1.36.3-k0s.2` or `v1.36.3+k0s.2`. Left out, a new cluster
    /// gets the version that this release of the product was tested with, and stays at it.
    #[serde(
        deserialize_with = "absent::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub version: Option<String>,
    /// Host or IP under which workers and the kubeconfig reach the control plane. Left out, it is
    /// found out (address of the load balancer or of a node) and shown in the status.
    #[serde(
        deserialize_with = "absent::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub external_address: Option<String>,
    /// How the control plane is exposed.
    #[schemars(extend("default" = {"type": "ClusterIP", "apiPort": 30443, "konnectivityPort": 30132}))]
    pub service: ServiceSpec,
    /// Publishes the API and konnectivity through an ingress controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressSpec>,
    /// Where the control-plane pods keep their data directory; an emptyDir unless told otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistence: Option<PersistenceSpec>,
    /// Where the hosted cluster keeps its state.
    #[schemars(extend("default" = {"type": "etcd"}))]
    pub storage: StorageSpec,
    /// A k0s ClusterConfig of your own (`apiVersion: k0s.k0sproject.io/v1beta1`). Generated values
    /// (ports, addresses, storage) are merged over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::k0s_config")]
    pub k0s_config: Option<Value>,
    /// More arguments for `k0s controller`, split as a POSIX shell splits words, nothing expanded:
    /// `--flag=value`, or `--flag 'a value'`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub control_plane_flags: Vec<String>,
    /// Secrets with certificates of your own. Left out, the certificates are made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificate_refs: Vec<CertificateRef>,
    /// Volumes with manifests that k0s applies to the hosted cluster, each a folder
    /// `/var/lib/k0s/manifests/<name>`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::manifests")]
    pub manifests: Vec<Manifest>,
    /// More volumes for the control-plane container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Requests and limits of the control-plane container.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::resources")]
    pub resources: Option<ResourceRequirements>,
    /// How control-plane pods, and etcd pods alike, are spread over the nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::topology_spread_constraints")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Service account of the control-plane and etcd pods. Its token is not mounted.
    #[serde(
        deserialize_with = "absent::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub service_account: Option<String>,
    /// Labels and annotations for the kubeconfig's Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig_secret_metadata: Option<KubeconfigSecretMetadata>,
    /// Containers beside the control plane that offer the hosted cluster's metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<MonitoringSpec>,
    /// Lets nobody reach the pods who does not have to, where the network plugin knows
    /// `NetworkPolicy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<NetworkPolicySpec>,
    /// Changes to generated objects, applied in this order before the objects are written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<PatchSpec>,
    /// Another cluster in which the control plane's pods run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_host_cluster: Option<RemoteHostCluster>,
}

texts_or! { image: DEFAULT_IMAGE }

impl Default for ClusterSpec {
    fn default() -> Self {
        Self {
            replicas: 1,
            image: DEFAULT_IMAGE.to_owned(),
            version: None,
            external_address: None,
            service: ServiceSpec::default(),
            ingress: None,
            persistence: None,
            storage: StorageSpec::default(),
            k0s_config: None,
            control_plane_flags: Vec::new(),
            certificate_refs: Vec::new(),
            manifests: Vec::new(),
            mounts: Vec::new(),
            resources: None,
            topology_spread_constraints: Vec::new(),
            service_account: None,
            kubeconfig_secret_metadata: None,
            monitoring: None,
            network_policy: None,
            patches: Vec::new(),
            remote_host_cluster: None,
        }
    }
}

/// Metadata for the kubeconfig's Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KubeconfigSecretMetadata {
    /// More labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// More annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}
