//! `spec.remoteHostCluster`: a second mothership in which a control plane's pods run, by its
//! kubeconfig.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::absent::texts_or;

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

texts_or! {
    read_kubeconfig_key: crate::names::KUBECONFIG_KEY,
}
