//! A machine whose first boot is told what to do.

use std::time::Instant;

use anyhow::{Result, ensure};
use mothership::Worker;
use support::full::world::World;

use crate::joined::{self, SERVICE, TOKEN, install};

pub async fn user_data_makes_a_machine_join(world: &World) -> Result<()> {
    let (worker, token) = joined::machine(world, "by-cloud").await?;
    let outcome = boot(world, &worker, &token).await;
    joined::end(world, worker, outcome).await
}

async fn boot(world: &World, worker: &Worker, token: &str) -> Result<()> {
    let user_data = format!(
        r#"#cloud-config
write_files:
  - path: {TOKEN}
    permissions: "0600"
    content: {token}
runcmd:
  - {install}
  - [{SERVICE}, start]
  - echo "run for $(hostname)"
"#,
        install = install()
    );
    let started = Instant::now();
    let booted = worker.cloud_init(&user_data).await?;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(booted.errors.is_empty(), "{booted:?}");
    ensure!(booted.output.contains("run for by-cloud"), "{booted:?}");
    let mode = worker.output(&["stat", "-c", "%a", TOKEN]).await?;
    ensure!(mode == "600\n", "the token's mode is {mode}");
    joined::ready(world, worker.name()).await?;
    world.say(format!(
        "cloud-init took {seconds:.1} s, the node is Ready after {:.1} s",
        started.elapsed().as_secs_f64()
    ));

    let wrong = worker.cloud_init("#cloud-config\nruncmd: 5\n").await?;
    ensure!(!wrong.errors.is_empty(), "nothing is wrong: {wrong:?}");
    Ok(())
}
