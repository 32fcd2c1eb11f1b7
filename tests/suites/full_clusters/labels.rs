//! What a user writes on a Cluster stays the user's.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use support::full::world::World;
use support::full::{clusters, until};

use crate::LEFT;

/// Longer than a pod needs to be replaced.
const WATCHED: Duration = Duration::from_secs(8);

/// Uid and restarts of every pod.
async fn pods(world: &World) -> Result<BTreeMap<String, (String, i32)>> {
    let mut all = BTreeMap::new();
    for component in ["cluster", "etcd"] {
        for pod in clusters::pods(world, LEFT, component).await? {
            let status = pod.status.clone().unwrap_or_default();
            let containers = status.container_statuses.unwrap_or_default();
            let restarts = containers.iter().map(|c| c.restart_count).sum();
            all.insert(pod.name_any(), (pod.uid().unwrap_or_default(), restarts));
        }
    }
    Ok(all)
}

/// Ready endpoints of every Service of the cluster that has a selector.
async fn endpoints(world: &World) -> Result<BTreeMap<String, usize>> {
    let services: Api<Service> = Api::namespaced(world.client.clone(), LEFT);
    let slices: Api<EndpointSlice> = Api::namespaced(world.client.clone(), LEFT);
    let mut ready: BTreeMap<String, usize> = services
        .list(&ListParams::default())
        .await?
        .iter()
        .map(|service| (service.name_any(), 0))
        .collect();
    for slice in slices.list(&ListParams::default()).await? {
        let Some(service) = slice.labels().get("kubernetes.io/service-name") else {
            continue;
        };
        let count = slice
            .endpoints
            .iter()
            .filter(|endpoint| {
                let conditions = endpoint.conditions.as_ref();
                conditions.and_then(|conditions| conditions.ready) != Some(false)
            })
            .count();
        *ready.entry(service.clone()).or_default() += count;
    }
    Ok(ready)
}

/// The fields of a Cluster that the controller owns, status apart.
async fn owned(world: &World) -> Result<Vec<String>> {
    let cluster = clusters::api(world, LEFT).get(LEFT).await?;
    let mut paths = Vec::new();
    for entry in cluster.managed_fields() {
        let ours = entry.manager.as_deref() == Some(crds::names::FIELD_MANAGER);
        if !ours || entry.subresource.as_deref() == Some("status") {
            continue;
        }
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        for (top, below) in fields.and_then(Value::as_object).into_iter().flatten() {
            let below = below.as_object().into_iter().flatten();
            paths.extend(below.map(|(key, _)| format!("{top}.{key}")));
        }
    }
    Ok(paths)
}

pub async fn labelling_a_cluster_restarts_nothing_and_empties_no_endpoints(
    world: &World,
) -> Result<()> {
    clusters::ensure(world, LEFT, clusters::node_port()).await?;
    let before = pods(world).await?;
    ensure!(!before.is_empty(), "the cluster has no pods");
    let first = endpoints(world).await?;
    ensure!(
        first.len() == 3 && first.values().all(|count| *count > 0),
        "endpoints before: {first:?}"
    );

    let patch = json!({"metadata": {
        "labels": {"team": "blue", "app": "mine", "cluster": "mine", "component": "mine"},
        "annotations": {"example.com/note": "hello"},
    }});
    clusters::api(world, LEFT)
        .patch(LEFT, &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    let started = Instant::now();
    let mut looks = 0;
    while started.elapsed() < WATCHED {
        let now = endpoints(world).await?;
        ensure!(
            now.len() == 3 && now.values().all(|count| *count > 0),
            "{:.1} s after the label: {now:?}",
            started.elapsed().as_secs_f64()
        );
        looks += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let after = pods(world).await?;
    ensure!(before == after, "pods before: {before:?}, after: {after:?}");
    world.say(format!(
        "looked {looks} times in {} s: no endpoint lost, no pod restarted",
        WATCHED.as_secs()
    ));

    // The label went to the children, those that mean something to us apart.
    let services: Api<Service> = Api::namespaced(world.client.clone(), LEFT);
    let labels = until(
        "the label on the Service",
        Duration::from_secs(10),
        async || {
            let service = services.get(&format!("kmc-{LEFT}-nodeport")).await;
            let labels = service.map_err(|error| error.to_string())?.labels().clone();
            match labels.get("team") {
                Some(_) => Ok(labels),
                None => Err(format!("{labels:?}")),
            }
        },
    )
    .await?;
    let app = labels.get("app").context("no label app")?;
    ensure!(app == "k0smotron", "the label app is the user's: {app}");

    let paths = owned(world).await?;
    ensure!(
        paths == ["f:metadata.f:finalizers"],
        "the controller wrote {paths:?} of the Cluster"
    );
    Ok(())
}
