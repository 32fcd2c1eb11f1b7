//! Every way to write an object.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use support::light::children::at;
use support::light::scene::Scene;

use super::objects::{accepted, apply, cluster, refused, set_status, token, try_apply};

const VERSION: &str = "v1.36.3-k0s.2";

async fn read(scene: &Scene, name: &str) -> Result<Value> {
    Ok(serde_json::to_value(scene.raw().get(name).await?)?)
}

pub async fn apply_patch_scale_and_status_go_through_unharmed(scene: &Scene) -> Result<()> {
    let spec = json!({"version": VERSION, "replicas": 1, "service": {"type": "ClusterIP"}});
    let object = cluster("one", &spec).to_string();
    let sides = ["apply", "--server-side", "--filename", "-"];
    accepted(&scene.kubectl(&sides, &object).await?)?;
    let first = read(scene, "one").await?;
    // Applied once more it is the same object: admission adds nothing that the manager fights.
    accepted(&scene.kubectl(&sides, &object).await?)?;
    let second = read(scene, "one").await?;
    ensure!(
        at(&first, "/metadata/resourceVersion") == at(&second, "/metadata/resourceVersion"),
        "applying the same again wrote: {second:#}"
    );

    let merge = r#"{"spec": {"controlPlaneFlags": ["--debug"]}}"#;
    accepted(
        &scene
            .kubectl(
                &["patch", "kmc", "one", "--type=merge", "--patch", merge],
                "",
            )
            .await?,
    )?;
    let json = r#"[{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]"#;
    accepted(
        &scene
            .kubectl(&["patch", "kmc", "one", "--type=json", "--patch", json], "")
            .await?,
    )?;
    accepted(
        &scene
            .kubectl(&["scale", "kmc", "one", "--replicas=3"], "")
            .await?,
    )?;
    let status = json!({"replicas": 3, "readyReplicas": 2, "version": VERSION});
    set_status(scene, "one", &status).await?;
    let object = read(scene, "one").await?;
    ensure!(at(&object, "/spec/replicas") == 3, "{object:#}");
    ensure!(at(&object, "/spec/version") == VERSION, "{object:#}");
    ensure!(at(&object, "/status/readyReplicas") == 2, "{object:#}");
    ensure!(
        at(&object, "/spec/controlPlaneFlags/0") == "--debug",
        "{object:#}"
    );
    Ok(())
}

/// What was stored before there was a webhook has no version; the webhook must not choose one
/// then, because the cluster would be upgraded by whoever labels it.
pub async fn a_label_on_an_old_object_changes_no_version(scene: &Scene) -> Result<()> {
    accepted(
        &apply(
            scene,
            &cluster("one", &json!({"service": {"type": "ClusterIP"}})),
        )
        .await?,
    )?;
    let created = read(scene, "one").await?;
    ensure!(at(&created, "/spec/version").is_string(), "{created:#}");
    // A user takes it out again, which stands for an object from before.
    let patch = r#"{"spec": {"version": null}}"#;
    accepted(
        &scene
            .kubectl(
                &["patch", "kmc", "one", "--type=merge", "--patch", patch],
                "",
            )
            .await?,
    )?;
    accepted(&scene.kubectl(&["label", "kmc", "one", "a=b"], "").await?)?;
    let labelled = read(scene, "one").await?;
    ensure!(at(&labelled, "/spec/version").is_null(), "{labelled:#}");
    Ok(())
}

pub async fn a_dry_run_shows_the_whole_decision(scene: &Scene) -> Result<()> {
    let said = try_apply(scene, &cluster("one", &json!({}))).await?;
    accepted(&said)?;
    let shown: Value = serde_json::from_str(&said.out).context("kubectl's JSON")?;
    ensure!(
        at(&shown, "/spec/version").is_string(),
        "no default: {shown:#}"
    );
    ensure!(at(&shown, "/spec/service/type") == "ClusterIP", "{shown:#}");

    let said = try_apply(scene, &token("one", &json!({"clusterName": "one"}))).await?;
    accepted(&said)?;
    ensure!(said.err.contains("Warning:"), "a token for ever: {said:?}");

    let wrong = json!({"version": "1.2.3.4", "controlPlaneFlags": ["--debug 'open"]});
    let said = try_apply(scene, &cluster("one", &wrong)).await?;
    refused(&said, &["spec.version", "spec.controlPlaneFlags"])?;
    ensure!(scene.raw().get_opt("one").await?.is_none(), "it was stored");
    Ok(())
}
