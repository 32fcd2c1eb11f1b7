//! A Cluster that serves: what a restart of the controller costs it, and what moves `Available`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, Secret};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use mothership::pki::Authority;
use serde_json::json;
use support::full::world::{CONTROLLER, PRODUCT, World};
use support::full::{clusters, hosted, tokens, until};

const NAME: &str = "settled";
const TOKEN: &str = "settled-token";
const LIMIT: Duration = Duration::from_secs(120);
/// What is promised to take five seconds fails a test only at ten times that.
const PATIENCE: Duration = Duration::from_secs(50);

/// A Cluster with an authority that its user has made, and a token of it, once nothing about them
/// is new any more.
async fn settle(world: &World) -> Result<()> {
    clusters::namespace(&world.client, NAME).await?;
    let dir = tempfile::tempdir()?;
    Authority::create(dir.path(), "kubernetes")?;
    let read = |ending: &str| std::fs::read_to_string(dir.path().join(ending));
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": "my-ca"},
        "stringData": {"tls.crt": read("kubernetes.crt")?, "tls.key": read("kubernetes.key")?},
    }))?;
    Api::namespaced(world.client.clone(), NAME)
        .create(&PostParams::default(), &secret)
        .await?;
    let mut spec = clusters::node_port();
    let fields = spec.as_object_mut().context("no object")?;
    fields.insert(
        "certificateRefs".to_owned(),
        json!([{"type": "ca", "name": "my-ca"}]),
    );
    clusters::ensure(world, NAME, spec).await?;
    tokens::request(world, NAME, TOKEN, "1h").await?;
    tokens::token(world, NAME, TOKEN, None).await?;
    clusters::wait_for(world, NAME, "counted", LIMIT, |cluster| {
        let status = cluster.status.as_ref();
        status.is_some_and(|status| status.nodes.is_some() && status.version.is_some())
    })
    .await?;
    Ok(())
}

/// The versions of what must not be written.
async fn versions(world: &World) -> Result<[Option<String>; 2]> {
    let cluster = clusters::api(world, NAME).get(NAME).await?;
    let request = tokens::requests(world, NAME).get(TOKEN).await?;
    Ok([cluster.resource_version(), request.resource_version()])
}

async fn leader(world: &World) -> Result<Option<String>> {
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), PRODUCT);
    let leases = leases.list(&ListParams::default()).await?;
    Ok(leases
        .into_iter()
        .filter_map(|lease| lease.spec?.holder_identity)
        .find(|holder| holder.contains("controller") && !holder.is_empty()))
}

pub async fn a_restart_of_the_controller_writes_nothing_about_what_is_settled(
    world: &World,
) -> Result<()> {
    settle(world).await?;
    let before = versions(world).await?;
    let old = leader(world).await?;
    let mark = world.full.audit().mark();
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), PRODUCT);
    let controllers = ListParams::default().labels("control-plane=controller-manager");
    for pod in pods.list(&controllers).await? {
        pods.delete(&pod.name_any(), &DeleteParams::default())
            .await?;
    }
    until("another leader", LIMIT, async || {
        match leader(world).await {
            Ok(Some(new)) if Some(&new) != old.as_ref() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let writes = world.full.audit().count_writes(CONTROLLER, mark)?;
    world.say(format!("{} writes after a restart", writes.total()));
    ensure!(writes.total() == 0, "a restart writes\n{writes}");
    let after = versions(world).await?;
    ensure!(after == before, "{before:?} became {after:?}");
    let events = world
        .kubectl(&["get", "events", "-n", NAME, "-o", "json"])
        .await?;
    ensure!(!events.contains("NotAsked"), "{events}");
    Ok(())
}

async fn schedulable(world: &World, yes: bool) -> Result<()> {
    let nodes: Api<Node> = Api::all(world.client.clone());
    for node in nodes.list(&ListParams::default()).await? {
        let patch = json!({"spec": {"unschedulable": !yes}});
        nodes
            .patch(
                &node.name_any(),
                &PatchParams::default(),
                &Patch::Merge(&patch),
            )
            .await?;
    }
    Ok(())
}

/// How long until `Available` says this.
async fn available(world: &World, status: &str) -> Result<(Duration, String)> {
    let started = Instant::now();
    let cluster = clusters::wait_for(world, NAME, status, PATIENCE, |cluster| {
        clusters::has_condition(cluster, "Available", status)
    })
    .await?;
    Ok((started.elapsed(), clusters::reason(&cluster, "Available")))
}

pub async fn an_outage_of_all_replicas_is_seen_and_so_is_its_end(world: &World) -> Result<()> {
    if clusters::api(world, NAME).get_opt(NAME).await?.is_none() {
        settle(world).await?;
    }
    let config = hosted::config(world, NAME).await?;
    schedulable(world, false).await?;
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), NAME);
    let at_once = DeleteParams::default().grace_period(0);
    pods.delete(&format!("kmc-{NAME}-0"), &at_once).await?;
    let outage = available(world, "False").await;
    schedulable(world, true).await?;
    let (seen, reason) = outage?;
    world.say(format!(
        "an outage of all replicas seen after {:.1} s as {reason} (promised: 5)",
        seen.as_secs_f64()
    ));
    ensure!(reason != "NotAsked", "an outage is called {reason}");
    until("an answer", LIMIT, async || {
        let client = Client::try_from(config.clone()).map_err(|error| error.to_string())?;
        let answer = client.apiserver_version().await;
        answer.map(drop).map_err(|error| error.to_string())
    })
    .await?;
    let (seen, _) = available(world, "True").await?;
    world.say(format!(
        "its end {:.1} s after the first answer (promised: 5)",
        seen.as_secs_f64()
    ));
    Ok(())
}

/// A child that has become somebody else's cannot be written; whoever uses the cluster feels
/// nothing of it.
pub async fn a_refused_child_leaves_available_alone(world: &World) -> Result<()> {
    if clusters::api(world, NAME).get_opt(NAME).await?.is_none() {
        settle(world).await?;
    }
    let since = |cluster: &crds::v1beta2::Cluster| {
        let status = cluster.status.as_ref();
        let available = status.and_then(|status| status.condition("Available"));
        available.map(|condition| condition.last_transition_time.clone())
    };
    let before = since(&clusters::available(world, NAME).await?);
    let maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), NAME);
    let child = format!("kmc-{NAME}-telemetry-config");
    let taken = json!({"metadata": {"ownerReferences": null, "annotations": null}});
    maps.patch(&child, &PatchParams::default(), &Patch::Merge(&taken))
        .await?;
    let cluster = clusters::wait_for(world, NAME, "refused", LIMIT, |cluster| {
        clusters::has_condition(cluster, "Applied", "False")
    })
    .await?;
    ensure!(
        clusters::has_condition(&cluster, "Available", "True") && since(&cluster) == before,
        "{}",
        clusters::describe(Some(&cluster))
    );
    maps.delete(&child, &DeleteParams::default()).await?;
    let cluster = clusters::wait_for(world, NAME, "mended", LIMIT, |cluster| {
        clusters::has_condition(cluster, "Applied", "True")
    })
    .await?;
    ensure!(
        clusters::has_condition(&cluster, "Available", "True") && since(&cluster) == before,
        "{}",
        clusters::describe(Some(&cluster))
    );
    clusters::discard(world, NAME).await
}
