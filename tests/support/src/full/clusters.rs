//! Clusters and what belongs to them in the mothership.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::v1beta2::Cluster;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, AttachParams, DeleteParams, ListParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Client, ResourceExt as _};
use mothership::components::K0sVersion;
use mothership::image::K0s;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use super::until;
use super::world::World;

/// Ten times what it takes on two idle cores.
const AVAILABLE_WITHIN: Duration = Duration::from_secs(120);
const GONE_WITHIN: Duration = Duration::from_secs(120);

/// A version as `spec.version` takes it.
pub fn version(version: K0sVersion) -> Result<String> {
    Ok(K0s::release(version)?.replace('+', "-"))
}

/// A NodePort cluster whose ports the API server chooses; its volumes go with it.
pub fn node_port() -> Value {
    json!({
        "service": {"type": "NodePort", "apiPort": 0, "konnectivityPort": 0},
        "storage": {"type": "etcd", "etcd": {"autoDeletePVCs": true}},
    })
}

/// The Clusters of a namespace.
pub fn api(world: &World, namespace: &str) -> Api<Cluster> {
    Api::namespaced(world.client.clone(), namespace)
}

/// Makes a namespace if there is none.
pub async fn namespace(client: &Client, name: &str) -> Result<()> {
    let body: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
    match Api::all(client.clone())
        .create(&PostParams::default(), &body)
        .await
    {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        other => other.map(drop).context("creating a namespace"),
    }
}

/// Creates a cluster in the namespace of its own name, of the current version unless the spec
/// says another.
pub async fn create(world: &World, name: &str, spec: Value) -> Result<Cluster> {
    namespace(&world.client, name).await?;
    let mut body = json!({
        "apiVersion": "k0smotron.io/v1beta2",
        "kind": "Cluster",
        "metadata": {"name": name},
        "spec": {"version": version(K0sVersion::Current)?},
    });
    let fields = body.get_mut("spec").and_then(Value::as_object_mut);
    if let (Some(fields), Value::Object(spec)) = (fields, spec) {
        fields.extend(spec);
    }
    // As it was written, without the defaults of the Rust types.
    let object: kube::api::DynamicObject = serde_json::from_value(body)?;
    let resource = kube::api::ApiResource::erase::<Cluster>(&());
    let clusters: Api<kube::api::DynamicObject> =
        Api::namespaced_with(world.client.clone(), name, &resource);
    let created = clusters
        .create(&PostParams::default(), &object)
        .await
        .with_context(|| format!("creating the Cluster {name}"))?;
    Ok(created.try_parse()?)
}

/// The cluster of this name, made if there is none, once it is available. Cases that run alone
/// make what an earlier case would have left to them.
pub async fn ensure(world: &World, name: &str, spec: Value) -> Result<Cluster> {
    if api(world, name).get_opt(name).await?.is_none() {
        create(world, name, spec).await?;
    }
    available(world, name).await
}

/// Whether a condition has a status, for the generation that there is.
pub fn has_condition(cluster: &Cluster, type_: &str, status: &str) -> bool {
    cluster.status.as_ref().is_some_and(|found| {
        found.observed_generation == cluster.metadata.generation
            && found
                .conditions
                .iter()
                .any(|condition| condition.type_ == type_ && condition.status == status)
    })
}

/// The reason of a condition.
pub fn reason(cluster: &Cluster, type_: &str) -> String {
    let conditions = cluster.status.iter().flat_map(|status| &status.conditions);
    conditions
        .filter(|condition| condition.type_ == type_)
        .map(|condition| condition.reason.clone())
        .collect()
}

/// What a cluster says about itself, for errors.
pub fn describe(cluster: Option<&Cluster>) -> String {
    let mut text = String::new();
    let Some(cluster) = cluster else {
        return "there is no such Cluster".to_owned();
    };
    for condition in cluster.status.iter().flat_map(|status| &status.conditions) {
        let _ = write!(
            text,
            "\n  {} {} {}: {}",
            condition.type_, condition.status, condition.reason, condition.message
        );
    }
    text
}

/// Waits until a cluster meets a condition, by a watch.
pub async fn wait_for(
    world: &World,
    name: &str,
    what: &str,
    within: Duration,
    met: impl Fn(&Cluster) -> bool,
) -> Result<Cluster> {
    let clusters = api(world, name);
    let condition = |cluster: Option<&Cluster>| cluster.is_some_and(&met);
    match tokio::time::timeout(within, await_condition(clusters.clone(), name, condition)).await {
        Ok(cluster) => cluster?.context("it is gone"),
        Err(_) => anyhow::bail!(
            "Cluster {name} is not {what} after {} s:{}",
            within.as_secs(),
            describe(clusters.get_opt(name).await?.as_ref())
        ),
    }
}

/// Waits until a cluster is available.
pub async fn available(world: &World, name: &str) -> Result<Cluster> {
    wait_for(world, name, "Available", AVAILABLE_WITHIN, |cluster| {
        has_condition(cluster, "Available", "True")
    })
    .await
}

/// The pods of a cluster, by the value of their label `component`: `cluster` or `etcd`.
pub async fn pods(world: &World, name: &str, component: &str) -> Result<Vec<Pod>> {
    let selector = format!("cluster={name},component={component}");
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), name);
    Ok(pods
        .list(&ListParams::default().labels(&selector))
        .await?
        .items)
}

/// Whether a pod is ready.
pub fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The address of a pod.
pub fn address(pod: &Pod) -> Result<String> {
    let status = pod.status.as_ref();
    status
        .and_then(|status| status.pod_ip.clone())
        .with_context(|| format!("the pod {} has no address", pod.name_any()))
}

/// Waits until a component has this many ready pods and no others.
pub async fn pods_ready(
    world: &World,
    name: &str,
    component: &str,
    count: usize,
) -> Result<Vec<Pod>> {
    let what = format!("{count} ready pods of {name}'s {component}");
    until(&what, Duration::from_secs(120), async || {
        let pods = pods(world, name, component)
            .await
            .map_err(|error| format!("{error:#}"))?;
        let ready = pods
            .iter()
            .filter(|pod| is_ready(pod) && pod.metadata.deletion_timestamp.is_none())
            .count();
        if ready == count && pods.len() == count {
            Ok(pods)
        } else {
            Err(format!("{ready} of {} are ready", pods.len()))
        }
    })
    .await
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub output: String,
    /// Its standard error.
    pub error: String,
}

/// Runs a command in a pod's first container.
pub async fn run(pods: &Api<Pod>, name: &str, command: &[&str]) -> Result<Ran> {
    let mut attached = pods
        .exec(name, command.to_vec(), &AttachParams::default())
        .await
        .with_context(|| format!("running a command in {name}"))?;
    let mut stdout = attached.stdout().context("no standard output")?;
    let mut stderr = attached.stderr().context("no standard error")?;
    let status = attached.take_status().context("no status")?;
    let (mut output, mut error) = (String::new(), String::new());
    let both = async {
        tokio::try_join!(
            stdout.read_to_string(&mut output),
            stderr.read_to_string(&mut error)
        )
    };
    tokio::time::timeout(Duration::from_secs(60), both)
        .await
        .with_context(|| format!("{command:?} in {name} does not end"))??;
    let status = status.await.context("no status")?;
    let code = if status.status.as_deref() == Some("Success") {
        0
    } else {
        let causes = status.details.and_then(|details| details.causes);
        let code = causes
            .into_iter()
            .flatten()
            .find(|cause| cause.reason.as_deref() == Some("ExitCode"))
            .and_then(|cause| cause.message);
        let why = status.message.unwrap_or_default();
        code.with_context(|| format!("{command:?} in {name}: {why}"))?
            .parse()?
    };
    Ok(Ran {
        code,
        output,
        error,
    })
}

/// Runs a command that must end well in a pod's first container and returns its standard output.
pub async fn exec(pods: &Api<Pod>, name: &str, command: &[&str]) -> Result<String> {
    let ran = run(pods, name, command).await?;
    ensure!(
        ran.code == 0,
        "{command:?} in {name} ends with {}: {}",
        ran.code,
        ran.error
    );
    Ok(ran.output)
}

/// Deletes a cluster and waits until it and its pods are gone.
pub async fn delete(world: &World, name: &str) -> Result<()> {
    let clusters = api(world, name);
    clusters.delete(name, &DeleteParams::default()).await?;
    until(
        &format!("the end of {name} and its pods"),
        GONE_WITHIN,
        async || {
            let cluster = clusters.get_opt(name).await.map_err(|e| e.to_string())?;
            let pods: Api<Pod> = Api::namespaced(world.client.clone(), name);
            let selector = ListParams::default().labels(&format!("cluster={name}"));
            let pods = pods.list(&selector).await.map_err(|e| e.to_string())?;
            match (cluster, pods.items.len()) {
                (None, 0) => Ok(()),
                (Some(cluster), _) => Err(format!("still there:{}", describe(Some(&cluster)))),
                (None, left) => Err(format!("{left} pods are left")),
            }
        },
    )
    .await
}

/// Deletes a cluster that has served its purpose, without giving its pods time to end in order.
pub async fn discard(world: &World, name: &str) -> Result<()> {
    api(world, name)
        .delete(name, &DeleteParams::default())
        .await?;
    until(&format!("the end of {name}"), GONE_WITHIN, async || {
        let left = end_pods(world, name).await;
        match left.map_err(|error| error.to_string())? {
            0 => Ok(()),
            left => Err(format!("{left} objects are left")),
        }
    })
    .await
}

/// Ends the pods of a cluster at once; how many there were, what makes them anew included.
async fn end_pods(world: &World, name: &str) -> kube::Result<usize> {
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), name);
    let sets: Api<StatefulSet> = Api::namespaced(world.client.clone(), name);
    let selector = ListParams::default().labels(&format!("cluster={name}"));
    let makers = sets.list(&selector).await?.items.len();
    let ending = pods.list(&selector).await?;
    let now = DeleteParams::default().grace_period(0);
    for pod in &ending {
        // It may have gone by itself.
        let _ = pods.delete(&pod.name_any(), &now).await;
    }
    let clusters = usize::from(api(world, name).get_opt(name).await?.is_some());
    Ok(clusters + makers + ending.items.len())
}

/// Everything in a namespace but events and what every namespace has, as `kind/name`.
pub async fn contents(world: &World, namespace: &str) -> Result<Vec<String>> {
    let kinds = world
        .kubectl(&[
            "api-resources",
            "--namespaced",
            "--verbs=list",
            "-o",
            "name",
        ])
        .await?;
    let kinds: Vec<&str> = kinds
        .lines()
        .filter(|kind| !kind.starts_with("events") && !kind.contains("metrics"))
        .collect();
    let text = world
        .kubectl(&["get", &kinds.join(","), "-n", namespace, "-o", "name"])
        .await?;
    Ok(text
        .lines()
        .filter(|line| !["configmap/kube-root-ca.crt", "serviceaccount/default"].contains(line))
        .map(str::to_owned)
        .collect())
}
