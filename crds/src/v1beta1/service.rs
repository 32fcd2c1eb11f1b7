//! Exposure through a Service, with the fields that v1beta2 leaves to patches.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::cel;
use crate::v1beta2::{DEFAULT_API_PORT, DEFAULT_KONNECTIVITY_PORT, ServiceType};

/// The Service in front of the control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = cel::service)]
pub struct ServiceSpec {
    /// Type of the Service.
    #[serde(rename = "type")]
    pub type_: ServiceType,
    /// Port of the hosted API. With type NodePort 0 lets the API server choose.
    #[schemars(range(min = 0, max = 65535))]
    pub api_port: i32,
    /// Port at which konnectivity agents of the workers connect. With type NodePort 0 lets the API
    /// server choose.
    #[schemars(range(min = 0, max = 65535))]
    pub konnectivity_port: i32,
    /// More labels for the Service. In v1beta2: an annotation of the Cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// More annotations for the Service. In v1beta2: an annotation of the Cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Where the Service sends requests from outside. In v1beta2: an annotation of the Cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<ExternalTrafficPolicy>,
    /// Class of the load balancer. In v1beta2: an annotation of the Cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer_class: Option<String>,
}

impl Default for ServiceSpec {
    fn default() -> Self {
        Self {
            type_: ServiceType::default(),
            api_port: DEFAULT_API_PORT,
            konnectivity_port: DEFAULT_KONNECTIVITY_PORT,
            labels: None,
            annotations: None,
            external_traffic_policy: None,
            load_balancer_class: None,
        }
    }
}

/// Where a Service sends requests from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ExternalTrafficPolicy {
    /// To pods on all nodes.
    Cluster,
    /// To pods on the node that the request came to.
    Local,
}

impl ExternalTrafficPolicy {
    /// The value, as the API calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Local => "Local",
        }
    }
}
