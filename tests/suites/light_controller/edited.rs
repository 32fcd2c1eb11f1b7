//! Children that somebody edits.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use support::light::children::{at, differences, essence, text};
use support::light::scene::Scene;
use support::light::{PATIENCE, until};

use super::deleted::KEPT;

/// Object, what is done to it, and how.
fn edits() -> Vec<(&'static str, &'static str, Value)> {
    let garbage = "Z2FyYmFnZQ==";
    vec![
        (
            "Service/kmc-one",
            "another port",
            json!({"spec": {"ports": [{"name": "api", "port": 31999, "targetPort": 31999}]}}),
        ),
        (
            "Service/kmc-one",
            "a selector with one label more",
            json!({"spec": {"selector": {"pod": "special"}}}),
        ),
        (
            "Service/kmc-one-etcd",
            "another selector",
            json!({"spec": {"selector": {"component": "other"}}}),
        ),
        (
            "Service/kmc-one-etcd-client",
            "another port",
            json!({"spec": {"ports": [{"name": "client", "port": 2379, "targetPort": 4001}]}}),
        ),
        (
            "ConfigMap/kmc-one-config",
            "other data",
            json!({"data": {"K0SMOTRON_K0S_YAML": "spec: {}"}}),
        ),
        (
            "ConfigMap/kmc-one-etcd-config",
            "a key less",
            json!({"data": {"ETCD_INITIAL_CLUSTER": null}}),
        ),
        (
            "ConfigMap/kmc-one-telemetry-config",
            "a manifest more",
            json!({"data": {"x.yaml": "kind: ClusterRoleBinding"}}),
        ),
        (
            "ConfigMap/kmc-one-telemetry-config",
            "a binary manifest more",
            json!({"binaryData": {"x.yaml": garbage}}),
        ),
        (
            "ConfigMap/kmc-one-config",
            "a key more",
            json!({"data": {"x": "y"}}),
        ),
        (
            "PodDisruptionBudget/kmc-one",
            "a label more in its selector",
            json!({"spec": {"selector": {"matchLabels": {"x": "y"}}}}),
        ),
        (
            "ConfigMap/kmc-one-telemetry-config",
            "no data",
            json!({"data": null}),
        ),
        (
            "StatefulSet/kmc-one",
            "other replicas",
            json!({"spec": {"replicas": 0}}),
        ),
        (
            "StatefulSet/kmc-one",
            "a label of the pods",
            json!({"spec": {"template": {"metadata": {"labels": {"app.kubernetes.io/component": "x"}}}}}),
        ),
        (
            "StatefulSet/kmc-one-etcd",
            "other replicas",
            json!({"spec": {"replicas": 1}}),
        ),
        (
            "PodDisruptionBudget/kmc-one",
            "another number",
            json!({"spec": {"maxUnavailable": 2}}),
        ),
        (
            "Secret/one-etcd-server",
            "another key",
            json!({"data": {"tls.key": garbage}}),
        ),
        (
            "Secret/one-kubeconfig",
            "another kubeconfig",
            json!({"data": {"value": garbage}}),
        ),
        (
            "Secret/one-kubeconfig",
            "no kubeconfig",
            json!({"data": {"value": null}}),
        ),
    ]
}

/// What an edit by hand must not have changed. Made data is not known any more once it is edited,
/// so it is made anew: it has to be other than the edit, under the same keys.
fn lasting(object: &Value, garbage: &[&str]) -> Result<Value> {
    let mut all = essence(object);
    // Follows from the data.
    if let Some(Value::Object(annotations)) = all.pointer_mut("/metadata/annotations") {
        annotations.remove("k0smotron.io/data-digest");
        annotations.remove("k0smotron.io/not-after");
    }
    let name = text(object, "/metadata/name").to_owned();
    let is_made =
        text(object, "/kind") == "Secret" && !KEPT.iter().any(|kept| name == format!("one-{kept}"));
    if !is_made {
        return Ok(all);
    }
    let data = all
        .pointer_mut("/data")
        .and_then(Value::as_object_mut)
        .context("no data")?;
    for (key, value) in data {
        let text = value.as_str().unwrap_or_default();
        ensure!(
            !text.is_empty() && !garbage.contains(&text),
            "{name} still has {key}={text}"
        );
        *value = json!("made");
    }
    Ok(all)
}

/// Edits an object and waits until it is as it was.
async fn mended(scene: &Scene, key: &str, what: &str, patch: &Value) -> Result<Duration> {
    let before = scene.child(key).await?.context("no such child")?;
    let expected = lasting(&before, &[])?;
    let garbage: Vec<&str> = at(patch, "/data")
        .as_object()
        .into_iter()
        .flat_map(|data| data.values().filter_map(Value::as_str))
        .collect();
    scene
        .edit(key, patch)
        .await
        .with_context(|| format!("{key}: {what}"))?;
    let ((), took) = until(
        &format!("{key} with {what} is mended"),
        PATIENCE,
        async || match scene.child(key).await {
            Ok(Some(now)) => {
                let now = lasting(&now, &garbage).map_err(|error| error.to_string())?;
                let found = differences(&expected, &now);
                if found.is_empty() {
                    Ok(())
                } else {
                    Err(found.join("; "))
                }
            }
            Ok(None) => Err("it is gone".to_owned()),
            Err(error) => Err(format!("{error:#}")),
        },
    )
    .await?;
    let now = scene.child(key).await?.context("gone")?;
    ensure!(
        at(&now, "/metadata/uid") == at(&before, "/metadata/uid"),
        "{key} with {what} was made anew"
    );
    Ok(took)
}

pub async fn every_kind_of_child_edited_by_hand_is_mended(scene: &Scene) -> Result<()> {
    let controller = scene.controller().await?;
    scene
        .complete(
            "one",
            json!({"replicas": 3, "service": {"type": "ClusterIP"}}),
        )
        .await?;
    let mut all: Vec<(String, &str, Value)> = edits()
        .into_iter()
        .map(|(key, what, patch)| (key.to_owned(), what, patch))
        .collect();
    for key in scene.children().await?.into_keys() {
        for (what, patch) in [
            ("no labels", json!({"metadata": {"labels": null}})),
            ("no owner", json!({"metadata": {"ownerReferences": null}})),
            ("no annotations", json!({"metadata": {"annotations": null}})),
        ] {
            all.push((key.clone(), what, patch));
        }
    }
    all.push((
        "Service/kmc-one".to_owned(),
        "a label that says it belongs to something else",
        json!({"metadata": {"labels": {"app": "other"}}}),
    ));
    for kept in KEPT {
        let finalizers = json!({"metadata": {"finalizers": null}});
        all.push((format!("Secret/one-{kept}"), "no finalizer", finalizers));
    }
    let mut times = Vec::new();
    let mut failed = Vec::new();
    for (key, what, patch) in &all {
        match mended(scene, key, what, patch).await {
            Ok(took) => times.push((took, key, what)),
            // Each edit is a proof of its own.
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    ensure!(
        failed.is_empty(),
        "{} of {}:\n{}",
        failed.len(),
        all.len(),
        failed.join("\n")
    );
    times.sort();
    let (took, key, what) = times.last().context("no edits")?;
    scene.say(format!(
        "{} edits mended, the slowest ({key}: {what}) after {} ms (promised: 1000)",
        times.len(),
        took.as_millis()
    ));
    scene.settled().await?;
    controller.stop().await
}
