//! Replicas up and down.

use anyhow::{Context as _, Result, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use support::light::children::at;
use support::light::scene::Scene;
use support::light::{PATIENCE, until};

pub async fn etcd_keeps_its_members_while_the_control_plane_is_scaled(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete(
            "one",
            json!({"replicas": 1, "service": {"type": "ClusterIP"}}),
        )
        .await?;
    let etcd = scene
        .child("StatefulSet/kmc-one-etcd")
        .await?
        .context("no etcd")?;
    for (replicas, budgets) in [(3, 1), (1, 0)] {
        // As an autoscaler does it.
        scene
            .clusters()
            .patch_scale(
                "one",
                &PatchParams::default(),
                &Patch::Merge(json!({"spec": {"replicas": replicas}})),
            )
            .await?;
        until("the control plane follows", PATIENCE, async || {
            let set = scene
                .child("StatefulSet/kmc-one")
                .await
                .map_err(|error| error.to_string())?;
            let found = set.map(|set| at(&set, "/spec/replicas").clone());
            if found == Some(json!(replicas)) {
                Ok(())
            } else {
                Err(format!("{found:?}"))
            }
        })
        .await?;
        scene.settled().await?;
        let now = scene
            .child("StatefulSet/kmc-one-etcd")
            .await?
            .context("no etcd")?;
        ensure!(
            at(&now, "/spec") == at(&etcd, "/spec"),
            "etcd changed with {replicas} replicas"
        );
        let found = scene.children().await?;
        let found = found
            .keys()
            .filter(|key| key.starts_with("PodDisruptionBudget/"))
            .count();
        ensure!(found == budgets, "{found} budgets with {replicas} replicas");
        let status = scene
            .clusters()
            .get("one")
            .await?
            .status
            .context("no status")?;
        ensure!(status.etcd_members == Some(1), "{:?}", status.etcd_members);
    }
    controller.stop().await
}
