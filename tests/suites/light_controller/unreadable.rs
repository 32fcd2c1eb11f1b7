//! Objects that the controller cannot read: an API server may hold what another release allowed.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use support::light::scene::Scene;
use support::light::{PATIENCE, until};

/// How long a Cluster without pods may take to end.
const LIMIT: Duration = Duration::from_secs(30);

/// Gives a Cluster a condition of somebody else's, at a time that the API server takes for one.
async fn spoil(scene: &Scene, name: &str) -> Result<()> {
    let status = json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster", "metadata": {"name": name},
        "status": {"conditions": [{
            "type": "Odd", "status": "True", "reason": "Odd", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00+99:00",
        }]},
    });
    let params = PatchParams::apply("somebody");
    let raw = scene.raw();
    raw.patch_status(name, &params, &Patch::Apply(&status))
        .await
        .context("spoiling a Cluster")?;
    ensure!(scene.clusters().get(name).await.is_err(), "{name} parses");
    Ok(())
}

async fn gone(scene: &Scene, name: &str) -> Result<()> {
    until(&format!("{name} is gone"), LIMIT, async || {
        match scene.raw().get_opt(name).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    Ok(())
}

/// An event says that it cannot be read, and what follows.
async fn told(scene: &Scene, name: &str, what: &str) -> Result<()> {
    let events: Api<Event> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    let (note, _) = until(&format!("an event names {name}"), PATIENCE, async || {
        let all = events.list(&ListParams::default()).await;
        let all = all.map_err(|error| error.to_string())?;
        let mut notes = all.items.into_iter().filter_map(|event| {
            let is_it = event.reason.as_deref() == Some("Unreadable")
                && event.regarding?.name.as_deref() == Some(name);
            event.note.filter(|note| is_it && note.contains(what))
        });
        notes.next().ok_or_else(|| "none".to_owned())
    })
    .await?;
    scene.say(&note);
    ensure!(note.contains("cannot be read"), "{note}");
    Ok(())
}

pub async fn a_cluster_that_does_not_parse_is_named_and_ends(scene: &Scene) -> Result<()> {
    let mut controller = scene.controller().await?;
    let names = ["known", "restart"];
    for name in names {
        scene
            .complete(name, json!({"service": {"type": "ClusterIP"}}))
            .await?;
    }
    for name in names {
        spoil(scene, name).await?;
    }
    told(scene, "known", "what it said before holds").await?;
    // Its children are looked after as before.
    let deleted = DeleteParams::default();
    let services = support::light::children::api(&scene.admin, &scene.namespace, "Service")?;
    services.delete("kmc-known", &deleted).await?;
    scene.appears("Service", "kmc-known").await?;

    scene.raw().delete("known", &deleted).await?;
    gone(scene, "known").await?;
    // One that this process has never been able to read.
    controller.stop().await?;
    controller = scene.controller().await?;
    told(scene, "restart", "it is left alone").await?;
    scene.raw().delete("restart", &deleted).await?;
    gone(scene, "restart").await?;
    for name in names {
        until(
            &format!("nothing of {name} is left"),
            LIMIT,
            async || match scene.get("Secret", &format!("{name}-ca")).await {
                Ok(None) => Ok(()),
                other => Err(format!("{other:?}")),
            },
        )
        .await?;
    }
    controller.stop().await
}
