//! A worker in a machine of its own, which shares nothing with the mothership but two ports.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use mothership::{Worker, WorkerOptions};
use support::full::reach::{connects, pings, process_of};
use support::full::world::{PRODUCT, World};
use support::full::{clusters, hosted, node, tokens, until};

use crate::LEFT;

const NAME: &str = "apart";
const KUBELET: u16 = 10250;

pub async fn a_worker_apart_joins_by_token_and_is_reached_by_konnectivity_only(
    world: &World,
) -> Result<()> {
    let cluster = clusters::ensure(world, LEFT, clusters::node_port()).await?;
    let allow = hosted::allowed(&cluster)?;
    let started = Instant::now();
    tokens::request(world, LEFT, NAME, "1h").await?;
    let (_, token) = tokens::token(world, LEFT, NAME, None).await?;
    world.say(format!(
        "token after {:.1} s",
        started.elapsed().as_secs_f64()
    ));
    let started = Instant::now();
    let mut options = WorkerOptions::new(NAME);
    options.token = Some(token);
    options.allow.clone_from(&allow);
    let worker = world.full.worker(options).await?;
    let outcome = prove(world, &worker, started, &allow).await;
    if outcome.is_err() {
        world.say(mothership::failure::tail(&worker.log(), 30));
    }
    worker.down().await?;
    outcome
}

async fn prove(world: &World, worker: &Worker, started: Instant, allow: &[u16]) -> Result<()> {
    let client = hosted::client(world, LEFT).await?;
    node::ready(&client, worker.name()).await?;
    world.say(format!(
        "node Ready {:.1} s after its machine was started",
        started.elapsed().as_secs_f64()
    ));
    let ran = node::runs_a_pod(&client).await?;
    world.say(format!(
        "pod runs after {:.1} s; log and exec work",
        ran.as_secs_f64()
    ));
    nothing_else_from_worker(world, worker, allow).await?;
    nothing_to_worker(world, worker).await?;
    counted(world).await
}

/// The mothership learns which nodes there are, and how old the oldest kubelet is: upgrades go by
/// that.
async fn counted(world: &World) -> Result<()> {
    let started = Instant::now();
    let nodes = until(
        "the node is counted",
        Duration::from_secs(100),
        async || {
            let cluster = clusters::api(world, LEFT).get(LEFT).await;
            let cluster = cluster.map_err(|error| error.to_string())?;
            let nodes = cluster.status.and_then(|status| status.nodes);
            match nodes {
                Some(nodes) if nodes.joined == 1 && nodes.ready == 1 => Ok(nodes),
                other => Err(format!("{other:?}")),
            }
        },
    )
    .await?;
    let kubelet = nodes.oldest_kubelet.context("no kubelet's version")?;
    ensure!(kubelet.starts_with("v1."), "{kubelet}");
    world.say(format!(
        "the node is counted, with kubelet {kubelet}, after another {:.0} s",
        started.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// Addresses of the mothership's pods and Services at which somebody listens.
async fn inside(world: &World) -> Result<Vec<(String, u16)>> {
    let mut all = vec![(world.full.range().api_service().to_string(), 443)];
    let services: Api<Service> = Api::namespaced(world.client.clone(), LEFT);
    for service in services.list(&ListParams::default()).await? {
        let spec = service.spec.unwrap_or_default();
        let address = spec.cluster_ip.unwrap_or_default();
        let ports = spec.ports.into_iter().flatten();
        if !address.is_empty() && address != "None" {
            for port in ports {
                all.push((address.clone(), u16::try_from(port.port)?));
            }
        }
    }
    let mut pods = clusters::pods(world, LEFT, "cluster").await?;
    pods.extend(clusters::pods(world, LEFT, "etcd").await?);
    let product: Api<Pod> = Api::namespaced(world.client.clone(), PRODUCT);
    pods.extend(product.list(&ListParams::default()).await?);
    for pod in &pods {
        let address = clusters::address(pod)?;
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        for port in containers.flat_map(|container| container.ports.iter().flatten()) {
            all.push((address.clone(), u16::try_from(port.container_port)?));
        }
    }
    Ok(all)
}

/// The worker reaches its cluster's two ports and nothing else of the mothership.
async fn nothing_else_from_worker(world: &World, worker: &Worker, allow: &[u16]) -> Result<()> {
    let (there, here) = (worker.machine().pid(), std::process::id().cast_signed());
    let node = world.full.node_ip().to_string();
    for port in allow {
        ensure!(
            connects(there, &node, *port).await?,
            "the worker does not reach {node}:{port}"
        );
    }
    let inside = inside(world).await?;
    ensure!(inside.len() >= 8, "too few addresses to try: {inside:?}");
    let asked = inside.iter().map(|(address, port)| async move {
        // Or a typing error would pass for separation.
        ensure!(
            connects(here, address, *port).await?,
            "nobody listens at {address}:{port}"
        );
        ensure!(
            !connects(there, address, *port).await?,
            "the worker reaches {address}:{port}"
        );
        Ok(())
    });
    try_join_all(asked).await?;
    ensure!(
        connects(here, &node, 6443).await? && !connects(there, &node, 6443).await?,
        "the worker reaches the mothership's API"
    );
    world.say(format!(
        "{} pod and Service addresses answer here and none of them the worker",
        inside.len()
    ));
    Ok(())
}

/// Logs and exec can have come through konnectivity only.
async fn nothing_to_worker(world: &World, worker: &Worker) -> Result<()> {
    let address = worker.address();
    ensure!(
        connects(worker.machine().pid(), &address.to_string(), KUBELET).await?,
        "the kubelet does not listen"
    );
    let planes = clusters::pods(world, LEFT, "cluster").await?;
    let plane = planes.first().context("no control-plane pod")?;
    let uid = plane.uid().context("no uid")?;
    let process = process_of(&uid, "kube-apiserver")?;
    let service = world.full.range().api_service().to_string();
    ensure!(
        connects(process, &service, 443).await?,
        "the control-plane pod has no network"
    );
    ensure!(
        !connects(process, &address.to_string(), KUBELET).await?,
        "the control-plane pod reaches the kubelet of the worker"
    );
    ensure!(
        !pings(process, address).await?,
        "the control-plane pod reaches the worker"
    );
    Ok(())
}
