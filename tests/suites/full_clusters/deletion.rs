//! What a deleted Cluster leaves.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, DeleteParams, ListParams};
use kube::runtime::wait::{await_condition, conditions};
use serde_json::json;
use support::full::world::World;
use support::full::{clusters, until};

use crate::{LEFT, RIGHT};

async fn left_over(world: &World, name: &str, expected: &[String]) -> Result<()> {
    let what = format!("an empty namespace {name}");
    until(&what, Duration::from_secs(60), async || {
        let contents = clusters::contents(world, name).await;
        let contents = contents.map_err(|error| format!("{error:#}"))?;
        if contents == expected {
            Ok(())
        } else {
            Err(format!("it holds {contents:?}, not {expected:?}"))
        }
    })
    .await
}

pub async fn deleting_a_cluster_leaves_only_volumes_that_are_to_be_kept(
    world: &World,
) -> Result<()> {
    let mut kept = clusters::node_port();
    kept.as_object_mut().context("no object")?.remove("storage");
    tokio::try_join!(
        clusters::ensure(world, LEFT, clusters::node_port()),
        clusters::ensure(world, RIGHT, kept),
    )?;
    tokio::try_join!(
        clusters::delete(world, LEFT),
        clusters::delete(world, RIGHT)
    )?;
    left_over(world, LEFT, &[]).await?;
    let volume = format!("persistentvolumeclaim/etcd-data-kmc-{RIGHT}-etcd-0");
    left_over(world, RIGHT, &[volume]).await
}

/// The certificate of a cluster's authority.
async fn authority(world: &World, name: &str) -> Result<Vec<u8>> {
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), name);
    let secret = secrets.get(&format!("{name}-ca")).await?;
    let certificate = secret.data.and_then(|mut data| data.remove("tls.crt"));
    Ok(certificate.context("no certificate")?.0)
}

/// The kubelet keeps what an immutable Secret held while a pod on its node refers to it.
pub async fn a_cluster_made_anew_at_once_has_keys_of_its_own(world: &World) -> Result<()> {
    const NAME: &str = "again";
    let spec = json!({
        "service": {"type": "ClusterIP"},
        "storage": {"type": "etcd", "etcd": {"autoDeletePVCs": true}},
    });
    let mut cluster = clusters::ensure(world, NAME, spec.clone()).await?;
    let mut before = authority(world, NAME).await?;
    for round in 1..=2 {
        let started = Instant::now();
        let all = clusters::api(world, NAME);
        all.delete(NAME, &DeleteParams::default()).await?;
        let uid = cluster.metadata.uid.take().context("no uid")?;
        tokio::time::timeout(
            Duration::from_secs(120),
            await_condition(all, NAME, conditions::is_deleted(&uid)),
        )
        .await
        .context("the Cluster is still there")??;
        let deleted = started.elapsed();
        let pods: Api<Pod> = Api::namespaced(world.client.clone(), NAME);
        let left = pods.list(&ListParams::default()).await?.items.len();
        ensure!(left == 0, "{left} pods outlive their Cluster");
        let started = Instant::now();
        clusters::create(world, NAME, spec.clone()).await?;
        cluster = clusters::available(world, NAME).await?;
        world.say(format!(
            "round {round}: gone after {:.1} s, made anew at once and Available after {:.1} s",
            deleted.as_secs_f64(),
            started.elapsed().as_secs_f64()
        ));
        let after = authority(world, NAME).await?;
        ensure!(before != after, "it has the authority of the one before");
        before = after;
    }
    clusters::discard(world, NAME).await
}
