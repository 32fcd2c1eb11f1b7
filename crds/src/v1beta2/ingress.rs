//! `spec.ingress`: the API and konnectivity behind an ingress controller, by host name.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::absent;

/// Exposure through an ingress controller that passes TLS through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngressSpec {
    /// Whether the Ingress object is made; otherwise somebody else makes it. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy: Option<bool>,
    /// Class of the Ingress.
    #[serde(
        default,
        deserialize_with = "absent::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub class_name: Option<String>,
    /// Annotations of the Ingress.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Host name of the hosted API.
    pub api_host: String,
    /// Host name of konnectivity.
    pub konnectivity_host: String,
    /// Port at which the ingress controller listens.
    #[serde(default = "ingress_port")]
    pub port: i64,
}

const fn ingress_port() -> i64 {
    443
}
