//! The sections of `spec` that the stand-in honours. As for k0s, unknown fields are errors in
//! `controllerManager`, `scheduler`, `workerProfiles` and `konnectivity`, and passed over in `api`,
//! `storage` and `network`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `spec.api`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Api {
    pub address: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub only_bind_to_address: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub external_address: String,
    pub port: u16,
    pub k0s_api_port: u16,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sans: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra_args: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub raw_args: Vec<String>,
    pub ca: Ca,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            address: String::new(),
            only_bind_to_address: false,
            external_address: String::new(),
            port: 6443,
            k0s_api_port: 9443,
            sans: Vec::new(),
            extra_args: BTreeMap::new(),
            raw_args: Vec::new(),
            ca: Ca::default(),
        }
    }
}

/// How long certificates live, as Go durations.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ca {
    pub expires_after: String,
    pub certificates_expire_after: String,
}

impl Default for Ca {
    fn default() -> Self {
        Self {
            expires_after: "87600h".into(),
            certificates_expire_after: "8760h".into(),
        }
    }
}

/// `spec.controllerManager` and `spec.scheduler`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Component {
    pub extra_args: BTreeMap<String, String>,
    pub raw_args: Vec<String>,
}

/// `spec.storage`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Storage {
    #[serde(rename = "type")]
    pub kind: String,
    pub etcd: Etcd,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kine: Option<Value>,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            kind: "etcd".into(),
            etcd: Etcd::default(),
            kine: None,
        }
    }
}

/// `spec.storage.etcd`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Etcd {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub peer_address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_cluster: Option<ExternalCluster>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra_args: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub raw_args: Vec<String>,
    pub ca: Ca,
}

/// `spec.storage.etcd.externalCluster`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExternalCluster {
    pub endpoints: Vec<String>,
    pub etcd_prefix: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_file: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_cert_file: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_key_file: String,
}

/// `spec.network`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Network {
    #[serde(rename = "podCIDR")]
    pub pod_cidr: String,
    #[serde(rename = "serviceCIDR")]
    pub service_cidr: String,
    pub cluster_domain: String,
    pub provider: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calico: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dual_stack: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kube_proxy: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kuberouter: Option<Value>,
    #[serde(rename = "coreDNS", skip_serializing_if = "Option::is_none")]
    pub core_dns: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_local_load_balancing: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane_load_balancing: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_address_family: Option<String>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            pod_cidr: "10.244.0.0/16".into(),
            service_cidr: "10.96.0.0/12".into(),
            cluster_domain: "cluster.local".into(),
            provider: "kuberouter".into(),
            calico: None,
            dual_stack: None,
            kube_proxy: None,
            kuberouter: None,
            core_dns: None,
            node_local_load_balancing: None,
            control_plane_load_balancing: None,
            primary_address_family: None,
        }
    }
}

/// One of `spec.workerProfiles`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct WorkerProfile {
    pub name: String,
    /// Laid over the kubelet configuration.
    pub values: serde_json::Map<String, Value>,
}

/// `spec.konnectivity`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Konnectivity {
    pub admin_port: u16,
    pub agent_port: u16,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub external_address: String,
}

impl Default for Konnectivity {
    fn default() -> Self {
        Self {
            admin_port: 8133,
            agent_port: 8132,
            external_address: String::new(),
        }
    }
}
