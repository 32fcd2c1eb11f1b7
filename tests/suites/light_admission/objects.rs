//! Objects as a person writes them, and what the API server says about them.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use support::light::kubectl::Said;
use support::light::scene::Scene;

/// A Cluster.
pub fn cluster(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "k0smotron.io/v1beta2",
        "kind": "Cluster",
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// A join token's request.
pub fn token(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "k0smotron.io/v1beta2",
        "kind": "JoinTokenRequest",
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// The object with a JSON merge patch on it.
pub fn with(mut object: Value, change: &Value) -> Value {
    json_patch::merge(&mut object, change);
    object
}

/// `kubectl apply` of an object.
pub async fn apply(scene: &Scene, object: &Value) -> Result<Said> {
    scene
        .kubectl(&["apply", "--filename", "-"], &object.to_string())
        .await
}

/// `kubectl apply --dry-run=server` of an object; what would be stored.
pub async fn try_apply(scene: &Scene, object: &Value) -> Result<Said> {
    let args = [
        "apply",
        "--dry-run=server",
        "--output=json",
        "--filename",
        "-",
    ];
    scene.kubectl(&args, &object.to_string()).await
}

/// That it was refused, and by name of what is wrong.
pub fn refused(said: &Said, naming: &[&str]) -> Result<()> {
    ensure!(!said.well, "it was let through: {said:?}");
    for part in naming {
        ensure!(said.err.contains(part), "{part:?} is not named: {said:?}");
    }
    Ok(())
}

/// That it was let through.
pub fn accepted(said: &Said) -> Result<()> {
    ensure!(said.well, "it was refused: {said:?}");
    Ok(())
}

/// Writes a part of a Cluster's status, as the controller would.
pub async fn set_status(scene: &Scene, name: &str, status: &Value) -> Result<()> {
    use kube::api::{Patch, PatchParams};
    let patch = Patch::Merge(json!({ "status": status }));
    scene
        .raw()
        .patch_status(name, &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

/// The condition of a control plane that serves.
pub fn serving(version: &str) -> Value {
    json!({
        "version": version,
        "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1,
        "ports": {"api": 30443, "konnectivity": 30132},
        "conditions": [{"type": "Available", "status": "True", "reason": "Available", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    })
}

/// A Cluster that has served, by its status.
pub async fn running(scene: &Scene, name: &str, spec: &Value, version: &str) -> Result<()> {
    accepted(&apply(scene, &cluster(name, spec)).await?)?;
    let made = json!({
        "etcdMembers": 1, "endpoint": "https://192.0.2.1:30443",
        "conditions": [
            {"type": "Available", "status": "True", "reason": "Available", "message": "",
             "lastTransitionTime": "2026-01-01T00:00:00Z"},
            {"type": "CertificatesAvailable", "status": "True", "reason": "Available", "message": "",
             "lastTransitionTime": "2026-01-01T00:00:00Z"},
        ],
    });
    set_status(scene, name, &with(serving(version), &made)).await
}
