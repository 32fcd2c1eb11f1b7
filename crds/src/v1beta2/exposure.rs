//! Ingress, metrics and hosting elsewhere.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::absent::{self, texts_or};

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
    read_kubeconfig_key: crate::names::KUBECONFIG_KEY,
}

/// The cluster in which the control plane's pods run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RemoteHostCluster {
    /// Where its kubeconfig is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig_ref: Option<KubeconfigRef>,
}

/// A kubeconfig in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubeconfigRef {
    /// Name of the Secret.
    pub name: String,
    /// Namespace of the Secret.
    pub namespace: String,
    /// Key inside the Secret.
    #[serde(default = "kubeconfig_key", deserialize_with = "read_kubeconfig_key")]
    pub key: String,
}

fn kubeconfig_key() -> String {
    crate::names::KUBECONFIG_KEY.to_owned()
}
