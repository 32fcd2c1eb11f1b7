//! Exposure through a Service.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::cel;

/// Port of the hosted API unless `spec.service.apiPort` names another.
pub const DEFAULT_API_PORT: i32 = 30443;
/// Port of konnectivity unless `spec.service.konnectivityPort` names another.
pub const DEFAULT_KONNECTIVITY_PORT: i32 = 30132;

/// The Service in front of the control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = cel::service)]
pub struct ServiceSpec {
    /// Type of the Service.
    #[serde(rename = "type")]
    pub type_: ServiceType,
    /// Port of the hosted API: in the pod, in the Service and, with type NodePort, on the nodes.
    /// With type NodePort 0 lets the API server choose; the number is then in
    /// `status.ports.api` and stays for the cluster's life.
    #[schemars(range(min = 0, max = 65535))]
    pub api_port: i32,
    /// Port at which konnectivity agents of the workers connect, chosen like `apiPort`; the number
    /// is then in `status.ports.konnectivity`.
    #[schemars(range(min = 0, max = 65535))]
    pub konnectivity_port: i32,
}

impl Default for ServiceSpec {
    fn default() -> Self {
        Self {
            type_: ServiceType::default(),
            api_port: DEFAULT_API_PORT,
            konnectivity_port: DEFAULT_KONNECTIVITY_PORT,
        }
    }
}

/// How the control plane is reached.
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
pub enum ServiceType {
    /// From inside this cluster only.
    #[default]
    #[serde(alias = "")]
    ClusterIP,
    /// At the same port of every node.
    NodePort,
    /// At the address of a load balancer.
    LoadBalancer,
}

impl ServiceType {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::ClusterIP, Self::NodePort, Self::LoadBalancer];

    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

impl fmt::Display for ServiceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
