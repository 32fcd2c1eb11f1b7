//! Children that somebody deletes.

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
