//! What is going must be let go.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use support::light::scene::Scene;
use support::light::until;

use super::objects::{accepted, apply, cluster, refused, with};

/// An object that breaks every rule by now: it was stored before the rule was there.
pub async fn an_object_that_is_going_is_never_blocked(scene: &Scene) -> Result<()> {
    let spec = json!({"version": "v1.36.3-k0s.2", "service": {"type": "ClusterIP"}});
    let held = with(
        cluster("one", &spec),
        &json!({"metadata": {"finalizers": ["example.org/held"]}}),
    );
    accepted(&apply(scene, &held).await?)?;
    accepted(
        &scene
            .kubectl(&["delete", "kmc", "one", "--wait=false"], "")
            .await?,
    )?;
    // Neither a change of what never changes nor the finalizer's end is looked at any more.
    let wrong = r#"{"spec": {"storage": {"type": "kine"}}}"#;
    accepted(
        &scene
            .kubectl(
                &["patch", "kmc", "one", "--type=merge", "--patch", wrong],
                "",
            )
            .await?,
    )?;
    let free = r#"{"metadata": {"finalizers": null}}"#;
    accepted(
        &scene
            .kubectl(
                &["patch", "kmc", "one", "--type=merge", "--patch", free],
                "",
            )
            .await?,
    )?;
    until(
        "the Cluster is gone",
        Duration::from_secs(10),
        async || match scene.raw().get_opt("one").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        },
    )
    .await?;
    Ok(())
}

/// The configurations leave out what is going: nobody gets in by saying so.
pub async fn an_object_that_only_claims_to_be_going_is_refused(scene: &Scene) -> Result<()> {
    let claim = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    let wrong = json!({"version": "newest", "service": {"type": "ClusterIP"}});
    let said = apply(scene, &with(cluster("one", &wrong), &claim)).await?;
    refused(&said, &["spec.version"])?;
    // Of an apply the API server keeps what a create loses.
    let held = json!({"metadata": {"finalizers": ["example.org/held"]}});
    let object = with(with(cluster("one", &wrong), &claim), &held).to_string();
    let apply_it = ["apply", "--server-side", "--filename", "-"];
    refused(&scene.kubectl(&apply_it, &object).await?, &["spec.version"])?;
    let sound = json!({"version": "v1.36.3-k0s.2", "service": {"type": "ClusterIP"}});
    accepted(&apply(scene, &cluster("one", &sound)).await?)?;
    let change = with(claim, &json!({"spec": {"version": "newest"}})).to_string();
    let said = scene
        .kubectl(
            &["patch", "kmc", "one", "--type=merge", "--patch", &change],
            "",
        )
        .await?;
    // The API server sees through it before it asks anybody.
    refused(&said, &["metadata.deletionTimestamp"])
}

pub async fn a_protected_cluster_stays_until_the_annotation_is_gone(scene: &Scene) -> Result<()> {
    let spec = json!({"version": "v1.36.3-k0s.2", "service": {"type": "ClusterIP"}});
    let object = with(
        cluster("one", &spec),
        &json!({"metadata": {"annotations": {"k0smotron.io/protect": "true"}}}),
    );
    accepted(&apply(scene, &object).await?)?;
    let said = scene
        .kubectl(&["delete", "kmc", "one", "--wait=false"], "")
        .await?;
    refused(&said, &["k0smotron.io/protect"])?;
    let said = scene
        .kubectl(&["delete", "kmc", "--all", "--wait=false"], "")
        .await?;
    refused(&said, &["k0smotron.io/protect"])?;
    ensure!(scene.raw().get_opt("one").await?.is_some(), "it is gone");
    accepted(
        &scene
            .kubectl(&["annotate", "kmc", "one", "k0smotron.io/protect-"], "")
            .await?,
    )?;
    accepted(
        &scene
            .kubectl(&["delete", "kmc", "one", "--wait=false"], "")
            .await?,
    )?;
    Ok(())
}
