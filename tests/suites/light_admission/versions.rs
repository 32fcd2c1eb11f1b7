//! `v1beta1`, which is converted.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use support::light::children::{at, differences};
use support::light::scene::Scene;

use super::objects::{accepted, apply, cluster, set_status};

const OLD: &str = "clusters.v1beta1.k0smotron.io";
const NEW: &str = "clusters.v1beta2.k0smotron.io";

/// A Cluster as it is written for the old version.
fn sample(name: &str) -> Value {
    json!({
        "apiVersion": "k0smotron.io/v1beta1",
        "kind": "Cluster",
        "metadata": {"name": name, "labels": {"team": "blue"}},
        "spec": {
            "replicas": 3,
            "version": "v1.36.3-k0s.2",
            "externalAddress": "192.0.2.7",
            "kineDataSourceURL": "postgres://kine@db.example.org/kine",
            "controllerPlaneFlags": ["--debug"],
            "service": {
                "type": "LoadBalancer", "apiPort": 6443, "konnectivityPort": 8132,
                "annotations": {"example.org/lb": "x"}, "labels": {"lb": "y"},
                "loadBalancerClass": "example.org/small", "externalTrafficPolicy": "Local",
            },
            "etcd": {"args": ["--max-request-bytes=2000000"], "persistence": {"size": "2Gi"}},
            "k0sConfig": {"apiVersion": "k0s.k0sproject.io/v1beta1", "kind": "ClusterConfig",
                "spec": {"telemetry": {"enabled": false}, "api": {"odd": [1, {"y": 1.5}]}}},
            "persistence": {"type": "emptyDir"},
        },
    })
}

async fn read(scene: &Scene, resource: &str, name: &str) -> Result<Value> {
    let said = scene
        .kubectl(&["get", resource, name, "--output=json"], "")
        .await?;
    accepted(&said)?;
    serde_json::from_str(&said.out).context("kubectl's JSON")
}

pub async fn objects_of_the_old_version_are_converted_and_come_back_equal(
    scene: &Scene,
) -> Result<()> {
    let object = sample("one");
    // Not applied: kubectl would keep a copy of what it sends in an annotation.
    let said = scene
        .kubectl(&["create", "--filename", "-"], &object.to_string())
        .await?;
    accepted(&said)?;
    ensure!(
        said.err.contains("v1beta2"),
        "no word of what replaces it: {said:?}"
    );

    let new = read(scene, NEW, "one").await?;
    let spec = at(&new, "/spec");
    ensure!(at(spec, "/storage/type") == "kine", "{spec:#}");
    ensure!(
        at(spec, "/storage/kine/dataSourceURL") == at(&object, "/spec/kineDataSourceURL"),
        "{spec:#}"
    );
    ensure!(
        at(spec, "/storage/etcd/persistence/size") == "2Gi",
        "{spec:#}"
    );
    ensure!(
        at(spec, "/controlPlaneFlags") == &json!(["--debug"]),
        "{spec:#}"
    );
    ensure!(
        at(spec, "/k0sConfig") == at(&object, "/spec/k0sConfig"),
        "{spec:#}"
    );

    // What was written is still there, and nothing but defaults beside it.
    let old = read(scene, OLD, "one").await?;
    for (field, value) in at(&object, "/spec").as_object().context("no spec")? {
        let found = at(&old, &format!("/spec/{field}"));
        let lost = missing(value, found);
        ensure!(lost.is_empty(), "spec.{field}: {lost:?}\n{found:#}");
    }

    // Read in the old version and written back as it is, the object does not change.
    let said = scene
        .kubectl(&["replace", "--filename", "-"], &old.to_string())
        .await?;
    accepted(&said)?;
    let again = read(scene, NEW, "one").await?;
    let found = differences(&new, &again);
    ensure!(found.is_empty(), "{found:#?}");

    let request = json!({
        "apiVersion": "k0smotron.io/v1beta1",
        "kind": "JoinTokenRequest",
        "metadata": {"name": "one"},
        "spec": {"clusterRef": {"name": "one", "namespace": scene.namespace}, "expiry": "1h"},
    });
    accepted(&apply(scene, &request).await?)?;
    let new = read(scene, "jointokenrequests.v1beta2.k0smotron.io", "one").await?;
    ensure!(at(&new, "/spec/clusterName") == "one", "{new:#}");
    let old = read(scene, "jointokenrequests.v1beta1.k0smotron.io", "one").await?;
    ensure!(
        at(&old, "/spec/clusterRef") == at(&request, "/spec/clusterRef"),
        "{old:#}"
    );
    Ok(())
}

/// What of `wanted` is not in `found`.
fn missing(wanted: &Value, found: &Value) -> Vec<String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => wanted
            .iter()
            .flat_map(|(key, wanted)| match found.get(key) {
                Some(found) => missing(wanted, found),
                None if wanted.is_null() => Vec::new(),
                None => vec![format!("{key} is gone")],
            })
            .collect(),
        _ if wanted == found => Vec::new(),
        _ => vec![format!("{found} instead of {wanted}")],
    }
}

pub async fn the_old_version_can_be_read_scaled_and_labelled(scene: &Scene) -> Result<()> {
    let spec = json!({
        "version": "v1.36.3-k0s.2",
        "service": {"type": "ClusterIP"},
        "patches": [{
            "target": {"kind": "Service", "component": "control-plane"},
            "patch": {"type": "merge", "content": "metadata: {labels: {a: b}}"},
        }],
    });
    accepted(&apply(scene, &cluster("one", &spec)).await?)?;
    let status = json!({
        "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "selector": "app=k0smotron,cluster=one",
        "endpoint": "https://kmc-one:30443",
        "conditions": [{"type": "Available", "status": "False", "reason": "Waiting", "message": "m",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        "deprecated": {"v1beta1": {"ready": false, "reconciliationStatus": "waiting"}},
    });
    set_status(scene, "one", &status).await?;
    let before = read(scene, NEW, "one").await?;
    let old = read(scene, OLD, "one").await?;
    ensure!(at(&old, "/status/replicas") == 1, "{old:#}");
    ensure!(
        at(&old, "/status/reconciliationStatus") == "waiting",
        "{old:#}"
    );

    // A client of the old version writes; what it cannot say stays.
    accepted(&scene.kubectl(&["label", OLD, "one", "a=b"], "").await?)?;
    accepted(
        &scene
            .kubectl(&["scale", OLD, "one", "--replicas=3"], "")
            .await?,
    )?;
    let after = read(scene, NEW, "one").await?;
    ensure!(at(&after, "/spec/replicas") == 3, "{after:#}");
    for path in ["/spec/patches", "/spec/storage", "/status"] {
        ensure!(
            at(&after, path) == at(&before, path),
            "{path}: {:#?}",
            differences(at(&before, path), at(&after, path))
        );
    }
    Ok(())
}
