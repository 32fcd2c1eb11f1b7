//! What waits for what: pods for their configuration and for the ports of their Service.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use support::light::children::{self, at, text};
use support::light::forbid::{self, Forbidden};
use support::light::scene::Scene;
use support::light::{PATIENCE, until};

/// Longer than the next two attempts take.
const MEANWHILE: Duration = Duration::from_secs(2);

/// What the pods of a control plane are made from.
async fn template(scene: &Scene, cluster: &str) -> Result<Value> {
    let set = scene.get("StatefulSet", &format!("kmc-{cluster}")).await?;
    Ok(at(&set.context("no set")?, "/spec/template").clone())
}

async fn rolled(scene: &Scene, cluster: &str, before: &Value) -> Result<()> {
    until("the pods roll", PATIENCE, async || {
        match template(scene, cluster).await {
            Ok(now) if now != *before => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    Ok(())
}

pub async fn pods_follow_when_their_configuration_is_written(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let before = template(scene, "one").await?;
    let frozen = Forbidden {
        resource: ("", "configmaps"),
        operation: "CREATE",
        probe: "ConfigMap/frozen",
    };
    forbid::forbid(scene, frozen).await?;
    let config = json!({"spec": {"api": {"extraArgs": {"v": "4"}}}});
    scene
        .change("one", json!({"spec": {"k0sConfig": config}}))
        .await?;
    let message = scene
        .says("one", "Applied", "False", "ChildRefused")
        .await?;
    ensure!(message.contains("kmc-one-config"), "{message}");
    tokio::time::sleep(MEANWHILE).await;
    let message = scene
        .says(
            "one",
            "ControlPlaneUpToDate",
            "False",
            "NotAllReplicasUpToDate",
        )
        .await?;
    scene.say(message);
    ensure!(
        template(scene, "one").await? == before,
        "pods roll onto the old configuration"
    );
    forbid::allow(scene, frozen).await?;
    scene.says("one", "Applied", "True", "Applied").await?;
    rolled(scene, "one", &before).await?;
    controller.stop().await
}

/// The pods of a light mothership are never ready: of three one is replaced, and no other.
pub async fn pods_keep_their_configuration_until_they_are_replaced(scene: &Scene) -> Result<()> {
    const KNOWN: &str = "ConfigMap/kmc-one-config";
    let controller = scene.controller().await?;
    scene
        .complete(
            "one",
            json!({"replicas": 3, "service": {"type": "ClusterIP"}}),
        )
        .await?;
    let rolling = async |is_rolling: bool| {
        until("the pods are replaced", PATIENCE, async || {
            let set = scene.get("StatefulSet", "kmc-one").await;
            let set = set.ok().flatten().unwrap_or_default();
            let count = |field: &str| at(&set, &format!("/status/{field}")).as_i64();
            let all = count("replicas") == Some(3)
                && count("observedGeneration") == at(&set, "/metadata/generation").as_i64();
            let old = count("updatedReplicas").unwrap_or_default() < 3;
            if all && old == is_rolling {
                Ok(())
            } else {
                Err(set.to_string())
            }
        })
        .await
    };
    rolling(false).await?;
    let before = template(scene, "one").await?;
    let old = scene.child(KNOWN).await?.context("no configuration")?;
    let config = |level: &str| json!({"spec": {"api": {"extraArgs": {"v": level}}}});
    let change = async |config: Value| {
        scene
            .change("one", json!({"spec": {"k0sConfig": config}}))
            .await
    };
    change(config("4")).await?;
    rolled(scene, "one", &before).await?;
    rolling(true).await?;
    let mounted = |template: &Value| {
        let volumes = at(template, "/spec/volumes").as_array().cloned();
        let config = volumes.into_iter().flatten();
        let mut config = config.filter(|volume| text(volume, "/name") == "kmc-one-config");
        format!(
            "ConfigMap/{}",
            config
                .next()
                .map_or_else(String::new, |it| text(&it, "/configMap/name").to_owned())
        )
    };
    let newest = mounted(&template(scene, "one").await?);
    ensure!(newest != KNOWN, "both revisions read one");
    let says = text(
        &scene.child(&newest).await?.context("none")?,
        "/data/K0SMOTRON_K0S_YAML",
    )
    .to_owned();
    ensure!(says.contains("v: \"4\""), "{says}");
    scene.settled().await?;
    let kept = scene
        .child(KNOWN)
        .await?
        .context("no configuration any more")?;
    ensure!(
        at(&kept, "/data") == at(&old, "/data"),
        "a container of the older revision starts with {}",
        at(&kept, "/data")
    );

    // Back: nothing but what was replaced is replaced again.
    change(Value::Null).await?;
    rolling(false).await?;
    ensure!(
        template(scene, "one").await? == before,
        "the pods that stayed are replaced"
    );
    gone(scene, &newest).await?;

    change(config("5")).await?;
    rolling(true).await?;
    // Here no kubelet says so, and the next is replaced when the one before is ready.
    let pods: Api<Pod> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    let ready = json!({"status": {"phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}]}});
    until("all pods are replaced", PATIENCE, async || {
        for number in 0..3 {
            let name = format!("kmc-one-{number}");
            // One that is being replaced comes back.
            let _ = pods
                .patch_status(&name, &PatchParams::default(), &Patch::Merge(&ready))
                .await;
        }
        let set = scene.get("StatefulSet", "kmc-one").await;
        let set = set.ok().flatten().unwrap_or_default();
        if at(&set, "/status/updatedReplicas").as_i64() == Some(3) {
            Ok(())
        } else {
            Err(at(&set, "/status").to_string())
        }
    })
    .await?;
    let newest = mounted(&template(scene, "one").await?);
    until("users find the newest", PATIENCE, async || {
        let known = scene.child(KNOWN).await.ok().flatten().unwrap_or_default();
        let newest = scene
            .child(&newest)
            .await
            .ok()
            .flatten()
            .unwrap_or_default();
        let same =
            at(&known, "/data") == at(&newest, "/data") && *at(&known, "/data") != Value::Null;
        if same { Ok(()) } else { Err(known.to_string()) }
    })
    .await?;
    let mark = scene.mark().await;
    scene
        .edit(
            "ConfigMap/kmc-one-telemetry-config",
            &json!({"metadata": {"labels": {"x": "y"}}}),
        )
        .await?;
    let asked = scene.asked(mark).await?;
    ensure!(
        asked.total() == 0,
        "what has come to its end asks for {asked}"
    );
    controller.stop().await
}

async fn gone(scene: &Scene, key: &str) -> Result<()> {
    until("nobody reads it", PATIENCE, async || {
        match scene.child(key).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    Ok(())
}

pub async fn pods_follow_when_the_service_has_their_ports(scene: &Scene) -> Result<()> {
    let spec = |api: i32, konnectivity: i32| {
        json!({
            "service": {"type": "NodePort", "apiPort": api, "konnectivityPort": konnectivity},
            "externalAddress": "192.0.2.1",
        })
    };
    let controller = scene.controller().await?;
    scene.complete("first", spec(31543, 31232)).await?;
    let before = scene.complete("second", spec(31643, 31732)).await?;
    let pods = template(scene, "second").await?;
    let kubeconfig = scene.get("Secret", "second-kubeconfig").await?;
    scene
        .change("second", json!({"spec": spec(31543, 31232)}))
        .await?;
    scene
        .says("second", "Applied", "False", "ChildRefused")
        .await?;
    tokio::time::sleep(MEANWHILE).await;
    ensure!(
        template(scene, "second").await? == pods,
        "pods listen where no Service sends"
    );
    ensure!(
        scene.get("Secret", "second-kubeconfig").await? == kubeconfig,
        "users are told a port that another Cluster has"
    );
    let config = scene.get("ConfigMap", "kmc-second-config").await?;
    let config = config.context("no configuration")?;
    let config: Value = serde_saphyr::from_str(text(&config, "/data/K0SMOTRON_K0S_YAML"))?;
    ensure!(
        at(&config, "/spec/api/port") == 31643,
        "a pod that restarts listens where no Service sends: {config}"
    );
    let (was, now) = (before.status, scene.clusters().get("second").await?.status);
    let endpoint = |status: Option<crds::v1beta2::ClusterStatus>| status.and_then(|s| s.endpoint);
    ensure!(endpoint(was) == endpoint(now), "the status names another");

    scene
        .change("second", json!({"spec": spec(31544, 31233)}))
        .await?;
    scene.says("second", "Applied", "True", "Applied").await?;
    rolled(scene, "second", &pods).await?;
    controller.stop().await
}

pub async fn keys_are_kept_while_a_spec_is_refused(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let monitoring = json!({"spec": {"monitoring": {"enabled": true}}});
    scene.change("one", monitoring).await?;
    scene
        .says("one", "Accepted", "False", "NotImplemented")
        .await?;
    let before = scene.get("Secret", "one-ca").await?.context("no key")?;
    children::api(&scene.admin, &scene.namespace, "Secret")?
        .delete("one-ca", &DeleteParams::default())
        .await?;
    let (back, _) = until("the key is back", PATIENCE, async || {
        match scene.get("Secret", "one-ca").await {
            Ok(Some(now)) if at(&now, "/metadata/uid") != at(&before, "/metadata/uid") => Ok(now),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    ensure!(at(&back, "/data") == at(&before, "/data"), "another key");
    until("its copy goes", PATIENCE, async || {
        match scene.get("Secret", "one-ca-restore").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    scene
        .says("one", "CertificatesAvailable", "True", "Created")
        .await?;
    controller.stop().await
}
