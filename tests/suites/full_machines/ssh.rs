//! A machine that people get into.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use mothership::Worker;
use mothership::worker::Sshd;
use support::full::until;
use support::full::world::World;
use tempfile::TempDir;
use tokio::process::Command;

use crate::joined::{self, SERVICE, TOKEN, install};

pub async fn the_key_opens_the_machine_and_nothing_else_does(world: &World) -> Result<()> {
    let (worker, token) = joined::machine(world, "by-ssh").await?;
    let outcome = visit(world, &worker, &token).await;
    joined::end(world, worker, outcome).await
}

async fn visit(world: &World, worker: &Worker, token: &str) -> Result<()> {
    let keys = TempDir::new()?;
    let public = key(keys.path(), "right").await?;
    key(keys.path(), "wrong").await?;
    let sshd = worker.start_sshd(&public).await?;
    std::fs::write(keys.path().join("known"), sshd.known_host() + "\n")?;

    let name = ssh(&sshd, keys.path(), Some("right"), "hostname").await?;
    ensure!(name.status.success(), "{name:?}");
    ensure!(name.stdout == b"by-ssh\n", "it is {name:?}");
    for key in [Some("wrong"), None] {
        let refused = ssh(&sshd, keys.path(), key, "hostname").await?;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(refused.status.code() == Some(255), "{refused:?}");
        ensure!(said.contains("Permission denied"), "{said}");
    }

    worker.put(TOKEN, token.as_bytes(), 0o600).await?;
    let join = format!("{} && {SERVICE} start </dev/null", install());
    let joined = ssh(&sshd, keys.path(), Some("right"), &join).await?;
    ensure!(joined.status.success(), "{joined:?}");
    joined::ready(world, worker.name()).await?;

    // The machine is as far from the mothership as before.
    let node = world.full.node_ip().to_string();
    ensure!(!worker.reaches(&node, 6443).await?, "the API is in reach");
    let address = sshd.address;
    drop(sshd);
    // The kernel takes a moment to end what listened.
    until(
        "the way in is closed",
        Duration::from_secs(20),
        async || match tokio::net::TcpStream::connect(address).await {
            Ok(_) => Err("it stays open".to_owned()),
            Err(_) => Ok(()),
        },
    )
    .await?;
    Ok(())
}

/// Makes a key; its public half.
pub async fn key(folder: &Path, name: &str) -> Result<String> {
    let file = folder.join(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&file)
        .status()
        .await?;
    ensure!(made.success(), "ssh-keygen: {made}");
    Ok(std::fs::read_to_string(file.with_extension("pub"))?)
}

/// Runs a command in the machine as its root.
async fn ssh(sshd: &Sshd, folder: &Path, key: Option<&str>, command: &str) -> Result<Output> {
    let known = format!("UserKnownHostsFile={}", folder.join("known").display());
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-p", &sshd.address.port().to_string()])
        .args(["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"])
        .args(["-o", &known, "-o", "IdentitiesOnly=yes"])
        .env_remove("SSH_AUTH_SOCK");
    match key {
        Some(name) => ssh.arg("-i").arg(folder.join(name)),
        None => ssh.args(["-o", "PubkeyAuthentication=no"]),
    };
    ssh.args(["root@127.0.0.1", command]).stdin(Stdio::null());
    ssh.kill_on_drop(true);
    tokio::time::timeout(Duration::from_secs(30), ssh.output())
        .await
        .context("ssh does not end")?
        .context("running ssh")
}
