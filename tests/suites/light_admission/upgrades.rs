//! What versions a Cluster may go to.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use support::light::scene::Scene;

use super::objects::{accepted, apply, cluster, refused, running, set_status, try_apply, with};

fn plain() -> Value {
    json!({"service": {"type": "ClusterIP"}})
}

pub async fn versions_go_up_one_minor_at_a_time(scene: &Scene) -> Result<()> {
    let spec = with(plain(), &json!({"version": "v1.34.5-k0s.0"}));
    running(scene, "one", &spec, "v1.34.5-k0s.0").await?;
    let to = |version: &str| cluster("one", &with(plain(), &json!({"version": version})));
    let nodes = |oldest: &str| json!({"nodes": {"joined": 2, "ready": 2, "oldestKubelet": oldest}});

    refused(
        &try_apply(scene, &to("v1.33.9-k0s.0")).await?,
        &["spec.version", "older"],
    )?;
    refused(
        &try_apply(scene, &to("v1.36.3-k0s.2")).await?,
        &["spec.version", "v1.35"],
    )?;
    // The same version written otherwise is no change.
    accepted(&try_apply(scene, &to("v1.34.5+k0s.0")).await?)?;
    accepted(&try_apply(scene, &to("v1.34.5")).await?)?;
    let said = try_apply(scene, &to("v1.35.1-k0s.0")).await?;
    accepted(&said)?;
    ensure!(said.err.contains("Warning:"), "unknown kubelets: {said:?}");
    let said = try_apply(scene, &to("v1.35.99-k0s.0")).await?;
    accepted(&said)?;
    ensure!(
        said.err.contains("v1.35.99"),
        "an unknown version: {said:?}"
    );

    set_status(scene, "one", &nodes("v1.31.14+k0s")).await?;
    refused(
        &try_apply(scene, &to("v1.35.1-k0s.0")).await?,
        &["kubelet", "v1.31.14"],
    )?;
    set_status(scene, "one", &nodes("v1.33.1+k0s")).await?;
    accepted(&apply(scene, &to("v1.35.1-k0s.0")).await?)?;

    // While that runs: back, but nowhere else, unless forced to just that version.
    refused(
        &try_apply(scene, &to("v1.35.2-k0s.0")).await?,
        &["spec.version", "v1.34.5"],
    )?;
    accepted(&try_apply(scene, &to("v1.34.5-k0s.0")).await?)?;
    let forced = |version: &str| json!({"metadata": {"annotations": {"k0smotron.io/force-upgrade": version}}});
    let said = try_apply(scene, &with(to("v1.35.2-k0s.0"), &forced("v1.35.1"))).await?;
    refused(&said, &["k0smotron.io/force-upgrade"])?;
    accepted(&try_apply(scene, &with(to("v1.35.2-k0s.0"), &forced("v1.35.2"))).await?)?;
    refused(
        &try_apply(scene, &with(to("v1.36.3-k0s.2"), &forced("v1.36.3-k0s.2"))).await?,
        &["spec.version"],
    )?;

    // A cluster that is not healthy is left as it is.
    let spec = with(plain(), &json!({"version": "v1.35.1-k0s.0"}));
    running(scene, "two", &spec, "v1.35.1-k0s.0").await?;
    let ill = json!({"conditions": [{"type": "Available", "status": "False", "reason": "NotReady",
        "message": "no pod is ready", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    set_status(scene, "two", &ill).await?;
    let change = with(plain(), &json!({"version": "v1.36.3-k0s.2"}));
    let said = try_apply(scene, &cluster("two", &change)).await?;
    refused(&said, &["spec.version", "no pod is ready"])
}
