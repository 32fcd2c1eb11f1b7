//! A cluster to join, and machines that do.

use anyhow::{Result, ensure};
use mothership::{Worker, WorkerOptions};
use support::full::world::World;
use support::full::{clusters, hosted, node, tokens};

/// The cluster, and its namespace.
pub const CLUSTER: &str = "machines";

/// Where people are told to put a token.
pub const TOKEN: &str = "/etc/k0s/token";

/// How a machine without systemd starts and stops k0s: its own commands find no worker there.
pub const SERVICE: &str = "/etc/init.d/k0sworker";

/// How people are told to make it join, with what a real k0s needs on these machines.
pub fn install() -> String {
    let further = mothership::worker::K0S_ARGS.join(" ");
    format!("k0s install worker --token-file {TOKEN} {further}")
}

/// A machine that may reach the cluster, without a token, and a token for it.
pub async fn machine(world: &World, name: &str) -> Result<(Worker, String)> {
    let cluster = Box::pin(clusters::ensure(world, CLUSTER, clusters::node_port())).await?;
    tokens::request(world, CLUSTER, name, "1h").await?;
    let (_, token) = tokens::token(world, CLUSTER, name, None).await?;
    let mut options = WorkerOptions::new(name);
    options.allow = hosted::allowed(&cluster)?;
    Ok((Box::pin(world.full.worker(options)).await?, token))
}

/// Waits until a machine's node is Ready.
pub async fn ready(world: &World, name: &str) -> Result<()> {
    let client = hosted::client(world, CLUSTER).await?;
    let node = node::ready(&client, name).await?;
    ensure!(node.metadata.name.as_deref() == Some(name), "another node");
    Ok(())
}

/// Ends a machine; when something went wrong its service's log is shown before.
pub async fn end(world: &World, worker: Worker, outcome: Result<()>) -> Result<()> {
    if outcome.is_err() {
        let logs = "tail -n 40 /var/log/k0sworker.* /var/log/cloud-init.log 2>&1";
        let said = worker.output(&["sh", "-c", logs]).await;
        world.say(said.unwrap_or_else(|error| format!("{error:#}")));
    }
    worker.down().await?;
    outcome
}
