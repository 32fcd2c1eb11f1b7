//! The files below k0s's data folder.

use anyhow::{Result, ensure};
use support::full::clusters;
use support::full::world::World;

use crate::plane::{self, PLAIN};

const PKI: &str = "/var/lib/k0s/pki";

/// Everywhere.
const FILES: [&str; 22] = [
    "ca.crt",
    "ca.key",
    "front-proxy-ca.crt",
    "front-proxy-ca.key",
    "front-proxy-client.crt",
    "front-proxy-client.key",
    "sa.key",
    "sa.pub",
    "admin.crt",
    "admin.key",
    "admin.conf",
    "ccm.crt",
    "ccm.key",
    "ccm.conf",
    "scheduler.crt",
    "scheduler.key",
    "scheduler.conf",
    "konnectivity.conf",
    "apiserver-kubelet-client.crt",
    "apiserver-kubelet-client.key",
    "server.crt",
    "server.key",
];

/// With an etcd of its own.
const ETCD_FILES: [&str; 8] = [
    "apiserver-etcd-client.crt",
    "apiserver-etcd-client.key",
    "etcd/ca.crt",
    "etcd/ca.key",
    "etcd/peer.crt",
    "etcd/peer.key",
    "etcd/server.crt",
    "etcd/server.key",
];

/// Names of files below the folder.
async fn listed(world: &World, pod: &str) -> Result<Vec<String>> {
    let command = ["sh", "-c", &format!("cd {PKI} && find . -type f")];
    let found = clusters::exec(&plane::pods(world), pod, &command).await?;
    let names = found
        .lines()
        .map(|line| line.trim_start_matches("./").to_owned());
    Ok(names.collect())
}

pub async fn given_authorities_are_kept_and_leaves_are_named_as_ever(world: &World) -> Result<()> {
    let it = plane::plane(world).await?;
    let names = listed(world, plane::K0S).await?;
    for file in FILES {
        ensure!(
            names.iter().any(|name| name == file),
            "no {file} in {names:?}"
        );
    }
    let foreign = |name: &&String| name.starts_with("etcd") || name.contains("etcd-client");
    let foreign: Vec<&String> = names.iter().filter(foreign).collect();
    ensure!(
        foreign.is_empty(),
        "an etcd of its own is not asked for: {foreign:?}"
    );
    let kept = plane::exec(world, &["cat", &format!("{PKI}/ca.crt")]).await?;
    ensure!(kept == it.ca, "the given CA was replaced");

    plane::plain(world).await?;
    let names = listed(world, PLAIN).await?;
    for file in FILES.iter().chain(&ETCD_FILES) {
        ensure!(
            names.iter().any(|name| name == file),
            "no {file} in {names:?}"
        );
    }
    Ok(())
}
