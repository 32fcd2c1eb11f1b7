//! Clusters beside each other.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::Api;
use serde_json::json;
use support::full::world::World;
use support::full::{clusters, hosted};

use crate::{LEFT, RIGHT};

/// The cluster that waits for a load balancer; a case about tokens ends its waiting.
pub const WAITING: &str = "waiting";

/// Makes it, or finds it, and checks that it says what it waits for.
pub async fn waiting(world: &World) -> Result<()> {
    if clusters::api(world, WAITING)
        .get_opt(WAITING)
        .await?
        .is_none()
    {
        let spec = json!({
            "service": {"type": "LoadBalancer"},
            "storage": {"type": "etcd", "etcd": {"autoDeletePVCs": true}},
        });
        clusters::create(world, WAITING, spec).await?;
    }
    still_waiting(world).await
}

async fn still_waiting(world: &World) -> Result<()> {
    let limit = Duration::from_secs(30);
    clusters::wait_for(
        world,
        WAITING,
        "waiting for its load balancer",
        limit,
        |cluster| {
            ["ControlPlaneExposed", "Available"].iter().all(|type_| {
                clusters::has_condition(cluster, type_, "False")
                    && clusters::reason(cluster, type_) == "WaitingForLoadBalancer"
            })
        },
    )
    .await
    .map(drop)
}

pub async fn node_port_clusters_live_side_by_side_while_one_waits_for_a_load_balancer(
    world: &World,
) -> Result<()> {
    waiting(world).await?;
    let mut kept = clusters::node_port();
    // The case about deletion looks for the volumes of this one.
    kept.as_object_mut().context("no object")?.remove("storage");
    let (left, right) = tokio::try_join!(
        clusters::ensure(world, LEFT, clusters::node_port()),
        clusters::ensure(world, RIGHT, kept),
    )?;
    let ports: Vec<i32> = [hosted::ports(&left)?, hosted::ports(&right)?]
        .into_iter()
        .flat_map(|ports| [ports.api, ports.konnectivity])
        .collect();
    let mut distinct = ports.clone();
    distinct.sort_unstable();
    distinct.dedup();
    ensure!(distinct.len() == 4, "ports are shared: {ports:?}");
    ensure!(
        left.spec.service.api_port == 0 && right.spec.service.konnectivity_port == 0,
        "the ports were written into the spec"
    );
    // Each serves at its own.
    let mut uids = Vec::new();
    for name in [LEFT, RIGHT] {
        let client = hosted::client(world, name).await?;
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client);
        uids.push(namespaces.get("kube-system").await?.metadata.uid);
    }
    ensure!(
        uids.first() != uids.last(),
        "both ports lead to the same cluster"
    );
    still_waiting(world).await?;

    // What needs no address is there, what needs one is not.
    let sets: Api<StatefulSet> = Api::namespaced(world.client.clone(), WAITING);
    ensure!(
        sets.get_opt(&format!("kmc-{WAITING}-etcd"))
            .await?
            .is_some(),
        "etcd waits for the load balancer too"
    );
    ensure!(
        sets.get_opt(&format!("kmc-{WAITING}")).await?.is_none(),
        "the control plane was made without an address"
    );
    Ok(())
}
