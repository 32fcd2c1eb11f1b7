//! What the controller does not do, and how it says so.

use anyhow::{Context as _, Result, ensure};
use kube::api::{DeleteParams, DynamicObject, PostParams};
use mothership::audit::Mark;
use serde_json::{Value, json};
use support::light::children::{self, at, text};
use support::light::scene::Scene;

/// A field that this version does not honour, its path, and what takes it out again.
fn later() -> Vec<(&'static str, Value, &'static str, Value)> {
    vec![
        (
            "monitored",
            json!({"monitoring": {"enabled": true}}),
            "spec.monitoring.enabled",
            json!({"monitoring": null}),
        ),
        (
            "kine",
            json!({"storage": {"type": "kine", "kine": {"dataSourceURL": "sqlite:///x"}}}),
            "spec.storage.type",
            json!({"storage": null}),
        ),
        (
            "patched",
            json!({"patches": [{
                "target": {"kind": "StatefulSet", "component": "etcd"},
                "patch": {"type": "json", "content": "[]"},
            }]}),
            "spec.patches",
            json!({"patches": null}),
        ),
        (
            "ingress",
            json!({"ingress": {"apiHost": "a.example.org", "konnectivityHost": "b.example.org",
                "className": "x"}}),
            "spec.ingress",
            json!({"ingress": null}),
        ),
    ]
}

/// The controller's writes since then, but for status.
async fn written(scene: &Scene, mark: Mark) -> Result<Vec<String>> {
    let asked = scene.asked(mark).await?;
    Ok(asked
        .0
        .keys()
        .filter(|key| !(key.resource == "clusters" && key.subresource == "status"))
        .map(|key| format!("{} {} {}", key.verb, key.resource, key.name))
        .collect())
}

pub async fn a_field_not_honoured_yet_is_named_and_nothing_is_done(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    let mark = scene.mark().await;
    let mut names = Vec::new();
    for (name, mut spec, path, _) in later() {
        if let Some(fields) = spec.as_object_mut() {
            fields.insert("service".to_owned(), json!({"type": "ClusterIP"}));
        }
        scene.create(name, spec).await?;
        let message = scene
            .says(name, "Accepted", "False", "NotImplemented")
            .await?;
        ensure!(message.contains(path), "{path} is not in {message:?}");
        scene
            .says(name, "Available", "False", "NotImplemented")
            .await?;
        names.push(name);
    }
    scene.settled().await?;
    let writes = written(scene, mark).await?;
    ensure!(writes.is_empty(), "{writes:?}");
    let children = scene.children().await?;
    ensure!(children.is_empty(), "{:?}", children.keys());
    for name in &names {
        let cluster = scene.clusters().get(name).await?;
        ensure!(
            cluster.metadata.finalizers.is_none(),
            "{name} has a finalizer"
        );
    }
    // One that goes on, and one that goes.
    for (name, _, _, without) in later().into_iter().take(1) {
        scene.change(name, json!({"spec": without})).await?;
        scene.completed(name).await?;
        scene.says(name, "Accepted", "True", "Accepted").await?;
    }
    scene
        .clusters()
        .delete("kine", &DeleteParams::default())
        .await?;

    existing(scene).await?;
    controller.stop().await
}

/// A Cluster that runs is left as it is while its spec asks for too much.
async fn existing(scene: &Scene) -> Result<()> {
    scene
        .complete("runs", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let mark = scene.mark().await;
    let telemetry = "kmc-runs-telemetry-config";
    let change = json!({
        "replicas": 3,
        "monitoring": {"enabled": true},
        "service": {"apiPort": 31001},
    });
    let before = scene.children().await?;
    scene.change("runs", json!({"spec": change})).await?;
    let message = scene
        .says("runs", "Accepted", "False", "NotImplemented")
        .await?;
    ensure!(message.contains("spec.monitoring.enabled"), "{message}");
    scene
        .edit(
            "ConfigMap/kmc-runs-config",
            &json!({"data": {"K0SMOTRON_K0S_YAML": "x"}}),
        )
        .await?;
    children::api(&scene.admin, &scene.namespace, "ConfigMap")?
        .delete(telemetry, &DeleteParams::default())
        .await?;
    scene.settled().await?;
    let writes = written(scene, mark).await?;
    ensure!(writes.is_empty(), "{writes:?}");
    ensure!(
        scene.get("ConfigMap", telemetry).await?.is_none(),
        "{telemetry} was made"
    );
    let after = scene.children().await?;
    for (key, old) in before {
        if key.ends_with(telemetry) || key.ends_with("kmc-runs-config") {
            continue;
        }
        let now = after.get(&key).with_context(|| format!("{key} is gone"))?;
        ensure!(at(&old, "/spec") == at(now, "/spec"), "{key} changed");
    }

    scene
        .change("runs", json!({"spec": {"monitoring": null}}))
        .await?;
    scene.says("runs", "Accepted", "True", "Accepted").await?;
    scene.appears("ConfigMap", telemetry).await?;
    scene.settled().await?;
    let set = scene
        .get("StatefulSet", "kmc-runs")
        .await?
        .context("no pods")?;
    ensure!(
        at(&set, "/spec/replicas") == &json!(3),
        "{}",
        at(&set, "/spec/replicas")
    );
    // Its pods read that until they are replaced, which they are not here.
    let volumes = at(&set, "/spec/template/spec/volumes").as_array();
    let mut volumes = volumes.into_iter().flatten();
    let volume = volumes.find(|volume| at(volume, "/name") == "kmc-runs-config");
    let volume = volume.context("no configuration is mounted")?;
    let newest = text(volume, "/configMap/name");
    let config = scene
        .get("ConfigMap", newest)
        .await?
        .context("no configuration")?;
    ensure!(
        at(&config, "/data").to_string().contains("31001"),
        "the edit is still there"
    );
    Ok(())
}

pub async fn somebody_elses_object_is_named_and_not_touched(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    let label = json!({"app": "k0smotron"});
    let theirs: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"},
    }))?;
    let theirs = children::api(&scene.admin, &scene.namespace, "ConfigMap")?
        .create(&PostParams::default(), &theirs)
        .await?;
    let owner = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "theirs", "controller": true,
        "uid": theirs.metadata.uid,
    }]);
    let others = [
        // Seen by the watch, because it has the label.
        (
            "ConfigMap",
            json!({"metadata": {"name": "kmc-one-config", "labels": label},
                "data": {"theirs": "yes"}}),
        ),
        // Not seen: the API server refuses a second controller.
        (
            "ConfigMap",
            json!({"metadata": {"name": "kmc-one-etcd-config", "ownerReferences": owner},
                "data": {"theirs": "yes"}}),
        ),
        // Not seen: the fields are somebody else's.
        (
            "Service",
            json!({"metadata": {"name": "kmc-one-etcd"}, "spec": {"clusterIP": "None",
                "selector": {"theirs": "yes"}, "ports": [{"name": "client", "port": 2379}]}}),
        ),
    ];
    let mut before = Vec::new();
    for (kind, body) in &others {
        let mut body = body.clone();
        if let Some(fields) = body.as_object_mut() {
            fields.insert("apiVersion".to_owned(), json!("v1"));
            fields.insert("kind".to_owned(), json!(kind));
        }
        let body: DynamicObject = serde_json::from_value(body)?;
        let made = children::api(&scene.admin, &scene.namespace, kind)?
            .create(&PostParams::default(), &body)
            .await?;
        before.push((*kind, serde_json::to_value(made)?));
    }
    scene
        .create("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let message = scene
        .says("one", "Applied", "False", "ChildRefused")
        .await?;
    scene.settled().await?;
    scene.say(&message);
    for (kind, old) in &before {
        let name = children::text(old, "/metadata/name");
        let named = format!("{kind} {}/{name}", scene.namespace);
        ensure!(message.contains(&named), "{named} is not in {message:?}");
    }
    // Deleting the Cluster does not take them along.
    scene
        .clusters()
        .delete("one", &DeleteParams::default())
        .await?;
    support::light::until(
        "the Cluster is gone",
        support::light::PATIENCE,
        async || match scene.clusters().get_opt("one").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        },
    )
    .await?;
    for (kind, old) in before {
        let name = children::text(&old, "/metadata/name");
        let now = scene
            .get(kind, name)
            .await?
            .with_context(|| format!("{kind} {name} is gone"))?;
        ensure!(
            now == old,
            "{kind} {name} was touched: {:#?}",
            children::differences(&old, &now)
        );
    }
    controller.stop().await
}

/// What no watch shows, and no field of which is in the way: only its owner tells whose it is.
pub async fn a_foreign_object_without_any_label_is_left_alone(scene: &Scene) -> Result<()> {
    let others = [
        (
            "ConfigMap",
            "kmc-one-telemetry-config",
            json!({"data": {"theirs": "yes"}}),
        ),
        (
            "ConfigMap",
            "kmc-one-config",
            json!({"data": {"theirs": "yes"}}),
        ),
        (
            "Secret",
            "one-kubeconfig",
            json!({"stringData": {"theirs": "yes"}}),
        ),
        (
            "Secret",
            "one-etcd-peer",
            json!({"stringData": {"theirs": "yes"}}),
        ),
        (
            "Service",
            "kmc-one-etcd-client",
            json!({"spec": {"clusterIP": "None", "ports": [{"name": "x", "port": 9}]}}),
        ),
    ];
    let mut before = Vec::new();
    for (kind, name, body) in &others {
        let mut body = body.clone();
        if let Some(fields) = body.as_object_mut() {
            fields.insert("metadata".to_owned(), json!({"name": name}));
        }
        let body: DynamicObject = serde_json::from_value(body)?;
        let made = children::api(&scene.admin, &scene.namespace, kind)?
            .create(&PostParams::default(), &body)
            .await?;
        before.push((*kind, *name, serde_json::to_value(made)?));
    }
    let controller = scene.controller().await?;
    scene
        .create("one", json!({"service": {"type": "ClusterIP"}}))
        .await?;
    let message = scene
        .says("one", "Applied", "False", "ChildRefused")
        .await?;
    scene.settled().await?;
    for (kind, name, old) in &before {
        // The Secret of the kubeconfig waits for nothing, the peer's for its authority.
        let named = format!("{kind} {}/{name}", scene.namespace);
        ensure!(message.contains(&named), "{named} is not in {message:?}");
        let now = scene.get(kind, name).await?.context("gone")?;
        ensure!(
            now == *old,
            "{kind} {name} was touched: {:#?}",
            children::differences(old, &now)
        );
    }
    // One that goes makes room without anybody telling the controller.
    let (kind, name, _) = others.first().context("none")?;
    children::api(&scene.admin, &scene.namespace, kind)?
        .delete(name, &DeleteParams::default())
        .await?;
    support::light::until("it is ours", support::light::PATIENCE, async || match scene
        .get(kind, name)
        .await
    {
        Ok(Some(now)) if at(&now, "/metadata/ownerReferences/0/name") == "one" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    scene
        .clusters()
        .delete("one", &DeleteParams::default())
        .await?;
    support::light::until(
        "the Cluster is gone",
        support::light::PATIENCE,
        async || match scene.clusters().get_opt("one").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        },
    )
    .await?;
    for (kind, name, old) in before.iter().skip(1) {
        let now = scene.get(kind, name).await?;
        ensure!(
            now.as_ref() == Some(old),
            "{kind} {name} was touched: {now:?}"
        );
    }
    controller.stop().await
}
