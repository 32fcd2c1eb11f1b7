//! The way into a hosted cluster, as its users go: by the kubeconfig Secret.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use crds::v1beta2::{Cluster, StatusPorts};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use super::world::World;

/// The text under a key of a Secret.
pub fn text(data: Option<&BTreeMap<String, ByteString>>, key: &str) -> Result<String> {
    let bytes = data
        .and_then(|data| data.get(key))
        .with_context(|| format!("the Secret has no {key}"))?;
    Ok(String::from_utf8(bytes.0.clone())?)
}

/// A configuration from the text of a kubeconfig.
pub async fn parse(kubeconfig: &str) -> Result<Config> {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig)?;
    Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}

/// The administrator's kubeconfig of the cluster in the namespace of its own name.
pub async fn config(world: &World, name: &str) -> Result<Config> {
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), name);
    let secret = secrets.get(&format!("{name}-kubeconfig")).await?;
    parse(&text(secret.data.as_ref(), "value")?).await
}

/// An administrator's client of the hosted cluster.
pub async fn client(world: &World, name: &str) -> Result<Client> {
    Ok(Client::try_from(config(world, name).await?)?)
}

/// The ports of a cluster.
pub fn ports(cluster: &Cluster) -> Result<StatusPorts> {
    let status = cluster.status.as_ref();
    status
        .and_then(|status| status.ports)
        .context("status.ports is not set")
}

/// The ports as a worker machine is allowed them.
pub fn allowed(cluster: &Cluster) -> Result<Vec<u16>> {
    let ports = ports(cluster)?;
    Ok(vec![
        u16::try_from(ports.api)?,
        u16::try_from(ports.konnectivity)?,
    ])
}
