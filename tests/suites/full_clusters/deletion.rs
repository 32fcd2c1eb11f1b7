//! What a deleted Cluster leaves.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::common::world::World;
use crate::common::{clusters, until};
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
