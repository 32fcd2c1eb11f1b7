//! k0s as a service.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mothership::Worker;
use support::full::until;
use support::full::world::World;

use crate::joined::{self, SERVICE, TOKEN, install};

pub async fn a_machine_joins_by_install_and_its_service_and_leaves_by_reset(
    world: &World,
) -> Result<()> {
    let (worker, token) = joined::machine(world, "by-hand").await?;
    let outcome = life(world, &worker, &token).await;
    joined::end(world, worker, outcome).await
}

async fn k0s(worker: &Worker, line: &str) -> Result<String> {
    let line = line.trim_start_matches("k0s ");
    worker.output(&["sh", "-c", &format!("k0s {line}")]).await
}

async fn service(worker: &Worker, action: &str) -> Result<String> {
    worker.output(&[SERVICE, action]).await
}

/// What it says of itself, which a real one does a little after its node is Ready.
async fn runs(worker: &Worker) -> Result<String> {
    until("k0s answers", Duration::from_secs(30), async || {
        let status = k0s(worker, "status").await;
        status.map_err(|error| format!("{error:#}"))
    })
    .await
}

async fn fails(worker: &Worker, line: &str, why: &str) -> Result<()> {
    let Err(error) = k0s(worker, line).await else {
        anyhow::bail!("`k0s {line}` works")
    };
    let error = format!("{error:#}");
    ensure!(error.contains(why), "`k0s {line}` says {error}");
    Ok(())
}

async fn life(world: &World, worker: &Worker, token: &str) -> Result<()> {
    fails(worker, "status", "can't get").await?;
    worker.put(TOKEN, token.as_bytes(), 0o600).await?;
    let install = install() + " --labels by=hand";
    k0s(worker, &install).await?;
    fails(worker, &install, "already exists").await?;
    let started = Instant::now();
    fails(worker, "start", "exit status").await?;
    fails(worker, "stop", "exit status").await?;
    service(worker, "start").await?;
    joined::ready(world, worker.name()).await?;
    world.say(format!(
        "Ready {:.1} s after the start of its service",
        started.elapsed().as_secs_f64()
    ));
    let status = runs(worker).await?;
    ensure!(status.contains("Role: worker"), "{status}");
    fails(worker, "reset", "please stop").await?;

    service(worker, "stop").await?;
    fails(worker, "status", "can't get").await?;
    service(worker, "start").await?;
    runs(worker).await?;

    service(worker, "stop").await?;
    k0s(worker, "reset").await?;
    let left = "ls /etc/init.d/k0sworker /run/k0s 2>/dev/null; ls -A /var/lib/k0s; true";
    let left = worker.output(&["sh", "-c", left]).await?;
    ensure!(left.is_empty(), "reset leaves {left}");
    // Nothing but process 1 and who asks: the pods' processes have ended and nobody is left dead.
    until("all processes end", Duration::from_secs(10), async || {
        let all = worker.output(&["ps", "-e", "-o", "comm="]).await;
        let all = all.map_err(|error| format!("{error:#}"))?;
        match all.lines().filter(|name| !name.contains("ps")).count() {
            1 => Ok(()),
            _ => Err(all),
        }
    })
    .await
}
