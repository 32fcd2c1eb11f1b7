//! A worker of the control plane that was made by hand.

use anyhow::Result;
use mothership::WorkerOptions;
use support::full::node;
use support::full::world::World;

use crate::{plane, tokens};

pub async fn a_worker_joins_by_token_and_is_reached_by_logs_and_exec(world: &World) -> Result<()> {
    let it = plane::plane(world).await?;
    let mut options = WorkerOptions::new("hand");
    options.token = Some(tokens::create(world, "1h").await?);
    options.allow = vec![it.api, it.konnectivity];
    options.k0s_args = vec!["--labels=contract=kept".to_owned()];
    let worker = world.full.worker(options).await?;
    let outcome = async {
        let client = plane::client(world).await?;
        let found = node::ready(&client, worker.name()).await?;
        let label = found
            .metadata
            .labels
            .and_then(|mut labels| labels.remove("contract"));
        anyhow::ensure!(label.as_deref() == Some("kept"), "the label is {label:?}");
        node::runs_a_pod(&client).await.map(drop)
    }
    .await;
    if outcome.is_err() {
        world.say(mothership::failure::tail(&worker.log(), 30));
    }
    worker.down().await?;
    outcome
}
