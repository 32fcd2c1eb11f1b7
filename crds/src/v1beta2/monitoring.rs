//! `spec.monitoring`: containers that offer the hosted cluster's metrics.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::absent::texts_or;

/// Metrics of the hosted cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MonitoringSpec {
    /// Whether the containers are added.
    pub enabled: bool,
    /// Image of Prometheus.
    #[serde(
        default = "prometheus_image",
        deserialize_with = "read_prometheus_image"
    )]
    pub prometheus_image: String,
    /// Image of the proxy in front of it.
    #[serde(default = "proxy_image", deserialize_with = "read_proxy_image")]
    pub proxy_image: String,
}

impl Default for MonitoringSpec {
    fn default() -> Self {
        Self {
            enabled: false,
            prometheus_image: prometheus_image(),
            proxy_image: proxy_image(),
        }
    }
}

const PROMETHEUS_IMAGE: &str = "quay.io/k0sproject/prometheus:v2.44.0";
const PROXY_IMAGE: &str = "nginx:1.19.10";

fn prometheus_image() -> String {
    PROMETHEUS_IMAGE.to_owned()
}

fn proxy_image() -> String {
    PROXY_IMAGE.to_owned()
}

texts_or! {
    read_prometheus_image: PROMETHEUS_IMAGE,
    read_proxy_image: PROXY_IMAGE,
}
