//! The support bundle of a cluster that runs: it has the logs, and none of the real secrets.

use std::process::Command;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use mothership::image;
use mothership::progress::Progress;
use support::bundle::unpacked;
use support::full::world::World;
use support::full::{clusters, tokens};

const NAME: &str = "bundled";

pub async fn a_support_bundle_has_the_logs_and_none_of_the_secrets(world: &World) -> Result<()> {
    clusters::ensure(world, NAME, clusters::node_port()).await?;
    tokens::request(world, NAME, "mine", "1h").await?;
    tokens::token(world, NAME, "mine", None).await?;
    let progress = Progress::new();
    let plugin = tokio::task::spawn_blocking(move || image::plugin(&progress)).await??;
    let home = tempfile::tempdir()?;
    let mut command = Command::new(plugin);
    command
        .args(["support-bundle", NAME, "-n", NAME, "--output", "-"])
        .env("KUBECONFIG", world.full.admin_kubeconfig()?)
        .env("HOME", home.path());
    let ended = tokio::task::spawn_blocking(move || command.output()).await??;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "{said}");
    let files = unpacked(&ended.stdout)?;
    for (ending, part) in [
        ("product/deployments.yaml", "k0smotron-webhook"),
        ("product/leases.yaml", "holderIdentity"),
        ("doctor.txt", "a simple cluster would be accepted"),
        ("kmc-bundled-0/controller.log", "kube-apiserver"),
        ("kmc-bundled-etcd-0/etcd.log", "etcd"),
        ("manager.log", "leader"),
        ("bundled/secrets.yaml", "bundled-kubeconfig"),
        ("bundled/jointokenrequests.yaml", "name: mine"),
    ] {
        let found = files.iter().any(|(path, text)| {
            let fits = path.ends_with(ending);
            fits && text.contains(part)
        });
        let paths: Vec<&String> = files.keys().collect();
        ensure!(found, "no {ending} with {part:?} in {paths:#?}: {said}");
    }
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), NAME);
    let mut looked_for = 0;
    for secret in secrets.list(&ListParams::default()).await?.items {
        let name = secret.name_any();
        for (key, value) in secret.data.unwrap_or_default() {
            // Certificates are for everybody to see.
            if key == "tls.crt" || key == "ca.crt" {
                continue;
            }
            let text = String::from_utf8_lossy(&value.0).into_owned();
            for part in parts(&text) {
                looked_for += 1;
                let leak = files.iter().find(|(_, text)| text.contains(part));
                ensure!(
                    leak.is_none(),
                    "{name}/{key} is in {:?}",
                    leak.map(|(path, _)| path)
                );
            }
        }
    }
    ensure!(looked_for > 20, "only {looked_for} secrets were looked for");
    clusters::delete(world, NAME).await
}

/// What somebody could use: lines of keys, whole tokens, values of kubeconfigs.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let is_public = |line: &&str| {
        line.contains("certificate") || line.contains("server:") || line.starts_with("-----")
    };
    text.lines()
        .filter(move |line| !is_public(line))
        .flat_map(str::split_whitespace)
        .filter(|word| word.len() >= 24)
}
