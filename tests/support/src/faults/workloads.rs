//! What users do. Each waits between its steps until the program has done what there was to do.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams};
use serde_json::{Value, json};

use super::hosted::Hosted;
use super::stage::{Stage, is_write};
use crate::light::children::at;

/// A run of one.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// A row of things that users do.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// What it is called.
    pub name: &'static str,
    /// Does them.
    pub run: for<'a> fn(&'a Stage) -> Running<'a>,
    /// Of the plans that follow from it one in so many is run, since they are many and alike.
    pub one_in: u64,
    /// The program competes for a lease.
    pub lease: bool,
    /// The APIs of its Clusters answer.
    pub serves: bool,
}

macro_rules! workloads {
    ($($name:ident),* $(,)?) => {
        /// All of them.
        pub const ALL: &[Workload] = &[$(Workload {
            name: stringify!($name),
            run: |stage| Box::pin($name(stage)),
            one_in: if matches!(stringify!($name).as_bytes(), b"many") { 20 } else { 1 },
            lease: matches!(stringify!($name).as_bytes(), b"leader" | b"failover"),
            serves: matches!(
                stringify!($name).as_bytes(),
                b"outage" | b"tokens" | b"expiry" | b"away"
            ),
        }),*];
    };
}

workloads![
    create, ha, scale, upgrade, service, delete, again, labels, drift, edits, foreign, refs, spec,
    requests, namespace, takeover, leader, failover, many, outage, tokens, expiry, away,
];

/// The one of this name.
pub fn named(name: &str) -> Option<&'static Workload> {
    ALL.iter().find(|workload| workload.name == name)
}

fn small() -> Value {
    json!({"version": "v1.36.3", "service": {"type": "ClusterIP"}})
}

async fn one(stage: &Stage) -> Result<()> {
    stage.create("one", small()).await?;
    stage.settles().await
}

async fn create(stage: &Stage) -> Result<()> {
    one(stage).await
}

async fn ha(stage: &Stage) -> Result<()> {
    let spec = json!({"version": "v1.36.3", "replicas": 3, "service": {"type": "LoadBalancer"},
        "externalAddress": "192.0.2.1"});
    stage.create("one", spec).await?;
    stage.settles().await
}

async fn scale(stage: &Stage) -> Result<()> {
    one(stage).await?;
    for replicas in [3, 1] {
        stage
            .change("one", json!({"spec": {"replicas": replicas}}))
            .await?;
        stage.settles().await?;
    }
    Ok(())
}

async fn upgrade(stage: &Stage) -> Result<()> {
    let spec = json!({"version": "v1.35.1", "service": {"type": "ClusterIP"}});
    stage.create("one", spec).await?;
    stage.settles().await?;
    stage
        .change("one", json!({"spec": {"version": "v1.36.3"}}))
        .await?;
    stage.settles().await
}

async fn service(stage: &Stage) -> Result<()> {
    one(stage).await?;
    // Node ports are few, and every run of this would want the same.
    let balanced = json!({"type": "LoadBalancer"});
    let change = json!({"spec": {"service": balanced, "externalAddress": "192.0.2.1"}});
    stage.change("one", change).await?;
    stage.settles().await
}

async fn delete(stage: &Stage) -> Result<()> {
    one(stage).await?;
    stage.delete("Cluster/one").await?;
    stage.gone("Cluster/one").await?;
    stage.settles().await
}

async fn again(stage: &Stage) -> Result<()> {
    one(stage).await?;
    stage.delete("Cluster/one").await?;
    stage.gone("Cluster/one").await?;
    one(stage).await
}

async fn labels(stage: &Stage) -> Result<()> {
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

async fn drift(stage: &Stage) -> Result<()> {
    one(stage).await?;
    for child in CHILDREN {
        stage.delete(child).await?;
        stage.settles().await?;
    }
    Ok(())
}

async fn edits(stage: &Stage) -> Result<()> {
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

async fn foreign(stage: &Stage) -> Result<()> {
    let labels = json!({"labels": {super::oracles::FOREIGN: "theirs"}});
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
        stage.settles().await?;
    }
    Ok(())
}

async fn refs(stage: &Stage) -> Result<()> {
    let pair = rcgen_pair()?;
    let labels = json!({"labels": {super::oracles::FOREIGN: "theirs"}});
    let body = json!({"metadata": labels, "type": "kubernetes.io/tls", "stringData": pair});
    stage.make("Secret", "mine", body).await?;
    let mut spec = small();
    if let Some(spec) = spec.as_object_mut() {
        spec.insert(
            "certificateRefs".to_owned(),
            json!([{"type": "ca", "name": "mine"}]),
        );
    }
    stage.create("one", spec).await?;
    stage.settles().await?;
    stage.delete("Cluster/one").await?;
    stage.gone("Cluster/one").await?;
    stage.settles().await
}

/// A CA of the user's.
fn rcgen_pair() -> Result<Value> {
    let dir = tempfile::tempdir()?;
    mothership::pki::Authority::create(dir.path(), "ca")?;
    let read = |ending: &str| std::fs::read_to_string(dir.path().join(format!("ca.{ending}")));
    Ok(json!({"tls.crt": read("crt")?, "tls.key": read("key")?}))
}

/// Where no hosted API answers: a request waits, says so, and goes when it is deleted.
async fn requests(stage: &Stage) -> Result<()> {
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

/// With an API that answers.
async fn served(stage: &Stage) -> Result<&Hosted> {
    stage.create("one", small()).await?;
    stage.says("one", "Available", "True").await?;
    stage.settles().await?;
    stage
        .hosted
        .as_ref()
        .context("this workload has hosted APIs")
}

async fn outage(stage: &Stage) -> Result<()> {
    let hosted = served(stage).await?;
    for (serves, status) in [(false, "False"), (true, "True")] {
        hosted.serves(serves).await;
        stage.says("one", "Available", status).await?;
        stage.settles().await?;
    }
    Ok(())
}

async fn tokens(stage: &Stage) -> Result<()> {
    served(stage).await?;
    let api = Api::namespaced(stage.admin.clone(), &stage.namespace);
    crate::tokens::request(&api, "join", "one", "1h").await?;
    stage.settles().await?;
    stage.delete("JoinTokenRequest/join").await?;
    stage.gone("JoinTokenRequest/join").await?;
    stage.settles().await
}

async fn expiry(stage: &Stage) -> Result<()> {
    served(stage).await?;
    let api = Api::namespaced(stage.admin.clone(), &stage.namespace);
    crate::tokens::request(&api, "join", "one", "6s").await?;
    tokio::time::sleep(Duration::from_secs(8)).await;
    stage.settles().await
}

/// A token is taken back only where it was made, so its request waits for that.
async fn away(stage: &Stage) -> Result<()> {
    let hosted = served(stage).await?;
    let api = Api::namespaced(stage.admin.clone(), &stage.namespace);
    crate::tokens::request(&api, "join", "one", "1h").await?;
    stage.settles().await?;
    hosted.serves(false).await;
    stage.delete("JoinTokenRequest/join").await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let there = stage
        .history
        .object(&stage.namespace, "JoinTokenRequest/join");
    ensure!(there.is_some(), "the request went before its token");
    hosted.serves(true).await;
    stage.gone("JoinTokenRequest/join").await?;
    stage.settles().await
}

async fn namespace(stage: &Stage) -> Result<()> {
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
    Ok(())
}

/// What earlier operators of this API have made: keys owned by the Cluster and named by it.
async fn takeover(stage: &Stage) -> Result<()> {
    stage.operator.kill();
    let types = ["ca", "sa", "proxy", "etcd"];
    let refs: Vec<_> = types
        .iter()
        .map(|type_| json!({"type": type_, "name": format!("one-{type_}")}))
        .collect();
    let mut spec = small();
    if let Some(spec) = spec.as_object_mut() {
        spec.insert("certificateRefs".to_owned(), refs.into());
    }
    stage.create("one", spec).await?;
    let uid = stage.clusters().get("one").await?.metadata.uid;
    for type_ in types {
        let body = json!({
            "metadata": {
                "labels": {"cluster.x-k8s.io/cluster-name": "one"},
                "ownerReferences": [{"apiVersion": "k0smotron.io/v1beta1", "kind": "Cluster",
                    "name": "one", "uid": uid, "controller": true}],
            },
            "type": "cluster.x-k8s.io/secret",
            "stringData": rcgen_pair()?,
        });
        stage.make("Secret", &format!("one-{type_}"), body).await?;
    }
    stage.operator.restart()?;
    stage.settles().await
}

/// With a lease that is renewed a few times on the way.
async fn leader(stage: &Stage) -> Result<()> {
    one(stage).await?;
    tokio::time::sleep(Duration::from_secs(12)).await;
    stage
        .change(
            "one",
            json!({"metadata": {"labels": {"example.org/team": "a"}}}),
        )
        .await?;
    stage.settles().await
}

/// Of two programs the one that works loses the way to its lease, and nothing else: it has to stop
/// before the other one begins.
async fn failover(stage: &Stage) -> Result<()> {
    one(stage).await?;
    let other = stage.another("b").await?;
    stage.proxy.cut("leases", true);
    // By then it must have given up, and nobody else may have taken over.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let label = json!({"metadata": {"labels": {"example.org/team": "a"}}});
    stage.change("one", label).await?;
    let labelled = async || {
        let service = stage.history.object(&stage.namespace, "Service/kmc-one");
        let labels = service
            .as_deref()
            .map(|service| at(service, "/metadata/labels").clone());
        let labels = labels.unwrap_or_default();
        labels
            .get("example.org/team")
            .map(drop)
            .ok_or_else(|| labels.to_string())
    };
    crate::light::until(
        "somebody writes the label",
        Duration::from_secs(90),
        labelled,
    )
    .await?;
    stage.proxy.cut("leases", false);
    stage.settles().await?;
    let began = other
        .proxy
        .records()
        .into_iter()
        .find(is_write)
        .map(|record| record.at);
    let last = stage.proxy.last(is_write);
    ensure!(began.is_some(), "the other one has written nothing");
    ensure!(last < began, "both have written at a time");
    Ok(())
}

async fn many(stage: &Stage) -> Result<()> {
    let names: Vec<_> = (0..10).map(|number| format!("many-{number}")).collect();
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

async fn spec(stage: &Stage) -> Result<()> {
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
