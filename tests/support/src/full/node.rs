//! A worker's node in its hosted cluster.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Client;
use kube::api::{Api, LogParams, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::json;

use super::{clusters, until};

/// Waits until a node is Ready.
pub async fn ready(client: &Client, name: &str) -> Result<Node> {
    let ready = |node: Option<&Node>| {
        let status = node.and_then(|node| node.status.as_ref());
        let conditions = status.and_then(|status| status.conditions.as_ref());
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    let nodes: Api<Node> = Api::all(client.clone());
    let node = tokio::time::timeout(
        Duration::from_secs(120),
        await_condition(nodes, name, ready),
    )
    .await
    .context("the node does not become Ready")??;
    node.context("it is gone")
}

/// Runs a pod there, reads its log and runs a command in it; how long it took to run.
pub async fn runs_a_pod(client: &Client) -> Result<Duration> {
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "hello"},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [{
            "name": "main",
            "image": mothership::image::BUSYBOX,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", "echo hello from $(hostname); sleep 10000"],
        }]},
    }))?;
    let started = Instant::now();
    // The account that pods run as is made a moment after the cluster is.
    until("a pod", Duration::from_secs(30), async || {
        match pods.create(&PostParams::default(), &pod).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await?;
    let running = |pod: Option<&Pod>| pod.is_some_and(clusters::is_ready);
    tokio::time::timeout(
        Duration::from_secs(90),
        await_condition(pods.clone(), "hello", running),
    )
    .await
    .context("the pod does not run")??;
    let ran = started.elapsed();
    let log = until("its log", Duration::from_secs(30), async || {
        let log = pods.logs("hello", &LogParams::default()).await;
        log.map_err(|error| error.to_string())
    })
    .await?;
    ensure!(log == "hello from hello\n", "the log says {log:?}");
    let said = clusters::exec(&pods, "hello", &["sh", "-c", "echo two words"]).await?;
    ensure!(said == "two words\n", "exec says {said:?}");
    Ok(ran)
}
