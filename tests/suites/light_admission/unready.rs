//! A webhook that was started where nobody converts.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use support::light::scene::Scene;
use support::light::until;
use support::light::world::World;
use support::runner::World as _;

use super::objects::{accepted, cluster, try_apply, with};

const DEFINITION: &str = "clusters.k0smotron.io";

/// On a mothership of its own, whose definition is changed.
pub async fn a_webhook_that_has_to_convert_for_itself_is_ready_and_decides_nothing_yet(
    told: &Scene,
) -> Result<()> {
    let world = World::without_webhook().await?;
    let outcome = async {
        let scene = world.scene("unready").await?;
        converts_for_itself(&scene, told).await
    }
    .await;
    world.end(outcome.is_ok()).await?;
    outcome
}

async fn patched(scene: &Scene, patch: Value) -> Result<()> {
    let patch = patch.to_string();
    let args = ["patch", "crd", DEFINITION, "--type=json", "--patch", &patch];
    accepted(&scene.kubectl(&args, "").await?)
}

/// Objects are stored as v1beta1 while `old`.
async fn stores(scene: &Scene, old: bool) -> Result<()> {
    let value = |index: usize, is_stored: bool| json!({"op": "replace", "path": format!("/spec/versions/{index}/storage"), "value": is_stored});
    patched(scene, json!([value(0, !old), value(1, old)])).await
}

async fn converts_at(scene: &Scene, address: &str) -> Result<()> {
    let path = "/spec/conversion/webhook/clientConfig/url";
    let url = format!("https://{address}/convert");
    patched(
        scene,
        json!([{"op": "replace", "path": path, "value": url}]),
    )
    .await
}

async fn converts_for_itself(scene: &Scene, told: &Scene) -> Result<()> {
    let spec = json!({"version": "v1.36.3-k0s.2", "service": {"type": "ClusterIP"}});
    let webhook = scene.place.start(&[]).await?;
    stores(scene, true).await?;
    let version = json!({"apiVersion": "k0smotron.io/v1beta1"});
    let old = with(cluster("one", &spec), &version);
    until(
        "one is stored as v1beta1",
        Duration::from_secs(20),
        async || {
            let said = scene
                .kubectl(&["create", "--filename", "-"], &old.to_string())
                .await;
            match said {
                Ok(said) if said.well || said.err.contains("already exists") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        },
    )
    .await?;
    stores(scene, false).await?;
    webhook.stop().await?;

    // Nobody is there until this one is ready.
    converts_at(scene, "127.0.0.1:1").await?;
    until("one cannot be read", Duration::from_secs(20), async || {
        let said = scene.kubectl(&["get", "kmc"], "").await;
        match said {
            Ok(said) if said.err.contains("conversion webhook for") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let webhook = scene.place.start_only(&[]).await?;
    let said = try_apply(scene, &cluster("two", &spec)).await?;
    ensure!(
        !said.well,
        "decided without knowing what is there: {said:?}"
    );

    converts_at(scene, &scene.place.address.to_string()).await?;
    let ((), took) = until(
        "decisions are made",
        Duration::from_secs(60),
        async || match try_apply(scene, &cluster("two", &spec)).await {
            Ok(said) if said.well => Ok(()),
            other => Err(format!("{other:?}")),
        },
    )
    .await?;
    told.say(format!(
        "decisions are made {took:?} after there is somebody who converts"
    ));
    accepted(&scene.kubectl(&["get", "kmc", "one"], "").await?)?;
    webhook.stop().await
}
