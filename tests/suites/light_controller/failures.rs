//! Writes that the API server does not do: each is said, and tried again when its cause is gone.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::api::DeleteParams;
use serde_json::json;
use support::light::forbid::{self, Forbidden};
use support::light::scene::Scene;
use support::light::{PATIENCE, children, until};

/// A write that fails is tried about so often in the time that a case watches it.
const TRIES: usize = 12;

pub async fn what_answers_500_is_said_and_tried_again_without_a_storm(scene: &Scene) -> Result<()> {
    forbid::break_webhook(scene, "", "services").await?;
    let controller = scene.controller().await?;
    let mark = scene.mark().await;
    scene
        .create("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let message = scene.says("one", "Applied", "False", "WriteFailed").await?;
    scene.say(&message);
    for part in ["Service", "kmc-one", "nobody.example.org"] {
        ensure!(message.contains(part), "{part:?} is not in {message:?}");
    }
    let cluster = scene.clusters().get("one").await?;
    let status = cluster.status.context("no status")?;
    ensure!(status.conditions.len() >= 9, "{:?}", status.conditions);
    // What needs no Service is made meanwhile, once.
    for secret in ["one-ca", "one-etcd-server"] {
        scene.appears("Secret", secret).await?;
    }
    tokio::time::sleep(Duration::from_secs(8)).await;
    let asked = scene.asked(mark).await?;
    for (key, count) in &asked.0 {
        ensure!(
            *count <= TRIES,
            "{count} times {key:?} in ten seconds:\n{asked}"
        );
        ensure!(
            key.resource != "secrets" || *count == 1,
            "{count} times {key:?}"
        );
    }
    scene.say(format!("{} requests meanwhile", asked.total()));
    forbid::mend_webhook(scene, "services").await?;
    scene.completed("one").await?;
    scene.says("one", "Applied", "True", "Applied").await?;
    controller.stop().await
}

pub async fn a_leftover_that_may_not_be_deleted_is_said_and_freezes_nothing(
    scene: &Scene,
) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete(
            "one",
            json!({"replicas": 3, "service": {"type": "ClusterIP"}}),
        )
        .await?;
    let frozen = Forbidden {
        resource: ("policy", "poddisruptionbudgets"),
        operation: "DELETE",
        probe: "PodDisruptionBudget/kmc-one",
    };
    forbid::forbid(scene, frozen).await?;
    scene
        .change("one", json!({"spec": {"replicas": 1}}))
        .await?;
    let message = scene
        .says("one", "Applied", "False", "ChildRefused")
        .await?;
    scene.say(&message);
    for part in ["PodDisruptionBudget", "kmc-one", "freeze"] {
        ensure!(message.contains(part), "{part:?} is not in {message:?}");
    }
    // The rest of the change is made.
    let set = scene.get("StatefulSet", "kmc-one").await?;
    let replicas = set.as_ref().and_then(|set| set.pointer("/spec/replicas"));
    ensure!(replicas == Some(&json!(1)), "{replicas:?}");
    forbid::allow(scene, frozen).await?;
    until("the budget goes", PATIENCE, async || {
        match scene.get("PodDisruptionBudget", "kmc-one").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    scene.says("one", "Applied", "True", "Applied").await?;
    controller.stop().await
}

pub async fn a_cluster_takes_one_address_of_the_service_range(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let addresses = |services: &children::Children| -> Vec<String> {
        let mut with: Vec<_> = services
            .iter()
            .filter(|(_, service)| {
                let ip = service.pointer("/spec/clusterIP");
                ip.and_then(serde_json::Value::as_str) != Some("None")
            })
            .map(|(key, _)| key.clone())
            .collect();
        with.sort();
        with
    };
    let all = async || children::all(&scene.admin, &scene.namespace, &["Service"]).await;
    let with = addresses(&all().await?);
    ensure!(with == ["Service/kmc-one"], "{with:?}");

    // One that was made with an address, as earlier versions did, keeps it.
    let services = children::api(&scene.admin, &scene.namespace, "Service")?;
    let mut old = services.get("kmc-one-etcd-client").await?;
    controller.stop().await?;
    services
        .delete("kmc-one-etcd-client", &DeleteParams::default())
        .await?;
    let metadata = serde_json::to_value(&old.metadata)?;
    old = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kmc-one-etcd-client",
            "labels": metadata.pointer("/labels"),
            "ownerReferences": metadata.pointer("/ownerReferences"),
        },
        "spec": {
            "selector": old.data.pointer("/spec/selector"),
            "ports": [{"name": "client", "port": 2379, "targetPort": 2379}],
        },
    }))?;
    let old = services
        .create(&kube::api::PostParams::default(), &old)
        .await?;
    let controller = scene.controller().await?;
    scene.settled().await?;
    scene.says("one", "Applied", "True", "Applied").await?;
    let now = services.get("kmc-one-etcd-client").await?;
    ensure!(now.metadata.uid == old.metadata.uid, "it was made anew");
    ensure!(
        now.data.pointer("/spec/clusterIP") == old.data.pointer("/spec/clusterIP"),
        "it has another address"
    );
    let mark = scene.mark().await;
    scene
        .change(
            "one",
            json!({"metadata": {"annotations": {"touched": "1"}}}),
        )
        .await?;
    scene.settled().await?;
    let asked = scene.asked(mark).await?;
    ensure!(asked.total() == 0, "touching it costs\n{asked}");
    controller.stop().await
}

pub async fn the_old_way_in_stays_while_the_new_one_cannot_be_made(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete(
            "one",
            json!({
                "service": {"type": "NodePort", "apiPort": 0, "konnectivityPort": 0},
                "externalAddress": "192.0.2.1",
            }),
        )
        .await?;
    let old = scene.get("Service", "kmc-one-nodeport").await?;
    let taken: kube::api::DynamicObject = serde_json::from_value(json!({
        "metadata": {"name": "kmc-one-lb"}, "spec": {"ports": [{"port": 1}]},
    }))?;
    let services = children::api(&scene.admin, &scene.namespace, "Service")?;
    services
        .create(&kube::api::PostParams::default(), &taken)
        .await?;
    scene
        .change(
            "one",
            json!({"spec": {"service": {"type": "LoadBalancer", "apiPort": 6443,
                "konnectivityPort": 8132}}}),
        )
        .await?;
    let message = scene
        .says("one", "Applied", "False", "ChildRefused")
        .await?;
    ensure!(message.contains("kmc-one-lb"), "{message}");
    scene.settled().await?;
    let now = scene.get("Service", "kmc-one-nodeport").await?;
    let uid = |service: &Option<serde_json::Value>| {
        let service = service.as_ref()?;
        service.pointer("/metadata/uid").cloned()
    };
    ensure!(uid(&now) == uid(&old), "the way in is {now:?}");
    services
        .delete("kmc-one-lb", &DeleteParams::default())
        .await?;
    scene.appears("Service", "kmc-one-lb").await?;
    until("the old way goes", PATIENCE, async || {
        match scene.get("Service", "kmc-one-nodeport").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    controller.stop().await
}

pub async fn what_running_pods_mount_stays_while_their_set_cannot_be_written(
    scene: &Scene,
) -> Result<()> {
    let controller = scene.controller().await?;
    let service = json!({"type": "ClusterIP"});
    let spec = json!({"service": service, "externalAddress": "api.example.org"});
    scene.complete("mounts", spec).await?;
    scene.appears("ConfigMap", "kmc-mounts-endpoint").await?;
    forbid::break_webhook(scene, "apps", "statefulsets").await?;
    scene
        .change("mounts", json!({"spec": {"externalAddress": null}}))
        .await?;
    scene
        .says("mounts", "Applied", "False", "WriteFailed")
        .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mounted = scene.get("ConfigMap", "kmc-mounts-endpoint").await?;
    ensure!(mounted.is_some(), "pods that start anew would wait for it");
    forbid::mend_webhook(scene, "statefulsets").await?;
    until("the endpoint is gone", PATIENCE, async || {
        match scene.get("ConfigMap", "kmc-mounts-endpoint").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    controller.stop().await
}
