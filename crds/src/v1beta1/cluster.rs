//! The Cluster as v1beta1 writes it.

#![allow(
    clippy::duplicated_attributes,
    reason = "every print column has a type"
)]

use k8s_openapi::api::core::v1::{ResourceRequirements, TopologySpreadConstraint};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ClusterStatus, ServiceSpec};
use crate::schema;
use crate::schema::cel;
use crate::v1beta2::{
    CertificateRef, DEFAULT_ETCD_IMAGE, DEFAULT_IMAGE, EtcdSpec, IngressSpec, KubeconfigRef,
    KubeconfigSecretMetadata, Manifest, MonitoringSpec, Mount, PersistenceSpec,
};

/// What the control plane shall look like.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "k0smotron.io",
    version = "v1beta1",
    kind = "Cluster",
    plural = "clusters",
    shortname = "kmc",
    namespaced,
    cel,
    deprecated = "k0smotron.io/v1beta1 Cluster is deprecated; write k0smotron.io/v1beta2 instead",
    status = "ClusterStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A Kubernetes control plane that runs as pods in this cluster. This version is deprecated: write v1beta2.",
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
    /// Number of control-plane pods. Default 1.
    #[schemars(range(min = 0))]
    pub replicas: i32,
    /// Repository of the k0s image, without tag: the tag comes from the version.
    pub image: String,
    /// k0s version, such as `v1.36.3`, `v1.36.3-k0s.2` or `v1.36.3+k0s.2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Host or IP under which workers and the kubeconfig reach the control plane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_address: Option<String>,
    /// How the control plane is exposed.
    #[schemars(extend("default" = {"type": "ClusterIP", "apiPort": 30443, "konnectivityPort": 30132}))]
    pub service: ServiceSpec,
    /// Publishes the API and konnectivity through an ingress controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressSpec>,
    /// Where the control-plane pods keep their data directory.
    #[schemars(extend("default" = {"type": "emptyDir"}))]
    pub persistence: PersistenceSpec,
    /// Settings of etcd, which keeps the hosted cluster's state unless a kine data source is given.
    /// In v1beta2: `spec.storage.etcd`.
    #[schemars(extend("default" = {"image": DEFAULT_ETCD_IMAGE, "persistence": {}}))]
    pub etcd: EtcdSpec,
    /// A database for the hosted cluster's state, such as
    /// `postgres://user:password@host:5432/database`. In v1beta2: `spec.storage.kine.dataSourceURL`
    /// with the storage type `kine`.
    #[serde(rename = "kineDataSourceURL", skip_serializing_if = "Option::is_none")]
    pub kine_data_source_url: Option<String>,
    /// A Secret that holds the data source. In v1beta2: `spec.storage.kine.dataSourceSecretName` with
    /// the storage type `kine`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kine_data_source_secret_name: Option<String>,
    /// A k0s ClusterConfig of your own (`apiVersion: k0s.k0sproject.io/v1beta1`). Generated values
    /// (ports, addresses, storage) are merged over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::k0s_config")]
    pub k0s_config: Option<Value>,
    /// More arguments for `k0s controller`. In v1beta2: `spec.controlPlaneFlags`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub controller_plane_flags: Vec<String>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// Labels and annotations for the kubeconfig's Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig_secret_metadata: Option<KubeconfigSecretMetadata>,
    /// Containers beside the control plane that offer the hosted cluster's metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<MonitoringSpec>,
    /// Kubeconfig of another cluster in which the control plane's pods run. In v1beta2:
    /// `spec.remoteHostCluster.kubeconfigRef`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig_ref: Option<KubeconfigRef>,
}

impl Default for ClusterSpec {
    fn default() -> Self {
        Self {
            replicas: 1,
            image: DEFAULT_IMAGE.to_owned(),
            version: None,
            external_address: None,
            service: ServiceSpec::default(),
            ingress: None,
            persistence: PersistenceSpec::default(),
            etcd: EtcdSpec::default(),
            kine_data_source_url: None,
            kine_data_source_secret_name: None,
            k0s_config: None,
            controller_plane_flags: Vec::new(),
            certificate_refs: Vec::new(),
            manifests: Vec::new(),
            mounts: Vec::new(),
            resources: None,
            topology_spread_constraints: Vec::new(),
            service_account: None,
            kubeconfig_secret_metadata: None,
            monitoring: None,
            kubeconfig_ref: None,
        }
    }
}
