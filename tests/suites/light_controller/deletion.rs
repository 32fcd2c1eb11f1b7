//! The end of Clusters whose hosted API never answered.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams};
use serde_json::json;

use crate::controlled::children::{self, KINDS};
use crate::controlled::scene::Scene;
use crate::controlled::until;

/// What the garbage collector does is not ours to hurry.
const LIMIT: Duration = Duration::from_secs(60);

pub async fn a_deleted_cluster_leaves_nothing_but_the_volumes_to_keep(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    let claim = json!({
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    scene
        .complete(
            "goes",
            json!({
                "replicas": 3,
                "service": {"type": "NodePort", "apiPort": 0, "konnectivityPort": 0},
                "externalAddress": "192.0.2.1",
                "persistence": {"type": "pvc", "autoDeletePVCs": true,
                    "persistentVolumeClaim": claim},
                "storage": {"type": "etcd", "etcd": {"autoDeletePVCs": true}},
            }),
        )
        .await?;
    scene
        .complete("keeps", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    // One that waits for what never comes.
    scene
        .create("waits", json!({"service": {"type": "LoadBalancer"}}))
        .await?;
    scene.settled().await?;
    for (_, claim) in [
        ("goes", "data-kmc-goes-0"),
        ("keeps", "etcd-data-kmc-keeps-etcd-0"),
    ] {
        scene.appears("PersistentVolumeClaim", claim).await?;
    }
    for name in ["goes", "keeps", "waits"] {
        scene
            .clusters()
            .delete(name, &DeleteParams::default())
            .await?;
    }
    let ((), took) = until("the Clusters are gone", LIMIT, async || {
        for name in ["goes", "keeps", "waits"] {
            match scene.clusters().get_opt(name).await {
                Ok(None) => {}
                other => return Err(format!("{other:?}")),
            }
        }
        Ok(())
    })
    .await?;
    let mut kinds = KINDS.to_vec();
    kinds.push("PersistentVolumeClaim");
    let expected = [
        "PersistentVolumeClaim/etcd-data-kmc-keeps-etcd-0",
        "PersistentVolumeClaim/etcd-data-kmc-waits-etcd-0",
    ];
    let ((), all) = until(
        "the children are gone",
        LIMIT,
        async || match children::all(&scene.admin, &scene.namespace, &kinds).await {
            Ok(left) if left.keys().eq(expected) => Ok(()),
            Ok(left) => Err(format!("left: {:?}", left.keys())),
            Err(error) => Err(format!("{error:#}")),
        },
    )
    .await?;
    scene.say(format!(
        "3 Clusters gone after {} ms, their children after {} ms more",
        took.as_millis(),
        all.as_millis()
    ));
    ensure!(scene.audit().path().exists(), "no audit log");
    controller.stop().await
}

pub async fn a_namespace_with_clusters_can_be_deleted(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    scene
        .complete(
            "three",
            json!({"replicas": 3, "service": {"type": "ClusterIP"}}),
        )
        .await?;
    let namespaces: Api<Namespace> = Api::all(scene.admin.clone());
    namespaces
        .delete(&scene.namespace, &DeleteParams::default())
        .await?;
    let ((), took) = until("the namespace is gone", LIMIT, async || {
        match namespaces.get_opt(&scene.namespace).await {
            Ok(None) => Ok(()),
            Ok(Some(left)) => Err(format!(
                "{:?}",
                left.status.and_then(|status| status.conditions)
            )),
            Err(error) => Err(error.to_string()),
        }
    })
    .await?;
    scene.say(format!("gone after {:.1} s", took.as_secs_f64()));
    controller.stop().await
}
