//! The end of Clusters whose hosted API never answered.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams};
use serde_json::json;
use support::light::children::{self, KINDS};
use support::light::forbid::{self, Forbidden};
use support::light::scene::Scene;
use support::light::until;

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

/// Deletes the Cluster, of which a child may not go; what it says of that.
async fn is_held_up(scene: &Scene) -> Result<String> {
    scene
        .clusters()
        .delete("one", &DeleteParams::default())
        .await?;
    let message = scene
        .says("one", "Deleting", "True", "ChildNotDeleted")
        .await?;
    scene.say(&message);
    Ok(message)
}

pub async fn a_deletion_that_is_forbidden_says_so_and_ends_once_it_is_allowed(
    scene: &Scene,
) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let frozen = Forbidden {
        resource: ("apps", "statefulsets"),
        operation: "DELETE",
        probe: "StatefulSet/kmc-one",
    };
    forbid::forbid(scene, frozen).await?;
    let message = is_held_up(scene).await?;
    for part in ["StatefulSet", "kmc-one", "freeze"] {
        ensure!(message.contains(part), "{part:?} is not in {message:?}");
    }
    scene.says("one", "Available", "False", "Deleting").await?;
    // A restart in between forgets nothing, and no key is let go before its pods.
    controller.stop().await?;
    let controller = scene.controller().await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let key = scene.get("Secret", "one-ca").await?.context("no key")?;
    let finalizers = key.pointer("/metadata/finalizers");
    ensure!(
        finalizers == Some(&json!(["k0smotron.io/protect-key"])),
        "{finalizers:?}"
    );
    let uid = scene.clusters().get("one").await?.metadata.uid;
    forbid::allow(scene, frozen).await?;
    let ((), took) = until("the Cluster is gone", LIMIT, async || {
        match scene.clusters().get_opt("one").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    scene.say(format!(
        "{uid:?} gone {} ms after it was allowed",
        took.as_millis()
    ));
    controller.stop().await
}

pub async fn keys_of_a_cluster_that_was_removed_by_force_are_let_go(scene: &Scene) -> Result<()> {
    let mut controller = scene.controller().await?;
    for name in ["away", "there"] {
        scene
            .complete(name, json!({"service": {"type": "ClusterIP"}}))
            .await?;
    }
    // Once while no controller runs, and once under its hands.
    for name in ["away", "there"] {
        let force = json!({"metadata": {"finalizers": null}});
        if name == "away" {
            controller.stop().await?;
            scene.change(name, force).await?;
            scene
                .clusters()
                .delete(name, &DeleteParams::default())
                .await?;
            controller = scene.controller().await?;
        } else {
            let frozen = Forbidden {
                resource: ("apps", "statefulsets"),
                operation: "DELETE",
                probe: "StatefulSet/kmc-there",
            };
            forbid::forbid(scene, frozen).await?;
            scene
                .clusters()
                .delete(name, &DeleteParams::default())
                .await?;
            scene
                .says(name, "Deleting", "True", "ChildNotDeleted")
                .await?;
            scene.change(name, force).await?;
            forbid::allow(scene, frozen).await?;
        }
        let keys = ["ca", "sa", "proxy", "etcd"].map(|type_| format!("{name}-{type_}"));
        let ((), took) = until("its keys are gone", LIMIT, async || {
            for key in &keys {
                if let Some(left) = scene.get("Secret", key).await.map_err(|e| e.to_string())? {
                    return Err(left.to_string());
                }
            }
            Ok(())
        })
        .await?;
        scene.say(format!("{name}: gone after {} ms", took.as_millis()));
    }
    controller.stop().await
}

/// No watch shows a key whose labels somebody has taken off while no controller ran.
pub async fn a_key_without_its_labels_is_let_go(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    controller.stop().await?;
    scene
        .edit("Secret/one-ca", &json!({"metadata": {"labels": null}}))
        .await?;
    let clusters = scene.clusters();
    clusters.delete("one", &DeleteParams::default()).await?;
    let controller = scene.controller().await?;
    until("the key is gone", LIMIT, async || {
        match scene.get("Secret", "one-ca").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    controller.stop().await
}

pub async fn keys_that_were_kept_without_their_cluster_can_be_deleted_later(
    scene: &Scene,
) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete("kept", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    scene
        .clusters()
        .delete("kept", &DeleteParams::orphan())
        .await?;
    until("the Cluster is gone", LIMIT, async || {
        match scene.clusters().get_opt("kept").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let set = scene.get("StatefulSet", "kmc-kept").await?;
    ensure!(set.is_some(), "its pods were not kept");
    for type_ in ["ca", "sa", "proxy", "etcd"] {
        let name = format!("kept-{type_}");
        children::api(&scene.admin, &scene.namespace, "Secret")?
            .delete(&name, &DeleteParams::default())
            .await?;
        until(&format!("{name} is gone"), LIMIT, async || {
            match scene.get("Secret", &name).await {
                Ok(None) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
    }
    controller.stop().await
}

/// A webhook that resets connections is put in other words each time: each has a port of its own.
pub async fn errors_that_are_never_worded_alike_make_no_storm(scene: &Scene) -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("https://{}/", listener.local_addr()?);
    let resets = tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            // Without a word of goodbye.
            let _ = connection.set_zero_linger();
        }
    });
    let controller = scene.controller().await?;
    scene
        .complete("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    forbid::ask(scene, ("apps", "statefulsets"), &["DELETE"], &url).await?;
    // The API server takes a while to heed it.
    tokio::time::sleep(Duration::from_secs(3)).await;
    is_held_up(scene).await?;
    let mark = scene.mark().await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let asked = scene.asked(mark).await?;
    scene.say(format!("{} requests in 8 s:\n{asked}", asked.total()));
    ensure!(asked.total() <= 12, "a storm:\n{asked}");
    forbid::mend_webhook(scene, "statefulsets").await?;
    until("the Cluster is gone", LIMIT, async || {
        match scene.clusters().get_opt("one").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    resets.abort();
    controller.stop().await
}
