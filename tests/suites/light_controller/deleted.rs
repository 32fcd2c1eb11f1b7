//! Children that somebody deletes.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::api::DeleteParams;
use serde_json::json;
use support::light::children::{self, at, differences, text};
use support::light::scene::Scene;
use support::light::{PATIENCE, until};

/// Secrets whose keys are made once.
pub const KEPT: [&str; 4] = ["ca", "sa", "proxy", "etcd"];

pub async fn every_child_deleted_by_hand_is_back_with_the_same_key_and_ports(
    scene: &Scene,
) -> Result<()> {
    let controller = scene.controller().await?;
    // With every kind of child: budgets, an endpoint, allocated ports.
    let spec = json!({
        "replicas": 3,
        "service": {"type": "NodePort", "apiPort": 0, "konnectivityPort": 0},
        "externalAddress": "192.0.2.1",
    });
    scene.complete("one", spec).await?;
    let before = scene.children().await?;
    let mut times = Vec::new();
    for (key, old) in &before {
        let (kind, name) = key.split_once('/').context("KIND/NAME")?;
        let api = children::api(&scene.admin, &scene.namespace, kind)?;
        api.delete(name, &DeleteParams::background())
            .await
            .with_context(|| key.clone())?;
        let ((), took) = until(&format!("{key} is back"), PATIENCE, async || {
            match scene.child(key).await {
                Ok(Some(new)) if at(&new, "/metadata/deletionTimestamp").is_string() => {
                    Err("it is being deleted".to_owned())
                }
                Ok(Some(new)) if text(&new, "/metadata/uid") == text(old, "/metadata/uid") => {
                    Err("it is the old one".to_owned())
                }
                Ok(Some(_)) => Ok(()),
                Ok(None) => Err("it is gone".to_owned()),
                Err(error) => Err(format!("{error:#}")),
            }
        })
        .await?;
        times.push((took, key));
    }
    times.sort();
    let slowest = times.last().context("no children")?;
    scene.say(format!(
        "{} children back, the slowest {} after {} ms (promised: 1000)",
        times.len(),
        slowest.1,
        slowest.0.as_millis()
    ));
    scene.settled().await?;

    let after = scene.children().await?;
    let names = |all: &children::Children| all.keys().cloned().collect::<Vec<_>>();
    ensure!(names(&before) == names(&after), "{:?}", names(&after));
    for (key, old) in &before {
        let new = after.get(key).context("gone")?;
        for part in [
            "/metadata/labels",
            "/metadata/ownerReferences",
            "/metadata/finalizers",
            "/type",
            "/immutable",
        ] {
            let found = differences(at(old, part), at(new, part));
            ensure!(found.is_empty(), "{key} {part}: {found:#?}");
        }
        let same = match key.split('/').next().context("no kind")? {
            "Secret" if KEPT.iter().any(|kept| *key == format!("Secret/one-{kept}")) => {
                vec!["/data"]
            }
            "Service" => vec!["/spec/ports", "/spec/selector", "/spec/type"],
            // A Service made anew has another address, which is in the certificate of the API.
            "ConfigMap" if key.ends_with("one-config") => vec![],
            "ConfigMap" => vec!["/data"],
            // And does not roll the pods.
            "StatefulSet" | "PodDisruptionBudget" => vec!["/spec"],
            _ => vec![],
        };
        for part in same {
            let found = differences(at(old, part), at(new, part));
            ensure!(found.is_empty(), "{key} {part}: {found:#?}");
        }
    }
    controller.stop().await
}

/// Such as a backup that is under way.
pub async fn a_deleted_key_that_another_finalizer_holds_is_back_once_it_lets_go(
    scene: &Scene,
) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let held =
        json!({"metadata": {"finalizers": ["k0smotron.io/protect-key", "example.org/hold"]}});
    scene.edit("Secret/one-ca", &held).await?;
    let before = scene.get("Secret", "one-ca").await?.context("no key")?;
    children::api(&scene.admin, &scene.namespace, "Secret")?
        .delete("one-ca", &DeleteParams::default())
        .await?;
    scene.appears("Secret", "one-ca-restore").await?;
    scene.settled().await?;
    let mark = scene.mark().await;
    for round in 0..15 {
        let label = json!({"metadata": {"annotations": {"example.org/round": round.to_string()}}});
        scene.edit("StatefulSet/kmc-one", &label).await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let asked = scene.asked(mark).await?;
    ensure!(asked.total() == 0, "a key that is held costs\n{asked}");
    scene.says("one", "Applied", "True", "Applied").await?;

    let released = json!({"metadata": {"finalizers": null}});
    scene.edit("Secret/one-ca", &released).await?;
    let (after, took) = until("the key is back", PATIENCE, async || {
        let found = scene.get("Secret", "one-ca").await;
        match found.map_err(|error| error.to_string())? {
            Some(new) if text(&new, "/metadata/uid") != text(&before, "/metadata/uid") => Ok(new),
            other => Err(format!(
                "{:?}",
                other.map(|it| at(&it, "/metadata").clone())
            )),
        }
    })
    .await?;
    scene.say(format!(
        "back after {} ms (promised: 1000)",
        took.as_millis()
    ));
    ensure!(at(&after, "/data") == at(&before, "/data"), "another key");
    scene.settled().await?;
    let copy = scene.get("Secret", "one-ca-restore").await?;
    ensure!(copy.is_none(), "the copy is still there");
    controller.stop().await
}
