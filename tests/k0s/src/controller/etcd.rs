//! etcd beside the API server, and how to know that an etcd answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use kube::Client;
use kube::config::{
    AuthInfo, Cluster, Context as KubeContext, KubeConfigOptions, Kubeconfig, NamedAuthInfo,
    NamedCluster, NamedContext,
};

use super::Context;
use crate::args::Args;
use crate::config::ClusterConfig;
use crate::paths::{Paths, chown, make_dir, text, user};
use crate::supervisor::{Component, Gate};
use crate::{api, pki};

const LOCAL: &str = "https://127.0.0.1:2379";

/// The endpoints of the cluster's etcd.
pub fn endpoints(config: &ClusterConfig) -> Vec<String> {
    config.storage.etcd.external_cluster.as_ref().map_or_else(
        || vec![LOCAL.to_owned()],
        |external| external.endpoints.clone(),
    )
}

/// The own etcd, unless the storage is external.
pub fn component(context: &Context) -> Result<Option<Component>> {
    let (paths, config) = (&context.paths, &context.config);
    if config.storage.etcd.external_cluster.is_some() {
        return Ok(None);
    }
    let owner = user("etcd");
    let data = paths.data.join("etcd");
    make_dir(&data, 0o700)?;
    chown(&data, owner)?;
    let peer = crate::config::HostPort {
        host: pki::peer_address(config).to_owned(),
        port: 2380,
    };
    let pki = |file: &str| text(paths.pki(file));
    let mut args = Args::new([
        ("data-dir", text(&data)),
        ("name", context.node_name.clone()),
        ("listen-client-urls", LOCAL.into()),
        ("advertise-client-urls", LOCAL.into()),
        ("listen-peer-urls", format!("https://{peer}")),
        ("initial-advertise-peer-urls", format!("https://{peer}")),
        (
            "initial-cluster",
            format!("{}=https://{peer}", context.node_name),
        ),
        ("client-cert-auth", "true".into()),
        ("trusted-ca-file", pki("etcd/ca.crt")),
        ("cert-file", pki("etcd/server.crt")),
        ("key-file", pki("etcd/server.key")),
        ("peer-client-cert-auth", "true".into()),
        ("peer-trusted-ca-file", pki("etcd/ca.crt")),
        ("peer-cert-file", pki("etcd/peer.crt")),
        ("peer-key-file", pki("etcd/peer.key")),
        ("log-level", "warn".into()),
    ]);
    args.override_with("etcd", &config.storage.etcd.extra_args);
    let args = args.into_command_line(&config.storage.etcd.raw_args);
    let mut component = Component::new("etcd", paths.component("etcd")?, args);
    component.user = owner;
    Ok(Some(component))
}

/// Clients for etcd's HTTP side, one an endpoint.
///
/// # Errors
/// When the certificates cannot be used.
pub async fn clients(paths: &Paths, config: &ClusterConfig) -> Result<Vec<Client>> {
    let [mut ca, certificate, key] = pki::etcd_client_files(paths, config);
    if ca.as_os_str().is_empty() {
        // Without TLS no CA is asked; without any the client would look for the system's, and an
        // image has none.
        ca = paths.pki("ca.crt");
    }
    let file = |path: &std::path::Path| (!path.as_os_str().is_empty()).then(|| text(path));
    let mut clients = Vec::new();
    for endpoint in endpoints(config) {
        let name = "etcd".to_owned();
        let kubeconfig = Kubeconfig {
            current_context: Some(name.clone()),
            clusters: vec![NamedCluster {
                name: name.clone(),
                cluster: Some(Cluster {
                    server: Some(endpoint.clone()),
                    certificate_authority: file(&ca),
                    ..Cluster::default()
                }),
                ..NamedCluster::default()
            }],
            contexts: vec![NamedContext {
                name: name.clone(),
                context: Some(KubeContext {
                    cluster: name.clone(),
                    user: Some(name.clone()),
                    ..KubeContext::default()
                }),
                ..NamedContext::default()
            }],
            auth_infos: vec![NamedAuthInfo {
                name,
                auth_info: Some(AuthInfo {
                    client_certificate: file(&certificate),
                    client_key: file(&key),
                    ..AuthInfo::default()
                }),
                ..NamedAuthInfo::default()
            }],
            ..Kubeconfig::default()
        };
        let options = KubeConfigOptions::default();
        let client = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let client = client.with_context(|| format!("cannot reach etcd at {endpoint}"))?;
        clients.push(api::from_config(client)?);
    }
    Ok(clients)
}

/// Opens once an etcd endpoint says that it is healthy: an API server that is started before
/// would give up after a while and be started again later than it could have been.
pub async fn gate(paths: &Paths, config: &ClusterConfig) -> Result<Gate> {
    let clients = Arc::new(clients(paths, config).await?);
    Ok(Arc::new(move || {
        let clients = clients.clone();
        Box::pin(async move {
            let start = Instant::now();
            let mut complaints = 0;
            loop {
                let asked = clients.iter().map(|client| Box::pin(healthy(client)));
                let Err(error) = futures::future::select_ok(asked).await else {
                    return;
                };
                if start.elapsed().as_secs() / 5 > complaints {
                    complaints = start.elapsed().as_secs() / 5;
                    tracing::warn!("still waiting for etcd: {error:#}");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
    }))
}

async fn healthy(client: &Client) -> Result<()> {
    let asked = tokio::time::timeout(Duration::from_secs(2), api::get_text(client, "/health"));
    let answer = asked.await.context("no answer within two seconds")??;
    anyhow::ensure!(answer.contains("\"health\":\"true\""), "it says {answer}");
    Ok(())
}
