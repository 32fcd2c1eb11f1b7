//! What a new cluster needs so that nodes may join: RBAC.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use super::{Context, until_leading};
use crate::api;
use crate::lease::NAMESPACE as LEASES;

/// Applies the objects once, as soon as this controller leads.
pub async fn run(context: &Context, mut leading: watch::Receiver<bool>) {
    if !context.enabled("system-rbac") {
        return;
    }
    until_leading(&mut leading).await;
    for (plural, object) in objects() {
        while let Err(error) = api::apply(&context.client, plural, &object).await {
            tracing::warn!("{error:#}");
            sleep(Duration::from_millis(500)).await;
        }
    }
    tracing::info!("the rights that nodes join with are in place");
}

fn objects() -> Vec<(&'static str, Value)> {
    let signing = "system:certificates.k8s.io:certificatesigningrequests";
    vec![
        binding(
            "kubelet-bootstrap",
            "system:node-bootstrapper",
            "system:bootstrappers",
        ),
        binding(
            "node-autoapprove-bootstrap",
            &format!("{signing}:nodeclient"),
            "system:bootstrappers",
        ),
        binding(
            "node-autoapprove-certificate-rotation",
            &format!("{signing}:selfnodeclient"),
            "system:nodes",
        ),
        // The stand-in's kube-proxy and konnectivity agent are processes beside the kubelet and
        // share its certificate.
        binding(
            "k0s-stand-in:node-proxier",
            "system:node-proxier",
            "system:nodes",
        ),
        (
            "roles",
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": {"name": "k0s-stand-in:konnectivity-agent", "namespace": LEASES},
                "rules": [{
                    "apiGroups": ["coordination.k8s.io"],
                    "resources": ["leases"],
                    "verbs": ["get", "list", "watch"],
                }],
            }),
        ),
        (
            "rolebindings",
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "k0s-stand-in:konnectivity-agent", "namespace": LEASES},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "Role",
                    "name": "k0s-stand-in:konnectivity-agent",
                },
                "subjects": [group("system:nodes")],
            }),
        ),
    ]
}

fn binding(name: &str, role: &str, to: &str) -> (&'static str, Value) {
    let object = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": role,
        },
        "subjects": [group(to)],
    });
    ("clusterrolebindings", object)
}

/// A group as a subject of RBAC.
pub fn group(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name})
}
