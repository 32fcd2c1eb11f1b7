//! What needs no more than an API server.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams};
use serde_json::{Value, json};

use super::{one, rcgen_pair, small, with_refs};
use crate::faults::oracles::FOREIGN;
use crate::faults::stage::Stage;

pub(super) async fn create(stage: &Stage) -> Result<()> {
    one(stage).await
}

pub(super) async fn ha(stage: &Stage) -> Result<()> {
    let spec = json!({"version": "v1.36.3", "replicas": 3, "service": {"type": "LoadBalancer"},
        "externalAddress": "192.0.2.1"});
    stage.create("one", spec).await?;
    stage.settles().await
}

pub(super) async fn scale(stage: &Stage) -> Result<()> {
    one(stage).await?;
    for replicas in [3, 1] {
        stage
            .change("one", json!({"spec": {"replicas": replicas}}))
            .await?;
        stage.settles().await?;
    }
    Ok(())
}

pub(super) async fn upgrade(stage: &Stage) -> Result<()> {
    let spec = json!({"version": "v1.35.1", "service": {"type": "ClusterIP"}});
    stage.create("one", spec).await?;
    stage.settles().await?;
    stage
        .change("one", json!({"spec": {"version": "v1.36.3"}}))
        .await?;
    stage.settles().await
}

pub(super) async fn service(stage: &Stage) -> Result<()> {
    one(stage).await?;
    // Node ports are few, and every run of this would want the same.
    let balanced = json!({"type": "LoadBalancer"});
    let change = json!({"spec": {"service": balanced, "externalAddress": "192.0.2.1"}});
    stage.change("one", change).await?;
    stage.settles().await
}

pub(super) async fn delete(stage: &Stage) -> Result<()> {
    one(stage).await?;
    stage.delete("Cluster/one").await?;
    stage.gone("Cluster/one").await?;
    stage.settles().await
}

pub(super) async fn again(stage: &Stage) -> Result<()> {
    one(stage).await?;
    stage.delete("Cluster/one").await?;
    stage.gone("Cluster/one").await?;
    one(stage).await
}

pub(super) async fn labels(stage: &Stage) -> Result<()> {
    one(stage).await?;
    for value in [json!("a"), json!("b"), Value::Null] {
        let metadata = json!({"labels": {"example.org/team": value}, "annotations": {"example.org/note": value}});
        stage.change("one", json!({"metadata": metadata})).await?;
        stage.settles().await?;
    }
    Ok(())
}

/// What a Cluster of one replica is made of, but for what its own kind is tested with.
const CHILDREN: [&str; 8] = [
    "ConfigMap/kmc-one-config",
    "Service/kmc-one-etcd",
    "Service/kmc-one",
    "StatefulSet/kmc-one-etcd",
    "StatefulSet/kmc-one",
    "Secret/one-ca",
    "Secret/one-etcd-server",
    "Secret/one-kubeconfig",
];

pub(super) async fn drift(stage: &Stage) -> Result<()> {
    one(stage).await?;
    for child in CHILDREN {
        stage.delete(child).await?;
        stage.settles().await?;
    }
    Ok(())
}

pub(super) async fn edits(stage: &Stage) -> Result<()> {
    one(stage).await?;
    for (child, patch) in [
        (
            "ConfigMap/kmc-one-config",
            json!({"data": {"K0SMOTRON_K0S_YAML": "edited"}}),
        ),
        (
            "Service/kmc-one",
            json!({"spec": {"selector": {"app": "edited"}}}),
        ),
        ("StatefulSet/kmc-one", json!({"spec": {"replicas": 0}})),
        (
            "StatefulSet/kmc-one-etcd",
            json!({"metadata": {"labels": {"app": "edited"}}}),
        ),
        (
            "Secret/one-kubeconfig",
            json!({"data": {"value": "ZWRpdGVk"}}),
        ),
    ] {
        stage.patch(child, patch).await?;
        stage.settles().await?;
    }
    Ok(())
}

pub(super) async fn foreign(stage: &Stage) -> Result<()> {
    let labels = json!({"labels": {FOREIGN: "theirs"}});
    for name in ["kmc-one-config", "kmc-one-telemetry-config"] {
        let body = json!({"metadata": labels, "data": {"theirs": "yes"}});
        stage.make("ConfigMap", name, body).await?;
    }
    let body = json!({"metadata": labels, "type": "Opaque", "stringData": {"theirs": "yes"}});
    stage.make("Secret", "one-kubeconfig", body).await?;
    one(stage).await?;
    for foreign in [
        "ConfigMap/kmc-one-config",
        "ConfigMap/kmc-one-telemetry-config",
        "Secret/one-kubeconfig",
    ] {
        stage.delete(foreign).await?;
        stage.made(foreign).await?;
        stage.settles().await?;
    }
    Ok(())
}

pub(super) async fn refs(stage: &Stage) -> Result<()> {
    let pair = rcgen_pair()?;
    let labels = json!({"labels": {FOREIGN: "theirs"}});
    let body = json!({"metadata": labels, "type": "kubernetes.io/tls", "stringData": pair});
    stage.make("Secret", "mine", body).await?;
    let refs = json!([{"type": "ca", "name": "mine"}]);
    stage.create("one", with_refs(refs)).await?;
    stage.settles().await?;
    stage.delete("Cluster/one").await?;
    stage.gone("Cluster/one").await?;
    stage.settles().await
}

/// Where no hosted API answers: a request waits, says so, and goes when it is deleted.
pub(super) async fn requests(stage: &Stage) -> Result<()> {
    let api = Api::namespaced(stage.admin.clone(), &stage.namespace);
    crate::tokens::request(&api, "join", "one", "1h").await?;
    one(stage).await?;
    crate::tokens::request(&api, "other", "nobody", "1h").await?;
    stage.settles().await?;
    for name in ["join", "other"] {
        api.delete(name, &DeleteParams::default()).await?;
        stage.gone(&format!("JoinTokenRequest/{name}")).await?;
    }
    stage.settles().await
}

pub(super) async fn namespace(stage: &Stage) -> Result<()> {
    one(stage).await?;
    let all: Api<Namespace> = Api::all(stage.admin.clone());
    all.delete(&stage.namespace, &DeleteParams::default())
        .await?;
    stage.gone("Cluster/one").await?;
    for key in [
        "Secret/one-ca",
        "Secret/one-sa",
        "Secret/one-proxy",
        "Secret/one-etcd",
    ] {
        stage.gone(key).await?;
    }
    let name = stage.namespace.clone();
    let mine = || async { all.get_opt(&name).await.ok().flatten() };
    let ((), _) = crate::light::until(
        "the namespace is gone",
        Duration::from_secs(60),
        async || {
            mine()
                .await
                .map_or(Ok(()), |found| Err(format!("{:?}", found.status)))
        },
    )
    .await?;
    // Nothing is what it stays at.
    stage.settles().await
}

pub(super) async fn many(stage: &Stage) -> Result<()> {
    let names: Vec<_> = (0..30).map(|number| format!("many-{number}")).collect();
    for name in &names {
        stage.create(name, small()).await?;
    }
    stage.settles().await?;
    for name in &names {
        stage.delete(&format!("Cluster/{name}")).await?;
    }
    for name in &names {
        stage.gone(&format!("Cluster/{name}")).await?;
    }
    stage.settles().await
}

pub(super) async fn spec(stage: &Stage) -> Result<()> {
    one(stage).await?;
    for change in [
        json!({"k0sConfig": {"spec": {"api": {"extraArgs": {"profiling": "false"}}}}}),
        json!({"controlPlaneFlags": ["--debug"]}),
        json!({"resources": {"requests": {"cpu": "100m"}}}),
        json!({"controlPlaneFlags": null, "resources": null}),
    ] {
        stage.change("one", json!({"spec": change})).await?;
        stage.settles().await?;
    }
    Ok(())
}
