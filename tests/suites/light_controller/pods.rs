//! What is wrong with pods is said, and nothing is asked of those with which nothing is.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, Patch, PatchParams, PostParams};
use mothership::audit::Mark;
use serde_json::{Value, json};
use support::light::scene::Scene;
use support::light::{PATIENCE, until};

/// Longer than it takes until pods that are not ready are asked for.
const ASKED_AFTER: Duration = Duration::from_secs(14);

async fn enforce(scene: &Scene, level: Option<&str>) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(scene.admin.clone());
    let label = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": level}}});
    let params = PatchParams::default();
    namespaces
        .patch(&scene.namespace, &params, &Patch::Merge(&label))
        .await?;
    Ok(())
}

/// As a kubelet, or a scheduler, says of a pod.
async fn report(scene: &Scene, pod: &str, status: Value) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    let status = Patch::Merge(json!({"status": status}));
    until(&format!("{pod} is there"), PATIENCE, async || {
        let params = PatchParams::default();
        let patched = pods.patch_status(pod, &params, &status).await;
        patched.map(drop).map_err(|error| error.to_string())
    })
    .await?;
    Ok(())
}

async fn ready(scene: &Scene, pod: &str) -> Result<()> {
    let ready = json!({"type": "Ready", "status": "True"});
    let status = json!({"phase": "Running", "conditions": [ready], "containerStatuses": null});
    report(scene, pod, status).await
}

fn waits(container: &str, reason: &str) -> Value {
    json!({"containerStatuses": [{
        "name": container, "image": "example.org/nowhere:1", "imageID": "", "ready": false,
        "restartCount": 4, "state": {"waiting": {"reason": reason, "message": "back-off 40s"}},
        "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
    }]})
}

fn lists_of_pods(scene: &Scene, since: Mark) -> Result<usize> {
    let entries = scene.audit().since(since)?;
    let of_pods = entries.iter().filter(|entry| {
        let object = entry.object_ref.as_ref();
        entry.is_by(&scene.user) && object.is_some_and(|object| object.resource == "pods")
    });
    Ok(of_pods.count())
}

/// Waits until this is what keeps the Cluster's API from answering, and the Cluster from being
/// available, or until no pods do; how long that took.
async fn keeps(scene: &Scene, trouble: Option<&str>) -> Result<Duration> {
    let what = format!("what is wrong with pods is {trouble:?}");
    let ((), took) = until(&what, ASKED_AFTER + PATIENCE, async || {
        let cluster = scene.clusters().get("one").await;
        let status = cluster.map_err(|error| error.to_string())?.status;
        let status = status.unwrap_or_default();
        for type_ in ["ControlPlaneFunctional", "Available"] {
            let found = status.condition(type_);
            let said = found
                .filter(|it| it.reason == "PodsNotReady" && it.status == "False")
                .map(|it| it.message.as_str());
            let is_it = match (said, trouble) {
                (Some(said), Some(trouble)) => said.starts_with(trouble),
                (said, trouble) => said == trouble,
            };
            if !is_it {
                return Err(format!("{found:?}"));
            }
        }
        Ok(())
    })
    .await?;
    Ok(took)
}

pub async fn a_namespace_that_refuses_pods_is_named_until_it_lets_them(
    scene: &Scene,
) -> Result<()> {
    enforce(scene, Some("restricted")).await?;
    let controller = scene.controller().await?;
    scene
        .complete("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    keeps(scene, Some("StatefulSet kmc-one")).await?;
    let before = scene
        .clusters()
        .get("one")
        .await?
        .status
        .unwrap_or_default();
    let condition = before.condition("ControlPlaneFunctional");
    let message = condition.map(|it| it.message.as_str()).unwrap_or_default();
    scene.say(message);
    for part in ["FailedCreate", "violates PodSecurity", "-*\" is forbidden"] {
        ensure!(message.contains(part), "{part:?} is not in {message:?}");
    }

    // Another process says it as well, and nothing else before it knows.
    controller.stop().await?;
    let mark = scene.mark().await;
    let controller = scene.controller().await?;
    until("it asks for pods", ASKED_AFTER + PATIENCE, async || {
        let now = scene.clusters().get("one").await.map_err(|e| e.to_string());
        let now = now?.status.unwrap_or_default();
        if now.conditions != before.conditions {
            return Ok(Some(now));
        }
        match lists_of_pods(scene, mark) {
            Ok(0) => Err("not yet".to_owned()),
            Ok(_) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
    .and_then(|(flipped, _)| {
        ensure!(flipped.is_none(), "{flipped:?}");
        Ok(())
    })?;
    scene.settled().await?;
    let now = scene
        .clusters()
        .get("one")
        .await?
        .status
        .unwrap_or_default();
    ensure!(now.conditions == before.conditions, "{:?}", now.conditions);

    enforce(scene, None).await?;
    // Whose controller waits for minutes before it tries again.
    for set in ["StatefulSet/kmc-one", "StatefulSet/kmc-one-etcd"] {
        let touch = json!({"metadata": {"annotations": {"touched": "1"}}});
        scene.edit(set, &touch).await?;
    }
    let took = keeps(scene, None).await?;
    scene.say(format!("it is over after {took:?}"));
    ensure!(took < PATIENCE, "{took:?}");
    controller.stop().await
}

pub async fn what_a_kubelet_says_of_pods_is_said_until_they_are_ready(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .create("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let stranger: Pod = serde_json::from_value(json!({
        "metadata": {"name": "a-stranger",
            "labels": {"app": "k0smotron", "cluster": "one", "component": "cluster"}},
        "spec": {"containers": [{"name": "theirs", "image": "theirs"}]},
    }))?;
    let pods: Api<Pod> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    until("there can be pods", PATIENCE, async || {
        let created = pods.create(&PostParams::default(), &stranger).await;
        created.map(drop).map_err(|error| error.to_string())
    })
    .await?;
    report(scene, "a-stranger", waits("theirs", "InvalidImageName")).await?;
    report(scene, "kmc-one-etcd-0", waits("etcd", "ErrImagePull")).await?;
    report(scene, "kmc-one-0", waits("controller", "CrashLoopBackOff")).await?;
    let image =
        "pod kmc-one-etcd-0, container etcd: ImagePullBackOff (image example.org/nowhere:1)";
    keeps(scene, Some(image)).await?;

    ready(scene, "kmc-one-etcd-0").await?;
    let ends = "pod kmc-one-0, container controller: CrashLoopBackOff (exit code 137, OOMKilled)";
    let took = keeps(scene, Some(ends)).await?;
    ensure!(took < PATIENCE, "{took:?}");
    ready(scene, "kmc-one-0").await?;
    let took = keeps(scene, None).await?;
    ensure!(took < PATIENCE, "{took:?}");
    scene.say(format!("it is over after {took:?}"));

    let mark = scene.mark().await;
    tokio::time::sleep(ASKED_AFTER).await;
    let lists = lists_of_pods(scene, mark)?;
    ensure!(lists == 0, "pods that are ready were listed {lists} times");
    controller.stop().await
}

pub async fn pods_that_become_ready_in_time_are_never_listed(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    let mark = scene.mark().await;
    scene
        .create("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    ready(scene, "kmc-one-etcd-0").await?;
    ready(scene, "kmc-one-0").await?;
    tokio::time::sleep(ASKED_AFTER).await;
    let lists = lists_of_pods(scene, mark)?;
    ensure!(lists == 0, "pods were listed {lists} times");
    controller.stop().await
}
