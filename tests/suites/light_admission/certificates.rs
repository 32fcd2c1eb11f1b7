//! The webhook's own certificates, as fast as they can be made to change.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, DynamicObject, PostParams};
use serde_json::json;
use support::light::PRODUCT;
use support::light::process::Process;
use support::light::scene::Scene;
use support::light::until;
use support::light::world::World;
use support::runner::World as _;

use super::objects::cluster;

const SECRET: &str = "k0smotron-webhook-certificate";

/// On a mothership of its own: its certificates last for seconds.
pub async fn authorities_and_leaves_change_without_one_failed_admission(
    told: &Scene,
) -> Result<()> {
    let world = World::without_webhook().await?;
    let outcome = async {
        let scene = world.scene("certificates").await?;
        let webhook = scene
            .place
            .start(&["--authority-lifetime=30s", "--leaf-lifetime=10s"])
            .await?;
        changes(&scene, told, webhook).await
    }
    .await;
    world.end(outcome.is_ok()).await?;
    outcome
}

async fn changes(scene: &Scene, told: &Scene, webhook: Process) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(scene.admin.clone(), PRODUCT);
    let certificate = async |key: &str| -> Result<Vec<u8>> {
        let secret = secrets.get(SECRET).await?;
        let data = secret.data.context("an empty Secret")?;
        Ok(data.get(key).context("no certificate")?.0.clone())
    };
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let mut body: DynamicObject = serde_json::from_value(cluster("probe", &json!({})))?;
    body.metadata.namespace = Some(scene.namespace.clone());

    // Through two authorities and more leaves than that, one request after the other.
    let started = Instant::now();
    let (mut leaves, mut authorities) = (Vec::new(), Vec::new());
    let mut asked = 0;
    while started.elapsed() < Duration::from_secs(45) {
        scene
            .raw()
            .create(&dry_run, &body)
            .await
            .with_context(|| format!("admission {asked} after {:?}", started.elapsed()))?;
        asked += 1;
        for (key, seen) in [("tls.crt", &mut leaves), ("ca.crt", &mut authorities)] {
            let now = certificate(key).await?;
            if seen.last() != Some(&now) {
                seen.push(now);
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    told.say(format!(
        "{asked} admissions over {} leaves and {} sets of authorities, none failed",
        leaves.len(),
        authorities.len()
    ));
    ensure!(leaves.len() >= 3, "{} leaves", leaves.len());
    ensure!(authorities.len() >= 2, "{} authorities", authorities.len());

    // Somebody deletes the Secret, somebody breaks what the API server trusts, somebody installs
    // again: each is mended, and admission works again.
    secrets.delete(SECRET, &DeleteParams::default()).await?;
    let took = scene.place.answers().await?;
    until("the Secret is back", Duration::from_secs(10), async || {
        certificate("tls.crt")
            .await
            .map_err(|error| format!("{error:#}"))
    })
    .await?;
    told.say(format!(
        "after its Secret was deleted it answers again in {took:?}"
    ));
    for (resource, path) in [
        (
            "validatingwebhookconfiguration",
            "/webhooks/0/clientConfig/caBundle",
        ),
        (
            "mutatingwebhookconfiguration",
            "/webhooks/0/clientConfig/caBundle",
        ),
    ] {
        let patch = json!([{"op": "remove", "path": path}]).to_string();
        let said = scene
            .kubectl(
                &[
                    "patch",
                    resource,
                    "k0smotron",
                    "--type=json",
                    "--patch",
                    &patch,
                ],
                "",
            )
            .await?;
        ensure!(said.well, "{said:?}");
        let took = scene.place.answers().await?;
        told.say(format!(
            "a lost caBundle of the {resource} is back in {took:?}"
        ));
    }
    let crd = "clusters.k0smotron.io";
    let path = "/spec/conversion/webhook/clientConfig/caBundle";
    let patch = json!([{"op": "replace", "path": path, "value": "Zm9yZWlnbgo="}]).to_string();
    let said = scene
        .kubectl(&["patch", "crd", crd, "--type=json", "--patch", &patch], "")
        .await?;
    ensure!(said.well || said.err.contains("caBundle"), "{said:?}");
    until(
        "the old version is served",
        Duration::from_secs(10),
        async || {
            let args = ["get", "clusters.v1beta1.k0smotron.io", "--output=json"];
            match scene.kubectl(&args, "").await {
                Ok(said) if said.well => Ok(()),
                other => Err(format!("{other:?}")),
            }
        },
    )
    .await?;
    scene.place.unpoint().await?;
    scene.install().await?;
    scene.place.point().await?;
    let took = scene.place.answers().await?;
    told.say(format!("after another installation it answers in {took:?}"));
    webhook.stop().await
}
