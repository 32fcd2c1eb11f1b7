//! The webhook is down: planned for.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams};
use serde_json::json;
use support::light::children::at;
use support::light::scene::Scene;
use support::light::until;
use support::light::world::World;
use support::runner::World as _;

use super::objects::{accepted, apply, cluster, refused, set_status, with};

/// On a mothership of its own, since the others need their webhook.
pub async fn without_its_webhook_a_mothership_goes_on(told: &Scene) -> Result<()> {
    let world = World::without_webhook().await?;
    let outcome = async {
        let scene = world.scene("outage").await?;
        goes_on(&scene, told).await
    }
    .await;
    world.end(outcome.is_ok()).await?;
    outcome
}

async fn goes_on(scene: &Scene, told: &Scene) -> Result<()> {
    let webhook = scene.place.start(&[]).await?;
    let controller = scene.controller().await?;
    let spec = json!({"version": "v1.36.3-k0s.2", "service": {"type": "ClusterIP"}});
    scene.complete("one", spec.clone()).await?;
    let protected = with(
        cluster("kept", &spec),
        &json!({"metadata": {"annotations": {"k0smotron.io/protect": ""}}}),
    );
    accepted(&apply(scene, &protected).await?)?;
    scene.settled().await?;
    webhook.stop().await?;

    // New objects wait for it, and say for whom.
    let said = apply(scene, &cluster("two", &spec)).await?;
    refused(&said, &["k0smotron"])?;
    // What the schema sees by itself is refused by the schema.
    let wrong = json!({"service": {"type": "ClusterIP", "apiPort": 0}});
    let said = apply(scene, &cluster("two", &wrong)).await?;
    ensure!(!said.well, "{said:?}");

    // Existing clusters are looked after.
    let before = scene
        .get("Service", "kmc-one")
        .await?
        .context("no Service")?;
    let services: Api<k8s_openapi::api::core::v1::Service> =
        Api::namespaced(scene.admin.clone(), &scene.namespace);
    services.delete("kmc-one", &DeleteParams::default()).await?;
    let ((), took) = until("the Service is back", Duration::from_secs(10), async || {
        let found = scene.get("Service", "kmc-one").await;
        match found.map_err(|error| error.to_string())? {
            Some(found) if at(&found, "/metadata/uid") != at(&before, "/metadata/uid") => Ok(()),
            other => Err(format!("{}", other.is_some())),
        }
    })
    .await?;
    told.say(format!(
        "without a webhook a deleted Service is back in {took:?}"
    ));
    // So is the status, and a status somebody else writes.
    set_status(scene, "one", &json!({"readyReplicas": 1})).await?;

    // And everything can go: objects with and without finalizers, whole namespaces.
    let said = scene
        .kubectl(&["delete", "kmc", "one", "--wait=false"], "")
        .await?;
    accepted(&said)?;
    let said = scene
        .kubectl(&["delete", "kmc", "kept", "--wait=false"], "")
        .await?;
    ensure!(!said.well, "a protected Cluster went: {said:?}");

    // What nobody but another release could read is there all the same, also for one who has never
    // read it.
    let odd = json!({"type": "Odd", "status": "True", "reason": "Odd", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00+99:00"});
    set_status(scene, "kept", &json!({"conditions": [odd]})).await?;
    ensure!(scene.clusters().get("kept").await.is_err(), "it parses");
    let webhook = scene.place.start(&[]).await?;
    let scale = ["scale", "kmc", "kept", "--replicas=3"];
    accepted(&scene.kubectl(&scale, "").await?)?;
    set_status(scene, "kept", &json!({"conditions": []})).await?;
    accepted(
        &scene
            .kubectl(&["annotate", "kmc", "kept", "k0smotron.io/protect-"], "")
            .await?,
    )?;
    webhook.stop().await?;
    let namespaces: Api<Namespace> = Api::all(scene.admin.clone());
    namespaces
        .delete(&scene.namespace, &DeleteParams::default())
        .await?;
    let ((), took) = until(
        "the namespace is gone",
        Duration::from_secs(60),
        async || match namespaces.get_opt(&scene.namespace).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        },
    )
    .await?;
    told.say(format!(
        "without a webhook a namespace with Clusters is gone in {took:?}"
    ));
    controller.stop().await
}
