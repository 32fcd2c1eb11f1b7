//! The claims of etcd's members: those that another Cluster has left, and members without data.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use support::light::children::{self, at, text};
use support::light::scene::Scene;
use support::light::{PATIENCE, until};

const MEMBERS: &str = "/data/ETCD_INITIAL_CLUSTER";
const STATE: &str = "/data/ETCD_INITIAL_CLUSTER_STATE";
const UID: &str = "k0smotron.io/cluster-uid";
const ADDED: &str = "k0smotron.io/etcd-member-added";

/// A claim as a StatefulSet has left it.
async fn left(scene: &Scene, cluster: &str, index: i32, of: Option<&str>) -> Result<String> {
    let mut labels = json!({"app": "k0smotron", "cluster": cluster, "component": "etcd"});
    if let (Some(of), Some(labels)) = (of, labels.as_object_mut()) {
        labels.insert(UID.to_owned(), json!(of));
    }
    let name = format!("etcd-data-kmc-{cluster}-etcd-{index}");
    claimed(scene, name, labels).await
}

async fn claimed(scene: &Scene, name: String, labels: Value) -> Result<String> {
    let claim: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "labels": labels},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }))?;
    children::api(&scene.admin, &scene.namespace, "PersistentVolumeClaim")?
        .create(&PostParams::default(), &claim)
        .await?;
    Ok(name)
}

async fn give(scene: &Scene, claim: &str, cluster: &str) -> Result<()> {
    let uid = scene.clusters().get(cluster).await?.uid();
    let labels = json!({"metadata": {"labels": {UID: uid}}});
    let key = format!("PersistentVolumeClaim/{claim}");
    Ok(scene.edit(&key, &labels).await?)
}

/// What members of a Cluster start with, once its etcd is there.
async fn state(scene: &Scene, cluster: &str) -> Result<String> {
    let name = format!("kmc-{cluster}-etcd");
    scene.appears("StatefulSet", &name).await?;
    let config = scene.child(&format!("ConfigMap/{name}-config")).await?;
    Ok(text(&config.context("no ConfigMap")?, STATE).to_owned())
}

async fn held_up(scene: &Scene, cluster: &str, parts: &[&str]) -> Result<()> {
    let what = format!("{cluster} says {parts:?}");
    let (message, _) = until(&what, PATIENCE, async || {
        let said = scene.says(cluster, "Applied", "False", "LeftoverClaims");
        let message = said.await.map_err(|error| format!("{error:#}"))?;
        if parts.iter().all(|part| message.contains(part)) {
            Ok(message)
        } else {
            Err(message)
        }
    })
    .await?;
    scene
        .says(cluster, "Available", "False", "LeftoverClaims")
        .await?;
    scene.say(message);
    Ok(())
}

pub async fn what_a_cluster_of_the_same_name_has_left_is_said_and_not_served(
    scene: &Scene,
) -> Result<()> {
    let controller = scene.controller().await?;
    let old = Some("11111111-2222-3333-4444-555555555555");
    let lost = left(scene, "lost", 0, old).await?;
    let kept = left(scene, "kept", 0, None).await?;
    let few = left(scene, "few", 0, old).await?;
    let last = left(scene, "last", 2, old).await?;
    // Made by hand, from a copy.
    let bare = claimed(scene, "etcd-data-kmc-bare-etcd-0".to_owned(), json!({})).await?;
    let data = claimed(scene, "data-kmc-data-0".to_owned(), json!({})).await?;
    for (name, replicas) in [
        ("lost", 1),
        ("kept", 1),
        ("few", 3),
        ("last", 3),
        ("bare", 1),
        ("fresh", 1),
    ] {
        let spec = json!({"replicas": replicas, "service": {"type": "ClusterIP"}});
        scene.create(name, spec).await?;
    }
    let spec =
        json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    let of_data = json!({"metadata": {"name": "data"}, "spec": spec});
    let persistence = json!({"type": "pvc", "persistentVolumeClaim": of_data});
    let spec = json!({"service": {"type": "ClusterIP"}, "persistence": persistence});
    scene.create("data", spec).await?;
    held_up(scene, "data", &["earlier control plane", &data]).await?;
    for (name, claim) in [
        ("lost", &lost),
        ("kept", &kept),
        ("few", &few),
        ("last", &last),
        ("bare", &bare),
    ] {
        let parts = [&format!("delete pvc {claim}."), "troubleshooting"];
        held_up(scene, name, &parts).await?;
    }
    scene.settled().await?;
    let made: Vec<String> = scene.children().await?.into_keys().collect();
    for name in ["lost", "kept", "few", "last", "bare", "data"] {
        for part in ["StatefulSet/kmc", "ConfigMap/kmc"] {
            let begins = format!("{part}-{name}");
            let found = made.iter().find(|key| {
                key.starts_with(&begins) && (part == "StatefulSet/kmc" || key.contains("-etcd"))
            });
            ensure!(found.is_none(), "{found:?} was made");
        }
    }
    ensure!(
        state(scene, "fresh").await? == "new",
        "fresh does not begin"
    );

    // Lost on purpose: it begins with nothing.
    children::api(&scene.admin, &scene.namespace, "PersistentVolumeClaim")?
        .delete(&lost, &DeleteParams::default())
        .await?;
    ensure!(state(scene, "lost").await? == "new", "lost does not begin");
    scene.says("lost", "Applied", "True", "Applied").await?;

    // Taken over on purpose: a member that finds nothing after all does not begin.
    give(scene, &kept, "kept").await?;
    ensure!(state(scene, "kept").await? == "existing", "kept begins");
    scene.says("kept", "Applied", "True", "Applied").await?;
    give(scene, &bare, "bare").await?;
    ensure!(state(scene, "bare").await? == "existing", "bare begins");

    // Prepared for it.
    give(scene, &data, "data").await?;
    ensure!(state(scene, "data").await? == "new", "data does not begin");
    scene.says("data", "Applied", "True", "Applied").await?;

    // One member's data among three, two of which would begin a store of their own.
    give(scene, &few, "few").await?;
    held_up(
        scene,
        "few",
        &[
            "of all 3 etcd members",
            "missing: etcd-data-kmc-few-etcd-1 etcd-data-kmc-few-etcd-2)",
            "spec.replicas to 1",
        ],
    )
    .await?;
    scene
        .change("few", json!({"spec": {"replicas": 1}}))
        .await?;
    ensure!(state(scene, "few").await? == "existing", "few begins");
    scene.settled().await?;
    let set = scene.child("StatefulSet/kmc-few-etcd").await?;
    let set = set.context("no etcd")?;
    ensure!(at(&set, "/spec/replicas") == &json!(1), "{set}");

    // With as many members as there are claims none would find the data.
    give(scene, &last, "last").await?;
    let first = "missing: etcd-data-kmc-last-etcd-0";
    held_up(scene, "last", &[first, "restore"]).await?;
    scene
        .change("last", json!({"spec": {"replicas": 1}}))
        .await?;
    let parts = [first, &format!("surplus: {last}"), "replicas to 3"];
    held_up(scene, "last", &parts).await?;

    // What is made says whose it is.
    let uid = scene.clusters().get("lost").await?.uid();
    let claim = scene.appears("PersistentVolumeClaim", &lost).await?;
    let label = at(&claim, "/metadata/labels").get(UID);
    ensure!(label == Some(&json!(uid)), "the new claim is of {label:?}");
    let config = scene.child("ConfigMap/kmc-lost-etcd-config").await?;
    let token = "/data/ETCD_INITIAL_CLUSTER_TOKEN";
    ensure!(
        at(&config.context("gone")?, token) == &json!(uid),
        "no token"
    );
    controller.stop().await
}

async fn report(scene: &Scene, cluster: &str, version: Value) -> Result<()> {
    let status = json!({"status": {"version": version}});
    scene
        .raw()
        .patch_status(cluster, &PatchParams::default(), &Patch::Merge(&status))
        .await?;
    Ok(())
}

pub async fn once_a_cluster_has_served_no_member_begins_with_nothing(scene: &Scene) -> Result<()> {
    let mut controller = scene.controller().await?;
    let spec = json!({"replicas": 3, "service": {"type": "ClusterIP"}});
    scene.complete("one", spec).await?;
    ensure!(state(scene, "one").await? == "new", "it does not begin");
    let before = scene.child("StatefulSet/kmc-one-etcd").await?;
    let mark = scene.mark().await;
    report(scene, "one", json!("v1.36.3-k0s.2")).await?;
    until(
        "members join or stay away",
        PATIENCE,
        async || match state(scene, "one").await.as_deref() {
            Ok("existing") => Ok(()),
            other => Err(format!("{other:?}")),
        },
    )
    .await?;
    scene.settled().await?;
    let asked = scene.asked(mark).await?;
    let children = |verb: &str| {
        let counted = asked.0.iter().filter(|(key, _)| key.verb == verb);
        counted
            .filter(|(key, _)| key.resource != "clusters")
            .map(|(_, count)| count)
            .sum::<usize>()
    };
    ensure!(children("patch") == 1, "it is said once:\n{asked}");
    let config = scene.child("ConfigMap/kmc-one-etcd-config").await?;
    let config = config.context("no ConfigMap")?;
    // None of them has been ready: the last may still come.
    ensure!(
        text(&config, MEMBERS).contains("kmc-one-etcd-2="),
        "{config}"
    );
    ensure!(
        scene.child("StatefulSet/kmc-one-etcd").await? == before,
        "members are rolled by it"
    );
    // It is no member that is missing, nor the data, as long as none serves.
    let message = scene
        .says("one", "ControlPlaneFunctional", "False", "EtcdNotReady")
        .await?;
    ensure!(message.contains("kmc-one-etcd-"), "{message}");

    // Whatever becomes of the status.
    controller.stop().await?;
    report(scene, "one", Value::Null).await?;
    controller = scene.controller().await?;
    scene.settled().await?;
    ensure!(state(scene, "one").await? == "existing", "it is forgotten");
    controller.stop().await
}

/// Has a member pass for ready, or not; nobody runs it here.
async fn serves(scene: &Scene, pod: &str, ready: bool) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    until(&format!("{pod} is there"), PATIENCE, async || {
        let pod = pods.get(pod).await;
        pod.map(drop).map_err(|error| error.to_string())
    })
    .await?;
    let says = if ready { "True" } else { "False" };
    let status = json!({"status": {
        "phase": "Running", "conditions": [{"type": "Ready", "status": says}],
    }});
    pods.patch_status(pod, &PatchParams::default(), &Patch::Merge(&status))
        .await?;
    let set = "StatefulSet/kmc-one-etcd";
    let number = if ready { 3 } else { 2 };
    until(
        &format!("{number} members are ready"),
        PATIENCE,
        async || {
            let set = scene.child(set).await.map_err(|error| error.to_string())?;
            let found = set.map(|set| at(&set, "/status/readyReplicas").clone());
            // The first to pass for ready are not counted.
            (found == Some(json!(number)) || (ready && pod != "kmc-one-etcd-2"))
                .then_some(())
                .ok_or_else(|| format!("{found:?}"))
        },
    )
    .await?;
    Ok(())
}

async fn members_are(scene: &Scene, what: &str) -> Result<Value> {
    let what_ = format!("members are told {what}");
    let (config, _) = until(&what_, PATIENCE, async || {
        let config = scene.child("ConfigMap/kmc-one-etcd-config").await;
        match config.map_err(|error| error.to_string())? {
            Some(config) if text(&config, MEMBERS).contains(what) => Ok(config),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    Ok(config)
}

pub async fn a_member_that_is_not_added_by_hand_stays_away_whatever_is_edited(
    scene: &Scene,
) -> Result<()> {
    let controller = scene.controller().await?;
    let spec = json!({"replicas": 3, "service": {"type": "ClusterIP"}});
    scene.complete("one", spec).await?;
    report(scene, "one", json!("v1.36.3-k0s.2")).await?;
    let (all, nobody) = ("kmc-one-etcd-2=", "members-are-added-by-hand=");
    let config = "ConfigMap/kmc-one-etcd-config";
    for index in 0..3 {
        members_are(scene, all).await?;
        serves(scene, &format!("kmc-one-etcd-{index}"), true).await?;
    }
    let written = members_are(scene, nobody).await?;
    serves(scene, "kmc-one-etcd-2", false).await?;
    scene.settled().await?;

    let delete = async || -> Result<()> {
        children::api(&scene.admin, &scene.namespace, "ConfigMap")?
            .delete("kmc-one-etcd-config", &DeleteParams::default())
            .await?;
        scene.settled().await?;
        members_are(scene, nobody).await?;
        Ok(())
    };
    delete().await?;
    let open = json!({"data": {"ETCD_INITIAL_CLUSTER": format!("{all}https://x:2380")}});
    for edit in [
        open,
        json!({"data": null}),
        json!({"data": {"CLOSED": null}}),
    ] {
        scene.edit(config, &edit).await?;
        scene.settled().await?;
        let now = members_are(scene, nobody).await?;
        ensure!(at(&now, "/data") == at(&written, "/data"), "{edit}: {now}");
    }

    // Added by hand it joins, once.
    let claim = "PersistentVolumeClaim/etcd-data-kmc-one-etcd-2";
    let added = |value: Value| json!({"metadata": {"annotations": {ADDED: value}}});
    scene.edit(claim, &added(json!("true"))).await?;
    members_are(scene, all).await?;
    serves(scene, "kmc-one-etcd-2", true).await?;
    members_are(scene, nobody).await?;
    serves(scene, "kmc-one-etcd-2", false).await?;
    scene.settled().await?;
    members_are(scene, nobody).await?;
    delete().await?;
    scene.edit(claim, &added(Value::Null)).await?;
    scene.settled().await?;
    scene.edit(claim, &added(json!("true"))).await?;
    members_are(scene, all).await?;
    controller.stop().await
}

/// Without the variable of the cluster's token and the label of its claims, as earlier releases
/// made it.
pub async fn an_etcd_of_an_earlier_release_is_not_rolled(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    controller.stop().await?;
    let name = "kmc-one-etcd";
    let sets = children::api(&scene.admin, &scene.namespace, "StatefulSet")?;
    let mut set = sets.get(name).await?;
    let env = "/spec/template/spec/containers/0/env";
    let env = set.data.pointer_mut(env).and_then(Value::as_array_mut);
    let env = env.context("no variables")?;
    let all = env.len();
    env.retain(|variable| text(variable, "/name") != "ETCD_INITIAL_CLUSTER_TOKEN");
    ensure!(env.len() + 1 == all, "there is no token: {env:?}");
    let claim = "/spec/volumeClaimTemplates/0/metadata";
    let claim = set.data.pointer_mut(claim).and_then(Value::as_object_mut);
    ensure!(
        claim.and_then(|claim| claim.remove("labels")).is_some(),
        "the claims have no labels"
    );
    set.metadata.resource_version = None;
    set.metadata.managed_fields = None;
    sets.delete(name, &DeleteParams::orphan()).await?;
    until("the StatefulSet is gone", PATIENCE, async || {
        match sets.get_opt(name).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let made = sets.create(&PostParams::default(), &set).await?;

    let controller = scene.controller().await?;
    scene.settled().await?;
    scene.says("one", "Applied", "True", "Applied").await?;
    let now = sets.get(name).await?;
    ensure!(now.uid() == made.uid(), "it was made anew");
    let specs = (at(&made.data, "/spec"), at(&now.data, "/spec"));
    let found = children::differences(specs.0, specs.1);
    ensure!(found.is_empty(), "{found:#?}");
    controller.stop().await
}
