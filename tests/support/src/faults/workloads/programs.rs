//! Where another program takes part: an earlier operator, a second one that competes for a lease, a
//! hosted API.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::api::Api;
use serde_json::{Value, json};

use super::{one, rcgen_pair, small, with_refs};
use crate::faults::hosted::Hosted;
use crate::faults::oracles::FOREIGN;
use crate::faults::requests::is_write;
use crate::faults::stage::Stage;
use crate::light::children::at;

/// What earlier operators of this API have made: keys owned by the Cluster and named by it.
pub(super) async fn takeover(stage: &Stage) -> Result<()> {
    stage.operator.kill();
    let types = ["ca", "sa", "proxy", "etcd"];
    let refs: Vec<_> = types
        .iter()
        .map(|type_| json!({"type": type_, "name": format!("one-{type_}")}))
        .collect();
    stage.create("one", with_refs(refs.into())).await?;
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
pub(super) async fn leader(stage: &Stage) -> Result<()> {
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
pub(super) async fn failover(stage: &Stage) -> Result<()> {
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
    // Only one is started again in the end.
    other.operator.kill();
    Ok(())
}

/// With an API that answers.
async fn served(stage: &Stage) -> Result<&Hosted> {
    served_as(stage, small()).await
}

async fn served_as(stage: &Stage, spec: Value) -> Result<&Hosted> {
    stage.create("one", spec).await?;
    stage.says("one", "Available", "True").await?;
    stage.settles().await?;
    stage
        .hosted
        .as_ref()
        .context("this workload has hosted APIs")
}

pub(super) async fn outage(stage: &Stage) -> Result<()> {
    let hosted = served(stage).await?;
    for (serves, status) in [(false, "False"), (true, "True")] {
        hosted.serves(serves).await?;
        stage.says("one", "Available", status).await?;
        stage.settles().await?;
    }
    Ok(())
}

pub(super) async fn tokens(stage: &Stage) -> Result<()> {
    served(stage).await?;
    let api = Api::namespaced(stage.admin.clone(), &stage.namespace);
    crate::tokens::request(&api, "join", "one", "1h").await?;
    stage.settles().await?;
    stage.has_tokens().await?;
    stage.delete("JoinTokenRequest/join").await?;
    stage.gone("JoinTokenRequest/join").await?;
    stage.settles().await
}

pub(super) async fn expiry(stage: &Stage) -> Result<()> {
    served(stage).await?;
    let api = Api::namespaced(stage.admin.clone(), &stage.namespace);
    crate::tokens::request(&api, "join", "one", "6s").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    // Its token is gone in the end.
    stage.remember_tokens().await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    stage.settles().await
}

/// A token is taken back only where it was made, so its request waits for that.
pub(super) async fn away(stage: &Stage) -> Result<()> {
    let hosted = served(stage).await?;
    let api = Api::namespaced(stage.admin.clone(), &stage.namespace);
    crate::tokens::request(&api, "join", "one", "1h").await?;
    stage.settles().await?;
    stage.has_tokens().await?;
    hosted.serves(false).await?;
    stage.delete("JoinTokenRequest/join").await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let there = stage
        .history
        .object(&stage.namespace, "JoinTokenRequest/join");
    ensure!(there.is_some(), "the request went before its token");
    hosted.serves(true).await?;
    stage.gone("JoinTokenRequest/join").await?;
    stage.settles().await
}

/// The user's own CA is another one for a while: the API goes on with the one that its pods have read.
pub(super) async fn replaced(stage: &Stage) -> Result<()> {
    let pairs = [rcgen_pair()?, rcgen_pair()?];
    let [first, second] = &pairs;
    let labels = json!({"labels": {FOREIGN: "theirs"}});
    let body = json!({"metadata": labels, "type": "kubernetes.io/tls", "stringData": first});
    stage.make("Secret", "mine", body).await?;
    served_as(stage, with_refs(json!([{"type": "ca", "name": "mine"}]))).await?;
    for (pair, available) in [(second, "False"), (first, "True")] {
        let change = json!({ "stringData": pair });
        stage.patch("Secret/mine", change).await?;
        stage
            .says("one", "CertificatesAvailable", available)
            .await?;
        stage.settles().await?;
    }
    Ok(())
}
